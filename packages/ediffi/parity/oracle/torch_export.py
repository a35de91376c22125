"""torch.onnx.export (TorchScript, opset 17) for the families that optimum does not know, in optimum's folders, names and free sizes."""

import tempfile
from pathlib import Path

import onnx
import torch

TEXT = {0: "batch_size", 1: "sequence_length"}
FREE = {
    "input_ids": TEXT, "attention_mask": TEXT, "encoder_hidden_states": TEXT, "encoder_attention_mask": TEXT, "timestep": {0: "batch_size"}, "class_labels": {0: "batch_size"}, "controlnet_cond": {0: "batch_size", 2: "picture_height", 3: "picture_width"},
    "sample": {0: "batch_size", 2: "height", 3: "width"}, "hidden_states": {0: "batch_size", 2: "height", 3: "width"}, "latent_sample": {0: "batch_size", 2: "latent_height", 3: "latent_width"},
}


class Named(torch.nn.Module):
    """A keyword model as a positional one."""

    def __init__(self, call, module, names):
        super().__init__()
        self.module, self.call, self.names = module, call, names

    def forward(self, *values):
        return self.call(self.module, dict(zip(self.names, values)))


def graph(folder, module, inputs, output, call=lambda module, feeds: module(**feeds, return_dict=False)[0], fixed=False, axes=None):
    """Writes folder/model.onnx and folder/config.json. `inputs` name → example; a scalar timestep stays a scalar; `fixed` keeps height and width of the example.
    `output`: a name, or as many as `call` gives; `axes`: free sizes by name where they are not those of FREE."""
    folder.mkdir(parents=True)
    names, outputs = list(inputs), [output] if isinstance(output, str) else list(output)
    axes = {n: FREE.get(n, {0: "batch_size"}) for n in names if inputs[n].ndim} | {n: FREE["input_ids" if n == "last_hidden_state" else "sample"] for n in outputs} | (axes or {})
    if fixed:
        axes = {n: {k: v for k, v in a.items() if v not in ("height", "width")} for n, a in axes.items()}
    torch.onnx.export(Named(call, module, names).eval(), tuple(inputs.values()), str(folder / "model.onnx"), dynamo=False, opset_version=17, input_names=names, output_names=outputs, dynamic_axes=axes)
    onnx.save(without_squeeze(onnx.load(folder / "model.onnx")), folder / "model.onnx")
    module.save_config(folder) if hasattr(module, "save_config") else module.config.save_pretrained(folder)


def without_squeeze(model):
    """Turns `If(axis is 1) Squeeze else Identity`, which tracing makes of squeeze(1) on the token axis and ONNX Runtime refuses to load, into Identity."""
    for node in model.graph.node:
        branches = [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
        kinds = {b.node[-1].op_type: b.node[-1] for b in branches}
        if node.op_type == "If" and set(kinds) == {"Squeeze", "Identity"}:
            source, target = kinds["Identity"].input[0], node.output[0]
            node.CopyFrom(onnx.helper.make_node("Identity", [source], [target], name=node.name))
    return model


def work_folder():
    """An empty folder, in a temporary one of its own."""
    work = Path(tempfile.mkdtemp(prefix="parity-")) / "onnx"
    work.mkdir()
    return work


def exported(pipeline, network, inputs, output, fixed=False):
    """A folder as optimum's, with the denoiser `network` ('unet' or 'transformer') exported for `inputs`; text encoder with attention mask."""
    work = work_folder()
    if pipeline.text_encoder is not None:
        ids = torch.arange(2 * 12).reshape(2, 12)
        graph(work / "text_encoder", pipeline.text_encoder, {"input_ids": ids, "attention_mask": (ids % 12 < 7).long()}, "last_hidden_state")
    graph(work / network, getattr(pipeline, network), inputs, output, fixed=fixed)
    if hasattr(pipeline, "vae"):
        vae = pipeline.vae
        graph(work / "vae_encoder", vae, {"sample": torch.rand(1, 3, 32, 32)}, "latent_parameters", lambda m, f: m.encode(f["sample"]).latent_dist.parameters)
        graph(work / "vae_decoder", vae, {"latent_sample": torch.rand(1, vae.config.latent_channels, 4, 4)}, "sample", lambda m, f: m.decode(f["latent_sample"]).sample)
    for name in ("scheduler", "image_noising_scheduler"):
        if hasattr(pipeline, name):
            getattr(pipeline, name).save_pretrained(work / name)
    pipeline.save_config(work)
    return work
