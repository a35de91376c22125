"""Trains the base, its experts, or the super-resolution stage; resumes from its own checkpoint.

    python train.py base --run DIR --data DATA32 --minutes 60 --workers 2
    python train.py base-high --parent base --interval 2.67 40 --run DIR --data DATA32 --minutes 6
    python train.py sr1 --run DIR --data DATA128 --minutes 20
    python train.py sr2 --run DIR --data CROPS256 --minutes 50 --residual-scale 0.1

EDM loss (arXiv 2206.00364), ln σ ~ N(mean, std²) truncated to --interval for an expert; AdamW or Muon, EMA, gradient clip;
bf16 autocast where the processor has it. --workers processes average their gradients (one thread each: on two cores faster and steadier than
one process with two threads). A checkpoint is written every two minutes to RUN/NAME.ckpt; the EMA weights to RUN/NAME.pt.
"""

import argparse
import math
import os
import pickle
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing

import tokenizer_files
import world
from encoders import CLIP_END, T5_END, autocast, load_encoders, pad_ids, to_pixels
from keeping import Keeper, averaged
from optimizer import Optimizer, average_gradients, follow, join, leave
from super_resolution import residual_batch
from unet import CLIP_LENGTH, T5_LENGTH, TEXT_WIDTH, edm_loss, network_for

DROP = {"t5": 0.15, "clip": 0.15, "image": 0.8, "all": 0.1}  # the paper: 0.25, 0.20, 0.90 independent; "all" trains guidance
UNSAID = 0.5  # where the picture is given, how often the caption leaves its style to it
GLYPH_SIGMA = 5.0  # see pixel_weights
OBJECT_SIGMA = 2.0  # the same of objects, which are found later
GLYPH_NOISE = (0.5, 1.0)  # mean and std of ln σ of signs under --glyphs: at less noise letters are seen, at more not even the board is
SIGMAS = (0.1, 0.3, 0.7, 1.5, 3.5, 10.0)  # where validation looks


class Conditioner:
    """Captions and pictures → the four conditioning tensors, with independent dropout (absent = zeros)."""

    def __init__(self, run, tokenizers_folder, device):
        self.tokenizers = tokenizer_files.load(tokenizers_folder)
        self.t5, self.clip, self.image = (m.to(device) for m in load_encoders(run / "encoders", self.tokenizers))
        self.device = device

    @torch.no_grad()
    def __call__(self, captions, pictures, rng, drop, with_image=None):
        """`with_image` [B] bool: which rows keep the picture; drawn here when absent. `drop`: independent dropout of the rest."""
        n = len(captions)
        with_t5, with_clip, shown = np.ones(n, bool), np.ones(n, bool), np.full(n, pictures is not None)
        if drop:
            keep = lambda name: rng.random(n) >= DROP[name]
            some = keep("all")
            shown &= some & (keep("image") if with_image is None else with_image)
            with_clip, with_t5 = keep("clip") & some, keep("t5") & some
        ids = lambda tokenizer, rows, length, end: pad_ids([tokenizer.encode(captions[i]).ids for i in rows], length, end).to(self.device)
        (t5,) = encoded(with_t5, lambda rows: [self.t5(ids(self.tokenizers[0], rows, T5_LENGTH, T5_END))], [(T5_LENGTH, TEXT_WIDTH)], self.device)
        clip, pooled = encoded(with_clip, lambda rows: self.clip(ids(self.tokenizers[1], rows, CLIP_LENGTH, CLIP_END)), [(CLIP_LENGTH, TEXT_WIDTH), (TEXT_WIDTH,)], self.device)
        (image,) = encoded(shown, lambda rows: [self.image(pictures[rows])], [(TEXT_WIDTH,)], self.device)
        return t5, clip, pooled, image


def encoded(present, encode, shapes, device):
    """Zeros [B, *shape] for each shape, and in the rows that are present what `encode(rows)` gives: nothing is encoded to be dropped."""
    out = [torch.zeros(len(present), *shape, device=device) for shape in shapes]
    rows = np.flatnonzero(present)
    if len(rows):
        for x, values in zip(out, encode(rows)):
            x[rows] = values.to(x)
    return out


def sample_sigma(rng, n, mean, std, interval):
    """ln σ ~ N(mean, std²) truncated to the interval, by rejection (an expert's share of the parent's training)."""
    low, high = interval
    out = np.empty(0)
    while len(out) < n:
        s = np.exp(mean + std * rng.standard_normal(4 * n))
        out = np.concatenate([out, s[(s > low) & (s <= high)]])
    return torch.from_numpy(out[:n]).float()


def learning_rate(args, progress, step):
    """Warm-up, flat, then linear to zero over the last `--decay` of the run."""
    return args.rate * min(1, (step + 1) / args.warmup) * min(1, (1 - progress) / args.decay)


class Data:
    """Pictures (memory-mapped) with their scenes; captions are worded anew at each use. Crops come with the whole picture, small;
    pictures for the first super-resolution stage with what the base made of them, where repaint.py has run.
    `signs`: share of each batch that is signs, where it is not to be the world's own; `often`: how many times as often as others scenes of a kind, style or size, or with an object, come."""

    def __init__(self, folder, signs=None, often=None):
        self.whole = np.load(folder / "whole.npy", mmap_mode="r") if (folder / "whole.npy").exists() else None
        self.repainted = np.load(folder / "repainted.npy", mmap_mode="r") if (folder / "repainted.npy").exists() else None
        self.pictures = np.load(folder / "pictures.npy", mmap_mode="r")
        self.scenes = pickle.loads((folder / "scenes.pkl").read_bytes())
        self.signs = signs
        is_sign = np.array([scene["kind"] == "sign" for scene in self.scenes])
        traits = [[scene["kind"], scene["style"], scene["size"], *{name for name, _ in scene["objects"]}] for scene in self.scenes]
        if unknown := set(often or {}).difference(*traits):
            raise ValueError(f"no scene of {folder} is {', '.join(unknown)}")
        odds = np.array([math.prod((often or {}).get(trait, 1.0) for trait in of_scene) for of_scene in traits])
        pools = [np.arange(len(odds))] if signs is None else [np.flatnonzero(~is_sign), np.flatnonzero(is_sign)]
        self.pools = [(rows, np.cumsum(odds[rows])) for rows in pools]

    def draw(self, rng, n):
        """Rows of n scenes, in order."""
        pools = [self.pools[int(self.signs is not None and sign < self.signs)] for sign in rng.random(n)]
        return np.sort([rows[np.searchsorted(below, at * below[-1], side="right")] for (rows, below), at in zip(pools, rng.random(n))])

    def batch(self, rng, n, device, say_style):
        """(pictures, what the image encoder sees or None for the pictures themselves, captions, scenes, the base's versions or None)."""
        i = self.draw(rng, n)
        whole = None if self.whole is None else to_pixels(self.whole[i]).to(device)
        captions = [world.caption(rng, self.scenes[k], say) for k, say in zip(i, say_style)]
        repainted = None if self.repainted is None else to_pixels(self.repainted[i]).to(device)
        return to_pixels(self.pictures[i]).to(device), whole, captions, [self.scenes[k] for k in i], repainted


def pixel_weights(scenes, sigma, letters, objects, size):
    """[B,1,size,size]: `letters` where letters stand, `objects` in the square of each object, 1 elsewhere; both are fewer pixels than the ground, and
    without weight the last thing that is learnt (GlyphDraw, arXiv 2303.17870). At more noise than GLYPH_SIGMA and OBJECT_SIGMA no picture tells where
    they are: there the weight would bias the mean."""
    out = torch.ones(len(scenes), 1, size, size, device=sigma.device)
    for row, scene, s in zip(out, scenes, sigma.tolist()):
        for box in scene.get("painted", ()) if s < OBJECT_SIGMA else ():
            row[within(box, size, 0)] = objects
        if "written" in scene and s < GLYPH_SIGMA:
            row[within(scene["written"], size, 1)] = letters
    return out


def within(box, size, margin):
    """Where in a [1,size,size] picture a box (x, y, width, height of 64) and `margin` pixels around it lie."""
    x, y, w, h = (v * size / 64 for v in box)
    return slice(None), slice(max(0, int(y) - margin), math.ceil(y + h) + margin), slice(max(0, int(x) - margin), math.ceil(x + w) + margin)


def batch_loss(args, network, data, conditioner, rng, n, device, sigma=None, drop=True):
    with_image = (rng.random(n) >= DROP["image"]) & drop
    pictures, whole, captions, scenes, repainted = data.batch(rng, n, device, ~with_image | (rng.random(n) >= UNSAID))
    weigh = sigma is None and max(args.glyphs, args.objects) > 1
    if sigma is None:
        sigma = sample_sigma(rng, n, args.mean, args.std, args.interval)
        if weigh:
            is_sign = torch.tensor(["written" in scene for scene in scenes])
            sigma = torch.where(is_sign, sample_sigma(rng, n, *GLYPH_NOISE, args.interval), sigma)
    sigma = sigma.to(device)
    if args.name.startswith("sr"):
        clean, extra, small = residual_batch(pictures, rng, args.residual_scale, 2 if args.name.startswith("sr2") else 4, repainted)
        rest = [*extra, *conditioner(captions, small if whole is None else whole, rng, drop, with_image)]
        sigma_data = 1.0
    else:
        clean = pictures
        rest = conditioner(captions, pictures, rng, drop, with_image)
        sigma_data = args.sigma_data
    clean = clean.contiguous(memory_format=torch.channels_last)
    noise = torch.randn_like(clean)
    pixels = pixel_weights(scenes, sigma, args.glyphs, args.objects, clean.shape[-1]) if weigh else 1.0
    with autocast(device):
        return edm_loss(network, clean, noise, sigma, sigma_data, *rest, pixels=pixels)


@torch.no_grad()
def validate(args, network, data, conditioner, device, batches=2, n=64):
    """Mean loss at fixed σ on held-out scenes with fixed noise: comparable across runs of the same world."""
    losses = {}
    for s in SIGMAS:
        if not args.interval[0] < s <= args.interval[1]:
            continue
        rng = np.random.default_rng(99)
        torch.manual_seed(99)
        values = [batch_loss(args, network, data, conditioner, rng, n, device, torch.full((n,), s), False) for _ in range(batches)]
        losses[s] = torch.cat(values).mean().item()
    return losses


def run_worker(rank, args, port):
    torch.set_num_threads(args.threads)
    device = torch.device("cuda" if args.cuda else "cpu")
    join(rank, args.workers, port)
    torch.manual_seed(1)
    keeper = Keeper(args.run, args.name, rank)
    saved = keeper.saved(device)
    state = saved["network"] if saved else torch.load(args.run / f"{args.parent}.pt", map_location=device) if args.parent else None
    network = network_for(args.name, state).to(device).to(memory_format=torch.channels_last)
    if state:
        network.load_state_dict(state)
    optimizer = Optimizer(network, args.rate, args.muon, rank, args.workers)
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    seen, spent, steps = 0, 0.0, 0
    if saved:
        optimizer.adam.load_state_dict(saved["optimizer"])
        average, seen, spent, steps = saved["average"], saved["seen"], saved["spent"], saved["steps"]
    data, held = Data(args.data, args.signs, dict(args.often)), Data(args.validation) if args.validation else None
    conditioner = Conditioner(args.run, args.tokenizers, device)
    rng = np.random.default_rng([args.seed, rank, steps])
    torch.manual_seed(args.seed * 1000 + rank + steps * 7)
    share = args.batch // args.workers
    parameters = list(network.parameters())
    start, last_save, window, logged = time.time() - spent, time.time(), [], time.time()

    def save():
        keeper.save(average, network=network.state_dict(), optimizer=optimizer.adam.state_dict(), seen=seen, spent=time.time() - start, steps=steps)

    def check():
        if rank == 0 and held:
            with averaged(network, average):
                losses = validate(args, network, held, conditioner, device)
            keeper.say(seen=seen, seconds=round(time.time() - start), validation={str(k): round(v, 4) for k, v in losses.items()}, mean=round(sum(losses.values()) / len(losses), 4))

    while True:
        progress = torch.tensor(min(1.0, seen / args.scenes if args.scenes else (time.time() - start) / (args.minutes * 60)))
        if args.workers > 1:
            distributed.broadcast(progress, 0)
        if progress >= 1:
            break
        rate = learning_rate(args, progress.item(), steps)
        loss = batch_loss(args, network, data, conditioner, rng, share, device).mean()
        optimizer.zero_grad()
        loss.backward()
        average_gradients(parameters, args.workers)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step(rate)
        steps, seen = steps + 1, seen + args.batch
        if rank == 0:
            follow(average, network, args.ema, steps)
        window.append(loss.item())
        if steps % 100 == 0:
            keeper.say(seen=seen, seconds=round(time.time() - start), loss=round(float(np.mean(window)), 4), per_second=round(100 * args.batch / (time.time() - logged), 1), rate=round(rate, 6))
            window, logged = [], time.time()
        if time.time() - last_save > 120:
            save()
            last_save = time.time()
        if steps % args.check_every == 0:
            check()
            logged = time.time()
    check()
    save()
    leave(args.workers)


def factor(text):
    what, times = text.split("=")
    return what, float(times)


if __name__ == "__main__":
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints; holds encoders/")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--validation", type=Path)
    parser.add_argument("--signs", type=float, help="share of signs in each batch; default: as in the data")
    parser.add_argument("--often", type=factor, nargs="*", default=[], metavar="WHAT=TIMES", help="how many times as often scenes of a kind, style or size, or with an object, come: sketch=2 3d=0.5 owl=1.3")
    parser.add_argument("--glyphs", type=float, default=1.0, help="weight of the pixels where letters stand")
    parser.add_argument("--objects", type=float, default=1.0, help="weight of the pixels of objects, at little noise")
    parser.add_argument("--tokenizers", type=Path, default=here.parent / "tokenizers")
    parser.add_argument("--parent")
    parser.add_argument("--interval", type=float, nargs=2, default=(0.0, math.inf), help="σ range of an expert, (low, high]")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="total, over all resumptions")
    length.add_argument("--scenes", type=int, help="total, where runs are to be compared at equal samples")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cuda", action="store_true")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--muon", action="store_true", help="Muon instead of AdamW for the inner matrices: optimizer.py")
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--decay", type=float, default=0.35)
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--mean", type=float, default=-0.4, help="of ln σ")
    parser.add_argument("--std", type=float, default=1.2, help="of ln σ")
    parser.add_argument("--sigma-data", type=float, default=0.6)
    parser.add_argument("--residual-scale", type=float, default=0.15)
    parser.add_argument("--check-every", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if max(args.glyphs, args.objects) > 1 and args.name.startswith("sr"):
        parser.error("--glyphs and --objects are for the base: its noise levels are not those of a residual")
    args.run.mkdir(parents=True, exist_ok=True)
    if args.workers == 1:
        run_worker(0, args, 0)
    else:
        multiprocessing.spawn(run_worker, (args, 29500 + os.getpid() % 1000), nprocs=args.workers)
