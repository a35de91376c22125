"""Pictures as a prompt: Stable Diffusion with an IP-Adapter, its UNet exported with image_embeds as an input, beside CLIP's image encoder. The plain adapter has its scale as another
input; the Plus one reads the encoder's tokens of the last layer but one, at a scale that is part of the graph."""

import json
import shutil

import torch

from families.controlnet import BOTH, SHAPE, SHARED, example, hint
from families.sd15 import OTHER, PROMPT, SKELETON, bytes_of, picture, quiet, solvers
from oracle.components import SKELETONS, clip, clip_tokenizer, configuration, vae
from oracle.folder import FIXTURES, resolved, write
from oracle.record import Run, case
from oracle.torch_export import graph, work_folder
from oracle.weights import enliven, fit_output, noised_vp

WIDTH, HIDDEN, TOKENS, SIZE, BAKED = 20, 24, 17, 28, 0.7  # of the embedding; of a token; how many (16 patches and one more); of the encoder's picture; the scale of the export without an input for it


def image_encoder(seed):
    import transformers

    config = transformers.CLIPVisionConfig(hidden_size=HIDDEN, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, projection_dim=WIDTH, image_size=SIZE, patch_size=7, num_channels=3)
    return enliven(transformers.CLIPVisionModelWithProjection(config), seed)


def adapter(unet, seed, text=32, tokens=4):
    """Random weights in the form of the published IP-Adapter files."""
    g = torch.Generator().manual_seed(seed)
    state = {"image_proj": {"proj.weight": torch.randn(tokens * text, WIDTH, generator=g) * WIDTH**-0.5, "proj.bias": 0.1 * torch.randn(tokens * text, generator=g), "norm.weight": 1 + 0.1 * torch.randn(text, generator=g), "norm.bias": 0.1 * torch.randn(text, generator=g)}, "ip_adapter": {}}
    key = 1
    for name, module in unet.named_modules():
        if name.endswith("attn2"):
            width = module.to_q.out_features
            for part in ("to_k_ip", "to_v_ip"):
                state["ip_adapter"][f"{key}.{part}.weight"] = torch.randn(width, text, generator=g) * 2 * text**-0.5
            key += 2
    return state


def with_tokens(pipeline, seed):
    """The pipeline with a Plus adapter's projection: a resampler of the encoder's tokens."""
    from diffusers.models.embeddings import IPAdapterPlusImageProjection, MultiIPAdapterImageProjection

    resampler = enliven(IPAdapterPlusImageProjection(embed_dims=HIDDEN, output_dims=32, hidden_dims=24, depth=1, dim_head=6, heads=4, num_queries=4), seed)
    pipeline.unet.encoder_hid_proj = MultiIPAdapterImageProjection([resampler])
    return pipeline


def prompted_unet(seed):
    from diffusers import UNet2DConditionModel

    config = configuration(f"{SKELETON}/unet") | SHAPE | {"sample_size": 8, "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]}
    return enliven(UNet2DConditionModel.from_config(config), seed)


def fit(model, seed, shape=(1, WIDTH)):
    """As families.sd15's, with pictures' embeddings in it."""
    g = torch.Generator().manual_seed(seed)

    def examples():
        for timestep in (20, 120, 260, 420, 600, 800, 980):
            x, noise = noised_vp(g, (4, 4, 8, 8), timestep)
            text, image = torch.randn(4, 77, 32, generator=g), [torch.randn(4, *shape, generator=g)]
            yield (lambda: model(x, timestep, text, added_cond_kwargs={"image_embeds": image})), noise

    print(f"  with pictures: fit error {fit_output(model.conv_out, examples(), mix=0.25):.3f}")


class Scaled(torch.nn.Module):
    """The UNet with the adapter's scale as an argument."""

    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, sample, timestep, encoder_hidden_states, image_embeds, ip_adapter_scale=None):
        kept = {}
        for name, processor in self.unet.attn_processors.items():
            if ip_adapter_scale is not None and hasattr(processor, "scale"):
                kept[name], processor.scale = processor.scale, [ip_adapter_scale]
        answer = self.unet(sample, timestep, encoder_hidden_states, added_cond_kwargs={"image_embeds": [image_embeds]}, return_dict=False)[0]
        for name, scale in kept.items():
            self.unet.attn_processors[name].scale = scale
        return answer

    def save_config(self, folder):
        self.unet.save_config(folder)


def unet_graph(folder, unet, scaled):
    inputs = example() | {"image_embeds": torch.randn(2, 1, WIDTH) if scaled else torch.randn(2, 1, TOKENS, HIDDEN)} | ({"ip_adapter_scale": torch.tensor([0.5])} if scaled else {})
    graph(folder, Scaled(unet), inputs, "out_sample", lambda module, feeds: module(**feeds), axes={"ip_adapter_scale": {}} if scaled else None)


def encoder_graph(folder, encoder):
    names = ["image_embeds", "last_hidden_state", *(f"hidden_states.{i}" for i in range(4))]

    def call(module, feeds):
        answer = module(**feeds, output_hidden_states=True)
        return (answer.image_embeds, answer.last_hidden_state, *answer.hidden_states)

    graph(folder, encoder, {"pixel_values": torch.randn(2, 3, SIZE, SIZE)}, names, call, axes={n: {0: "batch_size"} for n in names})


def folder_of(pipeline, scaled):
    work, source = work_folder(), resolved("sd15")
    unet_graph(work / "unet", pipeline.unet, scaled)
    encoder_graph(work / "image_encoder", pipeline.image_encoder)
    for name in SHARED:
        shutil.copytree(source / name, work / name)
    shutil.rmtree(source.parent)
    pipeline.scheduler.save_pretrained(work / "scheduler")
    (work / "feature_extractor").mkdir()
    settings = {k: v for k, v in pipeline.feature_extractor.to_dict().items() if k in ("crop_size", "do_center_crop", "do_convert_rgb", "do_normalize", "do_rescale", "do_resize", "image_mean", "image_std", "resample", "rescale_factor", "size")}
    (work / "feature_extractor/preprocessor_config.json").write_text(json.dumps({"image_processor_type": "CLIPImageProcessor"} | {k: int(v) if k == "resample" else v for k, v in settings.items()}, default=dict, indent=2) + "\n")
    index = json.loads((FIXTURES / "sd15/model_index.json").read_text())
    (work / "model_index.json").write_text(json.dumps(index | {"image_encoder": ["transformers", "CLIPVisionModelWithProjection"], "feature_extractor": ["transformers", "CLIPImageProcessor"]}))
    return work


def prompt_case(name, family, pipeline, seed, arguments, image, scale, extra=None, inputs=None, **facts):
    given = {"ip_adapter_image": image} | (inputs or {})
    first, second = (Run(pipeline, seed, **arguments, **(given | {"ip_adapter_image": i})).latents[-1] for i in (image, hint(50, 50, 77)))
    moved = float((first - second).norm() / first.norm())
    assert moved > 0.005, f"{name}: another picture moves the latents by {moved:.2%} only"
    pixels = pipeline.feature_extractor(image, return_tensors="pt").pixel_values
    case(name, family, pipeline, seed, arguments, {"prompt_image": bytes_of(image), "pixel_values": pixels} | (extra or {}), OTHER, inputs=given, **({"imageScale": scale} if scale is not None else {}), picture_moves=round(moved, 4), **facts)


def make():
    from diffusers import PNDMScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    parts = {
        "vae": vae(f"{SKELETON}/vae", 13), "text_encoder": clip(f"{SKELETON}/text_encoder", 12), "tokenizer": clip_tokenizer(f"{SKELETON}/tokenizer"), "unet": prompted_unet(182), "image_encoder": image_encoder(181),
        "scheduler": PNDMScheduler.from_pretrained(SKELETONS / SKELETON / "scheduler"), "safety_checker": None, "feature_extractor": CLIPImageProcessorPil(size=SIZE, crop_size=SIZE), "requires_safety_checker": False,
    }
    pipeline = quiet(StableDiffusionPipeline(**parts))
    pipeline.load_ip_adapter(adapter(parts["unet"], 183), subfolder="", weight_name="", image_encoder_folder=None)
    pipeline.set_ip_adapter_scale(BAKED)
    fit(pipeline.unet, 184)
    tokenizers = {"tokenizer": f"{SKELETON}/tokenizer"}
    write("sd15-image-prompt", pipeline, tokenizers, export=lambda p, *_: folder_of(p, True), shared=SHARED)
    schedulers, drawn = solvers(parts["scheduler"].config), "the initial noise, then one per step where the solver adds noise"
    square = BOTH | {"height": 32, "width": 32, "num_inference_steps": 6}
    pipeline.set_ip_adapter_scale(0.35)
    pipeline.scheduler = schedulers["dpmpp-2m-karras"]
    prompt_case("image-prompt-dpmpp", "sd15-image-prompt", pipeline, 192, square, hint(40, 90, 32), 0.35, draws=drawn)
    pipeline.set_ip_adapter_scale(1.2)
    pipeline.scheduler = schedulers["euler"]
    prompt_case("image-prompt-unguided-euler", "sd15-image-prompt", pipeline, 193, square | {"guidance_scale": 1.0, "num_inference_steps": 4}, hint(64, 64, 33), 1.2, draws=drawn)
    late = quiet(StableDiffusionImg2ImgPipeline(**(parts | {"unet": pipeline.unet})))
    late.scheduler = schedulers["euler"]
    image, _ = picture(32, 32)
    prompt_case("image-prompt-img2img-euler", "sd15-image-prompt", late, 194, BOTH | {"num_inference_steps": 6, "strength": 0.6}, hint(64, 48, 34), 1.2, {"init": bytes_of(image)}, {"image": image}, draws="the autoencoder's sample of the picture, then the noise added to it")

    plus = quiet(StableDiffusionPipeline(**(parts | {"unet": prompted_unet(182)})))
    plus.load_ip_adapter(adapter(plus.unet, 183), subfolder="", weight_name="", image_encoder_folder=None)
    plus.set_ip_adapter_scale(BAKED)
    fit(with_tokens(plus, 185).unet, 186, (1, TOKENS, HIDDEN))
    write("sd15-image-prompt-plus", plus, tokenizers, export=lambda p, *_: folder_of(p, False), shared=SHARED | {"image_encoder": "sd15-image-prompt"})
    plus.scheduler = schedulers["ddim"]
    prompt_case("image-prompt-plus-ddim", "sd15-image-prompt-plus", plus, 195, square, hint(60, 44, 31), None, draws=drawn)
