"""Text encoders and autoencoders of every family at little width, from the public configurations."""

import json
import os
from pathlib import Path

import torch

from .weights import enliven, scale_output

SKELETONS = Path(os.environ.get("HUB_SKELETONS", "hub-skeletons"))  # configurations and vocabularies as the hub has them


def configuration(path, **changes):
    config = json.loads((SKELETONS / path / "config.json").read_text()) | changes
    return config | ({"torch_dtype": "float32"} if "torch_dtype" in config else {})


def clip(path, seed, width=32, heads=4, layers=3, projection=None):
    import transformers

    config = configuration(path, hidden_size=width, intermediate_size=2 * width, num_attention_heads=heads, num_hidden_layers=layers, projection_dim=projection or width)
    name = config["architectures"][0]
    return enliven(getattr(transformers, name)(transformers.CLIPTextConfig(**config)), seed)


def t5(path, seed, width=32, heads=4, layers=2):
    import transformers

    config = configuration(path, d_model=width, d_kv=width // heads, d_ff=2 * width, num_heads=heads, num_layers=layers)
    return enliven(transformers.T5EncoderModel(transformers.T5Config(**config)), seed)


def vae(path, seed, widths=(8, 8, 16, 16)):
    from diffusers import AutoencoderKL

    config = configuration(path, block_out_channels=list(widths), layers_per_block=1, norm_num_groups=4, sample_size=64)
    model = enliven(AutoencoderKL.from_config(config), seed)
    generator = torch.Generator().manual_seed(seed + 1)
    picture = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
    scaling, channels = model.config.scaling_factor, model.config.latent_channels
    moments = lambda: model._encode(picture) if hasattr(model, "_encode") else model.encode(picture).latent_dist.parameters
    last = model.quant_conv if model.quant_conv is not None else model.encoder.conv_out
    scale_output(last, lambda: moments()[:, :channels] * scaling, 1.0)
    last.weight[channels:] *= 0.3  # log-variances around -4: noise that shows without drowning the picture
    last.bias[channels:] -= 4.0
    latents = torch.randn(1, channels, 8, 8, generator=generator) / scaling
    scale_output(model.decoder.conv_out, lambda: model.decode(latents).sample, 0.45)
    return model


def clip_tokenizer(path):
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(SKELETONS / path)


def t5_tokenizer(path):
    from transformers import T5TokenizerFast

    return T5TokenizerFast.from_pretrained(SKELETONS / path)
