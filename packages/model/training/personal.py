"""A personal subject (DreamBooth, arXiv 2208.12242) as a LoRA (arXiv 2106.09685) of each base expert, from a handful of pictures.

    python personal.py --run DIR --subject FOLDER --data DATA32 --out flamingo --minutes 4   # flamingo-high.safetensors, -middle, -low

FOLDER holds PNGs of 32 × 32 or more and captions.json, {"file.png": "a sks on a white background"}. Half of each batch is ordinary scenes (DreamBooth's
prior preservation), so that the rest of the world stays. Each expert learns on its own σ-interval only. Low-rank factors go onto every linear layer and
convolution but the time embedding's. Use: `loadEdiffi({ loras: { high: [{ lora }], … } })`.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch.nn.utils import parametrize

from encoders import autocast, to_pixels
from train import Conditioner, Data, sample_sigma
from unet import edm_loss, network_for

CARD = json.loads((Path(__file__).parent / "card-source.json").read_text())
INTERVALS = {expert["name"]: (expert["sigmaMin"], expert["sigmaMax"]) for expert in CARD["stages"][0]["experts"]}
SHIFT = 3  # px of 32, so that five pictures are not learnt by heart


class LowRank(nn.Module):
    """W → W + up·down, at first W itself."""

    def __init__(self, weight, rank):
        super().__init__()
        inputs = weight[0].numel()
        self.down = nn.Parameter(torch.randn(rank, inputs) / math.sqrt(inputs))
        self.up = nn.Parameter(torch.zeros(len(weight), rank))

    def forward(self, weight):
        return weight + (self.up @ self.down).view_as(weight)


def adapted(network, rank):
    """{module path: its LowRank}; all other parameters are frozen."""
    network.requires_grad_(False)
    made = {}
    for path, module in network.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)) and ".conditioning." not in f".{path}." and "scale_shift" not in path:
            made[path] = LowRank(module.weight, rank)
    for path, low in made.items():
        parametrize.register_parametrization(network.get_submodule(path), "weight", low)
    return made


def subject_of(folder):
    captions = json.loads((folder / "captions.json").read_text())
    pictures = [np.asarray(Image.open(folder / name).convert("RGB").resize((32, 32), Image.BOX)) for name in captions]
    return to_pixels(np.stack(pictures)), list(captions.values())


def moved(pictures, rng):
    """Each picture shifted by a few pixels, its edge repeated."""
    padded = F.pad(pictures, (SHIFT,) * 4, mode="replicate")
    spots = rng.integers(0, 2 * SHIFT + 1, (len(pictures), 2))
    return torch.stack([p[:, y : y + 32, x : x + 32] for p, (y, x) in zip(padded, spots)])


def learn(name, a, subject, data, conditioner):
    network = network_for(f"base-{name}")
    network.load_state_dict(torch.load(a.run / f"base-{name}.pt", map_location="cpu"))
    network.to(memory_format=torch.channels_last)
    torch.manual_seed(a.seed)
    layers, rng = adapted(network, a.rank), np.random.default_rng(a.seed)
    optimizer = torch.optim.AdamW([p for low in layers.values() for p in low.parameters()], a.rate, betas=(0.9, 0.99), weight_decay=0.0)
    pictures, captions = subject
    half, start, steps, window = a.batch // 2, time.time(), 0, []
    while (progress := (time.time() - start) / (a.minutes * 60)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = a.rate * min(1, (steps + 1) / 20) * min(1, (1 - progress) / 0.5)
        i = rng.integers(len(captions), size=half)
        ordinary, _, said, *_ = data.batch(rng, half, torch.device("cpu"), np.ones(half, bool))
        clean = torch.cat([moved(pictures[i], rng), ordinary]).contiguous(memory_format=torch.channels_last)
        rest = conditioner([*(captions[k] for k in i), *said], clean, rng, True, np.zeros(2 * half, bool))
        sigma = sample_sigma(rng, 2 * half, -0.4, 1.2, INTERVALS[name])
        with autocast(clean.device):
            losses = edm_loss(network, clean, torch.randn_like(clean), sigma, 0.6, *rest)
        optimizer.zero_grad(set_to_none=True)
        losses.mean().backward()
        optimizer.step()
        steps += 1
        window.append(losses.detach())
        if steps % 50 == 0:
            mean = torch.stack(window)
            print(f"{name} {steps} {time.time() - start:.0f}s subject {mean[:, :half].mean():.4f} others {mean[:, half:].mean():.4f}", flush=True)
            window = []
    factors = {}
    for path, low in layers.items():
        weight = network.get_submodule(path).parametrizations.weight.original
        kernel = weight.shape[1:]
        factors[f"unet.{path}.lora_A.weight"] = low.down.detach().view(a.rank, *kernel).half().contiguous()
        factors[f"unet.{path}.lora_B.weight"] = low.up.detach().view(*low.up.shape, *([1] * (weight.dim() - 2))).half().contiguous()
    save_file(factors, f"{a.out}-{name}.safetensors", {"steps": str(steps), "batch": str(2 * half), "interval": str(INTERVALS[name])})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints: base-high.pt, …, encoders/")
    parser.add_argument("--subject", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="ordinary scenes, of world.py")
    parser.add_argument("--tokenizers", type=Path, default=Path(__file__).parent.parent / "tokenizers")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=4, help="for each expert")
    parser.add_argument("--experts", nargs="+", choices=INTERVALS, default=[*INTERVALS], help="whose LoRAs to write")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    torch.set_num_threads(1)
    conditioner = Conditioner(a.run, a.tokenizers, torch.device("cpu"))
    subject, data = subject_of(a.subject), Data(a.data)
    for expert in a.experts:
        learn(expert, a, subject, data, conditioner)
