"""Everything that train.py and encoders.py train, on one GPU with scenes rendered as they are needed (stream.py): no data set on disk.

    python gpu.py base --run DIR --sprites sprites1.pkl --minutes 12 --stop-after 500     # resumes from DIR/base.ckpt
    python gpu.py pack --run DIR --out OUT                                               # weights as fp16, in files of at most 16 MiB

NAME: t5, clip, judge, base, base-high, base-middle, base-low, sr1, sr2. gpu.sh has the whole plan. `--minutes` is the total over all calls: the
learning rate follows it; `--stop-after` (seconds) ends this call early, checkpoint saved. Works on a CPU too, slowly.
"""

import argparse
import json
import math
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import classifier
import tokenizer_files
from encoders import PAD, ClipImage, ClipText, T5Pretraining, letter_ids, load_encoders, spelling_loss
from stream import Scenes, batches
from super_resolution import residual_batch
from unet import edm_loss, network_for

DROP = {"t5": 0.15, "clip": 0.15, "all": 0.1}  # the picture's own dropout is drawn with its caption, in stream.py
SIGMAS = (0.1, 0.3, 0.7, 1.5, 3.5, 10.0)
QUANTILES = {"low": (0.0, 0.25), "middle": (0.25, 0.875), "high": (0.875, 1.0)}  # E₀² | the rest | E₇³ of the training noise
FACTOR, RESIDUAL = {"sr1": 4, "sr2": 2}, {"sr1": 0.15, "sr2": 0.075}
to_float = lambda pictures: pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


class T5Task:
    def __init__(self, args, tokenizers):
        self.network = T5Pretraining(tokenizers[0].get_vocab_size())
        self.stream = lambda seed: Scenes("t5", args.batch, None, args.tokenizers, seed)
        self.letters = letter_ids(tokenizers[0])

    def loss(self, batch):
        target = batch["target"][:, : int((batch["target"] != PAD).sum(1).max())]
        (logits, places), real = self.network(batch["source"], target), target != PAD
        spelling, _ = spelling_loss(places[1::2].float(), batch["source"][1::2].tolist(), self.letters)
        return F.cross_entropy(logits[real].float(), target[real]) + 0.5 * spelling

    def files(self, state):
        return {"encoders/t5.pt": {k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.")}}


class ClipTask:
    def __init__(self, args, tokenizers):
        self.network = nn.ModuleDict({"text": ClipText(tokenizers[1].get_vocab_size()), "image": ClipImage()})
        self.network.scale = nn.Parameter(torch.tensor(2.3))
        self.stream = lambda seed: Scenes(64, args.batch, args.sprites, args.tokenizers, seed)

    def loss(self, batch):
        seen = F.normalize(self.network["image"](to_float(batch["whole"])).float(), dim=-1)
        said = F.normalize(self.network["text"](batch["clip"])[1].float(), dim=-1)
        logits, truth = seen @ said.T * self.network.scale.clamp(max=4.2).exp(), torch.arange(len(seen), device=seen.device)
        return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2

    def files(self, state):
        part = lambda name: {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}
        return {"encoders/clip-text.pt": part("text"), "encoders/clip-image.pt": part("image")}


class JudgeTask:
    def __init__(self, args, _):
        self.network = classifier.Classifier()
        self.rng = np.random.default_rng(args.seed)
        self.stream = lambda seed: Scenes("judge", args.batch, args.sprites, args.tokenizers, seed + 1000)

    def loss(self, batch):
        pictures = classifier.vary(to_float(batch["pictures"]), self.rng)
        return classifier.loss_of({k: v.float() for k, v in zip(classifier.OUTPUTS, self.network(pictures))}, batch)

    def files(self, state):
        return {"classifier.pt": state}


class DiffusionTask:
    """Base, expert or super-resolution stage. `sigma`: [n] to measure at, else drawn from the training noise within the expert's share of it."""

    def __init__(self, args, tokenizers):
        self.args, self.kind = args, args.name[:3]
        self.network = network_for(args.name)
        self.t5, self.clip, self.image = (m.to(args.device) for m in load_encoders(args.run / "encoders", tokenizers))
        self.rng = np.random.default_rng(args.seed)
        if self.kind in FACTOR:
            self.stream = lambda seed: Scenes(256, args.batch, args.sprites, args.tokenizers, seed, crop=4)
        else:
            self.stream = lambda seed: Scenes(64, args.batch, args.sprites, args.tokenizers, seed)

    @torch.no_grad()
    def conditions(self, batch, drop):
        t5, (clip, pooled), image = self.t5(batch["t5"]), self.clip(batch["clip"]), self.image(to_float(batch["whole"]))
        if not drop:
            return t5, clip, pooled, image * 0
        n, device = len(t5), t5.device
        keep = {name: (torch.rand(n, device=device) >= share).float() for name, share in DROP.items()}
        with_t5, with_clip, with_image = keep["t5"] * keep["all"], keep["clip"] * keep["all"], batch["with_image"].float() * keep["all"]
        return t5 * with_t5[:, None, None], clip * with_clip[:, None, None], pooled * with_clip[:, None], image * with_image[:, None]

    def noise_levels(self, n, device):
        low, high = QUANTILES.get(self.args.name.partition("-")[2], (0.0, 1.0))
        u = low + (high - low) * torch.rand(n, device=device).clamp(1e-5, 1 - 1e-5)
        return torch.exp(self.args.mean + self.args.std * torch.special.ndtri(u.double()).float())

    def losses(self, batch, sigma=None, drop=True):
        pictures = to_float(batch["pictures"])
        rest = self.conditions(batch, drop)
        sigma = self.noise_levels(len(pictures), pictures.device) if sigma is None else sigma
        sigma_data = self.args.sigma_data
        if self.kind in FACTOR:
            pictures, extra, _ = residual_batch(pictures, self.rng, RESIDUAL[self.kind], FACTOR[self.kind])
            rest, sigma_data = (*extra, *rest), 1.0
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        return edm_loss(self.network, pictures, torch.randn_like(pictures), sigma, sigma_data, *rest)

    def loss(self, batch):
        return self.losses(batch).mean()

    @torch.no_grad()
    def validation(self, held):
        state, rng = torch.get_rng_state(), self.rng
        torch.manual_seed(99)
        self.rng = np.random.default_rng(99)
        bounds = [math.exp(self.args.mean + self.args.std * torch.special.ndtri(torch.tensor(q)).item()) for q in QUANTILES.get(self.args.name.partition("-")[2], (0.0, 1.0))]
        at = lambda s: torch.cat([self.losses(b, torch.full((len(b["pictures"]),), s, device=self.args.device), drop=False) for b in held]).mean().item()
        found = {str(s): round(at(s), 4) for s in SIGMAS if bounds[0] < s <= bounds[1]}
        torch.set_rng_state(state)
        self.rng = rng
        return found

    def files(self, state):
        return {f"{self.args.name}.pt": state}


def task_for(args, tokenizers):
    return {"t5": T5Task, "clip": ClipTask, "judge": JudgeTask}.get(args.name, DiffusionTask)(args, tokenizers)


def train(args):
    torch.manual_seed(args.seed)
    task = task_for(args, tokenizer_files.load(args.tokenizers))
    network = task.network.to(args.device)
    if not isinstance(task, T5Task):
        network.to(memory_format=torch.channels_last)
    cuda = args.device.type == "cuda"
    optimizer = torch.optim.AdamW(network.parameters(), args.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=cuda)
    spent, seen, steps, checkpoint = 0.0, 0, 0, args.run / f"{args.name}.ckpt"
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=args.device)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        average, spent, seen, steps = saved["average"], saved["spent"], saved["seen"], saved["steps"]
    elif isinstance(task, DiffusionTask) and (start_from := [n for n in (args.name, args.parent) if n and (args.run / f"{n}.pt").exists()]):
        # its own weights, brought back from a lost machine, before its parent's
        average = {k: v.float().to(args.device) for k, v in torch.load(args.run / f"{start_from[0]}.pt").items()}
        network.load_state_dict(average)
        average = {k: v.clone() for k, v in average.items()}
    move = lambda batch: {k: v.to(args.device, non_blocking=True) for k, v in batch.items()}
    source = batches(task.stream(args.seed + steps), args.workers, cuda)
    held = [move(b) for _, b in zip(range(2), batches(task.stream(99_000_000), 0, False))] if isinstance(task, DiffusionTask) else []
    half = lambda: torch.autocast(args.device.type, torch.bfloat16) if args.name != "t5" or cuda else nullcontext()
    log = open(args.run / f"{args.name}.log", "a")
    start, logged, losses = time.time(), time.time(), []

    def say(**entry):
        log.write(json.dumps(entry) + "\n")
        log.flush()
        print(args.name, json.dumps(entry), flush=True)

    def check():
        if not held:
            return
        kept = {k: v.clone() for k, v in network.state_dict().items()}
        network.load_state_dict(average)
        with half():
            say(seen=seen, seconds=round(spent + time.time() - start), validation=task.validation(held))
        network.load_state_dict(kept)

    def save():
        state = dict(network=network.state_dict(), optimizer=optimizer.state_dict(), average=average, spent=spent + time.time() - start, seen=seen, steps=steps)
        torch.save(state, checkpoint.with_suffix(".tmp"))
        checkpoint.with_suffix(".tmp").rename(checkpoint)
        for name, weights in task.files(average).items():
            (args.run / name).parent.mkdir(parents=True, exist_ok=True)
            torch.save({k: v.float().cpu().contiguous() if v.is_floating_point() else v.cpu() for k, v in weights.items()}, args.run / name)

    total = args.minutes * 60
    while (progress := (spent + time.time() - start) / total) < 1 and time.time() - start < args.stop_after:
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1, (steps + 1) / args.warmup) * min(1, (1 - progress) / args.decay)
        batch = move(next(source))
        with half():
            loss = task.loss(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        steps, seen = steps + 1, seen + args.batch
        decay = min(args.ema, (steps + 1) / (steps + 10))
        with torch.no_grad():
            state = network.state_dict()
            floating = [k for k, v in state.items() if v.is_floating_point()]
            torch._foreach_lerp_([average[k] for k in floating], [state[k] for k in floating], 1 - decay)
            for k in state.keys() - set(floating):
                average[k].copy_(state[k])
        losses.append(loss.detach())
        if time.time() - logged > args.log_every:
            rate = len(losses) * args.batch / (time.time() - logged)
            say(seen=seen, seconds=round(spent + time.time() - start), loss=round(torch.stack(losses).mean().item(), 4), per_second=round(rate))
            logged, losses = time.time(), []
    check()
    save()


def pack(run, out):
    """fp16 weights: one file per base network, one for all the rest; and the logs."""
    half = lambda path: {k: v.half() if v.is_floating_point() else v for k, v in torch.load(path, map_location="cpu").items()}
    out.mkdir(parents=True, exist_ok=True)
    networks = sorted(run.glob("base-*.pt")) or [run / "base.pt"]
    for path in networks:
        torch.save(half(path), out / path.name)
    rest = [*run.glob("encoders/*.pt"), *run.glob("sr*.pt"), *run.glob("classifier.pt")]
    torch.save({str(path.relative_to(run)): half(path) for path in rest}, out / "rest.pt")
    (out / "logs.txt").write_text("".join(f"== {path.name}\n{path.read_text()}" for path in sorted(run.glob("*.log"))))
    for path in sorted(out.iterdir()):
        print(f"{path.name} {path.stat().st_size / 2**20:.1f} MiB")


def unpack(out, run):
    """Back into the files that export.py reads."""
    (run / "encoders").mkdir(parents=True, exist_ok=True)
    whole = {path.name: torch.load(path) for path in out.glob("base*.pt")} | torch.load(out / "rest.pt")
    for name, weights in whole.items():
        torch.save({k: v.float() if v.is_floating_point() else v for k, v in weights.items()}, run / name)


if __name__ == "__main__":
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="what to train; or pack, unpack")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sprites", type=Path)
    parser.add_argument("--tokenizers", type=Path, default=here.parent / "tokenizers")
    parser.add_argument("--parent")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--stop-after", type=float, default=math.inf, help="seconds of this call")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--decay", type=float, default=0.5)
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--mean", type=float, default=-0.2, help="of ln σ")
    parser.add_argument("--std", type=float, default=1.2, help="of ln σ")
    parser.add_argument("--sigma-data", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log-every", type=float, default=15)
    a = parser.parse_args()
    a.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    a.run.mkdir(parents=True, exist_ok=True)
    if a.name == "pack":
        pack(a.run, a.out)
    elif a.name == "unpack":
        unpack(a.out, a.run)
    else:
        train(a)
