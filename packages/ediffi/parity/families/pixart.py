"""PixArt-Sigma-like: T5 alone with its attention mask into the transformer, eight channels out (the learned variance is dropped), DPM++ 2M.

Traced, its positions are constants of the example's size: the graph takes 8×8 latents only, as any TorchScript export of it does.
"""

import torch

from families.sd15 import NEGATIVE, OTHER, PROMPT, quiet
from oracle.components import t5, t5_tokenizer, vae
from oracle.folder import write
from oracle.record import Run, case
from oracle.torch_export import exported
from oracle.weights import enliven, fit_output, noised_vp, patches

T5 = "stable-diffusion-3-medium-diffusers"
WIDTH, LENGTH = 40, 120


def transformer(seed):
    from diffusers import PixArtTransformer2DModel

    model = PixArtTransformer2DModel(
        num_attention_heads=3, attention_head_dim=8, in_channels=4, out_channels=8, num_layers=2, norm_num_groups=4, cross_attention_dim=24, sample_size=8, patch_size=2, caption_channels=WIDTH, use_additional_conditions=False,
    )
    enliven(model, seed)
    g = torch.Generator().manual_seed(seed)
    nothing = {"resolution": None, "aspect_ratio": None}

    def examples():
        for timestep in (20, 120, 260, 420, 600, 800, 980):
            x, noise = noised_vp(g, (8, 4, 8, 8), timestep)
            text, mask = torch.randn(8, 20, WIDTH, generator=g), torch.ones(8, 20)
            variance = torch.randn(8, 4, 8, 8, generator=g) * 0.3
            yield (lambda: model(x, text, torch.full([8], timestep), nothing, encoder_attention_mask=mask)), patches(torch.cat([noise, variance], 1))

    print(f"  fit error {fit_output(model.proj_out, examples()):.3f}")
    return model


class Older(Run):
    """PixArt's pipeline has the older callback."""

    def call(self, pipeline, arguments):
        return pipeline(callback=lambda i, t, x: self.keep(None, i, t, {"latents": x}), **arguments)


def embeddings(pipeline, arguments):
    pick = {k: arguments[k] for k in ("prompt", "negative_prompt", "max_sequence_length", "clean_caption")}
    positive, mask, negative, negative_mask = pipeline.encode_prompt(device="cpu", **pick)
    return {"prompt_embeds": positive, "prompt_attention_mask": mask.long(), "negative_prompt_embeds": negative, "negative_prompt_attention_mask": negative_mask.long()}


def make():
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline

    pipeline = quiet(PixArtSigmaPipeline(
        tokenizer=t5_tokenizer(f"{T5}/tokenizer_3"), text_encoder=t5(f"{T5}/text_encoder_3", 141, WIDTH), vae=vae("stable-diffusion-xl-base-1.0/vae", 143), transformer=transformer(142),
        scheduler=DPMSolverMultistepScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="linear", solver_order=2),
    ))
    g = torch.Generator().manual_seed(1)
    feeds = {
        "hidden_states": torch.randn(2, 4, 8, 8, generator=g), "encoder_hidden_states": torch.randn(2, LENGTH, WIDTH, generator=g), "timestep": torch.tensor([500, 500]),
        "encoder_attention_mask": (torch.arange(LENGTH) < torch.tensor([[9], [40]])).long(),
    }
    write("pixart", pipeline, {"tokenizer": f"{T5}/tokenizer_3"}, export=lambda p, *_: exported(p, "transformer", feeds, "out_sample", fixed=True))
    arguments = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 6, "guidance_scale": 2.5, "height": 64, "width": 64, "max_sequence_length": LENGTH, "clean_caption": False, "use_resolution_binning": False}
    case("pixart", "pixart", pipeline, 151, arguments, embeddings(pipeline, arguments), OTHER, runner=Older, draws="the initial noise")
