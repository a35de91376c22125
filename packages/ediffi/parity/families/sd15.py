"""Stable Diffusion 1.5: one CLIP, a UNet with attention at 8×8, 4×4 and 2×2, every common solver, img2img, inpainting by re-noising."""

import torch

from oracle.components import SKELETONS, clip, clip_tokenizer, configuration, vae
from oracle.folder import write
from oracle.record import case
from oracle.weights import enliven, fit_output, noised_vp

SKELETON = "stable-diffusion-v1-5"
PROMPT, NEGATIVE = "a lighthouse on a cliff at sunset, oil painting", "blurry, low quality"
OTHER = {"prompt": "two cats asleep in a box"}


def unet(seed=11, **changes):
    from diffusers import UNet2DConditionModel

    config = configuration(f"{SKELETON}/unet") | {
        "sample_size": 8, "block_out_channels": [8, 16, 16], "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 2, "cross_attention_dim": 32,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    } | changes
    model = enliven(UNet2DConditionModel.from_config(config), seed, text=0.5)
    fit_unet(model, seed)
    return model


def fit_unet(model, seed, conditions=lambda generator, batch: {}):
    """Makes a UNet with random weights a passable ε-predictor on smooth latents; `conditions` are inputs besides sample, time and text."""
    g, config = torch.Generator().manual_seed(seed), model.config

    def examples():
        for timestep in (20, 120, 260, 420, 600, 800, 980):
            x, noise = noised_vp(g, (4, config.out_channels, 8, 8), timestep)
            more = torch.randn(4, config.in_channels - config.out_channels, 8, 8, generator=g)
            text = torch.randn(4, 77, config.cross_attention_dim, generator=g)
            if config.time_cond_proj_dim:
                given = conditions(g, 4) | {"timestep_cond": torch.randn(4, config.time_cond_proj_dim, generator=g)}
            else:
                given = conditions(g, 4)
            yield (lambda: model(torch.cat([x, more], 1), timestep, text, **given)), noise

    print(f"  fit error {fit_output(model.conv_out, examples()):.3f}")


def components(**changes):
    from diffusers import PNDMScheduler

    return {
        "vae": vae(f"{SKELETON}/vae", 13), "text_encoder": clip(f"{SKELETON}/text_encoder", 12), "tokenizer": clip_tokenizer(f"{SKELETON}/tokenizer"),
        "unet": unet(**changes), "scheduler": PNDMScheduler.from_pretrained(SKELETONS / SKELETON / "scheduler"),
        "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
    }


def solvers(config):
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, PNDMScheduler

    return {
        "pndm": PNDMScheduler.from_config(config), "euler": EulerDiscreteScheduler.from_config(config), "dpmpp-2m-karras": DPMSolverMultistepScheduler.from_config(config, use_karras_sigmas=True),
        "ddim": DDIMScheduler.from_config(config), "euler-ancestral": EulerAncestralDiscreteScheduler.from_config(config),
    }


def embeddings(pipeline, prompt, negative):
    ids = lambda text: pipeline.tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    positive, unconditional = pipeline.encode_prompt(prompt, "cpu", 1, True, negative)
    return {"prompt_embeds": positive, "negative_prompt_embeds": unconditional, "input_ids": ids(prompt), "negative_input_ids": ids(negative)}


def picture(height, width, seed=5):
    """A smooth coloured picture and a mask of two rectangles, both uint8."""
    from PIL import Image

    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    rgb = torch.stack([x, y, 0.5 + 0.5 * torch.sin(9 * x * y + seed)], -1)
    mask = torch.zeros(height, width)
    mask[height // 4 : 3 * height // 4, width // 8 : width // 2] = 1
    mask[: height // 8, -width // 4 :] = 1
    return Image.fromarray((rgb * 255).round().to(torch.uint8).numpy()), Image.fromarray((mask * 255).to(torch.uint8).numpy())


def bytes_of(image):
    import numpy as np

    return torch.from_numpy(np.array(image))


def text_to_image(pipeline):
    schedulers = solvers(pipeline.scheduler.config)
    for name, scheduler, height, width, seed, steps in [(n, s, 64, 64, 7, 6) for n, s in schedulers.items()] + [("euler-64x96", schedulers["euler"], 64, 96, 8, 4)]:
        pipeline.scheduler = scheduler
        arguments = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": steps, "guidance_scale": 5.0, "height": height, "width": width}
        case(f"sd15-{name}", "sd15", pipeline, seed, arguments, embeddings(pipeline, PROMPT, NEGATIVE), OTHER, draws="the initial noise, then one per step where the solver adds noise")
    pipeline.scheduler = schedulers["ddim"]
    pair, refused = [PROMPT, "a red bicycle against a wall"], [NEGATIVE, "cropped"]
    arguments = {"prompt": pair, "negative_prompt": refused, "num_inference_steps": 4, "guidance_scale": 5.0, "height": 96, "width": 64}
    case("sd15-batch-96x64", "sd15", pipeline, 9, arguments, embeddings(pipeline, pair, refused), {"prompt": ["two cats", "a box"]}, draws="the initial noise of both pictures, drawn at once")


def image_to_image(parts):
    from diffusers import StableDiffusionImg2ImgPipeline

    pipeline = quiet(StableDiffusionImg2ImgPipeline(**parts))
    image, _ = picture(64, 96)
    for name in ("euler", "dpmpp-2m-karras", "pndm"):
        pipeline.scheduler = solvers(parts["scheduler"].config)[name]
        arguments = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 8, "strength": 0.6, "guidance_scale": 5.0}
        case(f"sd15-img2img-{name}", "sd15", pipeline, 21, arguments, embeddings(pipeline, PROMPT, NEGATIVE) | {"init": bytes_of(image)}, OTHER, inputs={"image": image},
             draws="the autoencoder's sample of the picture, then the noise added to it")


def inpainting(parts, family, prefix, cases):
    from diffusers import StableDiffusionInpaintPipeline

    pipeline = quiet(StableDiffusionInpaintPipeline(**parts))
    image, mask = picture(64, 64)
    for name, strength, draws in cases:
        pipeline.scheduler = solvers(parts["scheduler"].config)[name]
        arguments = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 6, "strength": strength, "guidance_scale": 5.0, "height": 64, "width": 64}
        case(f"{prefix}-{name}", family, pipeline, 31, arguments,
             embeddings(pipeline, PROMPT, NEGATIVE) | {"init": bytes_of(image), "mask": bytes_of(mask)}, OTHER, inputs={"image": image, "mask_image": mask}, draws=draws)


def quiet(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def make():
    from diffusers import StableDiffusionPipeline

    parts = components()
    write("sd15", StableDiffusionPipeline(**parts), {"tokenizer": f"{SKELETON}/tokenizer"})
    text_to_image(quiet(StableDiffusionPipeline(**parts)))
    image_to_image(parts)
    draws = "the autoencoder's sample of the picture, the noise, the autoencoder's sample of the masked picture (not used by a 4-channel UNet)"
    inpainting(parts, "sd15", "sd15-inpaint", [("euler", 1.0, draws), ("ddim", 0.75, draws)])
