"""Runs a diffusers pipeline and stores what a reader must reproduce: expected/<case>.json and .safetensors."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

EXPECTED = Path(__file__).parent.parent / "expected"


class Run:
    """One call of a pipeline: picture [B, H, W, 3] in 0..1, latents after each step [steps, B, …], timesteps visited, and every random tensor drawn, in order."""

    def __init__(self, pipeline, seed, **arguments):
        self.steps, self.times, self.draws = [], [], []
        arguments = {"output_type": "pt", "generator": torch.Generator().manual_seed(seed)} | arguments
        original = torch.randn

        def randn(*sizes, **options):
            drawn = original(*sizes, **options)
            if options.get("generator") is arguments["generator"]:
                self.draws.append(drawn.clone())
            return drawn

        torch.randn = randn
        try:
            output = self.call(pipeline, arguments)
        finally:
            torch.randn = original
        images = output.images if hasattr(output, "images") else output.frames
        self.image = images.permute(0, 2, 3, 1) if images.shape[1] == 3 else images
        self.latents = torch.stack(self.steps)

    def call(self, pipeline, arguments):
        return pipeline(callback_on_step_end=self.keep, callback_on_step_end_tensor_inputs=["latents"], **arguments)

    def keep(self, _, index, timestep, values):
        self.steps.append(values["latents"].detach().clone())
        self.times.append(float(timestep))
        return {}

    def tensors(self):
        return {"latents": self.latents, "image": self.image} | {f"draw.{i}": d for i, d in enumerate(self.draws)}


def case(name, family, pipeline, seed, arguments, tensors, other, runner=Run, inputs=None, **facts):
    """Runs, checks and stores one case. `arguments` go into the JSON, `inputs` (pictures, masks) only to the pipeline; `other` are arguments of another prompt, which must show."""
    inputs = inputs or {}
    run = runner(pipeline, seed, **arguments, **inputs)
    changed = runner(pipeline, seed, **(arguments | other), **inputs).latents[-1]
    moved = float((changed - run.latents[-1]).norm() / run.latents[-1].norm())
    assert moved > 0.01, f"{name}: another prompt moves the latents by {moved:.2%} only"
    store(name, family, tensors | run.tensors(), pipeline=type(pipeline).__name__, seed=seed, scheduler=scheduler_config(pipeline.scheduler), timesteps=run.times,
          arguments=arguments, **facts, health=healthy(name, run.image, run.latents) | {"text_moves": round(moved, 4)})
    return run


def healthy(name, image, latents):
    saturated = float(((image <= 0) | (image >= 1)).float().mean())
    deviation, last = float(image.std()), float(latents[-1].std())
    assert torch.isfinite(image).all() and deviation > 0.05 and saturated < 0.35, f"{name}: picture std {deviation:.3f}, {saturated:.0%} saturated"
    assert 0.05 < last < 20, f"{name}: latents std {last:.3f}"
    return {"picture_std": round(deviation, 4), "saturated": round(saturated, 4), "latents_std": round(last, 4)}


def plain(value):
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items() if not str(k).startswith("_") or k == "_class_name"}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.integer, np.floating)):
        return value.item()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def scheduler_config(scheduler):
    return {"_class_name": type(scheduler).__name__} | plain(dict(scheduler.config))


def store(case, family, tensors, **facts):
    import diffusers
    import transformers

    EXPECTED.mkdir(exist_ok=True)
    tensors = {k: v.detach().to(v.dtype if v.dtype in (torch.int64, torch.int32, torch.uint8) else torch.float32).contiguous().clone() for k, v in tensors.items()}
    record = {"case": case, "family": family} | plain(facts)
    record["tensors"] = {k: list(v.shape) for k, v in tensors.items()}
    record["versions"] = {"diffusers": diffusers.__version__, "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in record.items())
    (EXPECTED / f"{case}.json").write_text(f"{{\n{lines}\n}}\n")
    save_file(tensors, EXPECTED / f"{case}.safetensors")
    size = (EXPECTED / f"{case}.safetensors").stat().st_size
    print(f"  {case}: {size >> 10} KiB, {facts.get('health')}", flush=True)
