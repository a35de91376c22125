"""Checkpoints → plain ONNX graphs (fp16 weights behind Cast, fp32 arithmetic) and card.json.

    python export.py --run DIR --out ..          # DIR: encoders/*.pt, base-*.pt, sr*.pt, classifier.pt
    python export.py --run DIR --parents base sr1                # keeps the experts' parents in parents/, for resume.py
    EDIFFI_NETWORK=small python export.py --run DIR --compared base-single base-high …       # the networks of benchmarks/experts.mjs (experts.sh), to benchmarks/weights
    python export.py --random --out DIR          # random weights of the same shapes, for development

Nothing about regions or maps is in the graphs: the SDK adds that to any export.
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import save_file

import classifier
import tokenizer_files
from encoders import ClipImage, ClipText, T5Encoder
from unet import CLIP_LENGTH, T5_LENGTH, TEXT_WIDTH, network_for, trained

OPSET = 18
PARENTS = Path(__file__).parent / "parents"  # of the experts, float16: not part of the model, for whoever trains on
COMPARED = Path(__file__).parents[3] / "benchmarks/weights"
ENCODERS = ("t5", "clip-text", "clip-image")


def conditioning(batch):
    return {
        "t5": torch.randn(batch, T5_LENGTH, TEXT_WIDTH), "clip": torch.randn(batch, CLIP_LENGTH, TEXT_WIDTH),
        "clip_pooled": torch.randn(batch, TEXT_WIDTH), "clip_image": torch.randn(batch, TEXT_WIDTH),
    }


def example(kind, batch=2):
    """Named example inputs of a graph, in the order of its forward()."""
    if kind == "t5":
        return {"input_ids": torch.tensor([[5, 40, 41, 1] + [0] * (T5_LENGTH - 4)] * batch)}
    if kind == "clip-text":
        return {"input_ids": torch.tensor([[1, 40, 41, 2] + [0] * (CLIP_LENGTH - 4)] * batch)}
    if kind == "classifier":
        return {"pixel_values": torch.rand(batch, 3, classifier.SIZE, classifier.SIZE) * 2 - 1}
    if kind == "imagenet":
        return {"pixel_values": torch.rand(batch, 3, 256, 256) * 2 - 1}
    if kind == "clip-image":
        return {"pixel_values": torch.rand(batch, 3, 32, 32) * 2 - 1}
    if kind.startswith("base"):
        return {"sample": torch.randn(batch, 3, 32, 32), "c_noise": torch.linspace(-0.5, 0.5, batch), **conditioning(batch)}
    low = 64 if kind.startswith("sr2") else 32
    return {
        "sample": torch.randn(batch, 3, 128, 128), "c_noise": torch.linspace(-0.5, 0.5, batch),
        "low_res": torch.randn(batch, 3, low, low), "augmentation": torch.full((batch,), 0.05), **conditioning(batch),
    }


OUTPUTS = {"t5": ["last_hidden_state"], "clip-text": ["last_hidden_state", "pooled"], "clip-image": ["image_embeds"], "classifier": classifier.OUTPUTS, "imagenet": ["features"]}


def dynamic_axes(kind, names):
    axes = {name: {0: "batch"} for name in names}
    if kind.startswith("base"):
        axes |= {name: {0: "batch", 2: "height", 3: "width"} for name in ("sample", "output")}
    if kind.startswith("sr"):
        axes |= {name: {0: "batch", 2: "height", 3: "width"} for name in ("sample", "output")}
        axes["low_res"] = {0: "batch", 2: "low_height", 3: "low_width"}
    return axes


def halve(model):
    """Stores every float32 initializer above 64 entries as float16 behind a Cast: half the bytes, same arithmetic."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) <= 64:
            continue
        name = tensor.name
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name + ".fp16")
        tensor.CopyFrom(half)
        casts.append(onnx.helper.make_node("Cast", [half.name], [name], name=f"cast/{name}", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def export(model, kind, path):
    model.eval()
    inputs = example(kind)
    outputs = OUTPUTS.get(kind, ["output"])
    torch.onnx.export(
        model, tuple(inputs.values()), str(path), dynamo=False, opset_version=OPSET, input_names=list(inputs),
        output_names=outputs, dynamic_axes=dynamic_axes(kind, [*inputs, *outputs]),
    )
    graph = onnx.load(str(path))
    for node in graph.graph.node:  # paths of this machine and Python stack traces do not belong in a release
        node.doc_string = ""
    onnx.save(halve(graph), str(path))
    data = path.read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "parameters": sum(p.numel() for p in model.parameters())}


def rounded(model):
    """The float16 values that the committed file holds, as float32: what parity is measured against."""
    for p in model.parameters():
        if p.numel() > 64:
            p.data = p.data.half().float()
    return model


def networks(run, card, tokenizers, only=None):
    """{graph name: network}, with the weights of `run`, or random ones when it is None; `only`: of these graphs."""
    load = lambda model, name: model if run is None else (model.load_state_dict(torch.load(run / name, map_location="cpu")), model)[1]
    makers = {
        "t5": lambda: load(T5Encoder(tokenizers[0].get_vocab_size()), "encoders/t5.pt"),
        "clip-text": lambda: load(ClipText(tokenizers[1].get_vocab_size()), "encoders/clip-text.pt"),
        "clip-image": lambda: load(ClipImage(), "encoders/clip-image.pt"),
    }
    for stage in card["stages"]:
        for expert in stage["experts"]:
            name = expert["file"].removesuffix(".onnx")
            makers[name] = lambda name=name: network_for(name) if run is None else trained(run, name)
    if "evaluation" in card:
        makers["classifier"] = lambda: load(classifier.Classifier(), "classifier.pt").fused()
    return {name: make() for name, make in makers.items() if only is None or name in only}


def randomize(model):
    for p in model.parameters():
        if p.abs().sum() == 0:
            torch.nn.init.normal_(p, std=0.02)
    return model


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--card", type=Path, default=Path(__file__).parent / "card-source.json")
    parser.add_argument("--tokenizers", type=Path, default=Path(__file__).parent.parent / "tokenizers")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="+", help="graphs to write anew; the others stay as they are in --out")
    parser.add_argument("--parents", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--compared", nargs="+", default=[], metavar="NAME")
    a = parser.parse_args()
    if a.out is None and not a.parents and not a.compared:
        parser.error("--out, --parents or --compared: nothing would be written")
    for name in a.parents:
        weights = torch.load(a.run / f"{name}.pt", map_location="cpu")
        save_file({k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in weights.items()}, PARENTS / f"{name}.safetensors")
    for name in a.compared:
        print(name, export(rounded(trained(a.run, name)), name, COMPARED / f"{name}.onnx"), flush=True)
    if a.out is None:
        parser.exit()
    torch.manual_seed(0)
    card = json.loads(a.card.read_text())
    weights = a.out / "weights"
    weights.mkdir(parents=True, exist_ok=True)
    card["files"] = json.loads((a.out / "card.json").read_text())["files"] if a.only else {}
    if "evaluation" in card:
        card["evaluation"]["labels"] = classifier.LABELS
    for name, network in networks(None if a.random else a.run, card, tokenizer_files.load(a.tokenizers), a.only).items():
        network = rounded(randomize(network) if a.random else network)
        card["files"][f"{name}.onnx"] = export(network, name, weights / f"{name}.onnx")
        print(name, card["files"][f"{name}.onnx"], flush=True)
    (a.out / "card.json").write_text(json.dumps(card, indent=2) + "\n")
