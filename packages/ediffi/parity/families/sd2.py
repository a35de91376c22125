"""Stable Diffusion 2.x's readings on sd15's parts: v-prediction, and zero terminal SNR with trailing timesteps and guidance rescale (arXiv 2305.08891)."""

from families.sd15 import NEGATIVE, OTHER, PROMPT, components, embeddings, quiet
from oracle.record import case


def make():
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline

    parts = components()
    pipeline = quiet(StableDiffusionPipeline(**parts))
    velocity = {"prediction_type": "v_prediction"}
    zero = velocity | {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    config = parts["scheduler"].config
    for name, scheduler, rescale in [
        ("v-euler", EulerDiscreteScheduler.from_config(config, **velocity), 0.0),
        ("v-zero-snr-ddim", DDIMScheduler.from_config(config, **zero), 0.7),
        ("v-zero-snr-euler", EulerDiscreteScheduler.from_config(config, **zero), 0.7),
    ]:
        pipeline.scheduler = scheduler
        arguments = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 5, "guidance_scale": 5.0, "guidance_rescale": rescale, "height": 64, "width": 64}
        case(f"sd2-{name}", "sd15", pipeline, 41, arguments, embeddings(pipeline, PROMPT, NEGATIVE), OTHER, draws="the initial noise")
