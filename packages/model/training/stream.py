"""Scenes without a disk: worker processes render them, word and tokenize their captions, and hand whole batches to the trainer.

A batch is a dict of tensors: pictures uint8 [n,H,W,3]; whole uint8 [n,32,32,3], what the image encoder sees; t5 and clip token ids;
with_image bool [n], which rows keep the picture (a caption of those leaves the style unsaid half of the time).
"""

import pickle

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import classifier
import tokenizer_files
import world
from backgrounds import paint_backgrounds
from encoders import CLIP_END, T5_END, pad_ids, t5_pair
from unet import CLIP_LENGTH, T5_LENGTH
from vocabulary import WORLD

SHOWN, UNSAID = 0.2, 0.5  # how often a picture is given, and how often its caption then leaves the style to it


def shrunk(picture, size):
    k = len(picture) // size
    return picture if k == 1 else (picture.reshape(size, k, size, k, 3).mean((1, 3)) + 0.5).astype(np.uint8)


class Scenes(IterableDataset):
    """kind: "t5" (pairs of token ids), "judge" (64 px pictures and their labels), or an edge length: pictures of that size, or, when `crop`
    is given, that many squares of half the size from each scene. `size` must be 64, 128 or 256."""

    def __init__(self, kind, batch, sprites, tokenizers, seed, crop=0):
        self.kind, self.batch, self.tokenizers, self.seed, self.crop = kind, batch, tokenizers, seed, crop
        self.sprites = pickle.loads(sprites.read_bytes()) if sprites else None  # once: workers are forked and share it

    def __iter__(self):
        torch.set_num_threads(1)
        info = get_worker_info()
        rng = np.random.default_rng([self.seed, info.id if info else 0])
        tokenizers = tokenizer_files.load(self.tokenizers)
        make = {"t5": self.t5, "judge": self.judge}.get(self.kind, self.pictures)
        painter = None
        if self.kind != "t5":
            size = 64 if self.kind == "judge" else self.kind
            painter = world.Painter(self.sprites, paint_backgrounds(list(WORLD["styles"]), np.random.default_rng(0), (size // 64,)), size // 64)
        while True:
            yield make(rng, tokenizers, painter)

    def t5(self, rng, tokenizers, _):
        pairs = [t5_pair(rng, world.sample_scene(rng), tokenizers[0], i % 2 == 0) for i in range(self.batch)]
        return {"source": pad_ids([s for s, _ in pairs], T5_LENGTH, T5_END), "target": pad_ids([t for _, t in pairs], 40, T5_END)}

    def judge(self, rng, _, painter):
        scenes = [world.sample_scene(rng, held_out=()) for _ in range(self.batch)]
        return {"pictures": torch.from_numpy(np.stack([painter.render(rng, s) for s in scenes])), **classifier.targets(scenes)}

    def pictures(self, rng, tokenizers, painter):
        each = max(1, self.crop)
        pictures, whole, captions, with_image = [], [], [], rng.random(self.batch) < SHOWN
        while len(captions) < self.batch:
            scene = world.sample_scene(rng)
            picture = painter.render(rng, scene)
            for _ in range(min(each, self.batch - len(captions))):
                say = not with_image[len(captions)] or rng.random() >= UNSAID
                captions.append(world.caption(rng, scene, say))
                whole.append(shrunk(picture, 32))
                if not self.crop:
                    pictures.append(picture)
                    continue
                half = self.kind // 2
                y, x = 4 * rng.integers(0, half // 4 + 1, 2)
                pictures.append(picture[y : y + half, x : x + half])
        return {
            "pictures": torch.from_numpy(np.stack(pictures)), "whole": torch.from_numpy(np.stack(whole)), "with_image": torch.from_numpy(with_image),
            "t5": pad_ids([tokenizers[0].encode(c).ids for c in captions], T5_LENGTH, T5_END),
            "clip": pad_ids([tokenizers[1].encode(c).ids for c in captions], CLIP_LENGTH, CLIP_END),
        }


def batches(scenes, workers, cuda):
    """An endless iterator of batches."""
    return iter(DataLoader(scenes, batch_size=None, num_workers=workers, pin_memory=cuda, prefetch_factor=8 if workers else None, persistent_workers=workers > 0))
