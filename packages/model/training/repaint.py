"""What the stages before make of real pictures once they are noised: a super-resolution stage must see the base's own lines, not only true ones
(cascades as in arXiv 2106.15282, §4: "non-truncated conditioning augmentation").

    python repaint.py --run DIR --name base --data DATA128          # DATA128/repainted.npy, uint8 [N,32,32,3], one for each picture
    python repaint.py --run DIR --name base --data CROPS256         # crops: after sr1-high and sr1-low, [N,64,64,3], one for each crop

Noise is weak enough that things stay where they are: the truth must remain the right answer.
"""

import argparse
import json
import math
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch

import world
from encoders import autocast, to_pixels
from sample import dpmpp_2m, karras
from super_resolution import shrink
from train import Conditioner, Data
from unet import network_for, precondition
from upscale import upscale

NOISE = (0.15, 0.8)  # σ it starts from, log-uniform


def opened(run, name):
    network = network_for(name).to(memory_format=torch.channels_last)
    network.load_state_dict(torch.load(run / f"{name}.pt"))
    return network.eval()


@torch.no_grad()
def repainted(network, small, embeddings, sigma, steps, sigma_data=0.6):
    """[B,3,32,32] in −1…1 → the same, noised to σ and painted again; no guidance, which matters little at such σ."""

    def denoise(x, s):
        with autocast(small.device):
            return precondition(network, x, torch.full((len(x),), s), sigma_data, *embeddings).float().clamp(-1, 1)

    noisy = (small + sigma * torch.randn_like(small)).contiguous(memory_format=torch.channels_last)
    return dpmpp_2m(denoise, noisy, karras(steps, 0.04, sigma))


def part(job):
    a, rows, seed = job
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    base = opened(a.run, a.name)
    data, conditioner = Data(a.data), Conditioner(a.run, a.tokenizers, torch.device("cpu"))
    corners = None if data.whole is None else np.load(a.data / "corners.npy") // 2
    if corners is not None:
        stage = next(s for s in json.loads(a.card.read_text())["stages"] if s["name"] == "sr1")
        high, low = (opened(a.run, expert["name"]) for expert in stage["experts"])
        cut = math.log(stage["experts"][1]["sigmaMax"]) / 4
        experts = lambda x, c_noise, *rest: (high if c_noise[0] > cut else low)(x, c_noise, *rest)
    made = []
    for start in range(0, len(rows), a.batch):
        k = rows[start : start + a.batch]
        small = to_pixels(data.whole[k]) if corners is not None else shrink(to_pixels(data.pictures[k]), data.pictures.shape[1] // 32)
        embeddings = conditioner([world.caption(rng, data.scenes[i]) for i in k], None, None, False)
        pictures = repainted(base, small, embeddings, math.exp(rng.uniform(*np.log(NOISE))), a.steps)
        if corners is not None:
            with autocast(small.device):
                large = upscale(experts, pictures, embeddings, stage, 2, stage["sigmaMin"], seed + start).float()
            pictures = torch.stack([p[:, y : y + 64, x : x + 64] for p, (y, x) in zip(large, corners[k])])
        made.append(((pictures.clamp(-1, 1) + 1) * 127.5 + 0.5).byte().permute(0, 2, 3, 1).numpy())
    return np.concatenate(made)


if __name__ == "__main__":
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--name", default="base")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only the first of them: a look")
    parser.add_argument("--card", type=Path, default=here / "card-source.json")
    parser.add_argument("--tokenizers", type=Path, default=here.parent / "tokenizers")
    a = parser.parse_args()
    rows = np.arange(len(np.load(a.data / "pictures.npy", mmap_mode="r")))[: a.limit]
    with Pool(a.workers) as pool:
        parts = pool.map(part, [(a, r, 11 + i) for i, r in enumerate(np.array_split(rows, 2 * a.workers))])
    np.save(a.data / "repainted.npy", np.concatenate(parts))
