"""LoRA on tiny diffusers models: files as kohya and as diffusers write them, and what diffusers' own load_lora_weights makes of them.

    PYTHONPATH=<folder with peft> python make_lora.py        # needs torch, diffusers, transformers, peft, onnx

Writes lora/: unet-<exporter>.onnx and clip-ts.onnx (names as exported: LoRA is found by them), kohya.safetensors (UNet linear and conv layers of
rank 1 and 3 with alpha, text encoder), diffusers.safetensors (bfloat16, no alpha), and lora.json: inputs, and outputs of base, one, the other, both.
The UNet's outputs are those of load_lora_weights and set_adapters. diffusers 0.42 does not find the text encoder's layers under transformers 5.24's
names (it says so, and initialises them at random), so that there W + weight·(alpha/rank)·up·down is written into the modules.
"""

import base64
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))
from make_stock import Positional, halved, pack, picture, unet  # noqa: E402

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent / "lora"
WEIGHTS = {"kohya": 0.8, "diffusers": -0.5}


def clip():
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(CLIPTextConfig(vocab_size=32, hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=7, projection_dim=8, eos_token_id=31, bos_token_id=30, pad_token_id=31))


def export(model, names, values, path, exporter):
    axes = {"sample": {0: "batch", 2: "height", 3: "width"}, "encoder_hidden_states": {0: "batch", 1: "sequence"}, "timestep": {0: "batch"}}
    if exporter == "dynamo":
        torch.onnx.export(Positional(model, names), values, dynamo=True, opset_version=18, input_names=names, output_names=["out"], verbose=False).save(path)
    else:
        torch.onnx.export(Positional(model, names), values, str(path), dynamo=False, opset_version=17, input_names=names, output_names=["out"], dynamic_axes={n: axes[n] for n in names if n in axes})


def slim(model, keep=("pkg.torch.onnx.name_scopes",)):
    """Without what only debuggers read (dynamo writes a stack trace per node)."""
    for node in model.graph.node:
        entries = [(p.key, p.value) for p in node.metadata_props if p.key in keep]
        del node.metadata_props[:]
        for key, value in entries:
            entry = node.metadata_props.add()
            entry.key, entry.value = key, value
        node.doc_string = ""
    del model.graph.value_info[:], model.graph.metadata_props[:], model.metadata_props[:]
    for value in [*model.graph.initializer, *model.graph.input, *model.graph.output]:
        if hasattr(value, "metadata_props"):
            del value.metadata_props[:]
        value.doc_string = ""
    return model


def factors(module, rank, generator):
    weight = module.weight
    down = torch.randn(rank, *weight.shape[1:], generator=generator)
    up = torch.randn(weight.shape[0], rank, *([1] * (weight.ndim - 2)), generator=generator)
    return down * weight.std() * 1.5, up * 0.7


def modules(model, wanted):
    return {name: module for name, module in model.named_modules() if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and any(w in name for w in wanted)}


def kohya(unet, encoder, generator):
    out = {}
    # rank 1 and 3; conv 3×3 and 1×1 as well. One alpha for all attention: diffusers gives those layers the commonest of the file.
    for prefix, model, wanted in (("lora_unet", unet, ("attn", "ff.net", "proj_in", "conv1", "time_emb_proj")), ("lora_te", encoder, ("q_proj", "v_proj", "fc1"))):
        for i, (name, module) in enumerate(modules(model, wanted).items()):
            rank = 1 if i % 3 == 0 else 3
            down, up = factors(module, rank, generator)
            name = name if prefix == "lora_unet" or name.startswith("text_model") else f"text_model.{name}"
            key = f"{prefix}_{name.replace('.', '_')}"
            out |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(1.5 if "attn" in name else rank * 0.5 + 0.25)}
    return out


def diffusers(unet, encoder, generator):
    out = {}
    for prefix, model, wanted in (("unet", unet, ("to_q", "to_out.0")), ("text_encoder", encoder, ("k_proj", "out_proj"))):
        for name, module in modules(model, wanted).items():
            down, up = factors(module, 2, generator)
            name = name if prefix == "unet" or name.startswith("text_model") else f"text_model.{name}"
            out |= {f"{prefix}.{name}.lora_A.weight": down, f"{prefix}.{name}.lora_B.weight": up}
    return out


def delta(tensors, name):
    """(alpha/rank)·up·down of a text encoder's linear layer, 0 where the file does not touch it."""
    name = name if name.startswith("text_model") else f"text_model.{name}"
    kohya, peft = f"lora_te_{name.replace('.', '_')}", f"text_encoder.{name}"
    if f"{kohya}.alpha" in tensors:
        down, up = tensors[f"{kohya}.lora_down.weight"], tensors[f"{kohya}.lora_up.weight"]
        return tensors[f"{kohya}.alpha"] / down.shape[0] * (up @ down)
    return tensors[f"{peft}.lora_B.weight"].float() @ tensors[f"{peft}.lora_A.weight"].float() if f"{peft}.lora_A.weight" in tensors else 0.0


@torch.no_grad()
def main():
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
    from transformers import CLIPTokenizer

    HERE.mkdir(exist_ok=True)
    torch.manual_seed(0)
    model, encoder = unet().eval(), clip().eval()
    torch.manual_seed(1)
    inputs = picture(8) | {"timestep": torch.tensor([3.0, 3.0])}
    ids = torch.tensor([[30, 4, 9, 2, 31, 31, 31]])
    generator = torch.Generator().manual_seed(2)
    state = {"kohya": kohya(model, encoder, generator), "diffusers": {k: v.bfloat16() for k, v in diffusers(model, encoder, generator).items()}}
    for name, tensors in state.items():
        save_file({k: v.contiguous() for k, v in tensors.items()}, HERE / f"{name}.safetensors")

    names, values = list(inputs), tuple(inputs.values())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for exporter in ("ts", "dynamo"):
            export(model, names, values, path, exporter)
            proto = slim(onnx.load(path))
            onnx.save(proto, HERE / f"unet-{exporter}.onnx")
            if exporter == "ts":
                onnx.save(halved(proto), HERE / "unet-fp16.onnx")
        export(encoder, ["input_ids"], (ids,), path, "ts")
        onnx.save(slim(onnx.load(path)), HERE / "clip-ts.onnx")

    tokenizer = CLIPTokenizer.from_pretrained(Path(os.environ.get("HUB_SKELETONS", "hub-skeletons")) / "stable-diffusion-v1-5/tokenizer")
    vae = AutoencoderKL(block_out_channels=(4,), norm_num_groups=2)
    pipe = StableDiffusionPipeline(vae, encoder, tokenizer, model, DDIMScheduler(), None, None, requires_safety_checker=False)
    outputs = {}
    plain = {name: module.weight.clone() for name, module in modules(encoder, [""]).items()}

    def keep(case, chosen=()):
        for name, module in modules(encoder, [""]).items():
            module.weight.copy_(plain[name] + sum(WEIGHTS[c] * delta(state[c], name) for c in chosen))
        outputs[case] = {"unet": pack(pipe.unet(**inputs, return_dict=False)[0]), "clip": pack(encoder(ids)[0])}

    keep("base")
    for name, tensors in state.items():
        pipe.load_lora_weights({k: v for k, v in tensors.items() if k.startswith(("lora_unet", "unet"))}, adapter_name=name)
    for case, chosen in {"kohya": ["kohya"], "diffusers": ["diffusers"], "both": list(state)}.items():
        pipe.set_adapters(chosen, [WEIGHTS[c] for c in chosen])
        keep(case, chosen)
    for part in ("unet", "clip"):
        decoded = {c: torch.frombuffer(bytearray(base64.b64decode(o[part]["base64"])), dtype=torch.float32) for c, o in outputs.items()}
        print(part, {c: round(float((v - decoded["base"]).abs().max() / decoded["base"].abs().max()), 3) for c, v in decoded.items()})
    record = {"weights": WEIGHTS, "inputs": {"unet": {k: pack(v) for k, v in inputs.items()}, "clip": {"input_ids": pack(ids)}}, "outputs": outputs}
    (HERE / "lora.json").write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
