"""What the base makes of real pictures once they are noised: the first super-resolution stage must see the base's own lines, not only true ones
(cascades as in arXiv 2106.15282, §4: "non-truncated conditioning augmentation").

    python repaint.py --run DIR --data DATA128          # DATA128/repainted.npy, uint8 [N,32,32,3], one for each picture

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
from unet import precondition, trained

EXPERTS = json.loads((Path(__file__).parent / "card-source.json").read_text())["stages"][0]["experts"]
NOISE = (0.15, 0.8)  # σ it starts from, log-uniform


@torch.no_grad()
def repainted(networks, small, embeddings, sigma, steps, sigma_data=0.6):
    """[B,3,32,32] in −1…1 → the same, noised to σ and painted again by [(σ above which it works, network)], highest first; no guidance, which matters little at such σ."""

    def denoise(x, s):
        network = next(net for bottom, net in networks if s > bottom)
        with autocast(small.device):
            return precondition(network, x, torch.full((len(x),), s), sigma_data, *embeddings).float().clamp(-1, 1)

    noisy = (small + sigma * torch.randn_like(small)).contiguous(memory_format=torch.channels_last)
    return dpmpp_2m(denoise, noisy, karras(steps, 0.04, sigma))


def part(job):
    a, rows, seed = job
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    networks = [(0.0, trained(a.run, a.name))] if a.name else [(expert["sigmaMin"] if i + 1 < len(EXPERTS) else 0.0, trained(a.run, f"base-{expert['name']}")) for i, expert in enumerate(EXPERTS)]
    data, conditioner = Data(a.data), Conditioner(a.run, a.tokenizers, torch.device("cpu"))
    made = []
    for start in range(0, len(rows), a.batch):
        k = rows[start : start + a.batch]
        small = shrink(to_pixels(data.pictures[k]), data.pictures.shape[1] // 32)
        embeddings = conditioner([world.caption(rng, data.scenes[i]) for i in k], None, None, False)
        pictures = repainted(networks, small, embeddings, math.exp(rng.uniform(*np.log(NOISE))), a.steps)
        made.append(((pictures.clamp(-1, 1) + 1) * 127.5 + 0.5).byte().permute(0, 2, 3, 1).numpy())
    return np.concatenate(made)


if __name__ == "__main__":
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--name", help="one network of all noise levels instead of the experts")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only the first of them: a look")
    parser.add_argument("--tokenizers", type=Path, default=here.parent / "tokenizers")
    a = parser.parse_args()
    rows = np.arange(len(np.load(a.data / "pictures.npy", mmap_mode="r")))[: a.limit]
    with Pool(a.workers) as pool:
        parts = pool.map(part, [(a, r, 11 + i) for i, r in enumerate(np.array_split(rows, 2 * a.workers))])
    np.save(a.data / "repainted.npy", np.concatenate(parts))
