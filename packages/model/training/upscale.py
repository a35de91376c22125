"""A super-resolution stage on real pictures, made small: a look, and how far it is from the truth and from bilinear.

    python upscale.py --run DIR --name sr1 --validation VAL128 --out look.png [--steps 1 2 4 8] [--low 0.5]

Rows: the truth, bilinear, the stage at each number of steps. Root mean square error over 64 held-out pictures, not degraded, with the
augmentation of the card. A sharper picture may be further off than a blurred one: look at both.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from sample import dpmpp_2m, karras, sheet
from super_resolution import enlarge, shrink
from train import Conditioner, Data
from unet import precondition, trained


@torch.no_grad()
def upscale(network, low, embeddings, stage, steps, sigma_min, seed=1):
    """[B,3,h,w] → [B,3,h·factor,w·factor], as the SDK does it: solver on the residual in units of its scale, guidance 1."""
    generator = torch.Generator().manual_seed(seed)
    low = low + stage["augmentation"] * torch.randn(low.shape, generator=generator)
    augmentation = torch.full((len(low),), stage["augmentation"])
    up = enlarge(low, stage["factor"])
    x = stage["sigmaMax"] * torch.randn(up.shape, generator=generator)

    def denoise(x, s):
        d = precondition(network, x, torch.full((len(x),), s), stage["sigmaData"], low, augmentation, *embeddings)
        return ((up + stage["residualScale"] * d).clamp(-1, 1) - up) / stage["residualScale"]

    return up + stage["residualScale"] * dpmpp_2m(denoise, x, karras(steps, sigma_min, stage["sigmaMax"]))


if __name__ == "__main__":
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--low", type=float, nargs="+", default=[0.5], help="least σ of the grid, in units of the residual")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--card", type=Path, default=here / "card-source.json")
    parser.add_argument("--tokenizers", type=Path, default=here.parent / "tokenizers")
    a = parser.parse_args()
    torch.set_num_threads(1)
    stage = next(s for s in json.loads(a.card.read_text())["stages"] if s["name"] == a.name[:3])
    network = trained(a.run, a.name)
    rng = np.random.default_rng(3)
    pictures, _, captions, *_ = Data(a.validation).batch(rng, a.count, torch.device("cpu"), np.ones(a.count, bool))
    embeddings = Conditioner(a.run, a.tokenizers, torch.device("cpu"))(captions, None, None, False)
    low = shrink(pictures, stage["factor"])
    rows = [pictures, enlarge(low, stage["factor"])]
    error = lambda p: (p - pictures).square().mean().sqrt().item()
    print(f"bilinear  {error(rows[1]):.4f}")
    for steps in a.steps:
        for sigma_min in a.low:
            rows.append(upscale(network, low, embeddings, stage, steps, sigma_min))
            print(f"{steps} steps from σ {stage['sigmaMax']} to {sigma_min}  {error(rows[-1]):.4f}", flush=True)
    sheet(torch.cat([row[:8] for row in rows]), 8, a.out, 1)
