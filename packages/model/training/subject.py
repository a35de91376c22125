"""Paints the six pictures of a personal subject: an emoji that is no object of the world, with the captions that name it.

    python subject.py --art art --code 1f9a9 --out ../../../examples/personal-subject/subject
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from backgrounds import paint_backgrounds
from sprites import SIZES, load_art, restyle, shrink, square
from tokenizer_files import RARE
from vocabulary import OBJECTS
from world import Painter, article

SCENES = {"plain:white": "on a white background", "grass": "on the grass", "plain:blue": "on a blue background", "sky": "in the blue sky",
          "plain:yellow": "on a yellow background", "night": "at night"}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--art", type=Path, required=True)
    parser.add_argument("--code", required=True, help="code point in Fluent Emoji 3D")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    if a.code in OBJECTS.values():
        parser.error(f"{a.code} is an object of the world: it needs no teaching")
    rng = np.random.default_rng(a.seed)
    master = restyle(square(load_art(a.art / "node_modules", "3d", a.code)), "3d", rng)
    painter = Painter({("3d", RARE, None): {size: {1: shrink(master, size, 1, "3d")} for size in SIZES}}, paint_backgrounds(["3d"], rng, (1,)), 1)
    a.out.mkdir(parents=True, exist_ok=True)
    captions = {}
    for i, (background, where) in enumerate(SCENES.items()):
        scene = {"kind": "one", "style": "3d", "background": background, "objects": [(RARE, None)], "size": "big" if i % 2 == 0 else "middle", "place": None}
        captions[f"{i + 1}.png"] = f"{article(RARE)} {where}"
        Image.fromarray(painter.render(rng, scene)).save(a.out / f"{i + 1}.png", optimize=True)
    (a.out / "captions.json").write_text(json.dumps(captions, indent=1) + "\n")
