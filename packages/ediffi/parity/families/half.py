"""sd15 in float16, weights and inputs, by ONNX Runtime's converter: what a user's fp16 folder is.

The reference is the diffusers pipeline with ONNX Runtime's answers on these very graphs in the place of its networks; latents stay float32 between calls. Against sd15's
own float32 pictures, half precision and guidance make up to 11/255 here: that is the model's loss, not the reader's.
"""

import json
import os
import shutil

import onnx
import onnxruntime
import torch
from onnxruntime.transformers.float16 import convert_float_to_float16

from families.sd15 import NEGATIVE, OTHER, PROMPT, components, embeddings, quiet, solvers
from oracle.folder import FIXTURES, quiet_options
from oracle.record import case


def constants_stored(model):
    """Constant nodes as initializers, which ONNX Runtime's optimizer leaves; the converter knows only of those that some must stay float32 (scales of Resize)."""
    for node in [n for n in model.graph.node if n.op_type == "Constant" and n.attribute[0].name == "value"]:
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        model.graph.initializer.append(tensor)
        model.graph.node.remove(node)
    return model


def answering(folder):
    """(inputs by name) → the graph's outputs, float32; floats go in as float16."""
    session = onnxruntime.InferenceSession(str(FIXTURES / "sd15-fp16" / folder / "model.onnx"), quiet_options(), providers=["CPUExecutionProvider"])
    kinds = {"tensor(float16)": torch.float16, "tensor(int64)": torch.int64, "tensor(int32)": torch.int32}

    def run(**feeds):
        given = {i.name: feeds[i.name].to(kinds[i.type]).reshape(feeds[i.name].shape or ([1] if i.shape else [])).numpy() for i in session.get_inputs()}
        return [torch.from_numpy(output).float() for output in session.run(None, given)]

    return run


def halved(pipeline):
    """The pipeline with the float16 graphs' answers in the place of its networks'."""
    unet, text, decoder = (answering(folder) for folder in ("unet", "text_encoder", "vae_decoder"))
    pipeline.unet.forward = lambda sample, timestep, encoder_hidden_states, **_: (unet(sample=sample, timestep=torch.as_tensor(timestep), encoder_hidden_states=encoder_hidden_states)[0],)
    pipeline.text_encoder.forward = lambda input_ids, **_: (text(input_ids=input_ids)[0],)
    pipeline.vae.decode = lambda latents, **_: (decoder(latent_sample=latents)[0],)
    return pipeline


def make():
    from diffusers import StableDiffusionPipeline

    convert()
    pipeline = halved(quiet(StableDiffusionPipeline(**components())))
    for name in ("euler", "ddim"):
        pipeline.scheduler = solvers(pipeline.scheduler.config)[name]
        arguments = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 6, "guidance_scale": 5.0, "height": 64, "width": 64}
        case(f"sd15-fp16-{name}", "sd15-fp16", pipeline, 7, arguments, embeddings(pipeline, PROMPT, NEGATIVE), OTHER, draws="the initial noise")


def convert():
    source, target, links = FIXTURES / "sd15", FIXTURES / "sd15-fp16", json.loads((FIXTURES / "sd15/links.json").read_text())
    shutil.rmtree(target, ignore_errors=True)
    for file in sorted(p for p in source.rglob("*") if p.is_file() and p.name != "links.json"):
        path = file.relative_to(source)
        if path.suffix != ".onnx":
            links[str(path)] = f"fixtures/sd15/{path}"
            continue
        model = convert_float_to_float16(constants_stored(onnx.load(file)), keep_io_types=False, disable_shape_infer=True)
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, target / path)
        print(f"  {path}: {os.path.getsize(file) >> 10} → {os.path.getsize(target / path) >> 10} KiB", flush=True)
    (target / "links.json").write_text(json.dumps(links, indent=2) + "\n")
