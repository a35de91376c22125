"""Stable Diffusion with ControlNets: a UNet that takes their residuals beside two of them, and the same folded into one graph, as diffusers' script does it."""

import json
import shutil

import torch

from families.paint import Painted, masks
from families.sd15 import NEGATIVE, OTHER, PROMPT, SKELETON, bytes_of, picture, quiet, solvers
from oracle.components import SKELETONS, clip, clip_tokenizer, configuration, vae
from oracle.folder import FIXTURES, resolved, write
from oracle.paint import columns
from oracle.record import Run, case
from oracle.torch_export import graph, work_folder
from oracle.weights import enliven, fit_output, noised_vp, scale_output

SHAPE = {
    "block_out_channels": [8, 8], "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 2, "cross_attention_dim": 32,
}
STRIDES = [1, 1, 2, 2, 2]  # of the residuals: conv_in, a block, its halving, a block, the middle
SCALE = 0.8


def blobs_of(generator, count, height, width):
    coarse = torch.randn(count, 3, max(2, height // 16), max(2, width // 16), generator=generator)
    return (2 * torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)).sigmoid()


def controlnet(seed, shape=SHAPE, **changes):
    from diffusers import ControlNetModel

    model = enliven(ControlNetModel(**(shape | {"conditioning_embedding_out_channels": (4, 4, 4, 8)} | changes)), seed)
    pictures = blobs_of(torch.Generator().manual_seed(seed), 4, 64, 64)
    embedding = model.controlnet_cond_embedding
    scale_output(embedding.conv_out, lambda: embedding(pictures) - embedding.conv_out.bias[:, None, None], 4.0)  # the picture shows …
    for layer in [*model.controlnet_down_blocks, model.controlnet_mid_block]:
        layer.weight *= 3  # … through residuals as large as what they are added to
    return model


def control_unet(seed, net, shape=SHAPE, condition=lambda generator: {}, skeleton=SKELETON, **changes):
    """A UNet fitted, as families.sd15's, with the ControlNet's residuals in it and without."""
    from diffusers import UNet2DConditionModel

    config = configuration(f"{skeleton}/unet") | {"sample_size": 8, "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]} | shape | changes
    model = enliven(UNet2DConditionModel.from_config(config), seed)
    g = torch.Generator().manual_seed(seed)

    def call(x, timestep, text, hint, given):
        down, middle = net(x, timestep, text, hint, SCALE, return_dict=False, **given)
        return model(x, timestep, text, down_block_additional_residuals=down, mid_block_additional_residual=middle, **given)

    def examples():
        for timestep in (20, 120, 260, 420, 600, 800, 980):
            x, noise = noised_vp(g, (4, 4, 8, 8), timestep)
            text, hint, given = torch.randn(4, 77, model.config.cross_attention_dim, generator=g), blobs_of(g, 4, 64, 64), condition(g)
            yield (lambda: call(x, timestep, text, hint, given)), noise
            yield (lambda: model(x, timestep, text, **given)), noise

    print(f"  with residuals: fit error {fit_output(model.conv_out, examples(), mix=0.25):.3f}")
    return model


def residual_axes(name):
    i = -1 if name.startswith("mid") else int(name.rsplit("_", 1)[1])
    return {0: "batch_size", 2: f"height_{STRIDES[i]}", 3: f"width_{STRIDES[i]}"}


def residual_names(down="down_block_additional_residuals_{}", middle="mid_block_additional_residual"):
    return [down.format(i) for i in range(len(STRIDES) - 1)] + [middle]


def example(channels=32):
    g = torch.Generator().manual_seed(2)
    return {"sample": torch.randn(2, 4, 8, 16, generator=g), "timestep": torch.tensor([500.0, 500.0]), "encoder_hidden_states": torch.randn(2, 77, channels, generator=g)}


def unet_graph(folder, model, more=None):
    """A UNet whose inputs take residuals; `more` inputs of its own go into added_cond_kwargs."""
    names, more = residual_names(), more or {}
    widths = [model.config.block_out_channels[0]] * 3 + [model.config.block_out_channels[1]] * 2
    residuals = {n: torch.randn(2, w, 8 // s, 16 // s) for n, w, s in zip(names, widths, STRIDES)}

    def call(module, feeds):
        added = {"added_cond_kwargs": {n: feeds[n] for n in more}} if more else {}
        return module(feeds["sample"], feeds["timestep"], feeds["encoder_hidden_states"], down_block_additional_residuals=[feeds[n] for n in names[:-1]], mid_block_additional_residual=feeds[names[-1]], return_dict=False, **added)[0]

    graph(folder, model, example(model.config.cross_attention_dim) | more | residuals, "out_sample", call, axes={n: residual_axes(n) for n in names})


def control_graph(folder, net, more=None, scaled=True, outputs=None):
    """A ControlNet; `scaled`: conditioning_scale is an input, else it is 1; the time is a scalar."""
    names, more = outputs or residual_names("down_block_res_samples_{}", "mid_block_res_sample"), more or {}
    inputs = example(net.config.cross_attention_dim) | {"timestep": torch.tensor(500.0), "controlnet_cond": torch.rand(2, 3, 64, 128)} | ({"conditioning_scale": torch.tensor(1.0)} if scaled else {}) | more

    def call(module, feeds):
        added = {"added_cond_kwargs": {n: feeds[n] for n in more}} if more else {}
        down, middle = module(feeds["sample"], feeds["timestep"], feeds["encoder_hidden_states"], feeds["controlnet_cond"], feeds.get("conditioning_scale", 1.0), return_dict=False, **added)
        return (*down, middle)

    graph(folder, net, inputs, names, call, axes={n: residual_axes(m) for n, m in zip(names, residual_names())})


class Folded(torch.nn.Module):
    """scripts/convert_stable_diffusion_controlnet_to_onnx.py of diffusers: several ControlNets and the UNet in one graph."""

    def __init__(self, model, nets):
        super().__init__()
        self.unet, self.nets, self.config = model, torch.nn.ModuleList(nets), model.config

    def forward(self, sample, timestep, encoder_hidden_states, controlnet_conds, conditioning_scales):
        total = None
        for hint, scale, net in zip(controlnet_conds, conditioning_scales, self.nets):
            down, middle = net(sample, timestep, encoder_hidden_states, hint, scale, return_dict=False)
            found = [*down, middle]
            total = found if total is None else [a + b for a, b in zip(total, found)]
        return self.unet(sample, timestep, encoder_hidden_states, down_block_additional_residuals=total[:-1], mid_block_additional_residual=total[-1], return_dict=False)[0]

    def save_config(self, folder):
        self.unet.save_config(folder)


def folded_graph(folder, model, nets):
    inputs = example() | {"timestep": torch.tensor([500.0]), "controlnet_conds": torch.rand(len(nets), 2, 3, 64, 128), "conditioning_scales": torch.tensor([[1.0]] * len(nets))}
    free = {0: "batch_size", 2: "height", 3: "width"}
    axes = {"sample": free, "timestep": {}, "encoder_hidden_states": {0: "batch_size"}, "controlnet_conds": {1: "batch_size", 3: "picture_height", 4: "picture_width"}, "conditioning_scales": {}, "noise_pred": free}
    graph(folder, Folded(model, nets), inputs, "noise_pred", lambda module, feeds: module(**feeds), axes=axes)


def folder_of(pipeline, base, networks):
    """The pipeline's folder: graphs by `networks` (name → function of a folder), the rest from the fixture `base`."""
    work, source = work_folder(), resolved(base)
    for name, make in networks.items():
        make(work / name)
    for name in ("text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder"):
        if (source / name).exists():
            shutil.copytree(source / name, work / name)
    shutil.rmtree(source.parent)
    pipeline.scheduler.save_pretrained(work / "scheduler")
    index = json.loads((FIXTURES / base / "model_index.json").read_text())
    (work / "model_index.json").write_text(json.dumps(index | {"_class_name": type(pipeline).__name__, "controlnet": ["diffusers", type(pipeline.controlnet).__name__] if "controlnet" in networks else None}))
    return work


def xl():
    """SDXL with one ControlNet: both take the pooled text and the sizes."""
    from diffusers import StableDiffusionXLControlNetPipeline

    from families import sdxl

    shape = SHAPE | {"down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"], "cross_attention_dim": sdxl.WIDTH + sdxl.WIDTH_2, "addition_embed_type": "text_time", "addition_time_embed_dim": sdxl.TIME,
                     "projection_class_embeddings_input_dim": 6 * sdxl.TIME + sdxl.POOLED, "transformer_layers_per_block": 1}
    sizes = torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 4)
    condition = lambda g: {"added_cond_kwargs": {"text_embeds": torch.randn(4, sdxl.POOLED, generator=g), "time_ids": sizes}}
    net = controlnet(174, shape)
    network = control_unet(175, net, shape, condition, sdxl.BASE, up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"])
    base = sdxl.base()
    pipeline = quiet(StableDiffusionXLControlNetPipeline(**{k: getattr(base, k) for k in ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "scheduler")}, unet=network, controlnet=net, add_watermarker=False))
    more = {"text_embeds": torch.randn(2, sdxl.POOLED), "time_ids": sizes[:2]}
    networks = {"unet": lambda folder: unet_graph(folder, network, more), "controlnet": lambda folder: control_graph(folder, net, more)}
    write("sdxl-controlnet", pipeline, {"tokenizer": f"{sdxl.BASE}/tokenizer", "tokenizer_2": f"{sdxl.BASE}/tokenizer_2"}, export=lambda p, *_: folder_of(p, "sdxl", networks),
          shared={c: "sdxl" for c in ("text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder")})
    pipeline.scheduler = sdxl.solvers(base.scheduler.config)["euler"]
    control_case("controlnet-sdxl-euler", pipeline, 170, BOTH | {"height": 32, "width": 32, "num_inference_steps": 6, "controlnet_conditioning_scale": 0.9, "control_guidance_end": 0.9}, {"image": hint(32, 32, 10)}, "image", {}, family="sdxl-controlnet", draws="the initial noise")


SHARED = {c: "sd15" for c in ("text_encoder", "vae_encoder", "vae_decoder")}


def hint(height, width, seed):
    """A picture of blobs that are larger than a latent pixel."""
    from PIL import Image

    blobs = blobs_of(torch.Generator().manual_seed(seed), 1, height, width)[0]
    return Image.fromarray((blobs * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def moves(name, pipeline, seed, arguments, inputs, key, other):
    """Another control picture must show."""
    first, second = (Run(pipeline, seed, **arguments, **(inputs | {key: value})).latents[-1] for value in (inputs[key], other))
    moved = float((first - second).norm() / first.norm())
    assert moved > 0.005, f"{name}: another control picture moves the latents by {moved:.2%} only"
    return {"control_moves": round(moved, 4)}


def control_case(name, pipeline, seed, arguments, inputs, key, tensors, runner=Run, family="sd15-controlnet", **facts):
    given = inputs[key] if isinstance(inputs[key], list) else [inputs[key]]
    other = [hint(32, 32, 40 + i) for i in range(len(given))]
    facts |= moves(name, pipeline, seed, arguments, inputs, key, other if isinstance(inputs[key], list) else other[0])
    case(name, family, pipeline, seed, arguments, tensors | {f"control.{i}": bytes_of(image) for i, image in enumerate(given)}, facts.pop("other", OTHER), runner=runner, inputs=inputs, **facts)


BOTH = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 3.0}


def one_network(parts, net):
    from diffusers import StableDiffusionControlNetImg2ImgPipeline, StableDiffusionControlNetInpaintPipeline, StableDiffusionControlNetPipeline

    pipeline, schedulers = quiet(StableDiffusionControlNetPipeline(**parts, controlnet=net)), solvers(parts["scheduler"].config)
    square, wide = {"height": 32, "width": 32}, {"height": 32, "width": 48}
    drawn = "the initial noise, then one per step where the solver adds noise"
    pipeline.scheduler = schedulers["pndm"]
    control_case("controlnet-pndm", pipeline, 161, BOTH | square | {"num_inference_steps": 6, "controlnet_conditioning_scale": 0.8}, {"image": hint(44, 90, 1)}, "image", {}, draws=drawn)
    pipeline.scheduler = schedulers["euler"]
    window = {"num_inference_steps": 8, "controlnet_conditioning_scale": 1.5, "control_guidance_start": 0.2, "control_guidance_end": 0.9}
    control_case("controlnet-window-euler", pipeline, 162, BOTH | wide | window, {"image": hint(50, 70, 2)}, "image", {}, draws=drawn)
    pipeline.scheduler = schedulers["ddim"]
    control_case("controlnet-guess-ddim", pipeline, 163, BOTH | square | {"num_inference_steps": 5, "controlnet_conditioning_scale": 1.0, "guess_mode": True, "guidance_scale": 2.0}, {"image": hint(32, 32, 3)}, "image", {}, draws=drawn)
    pair = BOTH | square | {"prompt": [PROMPT, "a red bicycle against a wall"], "negative_prompt": [NEGATIVE, "cropped"], "num_inference_steps": 4, "controlnet_conditioning_scale": 0.7}
    control_case("controlnet-batch", pipeline, 164, pair, {"image": hint(32, 32, 4)}, "image", {}, draws="the initial noise of both pictures, drawn at once", other={"prompt": ["two cats", "a box"]})
    painted(pipeline, BOTH | square | {"num_inference_steps": 5, "controlnet_conditioning_scale": 0.8})

    pipeline = quiet(StableDiffusionControlNetImg2ImgPipeline(**parts, controlnet=net))
    pipeline.scheduler = schedulers["euler"]
    image, mask = picture(32, 48)
    late = {"num_inference_steps": 8, "strength": 0.6, "controlnet_conditioning_scale": 0.8, "control_guidance_end": 0.6}
    control_case("controlnet-img2img-euler", pipeline, 165, BOTH | wide | late, {"image": image, "control_image": hint(32, 48, 5)}, "control_image", {"init": bytes_of(image)},
                 draws="the autoencoder's sample of the picture, then the noise added to it")
    pipeline = quiet(StableDiffusionControlNetInpaintPipeline(**parts, controlnet=net))
    pipeline.scheduler = schedulers["ddim"]
    image, mask = picture(32, 32)
    control_case("controlnet-inpaint-ddim", pipeline, 166, BOTH | square | {"num_inference_steps": 6, "strength": 0.75, "controlnet_conditioning_scale": 0.8},
                 {"image": image, "mask_image": mask, "control_image": hint(32, 32, 6)}, "control_image", {"init": bytes_of(image), "mask": bytes_of(mask)},
                 draws="the autoencoder's sample of the picture, the noise, the autoencoder's sample of the masked picture (not used by a 4-channel UNet)")


def painted(pipeline, arguments):
    """Painted words and a control picture together: the words of the UNet are painted, those of the ControlNet are not."""
    net = pipeline.controlnet.forward
    phrases, drawn = {"lighthouse": 1.0, "sunset, oil": 0.7}, masks(32, 32)
    regions = [(columns(pipeline.tokenizer, PROMPT, p), drawn[p], w) for p, w in phrases.items()]
    runner, kept = Painted(regions, {1: (4, 4), 2: (2, 2)}), torch.nn.functional.scaled_dot_product_attention

    def unpainted(*inputs, **options):
        painter = torch.nn.functional.scaled_dot_product_attention
        torch.nn.functional.scaled_dot_product_attention = kept
        try:
            return net(*inputs, **options)
        finally:
            torch.nn.functional.scaled_dot_product_attention = painter

    pipeline.controlnet.forward = unpainted
    facts = {"regions": [{"phrase": p, "weight": w, "columns": c[0], "mask": f"mask.{i}"} for i, ((p, w), c) in enumerate(zip(phrases.items(), regions))], "strength": 0.4}
    inputs = {"image": hint(32, 32, 7)}
    control_case("controlnet-paint-ddim", pipeline, 167, arguments, inputs, "image", {f"mask.{i}": drawn[p] for i, p in enumerate(phrases)}, runner=runner, draws="the initial noise", other={"prompt": "a lighthouse of glass, and a sunset, oil lamps"}, **facts)
    del pipeline.controlnet.forward


def two_networks(parts, nets):
    from diffusers import MultiControlNetModel, StableDiffusionControlNetPipeline

    pipeline = quiet(StableDiffusionControlNetPipeline(**parts, controlnet=MultiControlNetModel(nets)))
    pipeline.scheduler = solvers(parts["scheduler"].config)["dpmpp-2m-karras"]
    arguments = BOTH | {"height": 32, "width": 32, "num_inference_steps": 6, "controlnet_conditioning_scale": [0.7, 0.4], "control_guidance_start": [0.0, 0.3], "control_guidance_end": [0.8, 1.0]}
    return pipeline, arguments, {"image": [hint(32, 32, 8), hint(32, 80, 9)]}


def without_control(parts):
    """The UNet as it is without a control picture."""
    from diffusers import StableDiffusionPipeline

    pipeline = quiet(StableDiffusionPipeline(**parts))
    pipeline.scheduler = solvers(parts["scheduler"].config)["ddim"]
    case("controlnet-none-ddim", "sd15-controlnet", pipeline, 168, BOTH | {"height": 32, "width": 32, "num_inference_steps": 4}, {}, OTHER, draws="the initial noise")


def make():
    from diffusers import MultiControlNetModel, PNDMScheduler, StableDiffusionControlNetPipeline

    nets = [controlnet(171), controlnet(172)]
    parts = {
        "vae": vae(f"{SKELETON}/vae", 13), "text_encoder": clip(f"{SKELETON}/text_encoder", 12), "tokenizer": clip_tokenizer(f"{SKELETON}/tokenizer"), "unet": control_unet(173, nets[0]),
        "scheduler": PNDMScheduler.from_pretrained(SKELETONS / SKELETON / "scheduler"), "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
    }
    both = StableDiffusionControlNetPipeline(**parts, controlnet=MultiControlNetModel(nets))
    networks = {
        "unet": lambda folder: unet_graph(folder, parts["unet"]), "controlnet": lambda folder: control_graph(folder, nets[0]),
        "controlnet_1": lambda folder: control_graph(folder, nets[1], scaled=False, outputs=[f"out_{i}" for i in range(5)]),
    }
    tokenizers = {"tokenizer": f"{SKELETON}/tokenizer"}
    write("sd15-controlnet", both, tokenizers, export=lambda p, *_: folder_of(p, "sd15", networks), shared=SHARED)
    one_network(parts, nets[0])
    pipeline, arguments, inputs = two_networks(parts, nets)
    control_case("controlnet-two-dpmpp", pipeline, 169, arguments, inputs, "image", {}, draws="the initial noise")
    without_control(parts)

    folded = {"unet": lambda folder: folded_graph(folder, parts["unet"], nets)}
    write("sd15-controlnet-folded", both, tokenizers, export=lambda p, *_: folder_of(p, "sd15", folded), shared=SHARED)
    xl()
