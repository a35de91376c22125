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
from unet import AttentionBlock


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
        inputs |= {"sample": inputs["sample"][..., :64, :64], "low_res": inputs["low_res"][..., : inputs["low_res"].shape[-1] // 2, : inputs["low_res"].shape[-1] // 2]}
    return {k: v.contiguous() for k, v in inputs.items()}


@torch.no_grad()
def painted(network, inputs, statistic):
    """Output and attention maps with S + strength·stat(S)·A in every cross-attention (eDiff-I §4.3), in PyTorch."""
    generator = torch.Generator().manual_seed(4)
    regions = {2: (torch.rand(1, 1, 256, 61, generator=generator) < 0.2).float(), 4: (torch.rand(1, 1, 64, 61, generator=generator) < 0.2).float()}
    strength = torch.tensor([0.9, 0.0]).view(2, 1, 1, 1)
    weights = {2: [], 4: []}
    plain = AttentionBlock.attend

    def attend(self, q, k, v, mask=None):
        if mask is None:
            return plain(self, q, k, v)
        scores = torch.matmul(q * self.scale, k.transpose(-1, -2)) + mask
        if statistic == "max":
            scale = scores.amax((-2, -1), keepdim=True)
        else:
            real = (scores > -1000).float()
            n = real.sum((-2, -1), keepdim=True)
            mean = (scores * real).sum((-2, -1), keepdim=True) / n
            scale = (((scores - mean) * real).square().sum((-2, -1), keepdim=True) / n).sqrt()
        stride = 2 if scores.shape[-2] == 256 else 4
        p = (scores + strength * scale * regions[stride]).softmax(-1)
        weights[stride].append(p.mean(1))
        out = torch.matmul(p, v)
        b, h, n_, d = out.shape
        return out.transpose(1, 2).reshape(b, n_, h * d)

    AttentionBlock.attend = attend
    try:
        output = network(*inputs.values())
    finally:
        AttentionBlock.attend = plain
    maps = {f"attention_s{s}": torch.stack(w).mean(0) for s, w in weights.items()}
    feeds = {f"regions_s{s}": r for s, r in regions.items()} | {"regions_strength": strength}
    return feeds, {"output": output, **maps}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    here = Path(__file__).parent
    parser.add_argument("--card", type=Path, default=here / "card-source.json")
    parser.add_argument("--tokenizers", type=Path, default=here.parent / "tokenizers")
    parser.add_argument("--only", nargs="+", help="graphs to write anew")
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    for name, network in networks(a.run, json.loads(a.card.read_text()), tokenizer_files.load(a.tokenizers), a.only).items():
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
        if name == "base-middle":
            golden["painted"] = {}
            for statistic in ("max", "std"):
                feeds, outputs = painted(rounded(copy.deepcopy(network)), inputs, statistic)
                golden["painted"][statistic] = {"inputs": {k: pack(v) for k, v in feeds.items()}, "outputs": {k: pack(v) for k, v in outputs.items()}}
        (a.out / f"{name}.json").write_text(json.dumps(golden) + "\n")
        print(name, f"fp16 rounding changes the output by {difference:.2e}")
