"""Ids and offsets that `transformers`' tokenizers give for prompts of every kind: what PromptTokenizer must reproduce.

    python make_tokenizers.py --vocabularies ../../ediffi/parity/tokenizers      # writes tokenizers.json.gz beside this file

CLIP: transformers.CLIPTokenizer from vocab.json and merges.txt. T5: transformers.PreTrainedTokenizerFast from tokenizer.json, which is what
T5TokenizerFast was until transformers 5. `t5Pieces`: what transformers 5 makes of spiece.model alone (it splits at white space first, which moves offsets).
Offsets count code points. `plain`: special tokens typed in a prompt are text (encode_special_tokens); `parsed`: they are tokens, transformers' default.
"""

import argparse
import gzip
import json
import random
import shutil
import tempfile
from pathlib import Path

from transformers import CLIPTokenizer, PreTrainedTokenizerFast, T5TokenizerFast

FIXED = [
    "", " ", "   ", "\t", "\n", "a", "A", ".", "!!!", "a photo of a cat", "A photo of a CAT, 4k, trending on artstation", "  leading and trailing  ",
    "two  spaces   three", "tabs\tand\nnew\r\nlines", "it's they're we've I'm you'll he'd don't rock'n'roll", "IT'S THEY'RE WE'VE I'M", "’curly’ “quotes” — dash – en",
    "naïve café résumé", "nai\u0308ve cafe\u0301 re\u0301sume\u0301", "a\u0323\u0301b \u1ea1\u0301", "Å Å Å", "ﬁ ﬂ ﬀ ligatures ½ ¼ ² ³ №", "ＦＵＬＬ ｗｉｄｔｈ １２３", "～wave～ tilde", "İstanbul ıspanak", "STRASSE Straße ẞ", "ΣΊΣΥΦΟΣ ς σ",
    "北京的一只猫", "猫 と 犬", "ひらがな カタカナ ｶﾀｶﾅ", "한국어 고양이", "한국어", "русский кот в сапогах", "قطة على العشب", "חתול על הדשא", "ไทย แมว", "हिन्दी बिल्ली", "தமிழ்", "Ελληνικά",
    "👍", "👍🏽", "👨‍👩‍👧‍👦 family", "🏳️‍🌈 flag", "🇩🇪🇫🇷", "❤️ vs ❤", "☺︎ ☺️", "🍎🍎 a red apple", "1️⃣ 2️⃣", "🧑🏿‍🚀 on the moon", "text🙂text", "a🐱b c", "🫠🪿", "𝒻𝒶𝓃𝒸𝓎 𝔽𝕠𝕟𝕥", "𐍈 gothic", "𠜎 extension B",
    "zero\u200bwidth\u200cjoin\u200der", "soft\u00adhyphen", "nbsp\u00a0here", "\ufeffbom first", "ideographic\u3000space", "line\u2028sep\u2029para", "\u200e\u200fmarks \u202aembed\u202c", "thin\u2009hair\u200aspace", "\u1680ogham", "\u2581 lower block ▁▁ x",
    "bell\u0007 null-free \u0001\u0002 esc\u001b[0m", "del\u007f c1\u0085next\u008f\u009f", "vt\u000bff\u000cend", "\ufffd replacement", "\ue000 private \uf8ff", "\U000f0000 plane 15", "\ufdd0 noncharacter \uffff",
    "0", "42", "3.14159", "1,000,000", "2026-11-25", "12:30", "192.168.0.1", "1e-5", "½cup", "٣٤٥ ५६", "x² + y² = z²", "50% off", "$100 €20 £5 ¥7 ₿1", "#hashtag @user", "C++ C# .NET", "a/b\\c|d", "(paren) [brack] {brace} <angle>",
    "...", "…", "?!?!", "-----", "====", "***bold***", "~~~", "^_^ :-) ;D", "¿qué? ¡sí!", "«guillemets»", "、。「」", "a,b;c:d", "'quoted'", '"double"', "`code`", "semi;colon", "under_score", "snake_case_name camelCaseName",
    "http://example.com/a?b=c&d=e#f", "user@example.com", "<lora:name:0.8>", "(word:1.2)", "((emphasis))", "[less]", "a BREAK b", "masterpiece, best quality, ultra-detailed, (8k:1.3)",
    "antidisestablishmentarianism", "pneumonoultramicroscopicsilicovolcanoconiosis", "asdfghjklqwertyuiop", "zzzzzzzzzzzzzzzz", "ñandú", "œuvre Æsir", "Ł Đ Ø ß þ ð", "ɐ ʇɥƃᴉluʍop", "Z̸̡̛a̴l̷g̵o̶", "e\u0301\u0301\u0301", "\u0301 mark first", "o\u0302\u0323",
    "a  \u0301 b", "x\u20e3", "ȟello", "DŽ Dž dž", "ŉ", "ǰ", "ΐ", "ﬗ", "ß ﬅ", "㎏ ㍿ ㋿", "①②③", "㈱", "ℌ ℑ ™ ℠ Ω K Å", "ⅷ Ⅻ", "a\u0345", "ᾳ ᾼ", "Ⱥ Ⱦ", "K", "ſ", "á à â ä ã å ā", "\u00c5\u212b",
]
SPECIAL = ["a cat </s> <pad> a", "<|endoftext|> and <|startoftext|>", "<|endoftext|>", "</s>", "<unk>", "a <extra_id_0> b <extra_id_99>c", "x<|endoftext|>y", " </s> ", "<|STARTOFTEXT|>", "<|ENDOFTEXT|>", "</S>", "<pad><pad>"]


def made():
    r = random.Random(5)
    nouns = "cat dog castle dragon car tree mountain robot apple knight ship queen forest city lamp violin astronaut jellyfish".split()
    looks = "red blue tiny giant glowing old rusty velvet neon translucent shiny mossy golden ancient futuristic".split()
    styles = ["oil painting", "35mm photo", "pixel art", "ukiyo-e", "by Greg Rutkowski", "unreal engine 5", "HDR", "f/1.8", "isometric 3D", "--ar 16:9", "octane render", "art nouveau"]
    for _ in range(150):
        yield f"{r.choice(['a', 'A', 'the', 'An'])} {r.choice(looks)} {r.choice(nouns)} {r.choice(['on', 'under', 'beside', 'in front of'])} {r.choice(['a', 'the'])} {r.choice(nouns)}{r.choice(['', ', ' + r.choice(styles), '. ' + r.choice(styles) + '!'])}"
    ranges = [(0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x4FFF), (0xAC00, 0xACFF), (0xFB00, 0xFFEF), (0x1F300, 0x1F9FF), (0x1D400, 0x1D7FF)]
    for _ in range(150):
        out = []
        for _ in range(r.randint(1, 14)):
            low, high = r.choice(ranges)
            out += [chr(c) for c in (r.randint(low, high) for _ in range(r.randint(1, 4))) if not 0xD800 <= c <= 0xDFFF]
            if r.random() < 0.4:
                out.append(r.choice([" ", "  ", "\u00a0", "\t", "\u200d", "\ufe0f"]))
        yield "".join(out)
    for n in (60, 75, 76, 77, 78, 120, 200, 400):
        yield " ".join(r.choice(nouns + looks) for _ in range(n))
    yield "word " * 150
    yield "x" * 600
    yield "漢字" * 80
    yield "🐱" * 50
    yield "\n".join(["verse"] * 40)
    for _ in range(40):
        yield "".join(r.choice(["a", "B", " ", "  ", "é", "e\u0301", "1", "23", ".", "'s", "'", "ß", "\u00a0", "-", "🐱", "猫"]) for _ in range(r.randint(1, 24)))


def row(tokenizer, text):
    encoding = tokenizer._tokenizer.encode(text, add_special_tokens=True)
    return [encoding.ids, [n for pair in encoding.offsets for n in pair]]


if __name__ == "__main__":
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabularies", type=Path, default=here.parent.parent / "ediffi/parity/tokenizers")
    a = parser.parse_args()
    clip = CLIPTokenizer(vocab=str(a.vocabularies / "clip/vocab.json"), merges=str(a.vocabularies / "clip/merges.txt"))
    t5 = PreTrainedTokenizerFast(tokenizer_file=str(a.vocabularies / "t5/tokenizer.json"), unk_token="<unk>", pad_token="<pad>", eos_token="</s>")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(a.vocabularies / "t5/spiece.model", folder)
        pieces = T5TokenizerFast.from_pretrained(folder)
    prompts = list(dict.fromkeys([*FIXED, *SPECIAL, *made()]))
    out = []
    for text in prompts:
        entry = {"text": text}
        for name, tokenizer in (("clip", clip), ("t5", t5), ("t5Pieces", pieces)):
            tokenizer._tokenizer.encode_special_tokens = True
            entry[name] = row(tokenizer, text)
            tokenizer._tokenizer.encode_special_tokens = False
            parsed = row(tokenizer, text)
            if parsed != entry[name]:
                entry[f"{name}Parsed"] = parsed
        out.append(entry)
    data = json.dumps({"prompts": out}, ensure_ascii=True, separators=(",", ":")).encode()
    (here / "tokenizers.json.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    print(len(out), "prompts,", len(data), "bytes;", sum(e["t5"][0] != e["t5Pieces"][0] for e in out), "where spiece.model alone has other ids,", sum("clipParsed" in e or "t5Parsed" in e for e in out), "with special tokens")
