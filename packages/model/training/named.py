"""What the judge names right in pictures that were real down to a noise level and are the experts' from there: at which noise what a caption says is lost.

    python named.py --run DIR --validation VAL32 --judge judge/classifier.pt [--from 40 2 0.75 0.23 0] [--names base-high base-middle base-low]

From 40 is what the model paints by itself (that σ leaves nothing to be seen), from 0 the pictures as they are: the ceiling. One line of JSON per noise level, questions named as in `ediffi evaluate`.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import world
from classifier import OUTPUTS, Classifier
from encoders import to_pixels
from evaluation import asked, right
from sample import paint
from train import Conditioner, Data
from unet import trained

STAGE = json.loads((Path(__file__).parent / "card-source.json").read_text())["stages"][0]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True, help="scenes of 32 pixels that no network was trained on")
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, default=Path(__file__).parent.parent / "tokenizers")
    parser.add_argument("--names", nargs="+", default=[f"base-{expert['name']}" for expert in STAGE["experts"]], help="the experts, highest noise first")
    parser.add_argument("--from", dest="tops", type=float, nargs="+", default=[40.0, 2.0, 0.75, 0.23, 0.0], metavar="SIGMA")
    parser.add_argument("--count", type=int, default=192)
    parser.add_argument("--steps", type=int, default=25, help="from the highest noise; fewer from less")
    parser.add_argument("--guidance", type=float, default=STAGE["defaults"]["guidance"])
    parser.add_argument("--seed", type=int, default=3)
    a = parser.parse_args()
    if len(a.names) != len(STAGE["experts"]):
        parser.error(f"{len(a.names)} names for the {len(STAGE['experts'])} experts of card-source.json")
    torch.set_num_threads(1)
    data, rng = Data(a.validation), np.random.default_rng(a.seed)
    rows = [i for i, scene in enumerate(data.scenes) if scene["kind"] != "sign"][: a.count]  # signs are read by another judge: benchmarks/signs.mjs
    captions = [world.caption(rng, data.scenes[i]) for i in rows]
    scenes = [{"asked": asked(data.scenes[i], caption), "heldOut": False} for i, caption in zip(rows, captions)]
    real = to_pixels(data.pictures[rows])
    judge = Classifier()
    judge.load_state_dict(torch.load(a.judge))
    judge.eval()
    conditioner = Conditioner(a.run, a.tokenizers, torch.device("cpu"))
    networks = [(expert["sigmaMin"], trained(a.run, name)) for expert, name in zip(STAGE["experts"], a.names)]
    networks[-1] = (0.0, networks[-1][1])  # the lowest noise is its own, too
    for top in a.tops:
        batches = range(0, len(rows), 16)
        pictures = real if top == 0 else torch.cat([paint(networks, conditioner, captions[i : i + 16], a.steps, a.guidance, a.seed + i, truth=(real[i : i + 16], top)) for i in batches])
        with torch.no_grad():
            logits = judge(F.interpolate(pictures, scale_factor=2.0, mode="bilinear", align_corners=False))
        print(json.dumps({"from": top, **right(dict(zip(OUTPUTS, logits)), scenes)}), flush=True)
