"""The weights that training of the next model goes on from (README.md, "The next model: signs"), float16 → checkpoints.

    python next/unpack.py --run DIR      # DIR/encoders/*.pt, DIR/base-start.pt; then train.py base --parent base-start --tokenizers next/tokenizers
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    run, here = parser.parse_args().run, Path(__file__).parent
    (run / "encoders").mkdir(parents=True, exist_ok=True)
    full = lambda weights: {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
    torch.save(full(load_file(here / "base.safetensors")), run / "base-start.pt")
    encoders = full(load_file(here / "encoders.safetensors"))
    for name in {key.partition("/")[0] for key in encoders}:
        torch.save({k.partition("/")[2]: v for k, v in encoders.items() if k.startswith(f"{name}/")}, run / "encoders" / f"{name}.pt")
