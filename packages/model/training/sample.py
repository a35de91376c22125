"""Paints the fixed prompts with a checkpoint, in PyTorch, to look at training as it goes.

    python sample.py --run DIR --name base --out grid.png [--guidance 2.5] [--steps 25] [--seed 7]

The committed grid is made by the SDK (npm run grid), not by this.
"""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from train import Conditioner
from unet import precondition, trained

PROMPTS = json.loads((Path(__file__).parent.parent / "prompts.json").read_text())


def karras(steps, low, high, rho=7):
    ramp = np.linspace(high ** (1 / rho), low ** (1 / rho), steps) ** rho
    return [*ramp, 0.0]


def dpmpp_2m(denoise, x, sigmas):
    previous = None
    for i in range(len(sigmas) - 1):
        s, t = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, s)
        if t == 0:
            return denoised
        h = math.log(s / t)
        guess = denoised
        if previous is not None:
            r = math.log(sigmas[i - 1] / s) / h
            guess = denoised + (denoised - previous) / (2 * r)
        x = t / s * x + (1 - t / s) * guess
        previous = denoised
    return x


@torch.no_grad()
def paint(networks, conditioner, prompts, steps, guidance, seed, sigma_data=0.6, low=0.01, high=40.0, size=32, truth=None):
    """networks: [(σ above which it works, network)], highest first; truth: (pictures, σ) to begin with these under so much noise, instead of with noise alone."""
    embeddings = conditioner(prompts, None, None, False)
    nothing = [torch.zeros_like(e) for e in embeddings]
    both = [torch.cat(pair) for pair in zip(embeddings, nothing)]
    noise = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(seed)).repeat(len(prompts), 1, 1, 1)
    pictures, top = truth or (0.0, high)
    sigmas = [s for s in karras(steps, low, high) if s <= top + 1e-6]  # the first of them is `high` but for rounding
    x = pictures + sigmas[0] * noise

    def denoise(x, s):
        network = next(net for bottom, net in networks if s > bottom)
        d = precondition(network, torch.cat([x, x]), torch.full((2 * len(x),), s), sigma_data, *both)
        yes, no = d.clamp(-1, 1).chunk(2)
        return (no + guidance * (yes - no)).clamp(-1, 1)

    return dpmpp_2m(denoise, x, sigmas)


def sheet(pictures, columns, path, scale=4):
    p = ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte()
    p = F.interpolate(p.float(), scale_factor=float(scale)).byte().permute(0, 2, 3, 1).numpy()
    n, h, w, _ = p.shape
    out = np.full((math.ceil(n / columns) * (h + 4), columns * (w + 4), 3), 255, np.uint8)
    for i in range(n):
        y, x = i // columns * (h + 4), i % columns * (w + 4)
        out[y : y + h, x : x + w] = p[i]
    Image.fromarray(out).save(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--name", default="base")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--guidance", type=float, default=2.5)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--tokenizers", type=Path, default=Path(__file__).parent.parent / "tokenizers")
    a = parser.parse_args()
    torch.set_num_threads(1)
    conditioner = Conditioner(a.run, a.tokenizers, torch.device("cpu"))
    sheet(paint([(0.0, trained(a.run, a.name))], conditioner, [p["prompt"] for p in PROMPTS], a.steps, a.guidance, a.seed), 8, a.out)
