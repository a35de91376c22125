"""Model folders as the hub has them: exported by optimum, small enough to commit, big vocabularies shared through links.json."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from safetensors.torch import load_file, save_file

from .components import SKELETONS
from .weights import FOLD

PARITY = Path(__file__).parent.parent
FIXTURES, TOKENIZERS = PARITY / "fixtures", PARITY / "tokenizers"
OPTIMUM = os.environ.get("OPTIMUM_PYTHON", "venv-optimum/bin/python")
SHARED = {"vocab.json": "clip", "merges.txt": "clip", "tokenizer.json": "t5", "spiece.model": "t5"}
PIECES = {"if-stage1", "if-stage2", "pixart"}  # their hub repositories have spiece.model and no tokenizer.json


def exported(pipeline, tokenizers, task="text-to-image"):
    """The folder that optimum's main_export makes of `pipeline`, in a temporary place."""
    work = Path(tempfile.mkdtemp(prefix="parity-"))
    pipeline.save_pretrained(work / "torch", safe_serialization=True)
    for folder, skeleton in tokenizers.items():  # transformers 5 saves them in a form that the exporter's transformers 4 cannot read
        shutil.rmtree(work / "torch" / folder)
        shutil.copytree(SKELETONS / skeleton, work / "torch" / folder)
    index = work / "torch" / "model_index.json"
    index.write_text(index.read_text().replace('"T5Tokenizer"', '"T5TokenizerFast"'))  # the name hubs have; transformers 5 has but one
    for weights in (work / "torch").glob("text_encoder*/model.safetensors"):
        prefixed(weights)
    log = subprocess.run([OPTIMUM, str(Path(__file__).parent / "optimum_export.py"), str(work / "torch"), str(work / "onnx"), task], capture_output=True, text=True)
    if log.returncode:
        raise RuntimeError(f"optimum failed:\n{log.stderr[-4000:]}")
    shutil.rmtree(work / "torch")
    return work / "onnx"


def prefixed(path):
    """Gives a CLIPTextModel's tensors the names that every release but transformers 5 uses."""
    tensors = load_file(path)
    if "embeddings.token_embedding.weight" in tensors:
        save_file({f"text_model.{k}": v for k, v in tensors.items()}, path, metadata={"format": "pt"})


def fold_vocabulary(model):
    """Replaces Gather(table, ids) by Gather(the first FOLD rows, ids mod FOLD) where the table's rows repeat: same numbers, far fewer bytes."""
    graph = model.graph
    for tensor in list(graph.initializer):
        if len(tensor.dims) != 2 or tensor.dims[0] < 30000:
            continue
        table = numpy_helper.to_array(tensor)
        assert np.array_equal(table[FOLD : 2 * FOLD], table[:FOLD]) and np.array_equal(table[-5:], table[(np.arange(len(table)) % FOLD)[-5:]])
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(table[:FOLD]), tensor.name))
        users = [n for n in graph.node if tensor.name in n.input]
        assert users and all(n.op_type == "Gather" for n in users), [n.op_type for n in users]
        for index, node in enumerate(users):
            ids, folded = node.input[1], f"{tensor.name}.folded{index}"
            graph.initializer.append(numpy_helper.from_array(np.int64(FOLD), f"{folded}.rows"))
            at = list(graph.node).index(node)
            graph.node.insert(at, helper.make_node("Mod", [ids, f"{folded}.rows"], [folded], name=f"{folded}.mod"))
            node.input[1] = folded
    return model


def slim(source, target):
    """Writes the graph without what holds most bytes of so small a model: documentation, metadata, the names of values in between and of nodes
    without weights. Operators, attributes, weights, their names, and the names of the nodes that use them (LoRA needs those) stay."""
    model = fold_vocabulary(onnx.load(source))
    graph = model.graph
    weights = {t.name for t in graph.initializer}
    kept, short = weights | {v.name for v in [*graph.input, *graph.output]} | {""}, {}
    name = lambda n: n if n in kept else short.setdefault(n, f"t{len(short)}")
    subgraphs = any(a.type == onnx.AttributeProto.GRAPH for n in graph.node for a in n.attribute)
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
        if subgraphs:
            continue
        if not weights & set(node.input):
            node.name = ""
        node.input[:] = [name(n) for n in node.input]
        node.output[:] = [name(n) for n in node.output]
    for value in graph.value_info:
        value.name = value.name if subgraphs else name(value.name)
        del value.metadata_props[:]
    del model.metadata_props[:], graph.metadata_props[:]
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, target)


def tokenizer_files(skeleton, links, folder, target):
    """Copies a tokenizer's small files, links its vocabularies; T5's in the one form that the family's repository has."""
    for file in sorted((SKELETONS / skeleton).iterdir()):
        if file.name == ("tokenizer.json" if target.name in PIECES else "spiece.model"):
            continue
        shared = SHARED.get(file.name)
        if shared is None:
            (target / folder).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / folder / file.name)
            continue
        (TOKENIZERS / shared).mkdir(parents=True, exist_ok=True)
        if not (TOKENIZERS / shared / file.name).exists():
            shutil.copyfile(file, TOKENIZERS / shared / file.name)
        links[f"{folder}/{file.name}"] = f"tokenizers/{shared}/{file.name}"


def write(family, pipeline, tokenizers, index=None, task="text-to-image", export=exported, shared=None):
    """fixtures/<family>/: model_index.json, configurations, ONNX files, links.json (target → source, from parity/).

    `tokenizers` folder → skeleton; `shared` component folder → the family that has the same bytes.
    """
    source, target, links = export(pipeline, tokenizers, task), FIXTURES / family, {}
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        path = file.relative_to(source)
        twin = (shared or {}).get(path.parts[0])
        if path.parts[0].startswith("tokenizer") or path.name.startswith("tokenizer"):
            continue
        if path.suffix == ".onnx":
            slim(file, target / path)
        else:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / path)
        if twin:
            assert (target / path).read_bytes() == (FIXTURES / twin / path).read_bytes() or path.suffix != ".onnx", f"{family}/{path} differs from {twin}'s"
            if path.suffix == ".onnx":
                (target / path).unlink()
                links[str(path)] = f"fixtures/{twin}/{path}"
    for path in target.rglob("*config.json"):
        config = json.loads(path.read_text())
        if config.pop("_name_or_path", None):  # a temporary folder
            path.write_text(json.dumps(config, indent=2) + "\n")
    index = json.loads((target / "model_index.json").read_text()) | (index or {})
    index.pop("_name_or_path", None)
    (target / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    for folder, skeleton in tokenizers.items():
        tokenizer_files(skeleton, links, folder, target)
    (target / "links.json").write_text(json.dumps(links, indent=2) + "\n")
    shutil.rmtree(source.parent, ignore_errors=True)
    size = sum(p.stat().st_size for p in target.rglob("*") if p.is_file())
    worst = agreement(family, pipeline)
    print(f"{family}: {size >> 10} KiB: " + ", ".join(f"{p.relative_to(target)} {p.stat().st_size >> 10}" for p in sorted(target.rglob("*.onnx"))) + "; ONNX Runtime to PyTorch, largest difference: " + ", ".join(f"{k} {v:.1e}" for k, v in worst.items()), flush=True)
    return target


def resolved(family):
    """A temporary copy of fixtures/<family> with its links filled in: exactly a hub's folder."""
    target = Path(tempfile.mkdtemp(prefix="parity-")) / family
    shutil.copytree(FIXTURES / family, target)
    links = json.loads((target / "links.json").read_text())
    (target / "links.json").unlink()
    for path, source in links.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PARITY / source, target / path)
    return target


DIMS = {"batch_size": 2, "sequence_length": 77, "height": 8, "width": 16, "num_channels": 3, "picture_height": 64, "picture_width": 128} | {f"{edge}_{s}": size // s for s in (1, 2, 4, 8) for edge, size in (("height", 8), ("width", 16))}


def agreement(family, pipeline, bound=2e-5):
    """Runs every graph of the committed folder in ONNX Runtime beside the module it came from; fails where they differ."""
    import onnxruntime
    import torch

    folder, worst = resolved(family), {}
    for path in sorted(folder.rglob("*.onnx")):
        name = path.parent.name
        session = onnxruntime.InferenceSession(str(path), quiet_options(), providers=["CPUExecutionProvider"])
        generator, feeds = torch.Generator().manual_seed(3), {}
        for value in session.get_inputs():
            feeds[value.name] = feed(value, name, pipeline, generator, [v.name for v in session.get_inputs()])
        outputs = session.run(None, {k: v.numpy() for k, v in feeds.items()})
        with torch.no_grad():
            expected = reference(name, pipeline, feeds)
        for index, (value, got) in enumerate(zip(session.get_outputs(), outputs)):
            key = value.name if value.name in expected else index
            if key in expected:
                want = expected[key].numpy()
                worst[f"{name}.{value.name}"] = float(np.abs(got - want).max() / max(1, np.abs(want).max()))
    shutil.rmtree(folder.parent)
    assert worst and max(worst.values()) < bound, worst
    return worst


def quiet_options():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return options


def feed(value, component, pipeline, generator, names):
    import torch

    rank = {"timestep": 1, "step": 1}.get(value.name)
    shape = [d if isinstance(d, int) else DIMS.get(d) for d in value.shape]
    if value.name == "input_ids":
        return torch.randint(0, 30000, (2, 77), generator=generator).to({"tensor(int32)": torch.int32, "tensor(int64)": torch.int64}[value.type])
    if value.name.endswith("attention_mask"):
        return (torch.arange(77) < torch.tensor([[9], [40]])).to({"tensor(int64)": torch.int64, "tensor(float)": torch.float32}[value.type])
    if value.name in ("img_ids", "txt_ids"):
        count = 32 if value.name == "img_ids" else 77
        ids = torch.zeros(count, 3, dtype=torch.int64)
        if value.name == "img_ids":
            ids[:, 1], ids[:, 2] = torch.arange(count) // 8, torch.arange(count) % 8
        return ids.to({"tensor(int64)": torch.int64, "tensor(float)": torch.float32}[value.type])
    if value.name == "class_labels":
        return torch.tensor([250, 100])
    if value.name == "timestep":
        return torch.full([d if isinstance(d, int) else 2 for d in value.shape], 0.5 if "img_ids" in names else 500).to({"tensor(int64)": torch.int64, "tensor(float)": torch.float32}[value.type])
    if value.name.startswith("conditioning_scale") or value.name == "ip_adapter_scale":
        return torch.rand(value.shape, generator=generator)
    if None in shape or rank:
        shape = known_shape(value.name, component, pipeline, names)
    if value.name == "sample" and component == "vae_encoder":
        shape = [2, 3, 64, 128]
    return torch.randn(shape, generator=generator)


def known_shape(name, component, pipeline, names):
    """Where a graph leaves a size free that is not the batch: from the module's configuration."""
    config = getattr(pipeline, component.replace("vae_encoder", "vae").replace("vae_decoder", "vae")).config
    shapes = {
        "sample": lambda: [2, config.in_channels, 8, 16],
        "latent_sample": lambda: [2, config.latent_channels, 8, 16],
        "encoder_hidden_states": lambda: [2, 77, config.get("joint_attention_dim") or config.get("caption_channels") or config.get("encoder_hid_dim") or config.cross_attention_dim],
        "text_embeds": lambda: [2, pipeline.text_encoder_2.config.projection_dim],
        "time_ids": lambda: [2, 5 if getattr(pipeline.config, "requires_aesthetics_score", False) else 6],
        "timestep_cond": lambda: [2, config.time_cond_proj_dim],
        "hidden_states": lambda: [2, 32, config.in_channels] if "img_ids" in names else [2, config.in_channels, 8, 16],
        "pooled_projections": lambda: [2, config.pooled_projection_dim],
        "guidance": lambda: [2],
    }
    return shapes[name]()


def reference(name, pipeline, feeds):
    """What PyTorch answers, by the names of the exported outputs."""
    if name == "vae_encoder":
        return {"latent_parameters": pipeline.vae.encode(feeds["sample"]).latent_dist.parameters}
    if name == "image_encoder":
        output = pipeline.image_encoder(feeds["pixel_values"], output_hidden_states=True)
        return {"image_embeds": output.image_embeds, "last_hidden_state": output.last_hidden_state} | {f"hidden_states.{i}": h for i, h in enumerate(output.hidden_states)}
    if name == "vae_decoder":
        return {"sample": pipeline.vae.decode(feeds["latent_sample"]).sample}
    if name.startswith("controlnet"):
        return residuals(name, pipeline, feeds)
    module = getattr(pipeline, name)
    if "image_embeds" in feeds:
        return {"out_sample": prompted(pipeline, feeds)}
    if "controlnet_conds" in feeds:
        return {"noise_pred": folded(pipeline, feeds)}
    if name.startswith("text_encoder"):
        mask = {"attention_mask": feeds["attention_mask"]} if "attention_mask" in feeds else {}
        output = module(feeds["input_ids"].long(), output_hidden_states=True, **mask)
        named = {k: getattr(output, k, None) for k in ("last_hidden_state", "text_embeds", "pooler_output")}
        hidden = output.hidden_states or ()
        return {k: v for k, v in named.items() if v is not None} | {f"hidden_states.{i}": h for i, h in enumerate(hidden)}
    added = {k: feeds[k] for k in ("text_embeds", "time_ids") if k in feeds}
    down = [v for k, v in feeds.items() if k.startswith("down_block")]
    rest = {k: v for k, v in feeds.items() if k not in added and not k.startswith("down_block")} | ({"down_block_additional_residuals": down} if down else {})
    added = {"added_cond_kwargs": added} if added else {"added_cond_kwargs": {"resolution": None, "aspect_ratio": None}} if "encoder_attention_mask" in feeds else {}
    output = module(**rest, **added).sample
    return {"out_sample": output, "out_hidden_states": output}


def nets_of(pipeline):
    return list(getattr(pipeline.controlnet, "nets", [pipeline.controlnet]))


def residuals(name, pipeline, feeds):
    """A ControlNet's outputs, in order: down blocks, middle."""
    net = nets_of(pipeline)[int(name.partition("_")[2] or 0)]
    added = {k: feeds[k] for k in ("text_embeds", "time_ids") if k in feeds}
    down, middle = net(feeds["sample"], feeds["timestep"], feeds["encoder_hidden_states"], feeds["controlnet_cond"], feeds.get("conditioning_scale", 1.0), added_cond_kwargs=added or None, return_dict=False)
    return dict(enumerate([*down, middle]))


def folded(pipeline, feeds):
    """The UNet with the residuals of all ControlNets, each with its own picture and scale."""
    first = (feeds["sample"], feeds["timestep"], feeds["encoder_hidden_states"])
    found = [net(*first, hint, scale, return_dict=False) for net, hint, scale in zip(nets_of(pipeline), feeds["controlnet_conds"], feeds["conditioning_scales"])]
    down = [sum(parts) for parts in zip(*(d for d, _ in found))]
    return pipeline.unet(*first, down_block_additional_residuals=down, mid_block_additional_residual=sum(m for _, m in found)).sample


def prompted(pipeline, feeds):
    """The UNet with an IP-Adapter, at the graph's scale."""
    before = next(p.scale for p in pipeline.unet.attn_processors.values() if hasattr(p, "scale"))
    if "ip_adapter_scale" in feeds:
        pipeline.set_ip_adapter_scale(float(feeds["ip_adapter_scale"]))
    answer = pipeline.unet(feeds["sample"], feeds["timestep"], feeds["encoder_hidden_states"], added_cond_kwargs={"image_embeds": [feeds["image_embeds"]]}).sample
    pipeline.set_ip_adapter_scale(before)
    return answer
