"""Inputs and outputs of every committed graph, from PyTorch: what each TypeScript network call must reproduce.

    python golden.py --run DIR --out ../golden

One JSON per graph: {"graph", "inputs": {name: {dtype, shape, base64}}, "outputs": …, "fp16": …}. Outputs are those of the float16-rounded
weights in float32 arithmetic (what the file holds); "fp16" states how far that is from the unrounded weights (relative to max |output|).
"""

import argparse
import base64
import copy
import json
from pathlib import Path

import torch

import tokenizer_files
from export import OUTPUTS, example, networks, rounded


def pack(tensor):
    dtype = "int64" if tensor.dtype == torch.int64 else "float32"
    return {"dtype": dtype, "shape": list(tensor.shape), "base64": base64.b64encode(tensor.contiguous().numpy().tobytes()).decode()}


def small(kind):
    """Example inputs, with conditioning as it comes (some tokens absent) and pictures small enough to commit."""
    inputs = example(kind, 2)
    for name in ("t5", "clip"):
        if name in inputs:
            inputs[name][:, 7:] = 0
    for name in ("t5", "clip", "clip_pooled", "clip_image"):
        if name in inputs:
            inputs[name][1] = 0  # the second row is unconditional
    if kind.startswith("sr"):
        inputs |= {"sample": inputs["sample"][..., :64, :64], "low_res": inputs["low_res"][..., :16, :16]}
    return {k: v.contiguous() for k, v in inputs.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    here = Path(__file__).parent
    parser.add_argument("--card", type=Path, default=here / "card-source.json")
    parser.add_argument("--tokenizers", type=Path, default=here.parent / "tokenizers")
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    for name, network in networks(a.run, json.loads(a.card.read_text()), tokenizer_files.load(a.tokenizers)).items():
        inputs = small(name)
        as_tuple = lambda y: y if isinstance(y, tuple) else (y,)
        with torch.no_grad():
            exact = as_tuple(network.eval()(*inputs.values()))
            held = as_tuple(rounded(copy.deepcopy(network))(*inputs.values()))
        difference = max(((e - h).abs().max() / e.abs().max()).item() for e, h in zip(exact, held))
        golden = {
            "graph": f"{name}.onnx", "inputs": {k: pack(v) for k, v in inputs.items()},
            "outputs": {k: pack(v) for k, v in zip(OUTPUTS.get(name, ["output"]), held)}, "fp16": difference,
        }
        (a.out / f"{name}.json").write_text(json.dumps(golden) + "\n")
        print(name, f"fp16 rounding changes the output by {difference:.2e}")
