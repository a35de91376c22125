"""The judge: a small network that names what a picture of the world shows. It is trained apart from the model: other seeds, no pair held out,
and nothing of it is used in training the generator. Its features are those of the Fréchet distance and of KID.

    python classifier.py --sprites sprites.pkl --run DIR --minutes 8          # DIR/classifier.pt; prints held-out accuracy

Pictures come at 64 px, half of them shrunk to 32 px and enlarged again, with noise, blur and other light: it must judge pictures of every stage.
"""

import argparse
import json
import math
import pickle
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import world
from backgrounds import BACKGROUNDS, paint_backgrounds
from encoders import autocast
from vocabulary import HUES, WORLD

SIZE, WIDTH = 64, 64
LABELS = {
    "object": WORLD["objects"], "color": list(HUES), "background": BACKGROUNDS, "style": list(WORLD["styles"]),
    "count": ["0", "1", "2", "3", "4"] if "count" in WORLD["kinds"] else ["0", "1", "2"], "place": list(world.PLACES),
}
NOT_ASKED = -100  # cross_entropy's ignore_index


class Classifier(nn.Module):
    """pixel_values [B,3,64,64] in −1..1 → features [B,64] and logits by question. "object" shares its weight among the objects of the scene."""

    def __init__(self, channels=(32, 64, 128, 160)):
        super().__init__()
        conv = lambda i, o, stride: nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
        steps = []
        for i, o in zip((3, *channels), channels):
            steps += [conv(i, o, 2), conv(o, o, 1)]
        self.body = nn.Sequential(*steps)  # [B, 160, 4, 4]
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(channels[-1] * 16, WIDTH), nn.LayerNorm(WIDTH))
        self.heads = nn.ModuleDict({name: nn.Linear(WIDTH, len(words)) for name, words in LABELS.items()})
        self.objects = nn.Linear(channels[-1] * 16, len(LABELS["object"]), bias=False)  # so many do not go through so few features
        nn.init.zeros_(self.objects.weight)

    def forward(self, pixel_values):
        body = self.body(pixel_values)
        features = self.features(body)
        logits = {name: head(F.relu(features)) for name, head in self.heads.items()}
        logits["object"] = logits["object"] + self.objects(body.flatten(1))
        return features, *logits.values()

    def fused(self):
        """The same function with each normalisation in the convolution before it: what is exported."""
        self.eval()
        for step in self.body:
            step[0] = torch.nn.utils.fuse_conv_bn_eval(step[0], step[1])
            step[1] = nn.Identity()
        return self


OUTPUTS = ["features", *LABELS]


def targets(scenes):
    """{question: labels}; what cannot be asked of a picture (the colour of one of two objects, or of one in its own colours) is NOT_ASKED."""
    objects = torch.zeros(len(scenes), len(LABELS["object"]))
    for row, scene in zip(objects, scenes):
        for name, _ in scene["objects"]:
            row[LABELS["object"].index(name)] = 1
    one = lambda scene: scene["kind"] == "one"
    of = lambda ask: torch.tensor([ask(scene) for scene in scenes])
    return {
        "object": objects,
        "color": of(lambda s: LABELS["color"].index(s["objects"][0][1]) if one(s) and s["objects"][0][1] else NOT_ASKED),
        "background": of(lambda s: LABELS["background"].index(s["background"])),
        "style": of(lambda s: LABELS["style"].index(s["style"])),
        "count": of(lambda s: len(s["objects"])),
        "place": of(lambda s: LABELS["place"].index(s["place"]) if one(s) and s["size"] != "big" and s["place"] else NOT_ASKED),
    }


def loss_of(logits, truth):
    share = truth["object"] / truth["object"].sum(1, keepdim=True).clamp(min=1)
    out = -(share * logits["object"].log_softmax(1)).sum(1).mean()
    return out + sum(F.cross_entropy(logits[name], truth[name]) for name in LABELS if name != "object" and (truth[name] >= 0).any())


def accuracy(logits, truth):
    """Share of right answers by question; "object": every object of the scene is among the most likely ones."""
    counts = truth["object"].sum(1).long()
    ranked = logits["object"].argsort(1, descending=True)
    named = [bool(t[r[:n]].all()) for t, r, n in zip(truth["object"], ranked, counts) if n > 0]
    out = {"object": float(np.mean(named))}
    for name in LABELS:
        if name != "object":
            asked = truth[name] >= 0
            out[name] = (logits[name][asked].argmax(1) == truth[name][asked]).float().mean().item()
    return out


def vary(pictures, rng):
    """Softer, noisier, lighter or darker: what generated pictures are beside rendered ones."""
    n = len(pictures)
    pick = lambda p: torch.from_numpy(rng.random(n) < p).view(-1, 1, 1, 1)
    soft = F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2.0, mode="bilinear", align_corners=False)
    pictures = torch.where(pick(0.5), soft, pictures)
    blurred = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    pictures = torch.where(pick(0.3), blurred, pictures)
    column = lambda low, high: torch.from_numpy(rng.uniform(low, high, (n, 1, 1, 1))).float()
    return (pictures * column(0.85, 1.1) + column(-0.08, 0.08) + column(0, 0.15) * torch.randn_like(pictures)).clamp(-1, 1)


class Scenes:
    """Endless scenes at 64 px, rendered as they are needed."""

    def __init__(self, sprites, seed):
        self.rng = np.random.default_rng(seed)
        self.painter = world.Painter(sprites, paint_backgrounds(list(WORLD["styles"]), np.random.default_rng(seed), (1,)), 1)

    def batch(self, n):
        scenes = [world.sample_scene(self.rng, held_out=()) for _ in range(n)]
        pictures = np.stack([self.painter.render(self.rng, scene) for scene in scenes])
        return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1, targets(scenes)


def check(model, scenes, count=1000):
    model.eval()
    pictures, truth = scenes.batch(count)
    for name, shown in (("64 px", pictures), ("32 px", F.interpolate(F.avg_pool2d(pictures, 2), scale_factor=2.0, mode="bilinear", align_corners=False))):
        with torch.no_grad():
            logits = dict(zip(OUTPUTS, model(shown)))
        print(json.dumps({"held out": name, **{k: round(v, 3) for k, v in accuracy(logits, truth).items()}}), flush=True)
    model.train()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sprites", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1001)
    parser.add_argument("--resume", action="store_true", help="start from DIR/classifier.pt (give another seed: the stream of scenes starts anew)")
    a = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    sprites = pickle.loads(a.sprites.read_bytes())
    train, held = Scenes(sprites, a.seed), Scenes(sprites, a.seed + 1)
    model = Classifier().to(memory_format=torch.channels_last)
    if a.resume:
        model.load_state_dict(torch.load(a.run / "classifier.pt"))
    optimizer = torch.optim.AdamW(model.parameters(), a.rate, weight_decay=0.02)
    steps, spent, start, end = 0, 0.0, time.time(), a.minutes * 60
    while spent < end:
        for group in optimizer.param_groups:
            group["lr"] = a.rate * min(1, (steps + 1) / 100) * 0.5 * (1 + math.cos(math.pi * spent / end))
        pictures, truth = train.batch(a.batch)
        with autocast(torch.device("cpu")):
            outputs = model(vary(pictures, train.rng).contiguous(memory_format=torch.channels_last))
        loss = loss_of({k: v.float() for k, v in zip(OUTPUTS, outputs)}, truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        steps, spent = steps + 1, time.time() - start
        if steps % 100 == 0:
            print(json.dumps({"seen": steps * a.batch, "seconds": round(spent), "loss": round(loss.item(), 3)}), flush=True)
            torch.save(model.state_dict(), a.run / "classifier.pt")
    check(model, held, 2000)
    torch.save(model.state_dict(), a.run / "classifier.pt")
