"""pillow.json: small pictures resized by Pillow, for regions/resize-bytes.test.ts. Any Pillow ≥ 9: python make_pillow.py"""

import json
from pathlib import Path

import numpy as np
from PIL import Image, __version__

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
random, cases = np.random.default_rng(7), []
for width, height, to_width, to_height in ((9, 6, 4, 5), (5, 4, 11, 9), (12, 3, 5, 3), (7, 10, 7, 3), (31, 17, 6, 8)):
    pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels[: height // 2, : width // 2] = (0, 255, 255)  # edges: filters overshoot there
    for name, kind in FILTERS.items():
        resized = np.asarray(Image.fromarray(pixels).resize((to_width, to_height), kind))
        cases.append({"filter": name, "from": [height, width], "to": [to_height, to_width], "data": pixels.flatten().tolist(), "resized": resized.flatten().tolist()})
Path(__file__).with_name("pillow.json").write_text(json.dumps({"pillow": __version__, "cases": cases}, separators=(",", ":")) + "\n")
