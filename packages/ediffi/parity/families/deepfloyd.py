"""DeepFloyd-IF-like pixel cascade: T5, a 16×16 stage and a 32×32 stage, learned variance (six channels out), dynamic thresholding, DDPM."""

import torch

from families.sd15 import NEGATIVE, OTHER, PROMPT, quiet
from oracle.components import t5, t5_tokenizer
from oracle.folder import write
from oracle.record import Run, case
from oracle.torch_export import exported
from oracle.weights import enliven, fit_output, smooth

T5 = "stable-diffusion-3-medium-diffusers"  # its text_encoder_3 and tokenizer_3 are T5 1.1 XXL, as IF's are
WIDTH = 40


def unet(seed, size, in_channels=3, mix=0.1, **changes):
    from diffusers import UNet2DConditionModel

    model = UNet2DConditionModel(
        sample_size=size, in_channels=in_channels, out_channels=6, block_out_channels=(8, 16, 16), layers_per_block=1, norm_num_groups=4, act_fn="gelu", attention_head_dim=8, cross_attention_dim=32,
        cross_attention_norm="group_norm", encoder_hid_dim=WIDTH, encoder_hid_dim_type="text_proj", addition_embed_type="text", addition_embed_type_num_heads=4, resnet_time_scale_shift="scale_shift",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D", "SimpleCrossAttnDownBlock2D"), mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), **changes,
    )
    enliven(model, seed, text=0.5)
    g, scheduler, super_resolution = torch.Generator().manual_seed(seed), ddpm(1.5), model.config.in_channels == 6

    def examples():
        for timestep in (20, 120, 260, 420, 600, 800, 980):
            clean, noise = smooth(g, 4, 3, size, size) * 0.5, torch.randn(4, 3, size, size, generator=g)
            x = scheduler.add_noise(clean, noise, torch.tensor([timestep] * 4))
            more = torch.cat([x, clean], 1) if super_resolution else x
            labels = {"class_labels": torch.tensor([250] * 4)} if super_resolution else {}
            text = torch.randn(4, 77, WIDTH, generator=g)
            yield (lambda: model(more, timestep, text, **labels)), torch.cat([noise, torch.randn(4, 3, size, size, generator=g) * 0.3], 1)

    print(f"  fit error {fit_output(model.conv_out, examples(), mix):.3f}")
    return model


def ddpm(largest):
    from diffusers import DDPMScheduler

    return DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", variance_type="learned_range", clip_sample=True, thresholding=True, dynamic_thresholding_ratio=0.95, sample_max_value=largest, prediction_type="epsilon",
    )


class Pixels(Run):
    """IF's pipelines have the older callback and return pictures in −1..1 for output_type 'pt'."""

    def call(self, pipeline, arguments):
        output = pipeline(callback=lambda i, t, x: self.keep(None, i, t, {"latents": x}), clean_caption=False, **arguments)
        output.images = (output.images / 2 + 0.5).clamp(0, 1)
        return output


def embeddings(pipeline, arguments):
    ids = lambda text: pipeline.tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    positive, negative = pipeline.encode_prompt(arguments["prompt"], True, negative_prompt=arguments["negative_prompt"])
    tokens = ids(arguments["prompt"].lower().strip())
    return {"prompt_embeds": positive, "negative_prompt_embeds": negative, "input_ids": tokens.input_ids, "attention_mask": tokens.attention_mask}


def make():
    from diffusers import DDPMScheduler, IFPipeline, IFSuperResolutionPipeline

    parts = {"tokenizer": t5_tokenizer(f"{T5}/tokenizer_3"), "text_encoder": t5(f"{T5}/text_encoder_3", 121, WIDTH), "safety_checker": None, "feature_extractor": None, "watermarker": None, "requires_safety_checker": False}
    first = quiet(IFPipeline(unet=unet(122, 16), scheduler=ddpm(1.5), **parts))
    noising = DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="fixed_small", clip_sample=True, prediction_type="epsilon")
    # Where α is nearly 0, D = (x − σ·ε)/α multiplies every rounding. Of twelve seeds this one multiplies least: 1e-6 in its input moves the latents by 5e-5 (123, mix 0.1, guidance 4: 4e-3).
    upper = unet(129, 32, in_channels=6, mix=0.03, class_embed_type="timestep", resnet_skip_time_act=True, resnet_out_scale_factor=1.414, time_embedding_act_fn="gelu")
    second = quiet(IFSuperResolutionPipeline(unet=upper, scheduler=ddpm(1.0), image_noising_scheduler=noising, **parts))
    text, time = torch.randn(2, 12, WIDTH), torch.tensor(500)
    write("if-stage1", first, {"tokenizer": f"{T5}/tokenizer_3"}, export=lambda p, *_: exported(p, "unet", {"sample": torch.randn(2, 3, 16, 16), "timestep": time, "encoder_hidden_states": text}, "out_sample"))
    feeds = {"sample": torch.randn(2, 6, 32, 32), "timestep": time, "encoder_hidden_states": text, "class_labels": torch.tensor([250, 250])}
    write("if-stage2", second, {"tokenizer": f"{T5}/tokenizer_3"}, export=lambda p, *_: exported(p, "unet", feeds, "out_sample"), shared={"text_encoder": "if-stage1"})
    arguments = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 6, "guidance_scale": 4.0, "height": 16, "width": 16}
    low = case("if-stage1", "if-stage1", first, 131, arguments, embeddings(first, arguments), OTHER, runner=Pixels, draws="the initial noise, then one per step but the last")
    image = low.latents[-1]
    arguments = arguments | {"num_inference_steps": 5, "guidance_scale": 2.0, "noise_level": 250, "height": 32, "width": 32}
    case("if-stage2", "if-stage2", second, 132, arguments, embeddings(second, arguments) | {"small": image}, OTHER, runner=Pixels, inputs={"image": image},
         draws="the initial noise, the noise added to the enlarged small picture, then one per step but the last; `small` [B, 3, 16, 16] in -1..1 is stage one's last latents")
