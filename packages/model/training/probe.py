"""Does the T5 encoder say where in its word a letter stands? Linear probes on its embeddings of sign letters; who cannot be told the place cannot spell.

    EDIFFI_WORLD=signs python probe.py --encoders run/encoders --tokenizers ../tokenizers
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import tokenizer_files
import world
from encoders import T5_END, letter_ids, load_encoders, pad_ids, spelled
from unet import T5_LENGTH


def sign_captions(count, rng):
    while count:
        scene = world.sample_scene(rng)
        if scene["kind"] == "sign":
            yield world.caption(rng, scene)
            count -= 1


def accuracy(x, y, steps=400):
    """Of a linear classifier trained on three quarters, on the last quarter; and of always guessing the most frequent answer."""
    n = len(x) * 3 // 4
    layer = nn.Linear(x.shape[1], int(y.max()) + 1)
    optimizer = torch.optim.Adam(layer.parameters(), 0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(layer(x[:n]), y[:n]).backward()
        optimizer.step()
    return (layer(x[n:]).argmax(1) == y[n:]).float().mean().item(), y[n:].bincount().max().item() / len(y[n:])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, required=True)
    a = parser.parse_args()
    if "sign" not in world.WORLD["kinds"]:
        parser.error("this world has no signs: EDIFFI_WORLD=signs or wide")
    torch.manual_seed(0)
    tokenizers = tokenizer_files.load(a.tokenizers)
    t5, letters = load_encoders(a.encoders, tokenizers)[0], letter_ids(tokenizers[0])
    ids = pad_ids([tokenizers[0].encode(c).ids for c in sign_captions(3000, np.random.default_rng(0))], T5_LENGTH, T5_END)
    with torch.no_grad():
        embedded = t5(ids)
    row, position, place, length = torch.tensor([(i, *entry) for i, r in enumerate(ids.tolist()) for entry in spelled(r, letters)]).T
    x = embedded[row, position]
    for name, y in (("letter", ids[row, position] - min(letters)), ("place", place), ("length", length)):
        print("{}: {:.2%}, most frequent answer {:.2%}".format(name, *accuracy(x, y)))
