"""FLUX.1: pooled CLIP and T5, rotary positions, packed latents; dev with an embedded guidance scale and dynamic shift, schnell without."""

import torch

from families.sd15 import NEGATIVE, OTHER, PROMPT, quiet
from oracle.components import SKELETONS, clip, clip_tokenizer, configuration, t5, t5_tokenizer, vae
from oracle.folder import write
from oracle.record import case
from oracle.weights import enliven, fit_output, noised_flow, packed

SKELETON = "FLUX.1-schnell"
TOKENIZERS = {f"tokenizer{n}": f"{SKELETON}/tokenizer{n}" for n in ("", "_2")}
SHIFT = {"base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15, "shift": 3.0, "use_dynamic_shifting": True}  # FLUX.1 dev's scheduler


def transformer(seed, guidance):
    from diffusers import FluxPipeline, FluxTransformer2DModel

    config = configuration(f"{SKELETON}/transformer") | {
        "num_layers": 1, "num_single_layers": 2, "attention_head_dim": 16, "num_attention_heads": 2, "joint_attention_dim": 48, "pooled_projection_dim": 32, "axes_dims_rope": [4, 6, 6], "guidance_embeds": guidance,
    }
    model = enliven(FluxTransformer2DModel.from_config(config), seed)
    g = torch.Generator().manual_seed(seed)
    ids = FluxPipeline._prepare_latent_image_ids(4, 4, 4, "cpu", torch.float32)

    def examples():
        for sigma in (0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0):
            x, velocity = noised_flow(g, (8, 16, 8, 8), sigma)
            text, pooled = torch.randn(8, 40, 48, generator=g), torch.randn(8, 32, generator=g)
            more = {"guidance": torch.full([8], 3.5)} if guidance else {}
            yield (lambda: model(packed(x), encoder_hidden_states=text, pooled_projections=pooled, timestep=torch.full([8], sigma), img_ids=ids, txt_ids=torch.zeros(40, 3), **more)), packed(velocity)

    print(f"  fit error {fit_output(model.proj_out, examples()):.3f}")
    return model


def embeddings(pipeline, arguments):
    length = arguments.get("max_sequence_length", 512)
    found = {}
    for prefix in [""] + (["negative_"] if "negative_prompt" in arguments else []):
        text, pooled, _ = pipeline.encode_prompt(arguments[f"{prefix}prompt"], arguments.get(f"{prefix}prompt_2"), "cpu", max_sequence_length=length)
        found |= {f"{prefix}prompt_embeds": text, f"{prefix}pooled_prompt_embeds": pooled}
    return found


def components():
    """All but the transformer, with schnell's scheduler."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    return {
        "vae": vae(f"{SKELETON}/vae", 103), "text_encoder": clip(f"{SKELETON}/text_encoder", 101), "tokenizer": clip_tokenizer(f"{SKELETON}/tokenizer"),
        "text_encoder_2": t5(f"{SKELETON}/text_encoder_2", 102, 48, heads=4), "tokenizer_2": t5_tokenizer(f"{SKELETON}/tokenizer_2"),
        "scheduler": FlowMatchEulerDiscreteScheduler.from_pretrained(SKELETONS / SKELETON / "scheduler"),
    }


def make():
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline

    parts = components()
    schnell = parts.pop("scheduler")
    base = {"prompt": PROMPT, "height": 64, "width": 96}
    families = {
        "flux-schnell": (False, schnell, {"": base | {"num_inference_steps": 4, "guidance_scale": 0.0, "max_sequence_length": 256}}),
        "flux-dev": (True, FlowMatchEulerDiscreteScheduler.from_config(schnell.config, **SHIFT), {
            "": base | {"num_inference_steps": 6, "guidance_scale": 3.5},
            "-true-guidance": {"prompt": PROMPT, "negative_prompt": NEGATIVE, "true_cfg_scale": 3.0, "height": 64, "width": 64, "num_inference_steps": 4, "guidance_scale": 3.5, "max_sequence_length": 77},
        }),
    }
    for family, (guidance, scheduler, cases) in families.items():
        pipeline = quiet(FluxPipeline(transformer=transformer(104, guidance), scheduler=scheduler, **parts))
        write(family, pipeline, TOKENIZERS, shared={} if family == "flux-schnell" else {c: "flux-schnell" for c in ("text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder")})
        for name, arguments in cases.items():
            case(f"{family}{name}", family, pipeline, 111, arguments, embeddings(pipeline, arguments), OTHER, draws="the initial noise [B, 16, h, w], packed afterwards; latents are packed [B, h/2·w/2, 64]")
