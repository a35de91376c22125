"""A latent consistency model: sd15 whose UNet takes the guidance scale as an embedding (timestep_cond), few steps, no negative prompt."""

import torch

from families.sd15 import OTHER, PROMPT, SKELETON, components, embeddings, quiet
from oracle.folder import write
from oracle.record import case


def make():
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler

    parts = components(time_cond_proj_dim=32)
    parts["scheduler"] = LCMScheduler.from_config(parts["scheduler"].config, set_alpha_to_one=True)
    pipeline = quiet(LatentConsistencyModelPipeline(**parts))
    write("lcm", pipeline, {"tokenizer": f"{SKELETON}/tokenizer"}, shared={c: "sd15" for c in ("text_encoder", "vae_encoder", "vae_decoder")})
    arguments = {"prompt": PROMPT, "num_inference_steps": 4, "original_inference_steps": 50, "guidance_scale": 8.5, "height": 64, "width": 64}
    tensors = {k: v for k, v in embeddings(pipeline, PROMPT, "").items() if "negative" not in k}
    tensors["timestep_cond"] = pipeline.get_guidance_scale_embedding(torch.tensor([7.5]), 32)
    case("lcm", "lcm", pipeline, 71, arguments, tensors, OTHER, draws="the initial noise, then one per step but the last; timestep_cond embeds guidance_scale - 1")
