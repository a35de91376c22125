"""Paint-with-words: one network call of every family's committed graph, and whole pictures for sd15 and SDXL."""

import copy
import math

import onnxruntime
import torch

from oracle.folder import FIXTURES, quiet_options
from oracle.paint import Painter, columns, edm_sigma, map_of, painting
from oracle.record import Run, case, store
from families import sd15, sdxl

PHRASES = {"lighthouse": 1.0, "sunset, oil": 0.7}
STRENGTH = 0.4


def masks(height, width):
    left, top = torch.zeros(height, width), torch.zeros(height, width)
    left[5 : height - 9, 7 : width // 2 + 3] = 1
    top[: height // 3, width // 4 :] = 0.8
    return {"lighthouse": left, "sunset, oil": top}


class Painted(Run):
    """A whole picture; strength w'·log(1 + σ) with σ = √((1−ᾱ)/ᾱ) of the step's timestep, unconditional rows unpainted."""

    def __init__(self, regions, strides):
        self.regions, self.grids = regions, strides

    def __call__(self, pipeline, seed, **arguments):
        run = copy.copy(self)
        Run.__init__(run, pipeline, seed, **arguments)
        return run

    def call(self, pipeline, arguments):
        empty = {s: torch.zeros(h * w, 77) for s, (h, w) in self.grids.items()}
        filled = {s: map_of(self.regions, grid, 77) for s, grid in self.grids.items()}
        self.maps = {s: torch.stack([empty[s], filled[s]])[:, None] for s in filled}
        painter, forward, self.strengths = Painter("cross", 77, {s: h * w for s, (h, w) in self.grids.items()}, self.maps), pipeline.unet.forward, []

        def step(sample, timestep, *more, **options):
            painter.strength = STRENGTH * math.log1p(edm_sigma(pipeline.scheduler.alphas_cumprod, timestep))
            self.strengths.append(painter.strength)
            return forward(sample, timestep, *more, **options)

        pipeline.unet.forward = step
        try:
            with painting(painter):
                output = super().call(pipeline, arguments)
        finally:
            del pipeline.unet.forward
        self.sites = {s: len(a) // len(self.strengths) for s, a in painter.attention.items()}
        return output


def whole(name, family, pipeline, arguments, embeddings, grids, other):
    height, width = arguments["height"], arguments["width"]
    drawn = masks(height, width)
    regions = [(columns(pipeline.tokenizer, arguments["prompt"], p), drawn[p], w) for p, w in PHRASES.items()]
    runner = Painted(regions, grids)
    painted, plain = runner(pipeline, 7, **arguments), Run(pipeline, 7, **arguments)
    assert set(painted.sites) == set(grids), painted.sites
    moved = float((painted.latents[-1] - plain.latents[-1]).norm() / plain.latents[-1].norm())
    assert moved > 0.01, f"{name}: painting moves the latents by {moved:.2%} only"
    facts = {"regions": [{"phrase": p, "weight": w, "columns": c[0], "mask": f"mask.{i}"} for i, ((p, w), c) in enumerate(zip(PHRASES.items(), regions))],
             "strength": STRENGTH, "strengths": painted.strengths, "sites": painted.sites, "paint_moves": round(moved, 4)}
    tensors = embeddings | {f"mask.{i}": drawn[p] for i, p in enumerate(PHRASES)} | {f"regions_s{s}": m[1:] for s, m in painted.maps.items()} | {"plain": plain.latents[-1]}
    case(name, family, pipeline, 7, arguments, tensors, other, runner=runner, draws="the initial noise", **facts)
    print(f"    painting moves the latents by {moved:.1%}, sites per stride {painted.sites}")


def pictures(first, base):
    both = {"prompt": sd15.PROMPT, "negative_prompt": sd15.NEGATIVE, "num_inference_steps": 6, "guidance_scale": 5.0, "height": 64, "width": 64}
    other = {"prompt": "a lighthouse of glass, and a sunset, oil lamps"}
    for solver in ("euler", "ddim"):
        first.scheduler = sd15.solvers(first.scheduler.config)[solver]
        whole(f"paint-sd15-{solver}", "sd15", first, both, sd15.embeddings(first, sd15.PROMPT, sd15.NEGATIVE), {1: (8, 8), 2: (4, 4), 4: (2, 2)}, other)
    wide = both | {"width": 96}
    whole("paint-sdxl-euler", "sdxl", base, wide, sdxl.embeddings(base, wide), {2: (4, 6), 4: (2, 3)}, other)


def graph_output(family, component, feeds):
    """What ONNX Runtime makes of the committed graph, without painting."""
    session = onnxruntime.InferenceSession(str(FIXTURES / family / component / "model.onnx"), quiet_options(), providers=["CPUExecutionProvider"])
    kinds = {"tensor(int64)": torch.int64, "tensor(float)": torch.float32}
    return torch.from_numpy(session.run(None, {i.name: feeds[i.name].to(kinds[i.type]).numpy() for i in session.get_inputs()})[0])


def one_call(name, family, component, module, feeds, order, grids, text, forward=None):
    """One call with random regions: two rows of different strength, a map per row."""
    g = torch.Generator().manual_seed(17)
    forward = forward or (lambda f: module(**f).sample)
    strides = {s: h * w for s, (h, w) in grids.items()}
    maps = {s: (torch.rand(2, 1, area, text, generator=g) < 0.3).float() * torch.rand(2, 1, 1, text, generator=g) for s, area in strides.items()}
    strength = torch.tensor([0.8, 0.3]).view(2, 1, 1, 1)
    plain = forward(feeds)
    gap = float((graph_output(family, component, feeds) - plain).abs().max() / plain.abs().max())
    assert gap < 2e-5, f"{name}: the committed graph differs from PyTorch by {gap:.1e}"
    zero = Painter(order, text, strides, maps, 0.0)
    with painting(zero):
        silent = forward(feeds)
    assert float((silent - plain).abs().max() / plain.abs().max()) < 1e-5
    with painting(Painter(order, text, strides, maps, strength)) as painter:
        painted = forward(feeds)
    sites = {s: len(a) for s, a in painter.attention.items()}
    assert set(sites) == set(grids), f"{name}: {sites}"
    effect = float((painted - plain).norm() / plain.norm())
    assert effect > 0.005, f"{name}: painting moves the output by {effect:.2%} only"
    tensors = {f"in.{k}": v for k, v in feeds.items()} | {f"regions_s{s}": m for s, m in maps.items()} | {"regions_strength": strength, "out.plain": plain, "out.painted": painted}
    tensors |= {f"attention_s{s}": torch.stack(a).mean(0) for s, a in painter.attention.items()}
    store(name, family, tensors, component=component, order=order, sites=sites, grids=grids, health={"paint_moves": round(effect, 4), "graph_to_torch": float(f"{gap:.1e}")})


def calls(first, base):
    g = torch.Generator().manual_seed(16)
    randn = lambda *shape: torch.randn(*shape, generator=g)
    half = torch.tensor(500.0)
    one_call("paint-call-sd15", "sd15", "unet", first.unet, {"sample": randn(2, 4, 8, 12), "timestep": half, "encoder_hidden_states": randn(2, 77, 32)}, "cross", {1: (8, 12), 2: (4, 6), 4: (2, 3)}, 77)
    added = lambda module: lambda f: module(f["sample"], f["timestep"], f["encoder_hidden_states"], added_cond_kwargs={"text_embeds": f["text_embeds"], "time_ids": f["time_ids"]}).sample
    refiner = sdxl.refiner(base)
    for name, pipeline, text, ids, grids in (("sdxl", base, 72, 6, {2: (4, 8), 4: (2, 4)}), ("sdxl-refiner", refiner, 40, 5, {2: (4, 8), 4: (2, 4), 8: (1, 2)})):
        feeds = {"sample": randn(2, 4, 8, 16), "timestep": half, "encoder_hidden_states": randn(2, 77, text), "text_embeds": randn(2, 24), "time_ids": torch.tensor([[64.0, 128, 0, 0, 64, 128]] * 2)[:, :ids]}
        one_call(f"paint-call-{name}", name, "unet", pipeline.unet, feeds, "cross", grids, 77, added(pipeline.unet))
    flow_calls(randn, half)
    pixel_calls(randn)


def flow_calls(randn, half):
    from families import flux, sd3

    one_call("paint-call-sd3", "sd3", "transformer", sd3.transformer(84), {"hidden_states": randn(2, 16, 8, 12), "encoder_hidden_states": randn(2, 40, 80), "pooled_projections": randn(2, 56), "timestep": half.expand(2)},
             "image-first", {2: (4, 6)}, 40)
    ids = torch.zeros(24, 3)
    ids[:, 1], ids[:, 2] = torch.arange(24) // 6, torch.arange(24) % 6
    for name, guidance in (("flux-schnell", False), ("flux-dev", True)):
        feeds = {"hidden_states": randn(2, 24, 64), "encoder_hidden_states": randn(2, 40, 48), "pooled_projections": randn(2, 32), "timestep": torch.tensor([0.5, 0.5]), "img_ids": ids.long(), "txt_ids": torch.zeros(40, 3).long()}
        feeds |= {"guidance": torch.tensor([3.5, 3.5])} if guidance else {}
        one_call(f"paint-call-{name}", name, "transformer", flux.transformer(104, guidance), feeds, "text-first", {1: (4, 6)}, 40)


def pixel_calls(randn):
    from families import deepfloyd, pixart

    time, text = torch.tensor(500), randn(2, 40, 40)
    feeds = {"sample": randn(2, 3, 16, 16), "timestep": time, "encoder_hidden_states": text}
    one_call("paint-call-if-stage1", "if-stage1", "unet", deepfloyd.unet(122, 16), feeds, "added", {2: (8, 8), 4: (4, 4)}, 40)
    model = pixart.transformer(142)
    feeds = {"hidden_states": randn(2, 4, 8, 8), "encoder_hidden_states": text, "timestep": torch.tensor([500, 500]), "encoder_attention_mask": (torch.arange(40) < torch.tensor([[9], [30]])).long()}
    one_call("paint-call-pixart", "pixart", "transformer", model, feeds, "cross", {2: (4, 4)}, 40, lambda f: model(**f, added_cond_kwargs={"resolution": None, "aspect_ratio": None}).sample)


def make():
    from diffusers import StableDiffusionPipeline

    first, base = sd15.quiet(StableDiffusionPipeline(**sd15.components())), sdxl.base()
    pictures(first, base)
    calls(first, base)
