"""The weights that training of the next model goes on from (README.md, "The next model: signs"): checkpoints ↔ float16 files of this folder.

    python next/weights.py unpack --run DIR      # DIR/encoders/*.pt, DIR/base.pt, DIR/base-high.pt, …
    python next/weights.py pack   --run DIR      # the other way, for the names that this folder has
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent
NAMES = ("base", "base-high", "base-middle", "base-low", "sr1")
ENCODERS = ("t5", "clip-text", "clip-image")


def cast(weights, kind):
    return {k: v.to(kind).contiguous() if v.is_floating_point() else v for k, v in weights.items()}


def unpack(run):
    (run / "encoders").mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        torch.save(cast(load_file(HERE / f"{name}.safetensors"), torch.float32), run / f"{name}.pt")
    encoders = cast(load_file(HERE / "encoders.safetensors"), torch.float32)
    for name in ENCODERS:
        torch.save({k.partition("/")[2]: v for k, v in encoders.items() if k.startswith(f"{name}/")}, run / f"encoders/{name}.pt")


def pack(run):
    for name in NAMES:
        save_file(cast(torch.load(run / f"{name}.pt", map_location="cpu"), torch.float16), HERE / f"{name}.safetensors")
    encoders = {f"{name}/{k}": v for name in ENCODERS for k, v in torch.load(run / f"encoders/{name}.pt", map_location="cpu").items()}
    save_file(cast(encoders, torch.float16), HERE / "encoders.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=["pack", "unpack"])
    parser.add_argument("--run", type=Path, required=True)
    a = parser.parse_args()
    (pack if a.which == "pack" else unpack)(a.run)
