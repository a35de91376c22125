"""Writes the two tokenizers as Hugging Face tokenizer.json: words are tokens, unknown words are <unk>.

T5 style keeps case: capitals are a sign and are spelled letter by letter; a capital that begins a word or a sentence is lower-cased.
CLIP style lower-cases everything. Quotation marks are spaces to both.

    python tokenizer_files.py --out ../tokenizers
"""

import argparse
import json
import re
from pathlib import Path
from string import ascii_uppercase

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

import world
from vocabulary import HUES, NUMBERS, OBJECTS, PLAIN, PLURALS, SCENES, STYLES, SYNONYMS

SENTINELS = [f"<extra_{i}>" for i in range(10)]
PARAPHRASE = "<paraphrase>"
RARE = "sks"  # no caption holds it: the word of a personal subject (DreamBooth, arXiv 2208.12242)


def words():
    """Every word a caption of the widest world can hold, sorted."""
    fixed = ["sign", "that", "says", "word", "with", "the", "of", "one", "many", "five", "and",
             "a", "an", "in", "on", "at", "to", "left", "right", "above", "below", "top", "bottom", "next", "under",
             "small", "big", "plain", "background", "empty", "scene", "nothing", ",", ".", *NUMBERS.values(), RARE]
    phrases = [*OBJECTS, *PLURALS.values(), *HUES, *PLAIN, *(p for ps in SCENES.values() for p in ps), *world.PLACES.values(), *(s for names in SYNONYMS.values() for s in names)]
    for _, before, after in STYLES.values():
        phrases += [*before, after]
    rng = np.random.default_rng(0)
    for _ in range(3000):
        phrases.append(re.sub("[A-Z]+", "", world.caption(rng, world.sample_scene(rng))))  # without what signs say: that is spelled
    return sorted({w for p in [*phrases, *fixed] for w in re.findall(r"[a-z0-9]+|,|\.", p.lower())})


def word_piece(special, vocabulary, template, normalizer, pre):
    ids = {t: i for i, t in enumerate([*special, *vocabulary])}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="<unk>", continuing_subword_prefix="##", max_input_chars_per_word=40))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(t, ids[t]) for t in ("<s>", "</s>") if t in ids]
    )
    return tokenizer


def quotes():
    return normalizers.Replace(Regex('["“”„«»]'), " ")


def t5_tokenizer(vocabulary):
    first = [normalizers.Replace(Regex(f"(?<![A-Z]){c}(?=[a-z])"), c.lower()) for c in ascii_uppercase]
    article = normalizers.Replace(Regex("(?<![^.!?] )(?<![^ ])A(?= [a-z])"), "a")  # "A cat", but not "says A in"
    pre = pre_tokenizers.Sequence([pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split(Regex("[A-Z]"), "isolated")])
    special = ["<pad>", "</s>", "<unk>", *SENTINELS, PARAPHRASE]
    return word_piece(special, [*ascii_uppercase, *vocabulary], "$A </s>", normalizers.Sequence([quotes(), *first, article]), pre)


def clip_tokenizer(vocabulary):
    return word_piece(["<pad>", "<s>", "</s>", "<unk>"], vocabulary, "<s> $A </s>", normalizers.Sequence([quotes(), normalizers.Lowercase()]), pre_tokenizers.BertPreTokenizer())


def load(folder):
    return tuple(Tokenizer.from_file(str(Path(folder) / f"{name}-tokenizer.json")) for name in ("t5", "clip"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    vocabulary = words()
    t5_tokenizer(vocabulary).save(str(out / "t5-tokenizer.json"))
    clip_tokenizer(vocabulary).save(str(out / "clip-tokenizer.json"))
    print(json.dumps({"words": len(vocabulary)}))
