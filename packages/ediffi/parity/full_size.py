"""Stable Diffusion 1.5's UNet at its real size with random weights, exported as users export it.

    python full_size.py FOLDER [ts-fp32 | ts-fp16 | dynamo-fp32 …] [--config unet-folder]     # needs torch, diffusers, onnx

Writes FOLDER/<case>/unet/model.onnx: float32 with one file of external data beside it (3.4 GB), float16 inline (1.7 GB, as optimum leaves it).
The graph is traced at small latents with free sizes, so that export costs memory, not hours (8×8 would fix the
middle block at 1×1 in a dynamo export). For benchmarks/full-size.mjs.
"""

import argparse
import gc
import os
import shutil
import time
import warnings
from pathlib import Path

import onnx
import torch

warnings.filterwarnings("ignore")
NAMES = ["sample", "timestep", "encoder_hidden_states"]
AXES = {"sample": {0: "batch", 2: "height", 3: "width"}, "timestep": {0: "batch"}, "encoder_hidden_states": {0: "batch", 1: "sequence"}}


def unet(config, dtype):
    """The architecture of `config`, its weights drawn small enough that 860 M of them give finite pictures."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        model = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(config))
    model = model.to_empty(device="cpu").to(dtype).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.ndim == 1:
            parameter.fill_(1)
        else:
            fan = parameter[0].numel()
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * fan**-0.5)
    return model


class Positional(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, sample, timestep, encoder_hidden_states):
        return self.model(sample, timestep, encoder_hidden_states, return_dict=False)[0]


def one_data_file(raw, target):
    """Moves the tensors of a graph exported with one file per tensor into model.onnx_data, without holding them in memory."""
    graph = onnx.load(raw, load_external_data=False)
    with open(target.parent / "model.onnx_data", "wb") as out:
        for tensor in graph.graph.initializer:
            if tensor.data_location != onnx.TensorProto.EXTERNAL:
                continue
            entries = {e.key: e.value for e in tensor.external_data}
            out.write(b"\0" * (-out.tell() % 4096))  # pages, as ONNX Runtime maps them
            offset = out.tell()
            with open(raw.parent / entries["location"], "rb") as data:
                data.seek(int(entries.get("offset", 0)))
                length = int(entries.get("length", 0)) or os.fstat(data.fileno()).st_size - data.tell()
                remaining = length
                while remaining:
                    chunk = data.read(min(remaining, 1 << 24))
                    out.write(chunk)
                    remaining -= len(chunk)
            del tensor.external_data[:]
            for key, value in {"location": "model.onnx_data", "offset": offset, "length": length}.items():
                entry = tensor.external_data.add()
                entry.key, entry.value = key, str(value)
    onnx.save(graph, target)


def export(case, config, folder):
    exporter, precision = case.split("-")
    dtype = {"fp32": torch.float32, "fp16": torch.float16}[precision]
    model = unet(config, dtype)
    width = model.config.cross_attention_dim
    inputs = (torch.randn(2, 4, 16, 24, dtype=dtype), torch.tensor([3, 3]), torch.randn(2, 77, width, dtype=dtype))
    raw, target = folder / "raw" / "model.onnx", folder / "unet" / "model.onnx"
    for path in (raw, target):
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir(parents=True)
    if exporter == "dynamo":
        from torch.export import Dim

        shapes = tuple({axis: Dim.AUTO for axis in AXES[name]} for name in NAMES)
        program = torch.onnx.export(Positional(model), inputs, dynamo=True, opset_version=18, input_names=NAMES, output_names=["out_sample"], dynamic_shapes=shapes, verbose=False, external_data=True)
        program.save(raw, external_data=True)
    else:
        torch.onnx.export(Positional(model), inputs, str(raw), dynamo=False, opset_version=17, input_names=NAMES, output_names=["out_sample"], dynamic_axes=AXES)
    del model
    gc.collect()
    if precision == "fp16":
        shutil.move(raw, target)
    else:
        one_data_file(raw, target)
    shutil.rmtree(raw.parent)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("cases", nargs="*", default=["ts-fp32", "ts-fp16"])
    parser.add_argument("--config", required=True, help="folder of the UNet's config.json, such as hub-skeletons/stable-diffusion-v1-5/unet")
    options = parser.parse_args()
    for case in options.cases:
        started = time.time()
        with torch.no_grad():
            export(case, options.config, options.folder / case)
        sizes = {path.name: path.stat().st_size for path in sorted((options.folder / case / "unet").iterdir())}
        print(f"{case}: {sizes}, {time.time() - started:.0f} s", flush=True)
