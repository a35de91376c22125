"""What A1111's algorithm makes of long and weighted prompts with a PyTorch CLIP: windows of 75 tokens, weights, restored mean.

    python make_long_prompts.py      # writes long-prompts.json.gz beside this file

The algorithm is A1111's (modules/prompt_parser.py, sd_hijack_clip.py, sd_emphasis.py "Original", comma backtrack 20), written again here; the encoders are the
seeded ones of ../../ediffi/parity (sd15: last hidden state; sdxl's second: hidden_states[-2] and text_embeds, padded with "!").
`windows`: ids `[n, 77]`. `weights`: `[n, 77]`, absent where all are 1. `tokens`: float32 `[n·77, C]` in base64, of the prompts marked so. `starts`: columns with the
characters [start, end) of the prompt, from the fast tokenizer's offsets. `pictures`: latents after the last step of diffusers' pipelines given such embeddings.
`skipped`: tokens without the last one or two layers (diffusers' clip_skip): sd15 with the final norm, sdxl's encoders side by side.
"""

import base64
import gzip
import json
import re
import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "ediffi/parity"))
from oracle.components import clip, clip_tokenizer  # noqa: E402

ROOM, BACKTRACK = 75, 20
LIST = ", ".join(f"{a} {b}" for a in ["red", "tiny", "old golden"] for b in ["apple", "castle on a hill", "cat", "lighthouse", "jellyfish", "robot", "violin"])
WORDS = " ".join(["castle", "dragon", "mossy", "violin", "astronaut"] * 34)
PROMPTS = [
    # text, weights read, embedding stored
    ("", True, True), ("a photo of a cat", True, True), (LIST, False, True), (WORDS, False, True), (LIST + ", " + LIST, True, True),
    ("a (red apple:1.3) on the [green] grass, ((detailed)), \\(not a weight\\)", True, True), (f"(masterpiece:1.4), {LIST}, (best quality:0.6)", True, True),
    ("a castle BREAK a dragon, BREAK (a cat:1.2)", True, True), ("BREAK a castle BREAK BREAK a dragon BREAK", True, True), ("a castle BREAK a dragon (red:1.2)", False, True),
    ("normal text", True, False), ("an (important) word", True, False), ("(unbalanced", True, False), ("\\(literal\\]", True, False), ("(unnecessary)(parens)", True, False),
    ("a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).", True, False), ("[[low]] (a [b (c:2) d] e) f", True, False), ("a) b] c:1.2) : d", True, False), ("[from:to:0.5]", True, False),
    ("(spaced: 1.5 ) (:1.2) () []", True, False), ("re(d:1.2)dish 🍎(👍🏽:0.5)", True, False), ("a\\b \\\\ c\\", True, False), ("(minus:-0.5) (plus:+1.5) (zero:0) (.5:.5)", True, False),
    ("unBREAKable BREAKS a_BREAK éBREAK BREAKé", True, False), ("a\nBREAK\nb", True, False), ("(((((((deep)))))))", True, False), ("ÀÉ (İstanbul ß:1.1) 北京(猫:1.3)犬", True, False),
    (", " * 80, True, False), ("word " * 75, True, False), ("word " * 76, True, False), ("word " * 60 + ", " + "word " * 14 + ", x", True, False), ("word " * 53 + ", " + "word " * 40, True, False), ("word " * 54 + ", " + "word " * 40, True, False),
    ("word " * 55 + ", " + "word " * 40, True, False), ("word " * 75 + ", " + "word " * 100, True, False), ("<|endoftext|> typed (<|endoftext|>:1.2)", True, False), ("word " * 300, True, False), (f"({LIST}:1.1), [{WORDS}]", True, False),
]
PICTURE, NEGATIVE = (f"(masterpiece:1.4), {LIST}, (best quality:0.6)", "a (red apple:1.3) on the [green] grass"), "blurry, (low quality:1.2)"


def attention(text):
    """Prompt → [[characters, weight]] with characters as (character, start, end), None for BREAK."""
    out, opened = [], {"(": [], "[": []}

    def multiply(start, factor):
        for entry in out[start:]:
            entry[1] *= factor

    for m in re.finditer(r"\\[()\[\]\\]?|[()\[\]]|:\s*([+-]?[.\d]+)\s*\)|[^\\()\[\]:]+|:", text):
        found, weight = m.group(0), m.group(1)
        place = lambda start, end: [(text[i], i, i + 1) for i in range(start, end)]
        if found[0] == "\\":
            out.append([[(found[1], m.start(), m.end())] if len(found) == 2 else [], 1.0])
        elif found in "([":
            opened[found].append(len(out))
        elif weight is not None and opened["("]:
            multiply(opened["("].pop(), float(weight))
        elif found == ")" and opened["("]:
            multiply(opened["("].pop(), 1.1)
        elif found == "]" and opened["["]:
            multiply(opened["["].pop(), 1 / 1.1)
        else:
            at = m.start()
            for cut in re.finditer(r"\s*\bBREAK\b\s*", found):
                out += [[place(at, m.start() + cut.start()), 1.0], [None, -1]]
                at = m.start() + cut.end()
            out.append([place(at, m.end()), 1.0])
    for start in opened["("]:
        multiply(start, 1.1)
    for start in opened["["]:
        multiply(start, 1 / 1.1)
    merged = []
    for characters, weight in out:
        if merged and characters is not None and merged[-1][0] is not None and merged[-1][1] == weight:
            merged[-1][0] = merged[-1][0] + characters
        else:
            merged.append([characters, weight])
    return merged or [[[], 1.0]]


def windows(tokenizer, text, weights):
    """Windows of (id, weight, start, end)."""
    comma = tokenizer.get_vocab()[",</w>"]
    done, window, last = [], [], -1
    for characters, weight in attention(text) if weights else [[[(c, i, i + 1) for i, c in enumerate(text)], 1.0]]:
        if characters is None:
            done.append(window)
            window, last = [], -1
            continue
        encoding = tokenizer._tokenizer.encode("".join(c for c, _, _ in characters), add_special_tokens=False)
        for token, (start, end) in zip(encoding.ids, encoding.offsets):
            if token == comma:
                last = len(window)
            elif len(window) == ROOM and last != -1 and len(window) - last <= BACKTRACK:
                done.append(window[: last + 1])
                window, last = window[last + 1 :], -1
            if len(window) == ROOM:
                done.append(window)
                window, last = [], -1
            window.append((token, weight, characters[start][1], characters[end - 1][2]))
    return done + [window] if window or not done else done


def embedded(run, rows, weights):
    """`[n·77, C]`, pooled of the first."""
    out, pooled = [], None
    for ids, factors in zip(rows, weights):
        z, vector = run(torch.tensor([ids]))
        before = z.mean()
        z = z * torch.tensor(factors).reshape(1, -1, 1)
        z = z * (before / z.mean())
        out.append(z[0])
        pooled = vector if pooled is None else pooled
    return torch.cat(out), pooled


def numbers(tensor):
    return base64.b64encode(tensor.detach().to(torch.float32).numpy().tobytes()).decode()


def pictures(sd15_run, sdxl_runs, tokenizers):
    """Seeded pictures of prompts of different numbers of windows; the shorter ones are followed by the empty prompt."""
    from diffusers import StableDiffusionPipeline
    from families import sd15, sdxl

    def embedding(text, run, tokenizer, count):
        rows = [(e["windows"], e.get("weights") or [[1.0] * 77] * len(e["windows"])) for e in (entry(t, True, False, tokenizer, tokenizer.pad_token_id, run) for t in (text, ""))]
        (ids, factors), (blank, one) = rows
        tokens, pooled = embedded(run, ids + blank * (count - len(ids)), factors + one * (count - len(ids)))
        return tokens[None], pooled

    common = {"num_inference_steps": 4, "guidance_scale": 5.0, "height": 64, "width": 64, "output_type": "latent"}
    out = {}
    pipeline = sd15.quiet(StableDiffusionPipeline(**sd15.components()))
    pipeline.scheduler = sd15.solvers(pipeline.scheduler.config)["ddim"]
    positive, negative = (embedding(t, sd15_run, tokenizers[0], 2)[0] for t in (PICTURE[0], NEGATIVE))
    latents = pipeline(prompt_embeds=positive, negative_prompt_embeds=negative, generator=torch.Generator().manual_seed(7), **common).images
    out["sd15"] = {"prompt": PICTURE[0], "negative": NEGATIVE, "seed": 7, "steps": 4, "guidance": 5.0, "latents": numbers(latents)}
    pipeline = sdxl.base()
    (a, _), (b, pooled) = (embedding(t, run, tokenizer, 2) for t, run, tokenizer in zip(PICTURE, sdxl_runs, tokenizers))
    (c, _), (d, unsaid) = (embedding(NEGATIVE, run, tokenizer, 2) for run, tokenizer in zip(sdxl_runs, tokenizers))
    latents = pipeline(prompt_embeds=torch.cat([a, b], -1), pooled_prompt_embeds=pooled, negative_prompt_embeds=torch.cat([c, d], -1), negative_pooled_prompt_embeds=unsaid,
                       generator=torch.Generator().manual_seed(7), **common).images
    out["sdxl"] = {"prompt": {"clip": PICTURE[0], "clip-g": PICTURE[1]}, "negative": NEGATIVE, "seed": 7, "steps": 4, "guidance": 5.0, "latents": numbers(latents)}
    return out


def skipped(tokenizers):
    """Prompt embeddings without the last layers, and a picture whose negative prompt leaves them out too (diffusers' clip_skip leaves that one whole)."""
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
    from families import sd15, sdxl

    text, out = "a photo of a cat", {}
    pipeline = sd15.quiet(StableDiffusionPipeline(**sd15.components()))
    pipeline.scheduler = sd15.solvers(pipeline.scheduler.config)["ddim"]

    def embed(t, skip):  # pipeline.encode_prompt(clip_skip=skip), which fails with transformers 5: it looks for text_encoder.text_model
        model = pipeline.text_encoder
        ids = pipeline.tokenizer(t, padding="max_length", max_length=77, return_tensors="pt").input_ids
        return getattr(model, "text_model", model).final_layer_norm(model(ids, output_hidden_states=True).hidden_states[-(skip + 1)])

    out["sd15"] = {"text": text, "tokens": {skip: numbers(embed(text, skip)) for skip in (1, 2)}}
    latents = pipeline(prompt_embeds=embed(text, 1), negative_prompt_embeds=embed(NEGATIVE, 1), generator=torch.Generator().manual_seed(7), num_inference_steps=4, guidance_scale=5.0, height=64, width=64,
                       output_type="latent").images
    out["sd15"] |= {"picture": {"prompt": text, "negative": NEGATIVE, "seed": 7, "steps": 4, "guidance": 5.0, "latents": numbers(latents)}}
    pipeline = StableDiffusionXLPipeline(
        vae=None, unet=None, scheduler=None, text_encoder=clip(f"{sdxl.BASE}/text_encoder", 41), text_encoder_2=clip(f"{sdxl.BASE}/text_encoder_2", 42, 40, heads=5, projection=24),
        tokenizer=tokenizers[0], tokenizer_2=tokenizers[1], add_watermarker=False,
    )
    out["sdxl"] = {"text": text, "tokens": {1: numbers(pipeline.encode_prompt(text, device="cpu", do_classifier_free_guidance=False, clip_skip=1)[0])}}
    return out


def entry(text, read, store, tokenizer, pad, run):
    tokenizer._tokenizer.encode_special_tokens = True  # special tokens typed in a prompt are text
    ids, factors, starts = [], [], []
    for n, window in enumerate(windows(tokenizer, text, read)):
        own = [tokenizer.bos_token_id, *[w[0] for w in window], tokenizer.eos_token_id]
        ids.append(own + [pad] * (ROOM + 2 - len(own)))
        factors.append([1.0, *[w[1] for w in window]] + [1.0] * (ROOM + 1 - len(window)))
        starts += [[77 * n + 1 + i, w[2], w[3]] for i, w in enumerate(window)]
    out = {"text": text, "read": read, "windows": ids, "spans": starts}
    if any(f != 1 for row in factors for f in row):
        out["weights"] = factors
    if store:
        tokens, pooled = embedded(run, ids, factors)
        out |= {"tokens": numbers(tokens)} | ({} if pooled is None else {"pooled": numbers(pooled)})
    return out


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    sdxl_first = clip("stable-diffusion-xl-base-1.0/text_encoder", 41)
    sd15, sdxl = clip("stable-diffusion-v1-5/text_encoder", 12), clip("stable-diffusion-xl-base-1.0/text_encoder_2", 42, 40, heads=5, projection=24)
    t15, txl = clip_tokenizer("stable-diffusion-v1-5/tokenizer"), clip_tokenizer("stable-diffusion-xl-base-1.0/tokenizer_2")

    def last(ids):
        return sd15(ids).last_hidden_state, None

    def penultimate(ids):
        answer = sdxl(ids, output_hidden_states=True)
        return answer.hidden_states[-2], answer.text_embeds

    def first_penultimate(ids):
        return sdxl_first(ids, output_hidden_states=True).hidden_states[-2], None

    out = {
        "skipped": skipped((t15, txl)),
        "pictures": pictures(last, (first_penultimate, penultimate), (t15, txl)),
        "sd15": [entry(*prompt, t15, t15.pad_token_id, last) for prompt in PROMPTS],
        "sdxl": [entry(*PROMPTS[i], txl, txl.pad_token_id, penultimate) for i in (0, 1, 6)],
    }
    assert txl.pad_token_id == 0 and t15.pad_token_id == t15.eos_token_id
    data = json.dumps(out, separators=(",", ":")).encode()
    (HERE / "long-prompts.json.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    print(len(PROMPTS), "prompts,", len(data), "bytes,", (HERE / "long-prompts.json.gz").stat().st_size, "compressed; windows", [len(e["windows"]) for e in out["sd15"]])
