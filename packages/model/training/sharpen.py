"""The last call of a super-resolution stage learns to make edges that a second network cannot tell from true ones (GAN; hinge loss, spectral norm).

    python sharpen.py sr1-low --calls sr1-high sr1-low --run DIR --data DATA128 --validation VAL128 --minutes 40
    python sharpen.py sr2     --calls sr2              --run DIR --data CROPS256 --validation VAL256 --minutes 15

A stage with few steps answers with the mean of what may be, which is blur. `--calls`: the networks of the stage's steps at the card's grid, the first of the highest noise; they run as in the SDK,
and the last of them is trained, at the noise it then sees, with the distance to the truth (L1), the discriminator's verdict and the distance in its features (pix2pixHD, arXiv 1711.11585).
The verdict weighs `--adversarial` times as much as the distance, by gradients at the last convolution (VQGAN, arXiv 2012.09841, eq. 7). A quarter of each batch is trained as before (train.py),
so that the network stays a denoiser at all of its noise levels. A checkpoint every two minutes to RUN/NAME.sharp.ckpt, the EMA weights to RUN/NAME.sharp.pt.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.parametrizations import spectral_norm

from encoders import autocast
from keeping import Keeper, averaged
from optimizer import average_gradients, follow, join, leave
from sample import karras
from super_resolution import enlarge, residual_batch
from train import Conditioner, Data, sample_sigma
from unet import edm_loss, network_for, precondition, trained

PLAIN = 0.25  # share of a batch that is trained as before


class Discriminator(nn.Module):
    """[picture | enlarged input] [B,6,H,W] → a verdict for each patch, and features on the way."""

    def __init__(self):
        super().__init__()
        conv = lambda i, o, size, stride: spectral_norm(nn.Conv2d(i, o, size, stride, size // 2 if size % 2 else 1))
        self.layers = nn.ModuleList([conv(24, 40, 3, 1), conv(40, 64, 4, 2), conv(64, 128, 4, 2), conv(128, 128, 3, 1)])
        self.verdict = spectral_norm(nn.Conv2d(128, 1, 3, 1, 1))

    def forward(self, picture, enlarged):
        h, features = F.pixel_unshuffle(torch.cat([picture, enlarged], 1), 2), []
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            features.append(h)
        return self.verdict(h), features


def walk(stage, networks, low, strength, conditions, noise):
    """The picture after all calls of the stage, as the SDK samples it (DPM++ 2M's steps to the last but one are first order); gradients through the last call alone.

    low [B,3,h,w] with noise of `strength` [B] → ([B,3,H,W], enlarged low).
    """
    up = enlarge(low, stage["factor"])
    scale, sigmas = stage["residualScale"], karras(len(networks), stage["sigmaMin"], stage["sigmaMax"])
    x = sigmas[0] * noise
    for network, s, t in zip(networks, sigmas, sigmas[1:]):
        with torch.set_grad_enabled(bool(t == 0) and torch.is_grad_enabled()):
            answer = precondition(network, x, torch.full((len(x),), s, device=x.device), stage["sigmaData"], low, strength, *conditions).float()
        if t == 0:
            return up + scale * answer, up
        answer = ((up + scale * answer).clamp(-1, 1) - up) / scale
        x = t / s * x + (1 - t / s) * answer


def batch(stage, data, conditioner, rng, n, noise=None):
    """(pictures, their residual, [low, strength], conditions): as train.py draws them, or with `noise` as the SDK paints: so much of it on the input, text alone, nothing left out."""
    pictures, whole, captions, _, repainted = data.batch(rng, n, torch.device("cpu"), np.ones(n, bool))
    target, inputs, small = residual_batch(pictures, rng, stage["residualScale"], stage["factor"], repainted, noise)
    seen = small if whole is None else whole
    conditions = conditioner(captions, seen, rng, True) if noise is None else conditioner(captions, None, None, False)
    return pictures.contiguous(memory_format=torch.channels_last), target.contiguous(memory_format=torch.channels_last), inputs, conditions


def plain_loss(a, stage, network, data, conditioner, rng, n):
    _, target, inputs, conditions = batch(stage, data, conditioner, rng, n)
    sigma = sample_sigma(rng, n, 0.8, 1.1, a.interval)
    with autocast(target.device):
        return edm_loss(network, target, torch.randn_like(target), sigma, stage["sigmaData"], *inputs, *conditions).mean()


def judge_loss(judge, pictures, made, up):
    """Hinge: verdicts above 1 on true pictures, below −1 on made ones."""
    with autocast(pictures.device):
        true, false = judge(torch.cat([pictures, made]), torch.cat([up, up]))[0].float().chunk(2)
    return F.relu(1 - true).mean() + F.relu(1 + false).mean()


def network_losses(judge, pictures, made, up):
    """(L1 to the truth, distance in the judge's features relative to their size, minus the verdict)."""
    judge.requires_grad_(False)
    with autocast(pictures.device):
        verdict, features = judge(made, up)
        with torch.no_grad():
            true_features = judge(pictures, up)[1]
    judge.requires_grad_(True)
    alike = sum((f.float() - t.float()).abs().mean() / t.float().abs().mean() for f, t in zip(features, true_features)) / len(features)
    return (made - pictures).abs().mean(), alike, -verdict.float().mean()


def balance(near, fooled, last):
    """The weight with which the verdict pulls at the last convolution as hard as the distance does."""
    near, fooled = (torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (near, fooled))
    return (near / (fooled + 1e-6)).clamp(0, 1e3).detach()


@torch.no_grad()
def check(stage, networks, data, conditioner, n=64):
    """Root mean square error and L1 on held-out pictures, and how strong the picture's edges are against the truth's."""
    rng = np.random.default_rng(99)
    generator = torch.Generator().manual_seed(99)
    pictures, _, inputs, conditions = batch(stage, data, conditioner, rng, n, stage["augmentation"])
    made = walk(stage, networks, *inputs, conditions, torch.randn(pictures.shape, generator=generator))[0].clamp(-1, 1)
    slope = lambda p: (p[..., 1:] - p[..., :-1]).square().mean().sqrt().item()
    return {"rmse": (made - pictures).square().mean().sqrt().item(), "l1": (made - pictures).abs().mean().item(), "edges": slope(made) / slope(pictures)}


def run_worker(rank, a, port):
    torch.set_num_threads(1)
    join(rank, a.workers, port)
    stage = next(s for s in json.loads(a.card.read_text())["stages"] if s["name"] == a.name[:3])
    expert = next(e for e in stage["experts"] if e["name"] == a.name)
    a.interval = (0.0 if expert is stage["experts"][-1] else expert["sigmaMin"], expert["sigmaMax"])
    torch.manual_seed(a.seed)
    network = network_for(a.name).to(memory_format=torch.channels_last)
    network.load_state_dict(torch.load(a.run / f"{a.name}.pt", map_location="cpu"))
    others = [trained(a.run, name).requires_grad_(False) for name in a.calls[:-1]]
    judge = Discriminator().to(memory_format=torch.channels_last)
    of_network = torch.optim.AdamW(network.parameters(), a.rate, betas=(0.5, 0.99), weight_decay=0.0, fused=True)
    of_judge = torch.optim.AdamW(judge.parameters(), a.judge_rate, betas=(0.5, 0.99), weight_decay=0.0, fused=True)
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    seen, spent, steps = 0, 0.0, 0
    keeper = Keeper(a.run, f"{a.name}.sharp", rank)
    if saved := keeper.saved("cpu"):
        for part, state in zip((network, judge, of_network, of_judge), saved["parts"]):
            part.load_state_dict(state)
        average, seen, spent, steps = saved["average"], saved["seen"], saved["spent"], saved["steps"]
    data, held = Data(a.data, a.signs), Data(a.validation)
    conditioner = Conditioner(a.run, a.tokenizers, torch.device("cpu"))
    rng = np.random.default_rng([a.seed, rank, steps])
    torch.manual_seed(a.seed * 1000 + rank + steps * 7)
    share = a.batch // a.workers
    plain = max(1, round(share * PLAIN))
    start, last_save, window, logged = time.time() - spent, time.time(), [], time.time()
    last = network.net.output.weight

    def save():
        keeper.save(average, parts=[part.state_dict() for part in (network, judge, of_network, of_judge)], seen=seen, spent=time.time() - start, steps=steps)

    def look():
        if rank == 0:
            with averaged(network, average):
                found = check(stage, [*others, network], held, conditioner)
            keeper.say(seen=seen, seconds=round(time.time() - start), **{k: round(v, 4) for k, v in found.items()})

    look()
    while True:
        progress = torch.tensor(min(1.0, (time.time() - start) / (a.minutes * 60)))
        if a.workers > 1:
            distributed.broadcast(progress, 0)
        if progress >= 1:
            break
        fade = min(1, (steps + 1) / 50) * min(1, (1 - progress.item()) / 0.3)
        of_network.param_groups[0]["lr"], of_judge.param_groups[0]["lr"] = a.rate * fade, a.judge_rate * fade
        pictures, _, inputs, conditions = batch(stage, data, conditioner, rng, share - plain, stage["augmentation"])
        with autocast(pictures.device):
            made, up = walk(stage, [*others, network], *inputs, conditions, torch.randn_like(pictures))
        of_judge.zero_grad()
        told_apart = judge_loss(judge, pictures, made.detach(), up)
        told_apart.backward()
        average_gradients(list(judge.parameters()), a.workers)
        of_judge.step()
        of_network.zero_grad()
        distance, alike, fooled = network_losses(judge, pictures, made, up)
        near = distance + a.features * alike
        weight = balance(near, fooled, last) * a.adversarial if steps >= a.alone else 0.0
        (near + weight * fooled).backward()
        ordinary = plain_loss(a, stage, network, data, conditioner, rng, plain)
        (a.ordinary * ordinary).backward()
        average_gradients(list(network.parameters()), a.workers)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        of_network.step()
        steps, seen = steps + 1, seen + a.batch
        if rank == 0:
            follow(average, network, a.ema, steps)
        window.append([distance.item(), alike.item(), fooled.item(), told_apart.item(), float(weight), ordinary.item()])
        if steps % 25 == 0:
            names = ("l1", "features", "fooled", "judge", "weight", "ordinary")
            keeper.say(seen=seen, seconds=round(time.time() - start), per_second=round(25 * a.batch / (time.time() - logged), 1), **dict(zip(names, np.mean(window, 0).round(4).tolist())))
            window, logged = [], time.time()
        if steps % 200 == 0:
            look()
        if time.time() - last_save > 120:
            save()
            last_save = time.time()
    look()
    save()
    leave(a.workers)


if __name__ == "__main__":
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--calls", nargs="+", required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--signs", type=float, default=0.25)
    parser.add_argument("--adversarial", type=float, default=0.5)
    parser.add_argument("--features", type=float, default=0.1, help="weight of the distance in the discriminator's features")
    parser.add_argument("--ordinary", type=float, default=0.1, help="weight of the loss of train.py")
    parser.add_argument("--alone", type=int, default=100, help="steps before the verdict counts")
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--judge-rate", type=float, default=4e-4)
    parser.add_argument("--ema", type=float, default=0.995)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=51)
    parser.add_argument("--card", type=Path, default=here / "card-source.json")
    parser.add_argument("--tokenizers", type=Path, default=here.parent / "tokenizers")
    a = parser.parse_args()
    if a.calls[-1] != a.name:
        parser.error(f"--calls {' '.join(a.calls)}: the last must be {a.name}, which is trained")
    if a.workers == 1:
        run_worker(0, a, 0)
    else:
        multiprocessing.spawn(run_worker, (a, 29600 + os.getpid() % 1000), a.workers)
