"""Committed weights → the checkpoints that training goes on from, where the run that made them is gone.

    python resume.py --weights ../weights --run DIR     # encoders/*.pt, base-*.pt, sr1-*.pt, sr2.pt; the parent sr1.pt

The values are the float16 ones of the files. A graph of random weights, exported the same way, tells which initializer is
which parameter. Parents are not part of the model; export.py keeps them in parents/.
"""

import argparse
import json
import tempfile
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import load_file

import tokenizer_files
from export import ENCODERS, PARENTS, export, networks, randomize


def initializers(path):
    """{name: float32 tensor}, float16 ones under the name that their Cast gives them."""
    return {t.name.removesuffix(".fp16"): torch.from_numpy(numpy_helper.to_array(t).copy()).float() for t in onnx.load(str(path)).graph.initializer}


def state_of(network, kind, path):
    """The state dict of `network` with the values of the ONNX file. Raises ValueError when a parameter is not found."""
    for i, p in enumerate(network.parameters()):  # all values different, so that a match is the only one
        p.data = torch.randn_like(p) + i
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.onnx"
        export(network, kind, probe)
        marks, values = initializers(probe), initializers(path)
    if marks.keys() != values.keys():
        raise ValueError(f"{path}: its graph is not the one that this code exports: {sorted(marks.keys() ^ values.keys())[:6]}")
    state, found = network.state_dict(), set()
    for name, mark in marks.items():
        for key, p in network.named_parameters():
            half = p.data.half().float() if p.numel() > 64 else p.data
            if key in found or mark.numel() != p.numel():
                continue
            if torch.equal(mark.flatten(), half.flatten()):
                state[key] = values[name].reshape(p.shape)
            elif p.dim() == 2 and torch.equal(mark.flatten(), half.T.flatten()):  # a Linear's weight, as MatMul takes it
                state[key] = values[name].reshape(p.T.shape).T.contiguous()
            else:
                continue
            found.add(key)
    missing = [key for key, _ in network.named_parameters() if key not in found]
    if missing:
        raise ValueError(f"{path}: no values found for {missing[:6]}")
    return state


if __name__ == "__main__":
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=here.parent / "weights")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--card", type=Path, default=here / "card-source.json")
    parser.add_argument("--tokenizers", type=Path, default=here.parent / "tokenizers")
    a = parser.parse_args()
    (a.run / "encoders").mkdir(parents=True, exist_ok=True)
    card = json.loads(a.card.read_text())
    card.pop("evaluation", None)  # the judge's normalizations are fused in its file
    for name, network in networks(None, card, tokenizer_files.load(a.tokenizers)).items():
        state = state_of(randomize(network), name, a.weights / f"{name}.onnx")
        torch.save(state, a.run / (f"encoders/{name}.pt" if name in ENCODERS else f"{name}.pt"))
        print(name, len(state), "tensors", flush=True)
    for path in PARENTS.glob("*.safetensors"):
        torch.save({k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}, a.run / f"{path.stem}.pt")
