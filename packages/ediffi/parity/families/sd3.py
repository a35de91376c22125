"""SD3: two CLIPs and T5 (or zeros in its place), joint attention, flow matching; and a pair of such transformers with a boundary, as Wan 2.2 has."""

import json
import shutil

import torch

from families.sd15 import NEGATIVE, OTHER, PROMPT, quiet
from oracle.components import SKELETONS, clip, clip_tokenizer, configuration, t5, t5_tokenizer, vae
from oracle.folder import exported, write
from oracle.record import Run, case
from oracle.weights import enliven, fit_output, noised_flow, patches

SKELETON = "stable-diffusion-3-medium-diffusers"
T5, POOLED = 80, 32 + 24
TOKENIZERS = {f"tokenizer{n}": f"{SKELETON}/tokenizer{n}" for n in ("", "_2", "_3")}


def transformer(seed):
    from diffusers import SD3Transformer2DModel

    config = configuration(f"{SKELETON}/transformer") | {
        "sample_size": 8, "num_layers": 2, "attention_head_dim": 8, "num_attention_heads": 3, "caption_projection_dim": 24, "joint_attention_dim": T5, "pooled_projection_dim": POOLED, "pos_embed_max_size": 24,
    }
    model = enliven(SD3Transformer2DModel.from_config(config), seed)
    g = torch.Generator().manual_seed(seed)

    def examples():
        for sigma in (0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0):
            x, velocity = noised_flow(g, (8, 16, 8, 8), sigma)
            text, pooled = torch.randn(8, 40, T5, generator=g), torch.randn(8, POOLED, generator=g)
            yield (lambda: model(x, text, pooled, torch.full([8], sigma * 1000))), patches(velocity)

    print(f"  fit error {fit_output(model.proj_out, examples()):.3f}")
    return model


def components(seed=84):
    from diffusers import FlowMatchEulerDiscreteScheduler

    return {
        "transformer": transformer(seed), "scheduler": FlowMatchEulerDiscreteScheduler.from_pretrained(SKELETONS / SKELETON / "scheduler"), "vae": vae(f"{SKELETON}/vae", 85),
        "text_encoder": clip(f"{SKELETON}/text_encoder", 81), "tokenizer": clip_tokenizer(f"{SKELETON}/tokenizer"),
        "text_encoder_2": clip(f"{SKELETON}/text_encoder_2", 82, 40, heads=5, projection=24), "tokenizer_2": clip_tokenizer(f"{SKELETON}/tokenizer_2"),
        "text_encoder_3": t5(f"{SKELETON}/text_encoder_3", 83, T5, heads=4), "tokenizer_3": t5_tokenizer(f"{SKELETON}/tokenizer_3"),
    }


def embeddings(pipeline, arguments):
    pick = {k: v for k, v in arguments.items() if k.startswith(("prompt", "negative_prompt", "max_sequence"))}
    pick = {"prompt_2": None, "prompt_3": None} | pick
    positive, negative, pooled, negative_pooled = pipeline.encode_prompt(device="cpu", do_classifier_free_guidance=True, **pick)
    found = {"prompt_embeds": positive, "negative_prompt_embeds": negative, "pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": negative_pooled}
    if pipeline.tokenizer_3 is not None:
        found["input_ids_3"] = pipeline.tokenizer_3(pick["prompt_3"] or pick["prompt"], padding="max_length", max_length=arguments.get("max_sequence_length", 256), truncation=True, return_tensors="pt").input_ids
    return found


DRAWS = "the initial noise"


def make():
    from diffusers import StableDiffusion3Pipeline

    parts = components()
    pipeline = quiet(StableDiffusion3Pipeline(**parts))
    write("sd3", pipeline, TOKENIZERS)
    base = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 6, "guidance_scale": 4.0, "height": 64, "width": 64}
    prompts = {"prompt_2": "thick brush strokes", "prompt_3": "a tall white lighthouse, waves and gulls; an oil painting of 1890", "max_sequence_length": 77}
    for name, arguments in {"euler-64x96": base | {"width": 96}, "three-prompts": base | prompts}.items():
        case(f"sd3-{name}", "sd3", pipeline, 91, arguments, embeddings(pipeline, arguments), OTHER if name == "euler-64x96" else {"prompt_3": "two cats"}, draws=DRAWS)
    without = quiet(StableDiffusion3Pipeline(**(parts | {"text_encoder_3": None, "tokenizer_3": None})))
    shared = {c: "sd3" for c in ("transformer", "text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder")}
    write("sd3-no-t5", without, {k: v for k, v in TOKENIZERS.items() if k != "tokenizer_3"}, export=lambda *_: without_t5(pipeline), shared=shared)
    case("sd3-no-t5", "sd3-no-t5", without, 91, base, embeddings(without, base), OTHER, draws=DRAWS)
    pair(parts, pipeline, base)


def without_t5(pipeline):
    """The export with T5 left out, as save_pretrained leaves it: optimum itself refuses to load a pipeline without it."""
    folder = exported(pipeline, TOKENIZERS)
    for part in ("text_encoder_3", "tokenizer_3"):
        shutil.rmtree(folder / part)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"text_encoder_3": [None, None], "tokenizer_3": [None, None]}))
    return folder


class Pair(Run):
    """The loop of Wan 2.2 over SD3's parts: one scheduler; t ≥ boundary_ratio·1000 goes to `transformer` with guidance_scale, the rest to `transformer_2` with guidance_scale_2."""

    second, ratio = None, None

    def call(self, pipeline, arguments):
        e = embeddings(pipeline, arguments)
        text, pooled = torch.cat([e["negative_prompt_embeds"], e["prompt_embeds"]]), torch.cat([e["negative_pooled_prompt_embeds"], e["pooled_prompt_embeds"]])
        scheduler, config = pipeline.scheduler, pipeline.vae.config
        scheduler.set_timesteps(arguments["num_inference_steps"])
        x = torch.randn((1, 16, arguments["height"] // 8, arguments["width"] // 8), generator=arguments["generator"])
        self.first = 0
        for i, t in enumerate(scheduler.timesteps):
            early = float(t) >= self.ratio * 1000
            self.first += int(early)
            network, scale = (pipeline.transformer, arguments["guidance_scale"]) if early else (self.second, arguments["guidance_scale_2"])
            uncond, cond = network(torch.cat([x, x]), text, pooled, t.expand(2)).sample.chunk(2)
            x = scheduler.step(uncond + scale * (cond - uncond), t, x).prev_sample
            self.keep(None, i, t, {"latents": x})
        images = pipeline.image_processor.postprocess(pipeline.vae.decode(x / config.scaling_factor + config.shift_factor).sample, output_type="pt")
        return type("Output", (), {"images": images})


def pair(parts, pipeline, base):
    second, ratio = transformer(86), 0.875
    runner = type("Runner", (Pair,), {"second": second, "ratio": ratio})
    shared = {c: "sd3" for c in ("transformer", "text_encoder", "text_encoder_2", "text_encoder_3", "vae_encoder", "vae_decoder")}

    def export(_, tokenizers, task):
        """Two exports, the second one's transformer beside the first one's."""
        from diffusers import StableDiffusion3Pipeline

        folder, other = exported(pipeline, tokenizers, task), exported(StableDiffusion3Pipeline(**(parts | {"transformer": second})), tokenizers, task)
        shutil.move(other / "transformer", folder / "transformer_2")
        shutil.rmtree(other.parent)
        return folder

    pipeline.transformer_2 = second
    write("pair", pipeline, TOKENIZERS, index={"boundary_ratio": ratio, "transformer_2": ["diffusers", "SD3Transformer2DModel"]}, export=export, shared=shared)
    arguments = base | {"num_inference_steps": 8, "guidance_scale": 4.0, "guidance_scale_2": 3.0}
    run = case("pair", "pair", pipeline, 93, arguments, embeddings(pipeline, arguments), OTHER, runner=runner, boundary_ratio=ratio, draws=DRAWS)
    assert 0 < run.first < len(run.times), run.times
    print(f"  pair: {run.first} of {len(run.times)} steps above the boundary")
