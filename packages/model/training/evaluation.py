"""The evaluation set: held-out captions, what a picture of each must show, and features of real pictures, for `ediffi evaluate`.

    python evaluation.py --sprites sprites.pkl --run DIR --out ../evaluation/scenes.json     # DIR: encoders/clip-image.pt; the judge is ../weights/classifier.onnx

Scenes come from a seed of their own; the pairs held out of training are among them. Every scene is painted twice by the renderer (`real`, `again`):
the distance between the two is what a perfect model would get; the judge's right answers on them are its ceiling.
"""

import argparse
import base64
import json
import pickle
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F

import world
from backgrounds import paint_backgrounds
from classifier import LABELS, OUTPUTS
from encoders import ClipImage, to_pixels
from vocabulary import HELD_OUT, SCENES, WORLD


def asked(scene, caption):
    """{question: answer or answers}: what the caption says of the picture, and nothing else."""
    out = {"count": str(len(scene["objects"])), "style": scene["style"]}
    if scene["objects"]:
        out["object"] = list(dict.fromkeys(name for name, _ in scene["objects"]))  # three cats: "cat", and the count says how many
    words = [f"{scene['background'][6:]} background"] if scene["background"].startswith("plain:") else SCENES[scene["background"]]
    if any(w in caption for w in words):
        out["background"] = scene["background"]
    if scene["kind"] == "one":
        if scene["objects"][0][1]:
            out["color"] = scene["objects"][0][1]
        if scene["place"] and scene["size"] != "big":
            out["place"] = scene["place"]
    return out


def held_out_scenes(rng, count):
    """(scenes, [{caption, asked, heldOut}]): what the model is asked to paint; one scene in four is kept for the pairs that were held out, which are rare."""
    scenes, kept = [], []
    while len(kept) < count:
        scene = world.sample_scene(rng, held_out=())
        if scene["kind"] == "sign":  # read by another judge: benchmarks/signs.mjs
            continue
        held = any((name, scene["background"]) in HELD_OUT for name, _ in scene["objects"])
        if held or len(kept) % 4:
            caption = world.caption(rng, scene)
            kept.append({"caption": caption, "asked": asked(scene, caption), "heldOut": held})
            scenes.append(scene)
    return scenes, kept


def packed(features):
    return {"width": features.shape[1], "base64": base64.b64encode(features.float().contiguous().numpy().tobytes()).decode()}


def right(logits, scenes):
    """{question: share of right answers}, the questions named as in `ediffi evaluate`."""
    hits = {}
    for i, scene in enumerate(scenes):
        for question, wanted in scene["asked"].items():
            ranked = [LABELS[question][k] for k in logits[question][i].argsort(descending=True)]
            all_wanted = wanted if isinstance(wanted, list) else [wanted]
            hit = set(all_wanted) <= set(ranked[: len(all_wanted)])
            names, several = [question], int(scene["asked"]["count"]) > len(scene["asked"].get("object", []))
            if question == "count" and several:
                names.append("count of several")
            if question == "object":
                number = "object of " + ("several" if several else "one" if len(all_wanted) == 1 else "two")
                names = [number] + ["object of a held-out pair", f"{number}, held-out pair"] * scene["heldOut"]
            for name in names:
                hits.setdefault(name, []).append(hit)
    return {name: round(float(np.mean(values)), 4) for name, values in hits.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sprites", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--judge", type=Path, default=Path(__file__).parent.parent / "weights/classifier.onnx")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--seed", type=int, default=5001)
    a = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(a.seed)
    painter = world.Painter(pickle.loads(a.sprites.read_bytes()), paint_backgrounds(list(WORLD["styles"]), np.random.default_rng(a.seed), (1,)), 1)
    scenes, kept = held_out_scenes(rng, a.count)
    judge = onnxruntime.InferenceSession(a.judge)
    image = ClipImage()
    image.load_state_dict(torch.load(a.run / "encoders/clip-image.pt"))
    image.eval()
    sets, shares = {}, []
    for name in ("real", "again"):
        pictures = to_pixels(np.stack([painter.render(rng, scene) for scene in scenes]))
        outputs = {k: torch.from_numpy(v) for k, v in zip(OUTPUTS, judge.run(OUTPUTS, {"pixel_values": pictures.numpy()}))}
        with torch.no_grad():
            sets[name] = {"judge": packed(outputs["features"]), "clip-image": packed(image(F.avg_pool2d(pictures, 2)))}
        shares.append(right(outputs, kept))
    ceiling = {k: round((shares[0][k] + shares[1][k]) / 2, 4) for k in shares[0]}
    a.out.parent.mkdir(parents=True, exist_ok=True)
    a.out.write_text(json.dumps({"scenes": kept, "ceiling": ceiling, **sets}) + "\n")
    print(json.dumps(ceiling), sum(s["heldOut"] for s in kept), "held out")
