"""Tiny diffusers models as users export them, and what PyTorch answers on them with paint-with-words in its own attention.

    python make_stock.py [case …]        # needs torch, diffusers, onnx, onnxruntime, onnxscript

Per case: stock/<case>.onnx (names shortened, metadata dropped, operators untouched) and stock/<case>.json
{"inputs", "regions", "outputs": {"plain", "painted", "attention_s<stride>"}, "sites", "tolerance"}. Random weights, seeds fixed.
S' = S + strength·max(S)·A before every softmax over text keys, max per picture and head (eDiff-I §4.3).
"""

import base64
import contextlib
import json
import sys
import tempfile
import warnings
from pathlib import Path

import onnx
import torch
import torch.nn.functional as F

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent / "stock"
TEXT = 7
ORDER = {"cross": (None, "text"), "image-first": ("image-first", "image-first"), "text-first": ("text-first", "text-first"), "added": (None, "text-first")}


class Painter:
    """Replaces softmax(S) by softmax(S + strength·max(S)·A) wherever keys hold text; keeps the attention maps."""

    def __init__(self, order, regions, strength):
        self.order, self.regions, self.strength, self.maps = order, regions, strength, {}

    def __call__(self, scores):  # [B, heads, queries, keys]
        queries, keys = scores.shape[-2:]
        rows, columns = ORDER[self.order]
        for area, stride in self.regions["strides"].items():
            q = area if rows is None else area + TEXT
            k = {"text": TEXT}.get(columns, area + TEXT)
            if (queries, keys) != (q, k):
                continue
            top = 0 if rows in (None, "image-first") else TEXT
            left = area if columns == "image-first" else 0
            block = (..., slice(top, top + area), slice(left, left + TEXT))
            scores = scores.clone()
            part = scores[block]
            scores[block] = part + self.strength * part.amax((-2, -1), keepdim=True) * self.regions["maps"][stride]
            weights = scores.softmax(-1)
            self.maps.setdefault(stride, []).append(weights[block].mean(1))
            return weights
        return scores.softmax(-1)


@contextlib.contextmanager
def painting(painter):
    from diffusers.models.attention_processor import Attention

    plain, eager = F.scaled_dot_product_attention, Attention.get_attention_scores

    def sdpa(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
        scores = query @ key.transpose(-2, -1) * (scale or query.shape[-1] ** -0.5)
        return painter(scores if attn_mask is None else scores + attn_mask) @ value

    def merged(self, query, key, attention_mask=None):  # [B·heads, tokens, d]
        scores = query @ key.transpose(-2, -1) * self.scale
        if attention_mask is not None:
            scores = scores + attention_mask
        return painter(scores.unflatten(0, (-1, self.heads))).flatten(0, 1)

    F.scaled_dot_product_attention, Attention.get_attention_scores = sdpa, merged
    try:
        yield
    finally:
        F.scaled_dot_product_attention, Attention.get_attention_scores = plain, eager


class Positional(torch.nn.Module):
    """Keyword model → positional inputs, first output; what diffusers wants in added_cond_kwargs goes there."""

    def __init__(self, model, names):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *values):
        return call(self.model, dict(zip(self.names, values)))


def call(model, inputs):
    added = {name: inputs[name] for name in ("text_embeds", "time_ids") if name in inputs}
    if "encoder_attention_mask" in inputs:
        added = {"resolution": None, "aspect_ratio": None}
    rest = {name: value for name, value in inputs.items() if name not in added}
    return model(**rest, **({"added_cond_kwargs": added} if added else {}), return_dict=False)[0]


def unet(eager=False, deepfloyd=False, deep=None, **more):
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnAddedKVProcessor, AttnProcessor

    if deepfloyd:
        cross = dict(
            down_block_types=("SimpleCrossAttnDownBlock2D", "ResnetDownsampleBlock2D"), up_block_types=("ResnetUpsampleBlock2D", "SimpleCrossAttnUpBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn", encoder_hid_dim=6, encoder_hid_dim_type="text_proj", addition_embed_type="text", addition_embed_type_num_heads=2,
        )
    elif deep:
        cross = deep
    else:
        cross = dict(down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), mid_block_type=None)
    model = UNet2DConditionModel(
        sample_size=8, in_channels=2, out_channels=2, block_out_channels=(4, 8), layers_per_block=1, cross_attention_dim=8, norm_num_groups=2,
        **({"attention_head_dim": 4, "only_cross_attention": False} if deepfloyd else {"attention_head_dim": 2}), **cross, **more,
    )
    if eager:
        model.set_attn_processor(AttnAddedKVProcessor() if deepfloyd else AttnProcessor())
    return model


def sdxl(eager=False):
    return unet(
        eager, deep=dict(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), mid_block_type=None, transformer_layers_per_block=(1, 2),
            use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=2, projection_class_embeddings_input_dim=6 * 2 + 4,
        ),
    )


def pixart():
    from diffusers import PixArtTransformer2DModel

    return PixArtTransformer2DModel(num_attention_heads=2, attention_head_dim=4, in_channels=2, out_channels=2, num_layers=2, norm_num_groups=2, cross_attention_dim=8, sample_size=8, patch_size=2, caption_channels=6, use_additional_conditions=False)


def sd3():
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(sample_size=16, patch_size=2, in_channels=2, num_layers=2, attention_head_dim=4, num_attention_heads=2, joint_attention_dim=6, caption_projection_dim=8, pooled_projection_dim=4, out_channels=2, pos_embed_max_size=16)


def flux():
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=2, joint_attention_dim=6, pooled_projection_dim=4, guidance_embeds=False, axes_dims_rope=(2, 2, 4))


def picture(width, height=8):
    return {"sample": torch.randn(2, 2, height, width), "timestep": torch.tensor([3.0, 3.0]), "encoder_hidden_states": torch.randn(2, TEXT, 8)}


def picture_if(width, height=8):
    return picture(width, height) | {"encoder_hidden_states": torch.randn(2, TEXT, 6)}


def picture_sdxl(width, height=8):
    return picture(width, height) | {"text_embeds": torch.randn(2, 4), "time_ids": torch.tensor([[64.0, 96, 0, 0, 64, 96]] * 2)}


def picture_pixart(width, height=8):
    inputs = {"hidden_states": torch.randn(2, 2, height, width), "encoder_hidden_states": torch.randn(2, TEXT, 6), "timestep": torch.tensor([3, 3])}
    return inputs | {"encoder_attention_mask": (torch.arange(TEXT) < torch.tensor([[4], [6]])).long()}


def latent(width, height=8):
    return {"hidden_states": torch.randn(2, 2, height, width), "encoder_hidden_states": torch.randn(2, TEXT, 6), "pooled_projections": torch.randn(2, 4), "timestep": torch.tensor([3.0, 3.0])}


def packed(width, height=4):
    ids = torch.zeros(height * width, 3)
    ids[:, 1], ids[:, 2] = torch.arange(height).repeat_interleave(width), torch.arange(width).repeat(height)
    return {"hidden_states": torch.randn(2, height * width, 4), "encoder_hidden_states": torch.randn(2, TEXT, 6), "pooled_projections": torch.randn(2, 4), "timestep": torch.tensor([0.3, 0.3]), "img_ids": ids, "txt_ids": torch.zeros(TEXT, 3)}


U = {"build": unet, "inputs": picture, "order": "cross", "strides": lambda w, h=8: {h * w: 1, h * w // 4: 2}}
IF = {"build": lambda **k: unet(deepfloyd=True, **k), "inputs": picture_if, "order": "added", "strides": lambda w, h=8: {h * w: 1, h * w // 4: 2}}
SDXL = {"build": sdxl, "inputs": picture_sdxl, "order": "cross", "strides": lambda w, h=8: {h * w // 4: 2}}
PIXART = {"build": pixart, "inputs": picture_pixart, "order": "cross", "strides": lambda w, h=8: {h * w // 4: 2}, "static": True}
SD3 = {"build": sd3, "inputs": latent, "order": "image-first", "strides": lambda w, h=8: {h * w // 4: 2}}
FLUX = {"build": flux, "inputs": packed, "order": "text-first", "strides": lambda w, h=4: {h * w: 1}}
CASES = {
    "unet-ts-sdpa": U | {"opset": 17},
    "unet-ts-eager": U | {"opset": 14, "arguments": {"eager": True}},
    "unet-ts-static": U | {"opset": 17, "static": True},
    "unet-dynamo-sdpa": U | {"opset": 18, "dynamo": True},
    "unet-dynamo-attention": U | {"opset": 23, "dynamo": True},
    "unet-ts-fp16": U | {"opset": 17, "after": "half", "tolerance": 6e-3},
    "unet-ort-mha": U | {"opset": 17, "after": "fuse", "tolerance": 2e-5},
    "unet-ort-packed-kv": U | {"opset": 17, "after": "pack", "tolerance": 2e-5, "stock": False},
    "sdxl-ts-eager": SDXL | {"opset": 17, "arguments": {"eager": True}},
    "sdxl-dynamo-sdpa": SDXL | {"opset": 18, "dynamo": True},
    "sdxl-dynamo-attention": SDXL | {"opset": 23, "dynamo": True},
    "sdxl-ort-mha": SDXL | {"opset": 17, "after": "fuse", "tolerance": 2e-5},
    "if-ts-sdpa": IF | {"opset": 17},
    "if-ts-eager": IF | {"opset": 17, "arguments": {"eager": True}},
    "if-dynamo-sdpa": IF | {"opset": 18, "dynamo": True},
    "if-dynamo-attention": IF | {"opset": 23, "dynamo": True},
    "pixart-dynamo-sdpa": PIXART | {"opset": 18, "dynamo": True},
    "pixart-dynamo-attention": PIXART | {"opset": 23, "dynamo": True, "stock": False},  # ONNX Runtime 1.30 broadcasts no mask over queries
    "sd3-ts-sdpa": SD3 | {"opset": 17},
    "sd3-dynamo-sdpa": SD3 | {"opset": 18, "dynamo": True},
    "sd3-dynamo-attention": SD3 | {"opset": 23, "dynamo": True},
    "sd3-ort-mha": SD3 | {"opset": 17, "after": "fuse", "tolerance": 2e-5},
    "flux-dynamo-sdpa": FLUX | {"opset": 18, "dynamo": True, "static": True},
    "flux-dynamo-attention": FLUX | {"opset": 23, "dynamo": True, "static": True},
}


@contextlib.contextmanager
def honest_squeeze():
    """PixArt squeezes its token axis, which does nothing in PyTorch; exported, it becomes a Squeeze that ONNX Runtime refuses. Left out here."""
    plain = torch.Tensor.squeeze

    def squeeze(self, *axes):
        return self if axes == (1,) and self.shape[1] != 1 else plain(self, *axes)

    torch.Tensor.squeeze = squeeze
    try:
        yield
    finally:
        torch.Tensor.squeeze = plain


def export(case, model, path):
    inputs = case["inputs"](8)
    names, values = list(inputs), tuple(inputs.values())
    wrapped = Positional(model, names)
    spatial = {"sample": {0: "batch", 2: "height", 3: "width"}, "hidden_states": {0: "batch", 2: "height", 3: "width"}, "encoder_hidden_states": {0: "batch", 1: "sequence"}, "timestep": {0: "batch"}, "pooled_projections": {0: "batch"}, "text_embeds": {0: "batch"}, "time_ids": {0: "batch"}}
    if case.get("dynamo"):
        from torch.export import Dim

        auto = tuple({axis: Dim.AUTO for axis in spatial.get(name, {})} for name in names)
        program = torch.onnx.export(wrapped, values, dynamo=True, opset_version=case["opset"], input_names=names, output_names=["out"], dynamic_shapes=None if case.get("static") else (auto,), verbose=False)
        program.save(path)
        return
    torch.onnx.export(wrapped, values, path, dynamo=False, opset_version=case["opset"], input_names=names, output_names=["out"], dynamic_axes=None if case.get("static") else {n: spatial[n] for n in names if n in spatial})


def optimised(path, pack, kind):
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions(kind)
    for name in ("enable_group_norm", "enable_skip_group_norm", "enable_bias_splitgelu", "enable_nhwc_conv", "enable_bias_add", "enable_packed_qkv"):
        setattr(options, name, False)
    options.enable_packed_kv = pack
    return optimize_model(str(path), model_type=kind, opt_level=0, optimization_options=options, use_gpu=True).model


def halved(model):
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(model, keep_io_types=True)


def shortened(model):
    """Short tensor names, no node names, no metadata: what detection must not need. Operators and attributes stay."""
    graph = model.graph
    kept = {v.name for v in [*graph.input, *graph.output]} | {""}
    names = {}
    short = lambda name: name if name in kept else names.setdefault(name, f"t{len(names)}")
    for node in graph.node:
        node.name = ""
        node.doc_string = ""
        del node.metadata_props[:]
        node.input[:] = [short(n) for n in node.input]
        node.output[:] = [short(n) for n in node.output]
        for attribute in node.attribute:
            assert not attribute.HasField("g"), "subgraphs are not renamed"
    for tensor in [*graph.initializer, *graph.value_info]:
        tensor.name = short(tensor.name)
        tensor.doc_string = ""
    for value in [*graph.value_info, *graph.input, *graph.output]:
        del value.metadata_props[:]
    del graph.metadata_props[:], model.metadata_props[:]
    graph.doc_string = model.doc_string = ""
    return model


def pack(tensor):
    dtype = "int64" if tensor.dtype == torch.int64 else "float32"
    return {"dtype": dtype, "shape": list(tensor.shape), "base64": base64.b64encode(tensor.contiguous().numpy().tobytes()).decode()}


@torch.no_grad()
def make(name, case):
    torch.manual_seed(0)
    model = case["build"](**case.get("arguments", {})).eval()
    for parameter in model.parameters():  # scores of several units, so that paint shows
        if parameter.ndim == 2:
            parameter.mul_(2.5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        with honest_squeeze() if name.startswith("pixart") else contextlib.nullcontext():
            export(case, model, path)
        after = case.get("after")
        proto = optimised(path, after == "pack", "mmdit" if case["order"] == "image-first" else "unet") if after in ("fuse", "pack") else onnx.load(path)
        proto = halved(proto) if after == "half" else proto
    HERE.mkdir(exist_ok=True)
    onnx.save(shortened(proto), HERE / f"{name}.onnx")

    torch.manual_seed(1)
    width = 8 if case.get("static") else 12
    inputs = case["inputs"](width)
    strides = case["strides"](width)
    maps = {stride: (torch.rand(2, 1, area, TEXT) < 0.3).float() * torch.rand(2, 1, 1, TEXT) for area, stride in strides.items()}
    strength = torch.tensor([0.8, 0.3]).view(2, 1, 1, 1)
    painter = Painter(case["order"], {"strides": strides, "maps": maps}, strength)
    plain = call(model, inputs)
    with painting(painter):
        painted = call(model, inputs)
    found = {stride: len(weights) for stride, weights in painter.maps.items()}
    assert set(found) == set(strides.values()), f"{name}: PyTorch has sites {found}"
    outputs = {"plain": plain, "painted": painted} | {f"attention_s{s}": torch.stack(w).mean(0) for s, w in painter.maps.items()}
    regions = {f"regions_s{s}": m for s, m in maps.items()} | {"regions_strength": strength}
    record = {"order": case["order"], "stock": case.get("stock", True), "tolerance": case.get("tolerance", 1e-5), "sites": found}
    record |= {key: {k: pack(v) for k, v in group.items()} for key, group in (("inputs", inputs), ("regions", regions), ("outputs", outputs))}
    (HERE / f"{name}.json").write_text(json.dumps(record) + "\n")
    ops = [n.op_type for n in proto.graph.node]
    print(f"{name}: {(HERE / f'{name}.onnx').stat().st_size >> 10} KiB, {len(ops)} nodes, sites {found}, effect {float((painted - plain).abs().max()):.3g} of {float(plain.abs().max()):.3g}, "
          + ", ".join(f"{ops.count(o)} {o}" for o in ("Softmax", "Attention", "MultiHeadAttention") if ops.count(o)))


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        make(name, CASES[name])
