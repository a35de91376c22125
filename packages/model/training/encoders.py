"""The text and image encoders of the embedded eDiff-I: small T5- and CLIP-style networks.

    python encoders.py t5   --data DIR --tokenizers ../tokenizers --out encoders --minutes 9
    python encoders.py clip --data DIR --tokenizers ../tokenizers --out encoders --minutes 10
    … --rate 1e-3 --start encoders-before [--start-tokenizers DIR]                   # go on from weights; words keep their rows

T5: RMSNorm, relative position buckets, gated GELU; span corruption and paraphrase (caption → another caption of
the same scene) with a throw-away decoder, and the place of each letter in its word with a throw-away layer: relative positions alone left
it untold (probe.py found it in 52 %), and a painter who is not told the places cannot spell. CLIP: causal text tower read at </s>, convolutional stem + transformer
for the picture, symmetric contrastive loss. Both are frozen afterwards.
"""

import argparse
import itertools
import math
import pickle
import time
from pathlib import Path
from string import ascii_uppercase

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import tokenizer_files
import world
from unet import CLIP_LENGTH, MASKED, T5_LENGTH, TEXT_WIDTH
from vocabulary import COUNTING

PAD, T5_END, CLIP_END = 0, 1, 2
LONGEST = 5  # letters of a word that spelling is taught for


def pad_ids(rows, length, end):
    """int64 [B, length]; a row that is too long is cut and keeps its end token."""
    out = np.zeros((len(rows), length), np.int64)
    for i, row in enumerate(rows):
        row = row if len(row) <= length else [*row[: length - 1], end]
        out[i, : len(row)] = row
    return torch.from_numpy(out)


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.weight


def relative_buckets(length, buckets=16, farthest=32):
    """T5's bidirectional buckets: exact near the diagonal, logarithmic beyond."""
    distance = torch.arange(length)[None] - torch.arange(length)[:, None]
    half, near = buckets // 2, buckets // 4
    a = distance.abs()
    far = near + (torch.log(a.float().clamp(min=1) / near) / math.log(farthest / near) * (half - near)).long()
    return (distance > 0).long() * half + torch.where(a < near, a, far.clamp(max=half - 1))


def heads(x, n):
    b, length, width = x.shape
    return x.reshape(b, length, n, width // n).transpose(1, 2)


def merge(x):
    b, n, length, width = x.shape
    return x.transpose(1, 2).reshape(b, length, n * width)


class T5Layer(nn.Module):
    def __init__(self, width, n_heads, hidden):
        super().__init__()
        self.n = n_heads
        self.norm1, self.norm2 = RmsNorm(width), RmsNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.wi = nn.Linear(width, 2 * hidden, bias=False)
        self.wo = nn.Linear(hidden, width, bias=False)
        self.qkv.weight.data[:width] *= (width // n_heads) ** -0.5  # T5 has no 1/√d: it lives in the initialisation

    def forward(self, x, bias):
        q, k, v = (heads(t, self.n) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        x = x + self.out(merge((q @ k.transpose(-1, -2) + bias).softmax(-1) @ v))
        a, gate = self.wi(self.norm2(x)).chunk(2, -1)
        return x + self.wo(a * F.gelu(gate, approximate="tanh"))


class T5Encoder(nn.Module):
    """input_ids [B, 32] → last_hidden_state [B, 32, 128], zero at padding."""

    def __init__(self, tokens, width=TEXT_WIDTH, layers=3, n_heads=4, hidden=256):
        super().__init__()
        self.embed = nn.Embedding(tokens, width)
        self.embed.weight.data.mul_(0.5)
        self.layers = nn.ModuleList(T5Layer(width, n_heads, hidden) for _ in range(layers))
        self.norm = RmsNorm(width)
        self.relative = nn.Embedding(16, n_heads)
        self.register_buffer("buckets", relative_buckets(64), persistent=False)

    def forward(self, input_ids):
        length = input_ids.shape[1]
        real = input_ids != PAD
        bias = self.relative(self.buckets[:length, :length]).permute(2, 0, 1)[None]
        bias = bias + torch.where(real, 0.0, MASKED)[:, None, None]
        x = self.embed(input_ids)
        for layer in self.layers:
            x = layer(x, bias)
        return self.norm(x) * real[..., None].float()


class T5Pretraining(nn.Module):
    """The encoder with a small decoder that is thrown away after training."""

    def __init__(self, tokens, width=TEXT_WIDTH):
        super().__init__()
        self.encoder = T5Encoder(tokens)
        self.position = nn.Embedding(64, width)
        self.spelling = nn.Linear(width, 2 * LONGEST)  # of a letter: its place in the word, and the word's length
        layer = nn.TransformerDecoderLayer(width, 4, 256, 0.0, batch_first=True, norm_first=True, activation="gelu")
        self.decoder = nn.TransformerDecoder(layer, 2, nn.LayerNorm(width))

    def forward(self, ids, target):
        """(logits of the target's tokens, logits of place and length at each token of `ids`)."""
        memory = self.encoder(ids)
        length = target.shape[1]
        y = self.encoder.embed(F.pad(target[:, :-1], (1, 0))) + self.position(torch.arange(length, device=ids.device))
        causal = torch.triu(torch.full((length, length), float("-inf"), device=ids.device), 1)
        y = self.decoder(y, memory, tgt_mask=causal, memory_key_padding_mask=ids == PAD)
        return y @ self.encoder.embed.weight.T, self.spelling(memory)


class Layer(nn.Module):
    """Pre-norm transformer layer; `mask` is added to the scores."""

    def __init__(self, width, n_heads):
        super().__init__()
        self.n, self.scale = n_heads, (width // n_heads) ** -0.5
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x, mask=None):
        q, k, v = (heads(t, self.n) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        scores = q * self.scale @ k.transpose(-1, -2)
        x = x + self.out(merge((scores if mask is None else scores + mask).softmax(-1) @ v))
        return x + self.mlp(self.norm2(x))


def unit(x):
    """Length √width, so that an entry is about 1, whatever the tower's scale."""
    return F.normalize(x, dim=-1) * x.shape[-1] ** 0.5


class ClipText(nn.Module):
    """input_ids [B, 24] → last_hidden_state [B, 24, 128] (zero at padding), pooled [B, 128] of length √128."""

    def __init__(self, tokens, width=TEXT_WIDTH, layers=3):
        super().__init__()
        self.embed = nn.Embedding(tokens, width)
        self.embed.weight.data.mul_(0.3)
        self.position = nn.Parameter(torch.randn(CLIP_LENGTH, width) * 0.02)
        self.layers = nn.ModuleList(Layer(width, 4) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, width, bias=False)
        self.register_buffer("causal", torch.triu(torch.full((CLIP_LENGTH, CLIP_LENGTH), MASKED), 1), persistent=False)

    def forward(self, input_ids):
        x = self.embed(input_ids) + self.position
        for layer in self.layers:
            x = layer(x, self.causal)
        x = self.norm(x) * (input_ids != PAD)[..., None].float()
        at_end = (input_ids == CLIP_END)[..., None].float()
        return x, unit(self.project((x * at_end).sum(1)))


class ClipImage(nn.Module):
    """pixel_values [B, 3, 32, 32] in −1..1 → image_embeds [B, 128] of length √128."""

    def __init__(self, width=TEXT_WIDTH, layers=2):
        super().__init__()
        conv = lambda i, o, stride: nn.Sequential(nn.Conv2d(i, o, 3, stride, 1), nn.GroupNorm(8, o), nn.SiLU())
        self.stem = nn.Sequential(conv(3, 32, 1), conv(32, 64, 2), nn.Conv2d(64, width, 3, 2, 1))
        self.position = nn.Parameter(torch.randn(64, width) * 0.02)
        self.layers = nn.ModuleList(Layer(width, 4) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, width, bias=False)

    def forward(self, pixel_values):
        x = self.stem(pixel_values).flatten(2).transpose(1, 2) + self.position
        for layer in self.layers:
            x = layer(x)
        return unit(self.project(self.norm(x).mean(1)))


def corrupt(ids, rng):
    """T5's span corruption: spans of 1–3 tokens become sentinels; the target lists what they hid."""
    first = 3  # id of <extra_0>
    source, target, i, k = [], [], 0, 0
    body = ids[:-1]
    while i < len(body):
        if rng.random() < 0.18 and k < len(tokenizer_files.SENTINELS):
            n = min(int(rng.integers(1, 4)), len(body) - i)
            source.append(first + k)
            target += [first + k, *body[i : i + n]]
            k, i = k + 1, i + n
        else:
            source.append(body[i])
            i += 1
    return [*source, T5_END], [*target, T5_END]


class Schedule:
    """Learning rate by wall clock: short warm-up, then linear to zero."""

    def __init__(self, optimizer, rate, minutes, warmup=100):
        self.optimizer, self.rate, self.end, self.warmup = optimizer, rate, minutes * 60, warmup
        self.start, self.steps = time.time(), 0

    def step(self):
        spent = (time.time() - self.start) / self.end
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1, self.steps / self.warmup) * max(0.0, 1 - spent)
        return spent < 1


def update(model, optimizer, loss):
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def t5_pair(rng, scene, tokenizer, corrupted):
    """(source ids, target ids) of one scene: a corrupted caption or a paraphrase."""
    words = lambda: tokenizer.encode(world.caption(rng, scene)).ids
    if not corrupted:
        return [tokenizer.token_to_id(tokenizer_files.PARAPHRASE), *words()], words()
    if rng.random() < 0.15:  # spell sign words, so that letters are learnt too
        word = "".join(chr(65 + c) for c in rng.integers(0, 26, rng.integers(2, 6)))
        return corrupt(tokenizer.encode(f"a sign that says {word}").ids, rng)
    return corrupt(words(), rng)


def start_from(model, path, tokenizer, earlier):
    """Loads an encoder whose words had other ids; the rows of new words stay as they are."""
    weights = torch.load(path, map_location="cpu")
    rows, old, new = model.embed.weight.detach().clone(), earlier.get_vocab(), tokenizer.get_vocab()
    for word in old.keys() & new.keys():
        rows[new[word]] = weights["embed.weight"][old[word]]
    model.load_state_dict({**weights, "embed.weight": rows})


def teach_only(model, embed, tokenizer):
    """Everything stays as it is but the rows of the words of counts, which begin beside their singulars: what was trained on these encoders goes on to hold."""
    model.requires_grad_(False)
    embed.weight.requires_grad_(True)
    rows = torch.zeros(len(embed.weight), 1)
    for word, singular in COUNTING.items():
        row = tokenizer.token_to_id(word)
        rows[row] = 1
        if singular:
            near = embed.weight.data[tokenizer.token_to_id(singular)]
            embed.weight.data[row] = near + 0.1 * near.std() * torch.randn_like(near)
    embed.weight.register_hook(lambda gradient: gradient * rows)


def letter_ids(tokenizer):
    return {tokenizer.token_to_id(c) for c in ascii_uppercase}


def spelled(row, letters):
    """[(position in the row, place in the word, length of the word)] of every letter of a row of ids."""
    found = []
    for is_letter, run in itertools.groupby(enumerate(row), lambda item: item[1] in letters):
        run = [position for position, _ in run]
        if is_letter and len(run) <= LONGEST:
            found += [(position, place, len(run) - 1) for place, position in enumerate(run)]
    return found


def spelling_loss(logits, rows, letters):
    """Cross-entropy of place and length over the letters of uncorrupted rows."""
    found = [(i, *entry) for i, row in enumerate(rows) for entry in spelled(row, letters)]
    if not found:
        return torch.zeros((), device=logits.device), 0.0
    row, position, place, length = torch.tensor(found, device=logits.device).T
    said = logits[row, position].unflatten(-1, (2, LONGEST))
    right = (said[:, 0].argmax(-1) == place).float().mean().item()
    return F.cross_entropy(said[:, 0], place) + F.cross_entropy(said[:, 1], length), right


def train_t5(scenes, tokenizer, minutes, out, rate, start, earlier, *, counting, batch=64):
    rng = np.random.default_rng(11)
    model = T5Pretraining(tokenizer.get_vocab_size())
    if start:
        start_from(model.encoder, start / "t5.pt", tokenizer, earlier)
    if counting:
        teach_only(model.encoder, model.encoder.embed, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.98), weight_decay=0 if counting else 0.01)
    schedule = Schedule(optimizer, rate, minutes)
    letters = letter_ids(tokenizer)
    signs = [scene for scene in scenes if scene["kind"] == "sign"] or scenes
    while schedule.step():
        sources, targets = [], []
        for i in range(batch):
            among = signs if rng.random() < 0.25 else scenes
            source, target = t5_pair(rng, among[rng.integers(len(among))], tokenizer, i % 2 == 0)
            sources.append(source)
            targets.append(target)
        ids, target = pad_ids(sources, T5_LENGTH, T5_END), pad_ids(targets, 40, T5_END)
        target = target[:, : int((target != 0).sum(1).max())]
        (logits, places), real = model(ids, target), target != PAD
        spelling, placed = spelling_loss(places[1::2], sources[1::2], letters)  # odd rows are paraphrases, whole
        update(model, optimizer, F.cross_entropy(logits[real], target[real]) + 0.5 * spelling)
        if schedule.steps % 200 == 0:
            right = (logits.argmax(-1) == target)
            spans, para = (right[i::2][real[i::2]].float().mean().item() for i in (0, 1))
            print(f"t5 {schedule.steps} {time.time() - schedule.start:.0f}s spans {spans:.3f} paraphrase {para:.3f} places {placed:.3f}", flush=True)
            torch.save(model.encoder.state_dict(), out / "t5.pt")
    torch.save(model.encoder.state_dict(), out / "t5.pt")


def to_pixels(pictures):
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def autocast(device):
    """bf16 where it is fast: on a GPU or with AVX-512; elsewhere it is emulated and twice as slow as fp32."""
    fast = device.type == "cuda" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


def train_clip(pictures, scenes, tokenizer, minutes, out, rate, start, earlier, *, counting, batch=256):
    rng = np.random.default_rng(12)
    text, image = ClipText(tokenizer.get_vocab_size()), ClipImage()
    if start:
        start_from(text, start / "clip-text.pt", tokenizer, earlier)
        image.load_state_dict(torch.load(start / "clip-image.pt", map_location="cpu"))
    scale = nn.Parameter(torch.tensor(3.5 if start else 2.3))
    model = nn.ModuleDict({"text": text, "image": image})
    if counting:
        teach_only(model, text.embed, tokenizer)
    optimizer = torch.optim.AdamW([*model.parameters(), scale], rate, betas=(0.9, 0.98), weight_decay=0 if counting else 0.05)
    schedule = Schedule(optimizer, rate, minutes)
    truth = torch.arange(batch)
    while schedule.step():
        chosen = np.sort(rng.integers(len(scenes), size=batch))
        ids = pad_ids([tokenizer.encode(world.caption(rng, scenes[i])).ids for i in chosen], CLIP_LENGTH, CLIP_END)
        with autocast(torch.device("cpu")):
            seen = image(to_pixels(pictures[chosen]))
            said = text(ids)[1]
        logits = F.normalize(seen.float(), dim=-1) @ F.normalize(said.float(), dim=-1).T * scale.clamp(max=4.2).exp()
        update(model, optimizer, (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2)
        if schedule.steps % 25 == 0:
            accuracy = [(l.argmax(1) == truth).float().mean().item() for l in (logits, logits.T)]
            print(f"clip {schedule.steps} {time.time() - schedule.start:.0f}s in-batch {accuracy[0]:.3f} {accuracy[1]:.3f} of {batch}", flush=True)
            torch.save(text.state_dict(), out / "clip-text.pt")
            torch.save(image.state_dict(), out / "clip-image.pt")
    torch.save(text.state_dict(), out / "clip-text.pt")
    torch.save(image.state_dict(), out / "clip-image.pt")


def load_encoders(folder, tokenizers):
    """(T5, CLIP text, CLIP image), frozen, in evaluation mode."""
    t5, clip, image = T5Encoder(tokenizers[0].get_vocab_size()), ClipText(tokenizers[1].get_vocab_size()), ClipImage()
    for model, name in ((t5, "t5"), (clip, "clip-text"), (image, "clip-image")):
        model.load_state_dict(torch.load(Path(folder) / f"{name}.pt", map_location="cpu"))
        model.eval().requires_grad_(False)
    return t5, clip, image


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=["t5", "clip"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--rate", type=float, help="learning rate at the start; 2e-3 for t5, 1.5e-3 for clip")
    parser.add_argument("--start", type=Path, help="folder of weights to go on from")
    parser.add_argument("--start-tokenizers", type=Path, help="the tokenizers of those weights, where words were added since")
    parser.add_argument("--counting", action="store_true", help="train the rows of words of counts alone")
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    a.out.mkdir(parents=True, exist_ok=True)
    t5_tokens, clip_tokens = tokenizer_files.load(a.tokenizers)
    all_scenes = pickle.loads((a.data / "scenes.pkl").read_bytes())
    earlier = tokenizer_files.load(a.start_tokenizers or a.tokenizers)
    if a.which == "t5":
        train_t5(all_scenes, t5_tokens, a.minutes, a.out, a.rate or 2e-3, a.start, earlier[0], counting=a.counting)
    else:
        pictures = np.load(a.data / "pictures.npy", mmap_mode="r")
        train_clip(pictures, all_scenes, clip_tokens, a.minutes, a.out, a.rate or 1.5e-3, a.start, earlier[1], counting=a.counting)
