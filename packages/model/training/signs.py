"""Real signs, as the world paints them, for the reader of benchmarks/signs.mjs: what it makes of them is the ceiling of what it can say of painted ones.

    python signs.py --sprites sprites4.pkl --out DIR --count 80      # DIR/WORD-NUMBER.png, 256 × 256
"""

import argparse
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

import world
from backgrounds import paint_backgrounds
from vocabulary import WORLD

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sprites", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--seed", type=int, default=9)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(a.seed)
    painter = world.Painter(pickle.loads(a.sprites.read_bytes()), paint_backgrounds(list(WORLD["styles"]), np.random.default_rng(a.seed), (4,)), 4)
    made = 0
    while made < a.count:
        scene = world.sample_scene(rng, held_out=())
        if scene["kind"] == "sign":
            Image.fromarray(painter.render(rng, scene)).save(a.out / f"{scene['word']}-{made}.png")
            made += 1
