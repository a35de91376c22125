"""SDXL: two CLIPs, size conditioning, base with several solvers and as a few-step model; base + refiner cut at 0.8."""

import copy

import torch

from families.sd15 import NEGATIVE, OTHER, PROMPT, fit_unet, quiet
from oracle.components import SKELETONS, clip, clip_tokenizer, configuration, vae
from oracle.folder import write
from oracle.record import Run, case
from oracle.weights import enliven

BASE, REFINER = "stable-diffusion-xl-base-1.0", "stable-diffusion-xl-refiner-1.0"
PROMPT_2, NEGATIVE_2 = "thick brush strokes, warm light", "photograph"
WIDTH, WIDTH_2, POOLED, TIME = 32, 40, 24, 8  # both CLIPs' widths, the second's projection, sizes' embedding: all different, unlike the real ones


def unet(skeleton, seed, heads, blocks, layers, text, ids):
    from diffusers import UNet2DConditionModel

    config = configuration(f"{skeleton}/unet") | {
        "sample_size": 8, "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": text, "addition_time_embed_dim": TIME, "projection_class_embeddings_input_dim": ids * TIME + POOLED,
        "block_out_channels": blocks, "attention_head_dim": heads, "transformer_layers_per_block": layers,
    }
    model = enliven(UNet2DConditionModel.from_config(config), seed, text=0.5)
    fit_unet(model, seed, lambda g, b: {"added_cond_kwargs": {"text_embeds": torch.randn(b, POOLED, generator=g), "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]] * b)[:, :ids]}})
    return model


def base():
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    return quiet(StableDiffusionXLPipeline(
        vae=vae(f"{BASE}/vae", 43), text_encoder=clip(f"{BASE}/text_encoder", 41, WIDTH), text_encoder_2=clip(f"{BASE}/text_encoder_2", 42, WIDTH_2, heads=5, projection=POOLED),
        tokenizer=clip_tokenizer(f"{BASE}/tokenizer"), tokenizer_2=clip_tokenizer(f"{BASE}/tokenizer_2"), unet=unet(BASE, 44, [1, 2, 2], [8, 16, 16], [1, 1, 2], WIDTH + WIDTH_2, 6),
        scheduler=EulerDiscreteScheduler.from_pretrained(SKELETONS / BASE / "scheduler"), add_watermarker=False,
    ))


def refiner(base):
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLImg2ImgPipeline

    return quiet(StableDiffusionXLImg2ImgPipeline(
        vae=base.vae, text_encoder=None, tokenizer=None, text_encoder_2=base.text_encoder_2, tokenizer_2=base.tokenizer_2, unet=unet(REFINER, 45, [1, 2, 2, 2], [8, 16, 16, 16], 1, WIDTH_2, 5),
        scheduler=EulerDiscreteScheduler.from_pretrained(SKELETONS / REFINER / "scheduler"), requires_aesthetics_score=True, force_zeros_for_empty_prompt=False, add_watermarker=False,
    ))


def solvers(config):
    from diffusers import DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, LCMScheduler

    return {
        "euler": EulerDiscreteScheduler.from_config(config), "dpmpp-2m-karras": DPMSolverMultistepScheduler.from_config(config, use_karras_sigmas=True), "dpmpp-2m": DPMSolverMultistepScheduler.from_config(config),
        "turbo": EulerAncestralDiscreteScheduler.from_config(config, timestep_spacing="trailing"), "lcm": LCMScheduler.from_config(config),
    }


def embeddings(pipeline, arguments, prefix=""):
    pick = {k: v for k, v in arguments.items() if k in ("prompt", "prompt_2", "negative_prompt", "negative_prompt_2")}
    guided = arguments.get("guidance_scale", 5.0) > 1
    positive, negative, pooled, negative_pooled = pipeline.encode_prompt(device="cpu", do_classifier_free_guidance=guided, **pick)
    found = {"prompt_embeds": positive, "pooled_prompt_embeds": pooled} | ({"negative_prompt_embeds": negative, "negative_pooled_prompt_embeds": negative_pooled} if guided else {})
    return {prefix + k: v for k, v in found.items()}


def text_to_image(pipeline):
    schedulers, both = solvers(pipeline.scheduler.config), {"prompt": PROMPT, "negative_prompt": NEGATIVE}
    wide = {"height": 64, "width": 96, "original_size": (512, 768), "crops_coords_top_left": (8, 16), "target_size": (64, 96)}
    small = {"height": 64, "width": 64}
    cases = {
        "euler-64x96": ("euler", both | {"num_inference_steps": 6, "guidance_scale": 5.0} | wide),
        "dpmpp-2m-karras-two-prompts": ("dpmpp-2m-karras", both | {"prompt_2": PROMPT_2, "negative_prompt_2": NEGATIVE_2, "num_inference_steps": 6, "guidance_scale": 5.0} | small),
        "no-negative": ("euler", {"prompt": PROMPT, "num_inference_steps": 4, "guidance_scale": 5.0} | small),
        "turbo": ("turbo", {"prompt": PROMPT, "num_inference_steps": 4, "guidance_scale": 0.0} | small),
        "lcm": ("lcm", {"prompt": PROMPT, "num_inference_steps": 4, "guidance_scale": 1.0} | small),
    }
    for name, (scheduler, arguments) in cases.items():
        pipeline.scheduler = schedulers[scheduler]
        case(f"sdxl-{name}", "sdxl", pipeline, 51, arguments, embeddings(pipeline, arguments), OTHER, draws="the initial noise, then one per step where the solver adds noise")


class Handover(Run):
    """Base up to `cut` in latents, refiner from there, as diffusers documents it: two pipelines, two schedulers."""

    def __init__(self, second, cut):
        self.second, self.cut = second, cut

    def __call__(self, pipeline, seed, **arguments):
        run = copy.copy(self)
        Run.__init__(run, pipeline, seed, **arguments)
        return run

    def call(self, pipeline, arguments):
        latents = super().call(pipeline, arguments | {"denoising_end": self.cut, "output_type": "latent"}).images
        self.first = len(self.steps)
        rest = {k: v for k, v in arguments.items() if k not in ("height", "width")}
        return super().call(self.second, rest | {"image": latents, "denoising_start": self.cut})


class OneScheduler(Handover):
    """One scheduler over both networks: its history survives the change."""

    def call(self, pipeline, arguments):
        scheduler, scale = pipeline.scheduler, arguments["guidance_scale"]
        size = (arguments["height"], arguments["width"])
        experts = []
        for p in (pipeline, self.second):
            e = embeddings(p, arguments)
            text = torch.cat([e["negative_prompt_embeds"], e["prompt_embeds"]])
            pooled = torch.cat([e["negative_pooled_prompt_embeds"], e["pooled_prompt_embeds"]])
            rows = [[*size, 0, 0, *size]] * 2 if p is pipeline else [[*size, 0, 0, 2.5], [*size, 0, 0, 6.0]]
            experts.append((p.unet, text, {"text_embeds": pooled, "time_ids": torch.tensor(rows, dtype=torch.float32)}))
        scheduler.set_timesteps(arguments["num_inference_steps"])
        noise = torch.randn((1, 4, size[0] // 8, size[1] // 8), generator=arguments["generator"])
        x, self.first = noise * scheduler.init_noise_sigma, 0
        for i, t in enumerate(scheduler.timesteps):
            early = t >= round(1000 - self.cut * 1000)
            self.first += int(early)
            network, text, added = experts[0 if early else 1]
            out = network(scheduler.scale_model_input(torch.cat([x, x]), t), t, text, added_cond_kwargs=added).sample
            uncond, cond = out.chunk(2)
            x = scheduler.step(uncond + scale * (cond - uncond), t, x, generator=arguments["generator"]).prev_sample
            self.keep(None, i, t, {"latents": x})
        images = pipeline.image_processor.postprocess(pipeline.vae.decode(x / pipeline.vae.config.scaling_factor).sample, output_type="pt")
        return type("Output", (), {"images": images})


def ensemble(first, second):
    found = {}
    for name, runner in (("handover", Handover), ("one-scheduler", OneScheduler)):
        for solver in ("euler", "dpmpp-2m"):
            first.scheduler, second.scheduler = solvers(first.scheduler.config)[solver], solvers(first.scheduler.config)[solver]
            arguments = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 12, "guidance_scale": 5.0, "height": 64, "width": 64}
            run = runner(second, 0.8)
            case(f"sdxl-refiner-{name}-{solver}", "sdxl", first, 61, arguments, embeddings(first, arguments) | embeddings(second, arguments, "refiner_"), OTHER, runner=run, refiner="sdxl-refiner", cut=0.8,
                 loop={"handover": "two pipelines, two schedulers (denoising_end, denoising_start)", "one-scheduler": "one scheduler over both networks: what an expert ensemble does"}[name],
                 draws="the initial noise; the refiner's handover draws none")
            found[name, solver] = runner(second, 0.8)(first, 61, **arguments).latents
    relative = lambda a, b: float((a - b).norm() / b.norm())
    same, restarted = (relative(found["handover", s], found["one-scheduler", s]) for s in ("euler", "dpmpp-2m"))
    assert same < 1e-5 and restarted > 1e-4, (same, restarted)
    print(f"  handover against one scheduler: Euler {same:.1e} (no history), DPM++ 2M {restarted:.1e} (history lost by the handover)")


def make():
    first = base()
    second = refiner(first)
    write("sdxl", first, {"tokenizer": f"{BASE}/tokenizer", "tokenizer_2": f"{BASE}/tokenizer_2"})
    write("sdxl-refiner", second, {"tokenizer_2": f"{REFINER}/tokenizer"}, task="image-to-image", shared={"text_encoder_2": "sdxl", "vae_encoder": "sdxl", "vae_decoder": "sdxl"})
    text_to_image(first)
    ensemble(first, second)
