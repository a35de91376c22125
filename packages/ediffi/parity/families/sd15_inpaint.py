"""Stable Diffusion 1.5's inpainting UNet: nine channels (latents, mask, masked picture), the rest as in sd15."""

from families.sd15 import SKELETON, components, inpainting
from oracle.folder import write


def make():
    from diffusers import StableDiffusionInpaintPipeline

    parts = components(in_channels=9)
    write("sd15-inpaint", StableDiffusionInpaintPipeline(**parts), {"tokenizer": f"{SKELETON}/tokenizer"}, task="inpainting", shared={c: "sd15" for c in ("text_encoder", "vae_encoder", "vae_decoder")})
    draws = "the noise, the autoencoder's sample of the masked picture"
    late = "the autoencoder's sample of the picture, the noise, the autoencoder's sample of the masked picture"
    inpainting(parts, "sd15-inpaint", "sd15-inpaint9", [("pndm", 1.0, draws), ("euler", 0.75, late)])
