"""The world: scenes composed from sprites over painted backgrounds, with captions.

A scene is a plain dict (style, kind, background, objects, layout, size, place); `render` paints it (and notes in a sign where its
letters came to stand), `caption` words it in one of many ways. Everything random comes from the generator that is passed in.

    python world.py --sprites sprites.pkl --out DIR --count 200000 --size 32   # DIR/{pictures.npy,scenes.pkl}
"""

import argparse
import itertools
import pickle
import zlib
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from backgrounds import BACKGROUNDS, paint_backgrounds
from sprites import BOARD_SIZES, BOARDS, LETTER_SIZES
from vocabulary import HELD_OUT, HUES, NUMBERS, PLAIN, PLURALS, SCENES, SIGN_WORDS, STYLES, SYNONYMS, WORLD

PLACES = {"left": " on the left", "right": " on the right", "top": " at the top", "bottom": " at the bottom"}

CELLS = {  # number of objects: [(where each of them stands: x, y, width, height of 64; sizes that fit)]
    2: [([(0, 10, 32, 52), (32, 10, 32, 52)], [24, 26, 28, 30])],
    3: [([(16, 0, 32, 32), (0, 32, 32, 32), (32, 32, 32, 32)], [24, 26, 28]), ([(0, 20, 22, 40), (21, 20, 22, 40), (42, 20, 22, 40)], [20])],
    4: [([(0, 0, 32, 32), (32, 0, 32, 32), (0, 32, 32, 32), (32, 32, 32, 32)], [24, 26, 28])],
}


def pick(rng, weights):
    return list(weights)[rng.choice(len(weights), p=list(weights.values()))]


def one_of(rng, items):
    return items[rng.integers(len(items))]


def sample_object(rng):
    name = one_of(rng, WORLD["objects"])
    colored = name in WORLD["colorable"] and rng.random() < 0.75
    return name, one_of(rng, list(HUES)) if colored else None


def sample_objects(rng, kind):
    """[(name, colour or None)]; "count" is two to four of one object, alike."""
    objects = [sample_object(rng) for _ in range({"empty": 0, "one": 1, "two": 2, "count": 1, "sign": 0}[kind])]
    return objects * int(rng.integers(2, 5)) if kind == "count" else objects


def sample_scene(rng, held_out=HELD_OUT):
    kind = pick(rng, WORLD["kinds"])
    plain = rng.random() < 0.4
    background = "plain:" + one_of(rng, list(PLAIN)) if plain else one_of(rng, list(SCENES))
    while True:
        objects = sample_objects(rng, kind)
        same = kind == "two" and objects[0][0] == objects[1][0]
        uncountable = kind == "count" and objects[0][0] not in PLURALS
        if not same and not uncountable and not any((name, background) in held_out for name, _ in objects):
            break
    scene = {
        "style": pick(rng, WORLD["styles"]), "kind": kind, "background": background, "objects": objects,
        "layout": "beside" if rng.random() < 0.7 else "above",
        "size": pick(rng, {"big": 0.5, "middle": 0.4, "small": 0.1}),
        "place": one_of(rng, [None, None, *PLACES]),
    }
    if kind == "sign":
        scene |= {"word": sign_word(rng, held_out), "board": one_of(rng, list(BOARDS))}
    return scene


def sign_word(rng, held_out):
    """One to four capitals. One word in sixteen is never sampled in training: reading must not be remembering."""
    while True:
        word = one_of(rng, SIGN_WORDS) if rng.random() < 0.3 else "".join(chr(65 + c) for c in rng.integers(0, 26, rng.integers(1, 5)))
        if not held_out or zlib.crc32(word.encode()) % 16:
            return word


def article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def colored_name(rng, thing):
    name, color = thing
    if name in SYNONYMS and rng.random() < 0.15:
        name = one_of(rng, SYNONYMS[name])
    return f"{color} {name}" if color else name


def counted(thing, number):
    name, color = thing
    return " ".join(word for word in (NUMBERS[number], color, PLURALS[name]) if word)


def relation(rng, first, second, beside):
    """Two objects, the first left of (or above) the second, in words."""
    if beside:
        choices = [
            f"{first} to the left of {second}", f"{second} to the right of {first}",
            f"{first} on the left and {second} on the right", f"{second} on the right and {first} on the left",
            f"{first} and {second}", f"{first} next to {second}",
        ]
    else:
        choices = [
            f"{first} above {second}", f"{second} below {first}", f"{first} on top of {second}",
            f"{first} at the top and {second} at the bottom",
        ]
    return one_of(rng, choices)


def caption(rng, scene, say_style=True):
    """One wording of the scene. Without `say_style` a reference picture has to tell how it is drawn."""
    background = scene["background"]
    if background.startswith("plain:"):
        color = background[6:]
        where = one_of(rng, [f"on a {color} background", f"with a plain {color} background"])
    else:
        where = one_of(rng, SCENES[background])
    if rng.random() < 0.08:
        where = ""
    names = [colored_name(rng, thing) for thing in scene["objects"]]
    if scene["kind"] == "one":
        name = names[0]
        if scene["size"] == "small" and rng.random() < 0.9:
            name = "small " + name
        elif scene["size"] == "big" and rng.random() < 0.25:
            name = "big " + name
        what = article(name)
        if scene["size"] != "big" and scene["place"]:
            what += PLACES[scene["place"]]
    elif scene["kind"] == "two":
        what = relation(rng, article(names[0]), article(names[1]), scene["layout"] == "beside")
    elif scene["kind"] == "count":
        what = counted(scene["objects"][0], len(scene["objects"]))
    elif scene["kind"] == "sign":
        sign = "a sign" if rng.random() < 0.5 else f"{article(scene['board'])} sign"
        what = one_of(rng, [f"{sign} that says {scene['word']}", f"{sign} with the word {scene['word']}"])
    else:
        what = one_of(rng, ["a background", "an empty scene", "nothing"])
    words = f"{what} {where}".strip()
    _, before, after = STYLES[scene["style"]]
    if not say_style or (scene["style"] == "3d" and rng.random() < 0.5):
        return words  # 3d is what a picture looks like when nobody asks
    return f"{one_of(rng, before)} {words}" if rng.random() < 0.6 else f"{words}, {after}"


def sizes(all_of_them):
    """Those that the world has."""
    return [size for size in all_of_them if size in WORLD.get("sizes", all_of_them)]


def place(rng, low, high):
    """One of the world's places from low to high, of 64; the one nearest to their middle where there is none."""
    step, high = WORLD.get("step", 1), max(low, high)
    first, last = -(-low // step), high // step
    return step * (rng.integers(first, last + 1) if first <= last else round((low + high) / 2 / step))


def on_grid(style, x, y):
    """Blocks of pixel art are two pixels of 64: one grid for all of a picture."""
    return (x // 2 * 2, y // 2 * 2) if style == "pixel" else (x, y)


class Painter:
    """Renders scenes at 64·scale pixels, scale 1, 2, 4 or 8 (the sprites and backgrounds must have it)."""

    def __init__(self, sprites, backgrounds, scale):
        self.sprites, self.backgrounds, self.scale = sprites, backgrounds, scale

    def paste(self, picture, sprite, x, y):
        x, y = x * self.scale, y * self.scale
        h, w = sprite.shape[:2]
        n = 64 * self.scale
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, n), min(y + h, n)
        part = sprite[y0 - y : y1 - y, x0 - x : x1 - x]
        under = picture[y0:y1, x0:x1].astype(np.uint16)
        keep = 255 - part[..., 3:].astype(np.uint16)
        picture[y0:y1, x0:x1] = np.minimum((under * keep + 127) // 255 + part[..., :3], 255)

    def put(self, picture, scene, thing, size, x, y):
        x, y = on_grid(scene["style"], x, y)
        scene.setdefault("painted", []).append((int(x), int(y), size, size))
        self.paste(picture, self.sprites[scene["style"], *thing][size][self.scale], int(x), int(y))

    def render(self, rng, scene):
        ground = one_of(rng, self.backgrounds[scene["background"], scene["style"]][self.scale])
        picture = ground[:, ::-1].copy() if rng.random() < 0.5 else ground.copy()
        between = lambda a, b: place(rng, a, b)
        if scene["kind"] == "one":
            size = one_of(rng, sizes({"big": [40, 44, 48], "middle": [28, 30, 32, 36], "small": [20, 22, 24]}[scene["size"]]))
            free = 64 - size
            if scene["size"] == "big":
                x, y = between(free // 2 - 4, free // 2 + 4), between(free // 2 - 3, free // 2 + 5)
            else:  # anywhere, unless the caption says where: then paint-with-words has room to decide
                x, y = between(1, free - 1), between(free // 4, free - 1)
                x = {"left": between(1, 5), "right": between(free - 5, free - 1)}.get(scene["place"], x)
                y = {"top": between(1, 4), "bottom": between(free - 4, free - 1)}.get(scene["place"], y)
            self.put(picture, scene, scene["objects"][0], size, x, y)
        elif scene["kind"] == "two":
            a, b = (one_of(rng, sizes([24, 26, 28, 30])) for _ in range(2))
            if scene["layout"] == "beside":
                spots = [(between(1, 31 - a), between(16, 58 - a)), (between(33, 63 - b), between(16, 58 - b))]
            else:
                spots = [(between(8, 56 - a), between(1, 31 - a)), (between(8, 56 - b), between(33, 63 - b))]
            for thing, size, (x, y) in zip(scene["objects"], (a, b), spots):
                self.put(picture, scene, thing, size, x, y)
        elif scene["kind"] == "count":
            cells, fitting = one_of(rng, CELLS[len(scene["objects"])])
            size = one_of(rng, sizes(fitting))
            for thing, (x, y, w, h) in zip(scene["objects"], cells):
                self.put(picture, scene, thing, size, between(x + 1, x + w - 1 - size), between(y + 1, y + h - 1 - size))
        elif scene["kind"] == "sign":
            self.put_sign(picture, scene, one_of(rng, BOARD_SIZES), between)
        return picture

    def put_sign(self, picture, scene, size, between):
        """A board, and its letters side by side on it (`written`: x, y, width, height of 64): the board is the lower half of its square."""
        word, style = scene["word"], scene["style"]
        x, y = on_grid(style, between(1, 63 - size), between(-size // 3, 63 - size))
        self.paste(picture, self.sprites[style, "board", scene["board"]][size][self.scale], int(x), int(y))
        letter = LETTER_SIZES[len(word)]
        left, top = x + (size - letter * len(word)) // 2, y + size * 3 // 4 - letter // 2
        scene["written"] = (int(left), int(top), letter * len(word), letter)
        for i, character in enumerate(word):
            self.paste(picture, self.sprites[style, "letter", character][letter][self.scale], int(left + i * letter), int(top))


def render_chunk(job):
    """(pictures, whole pictures at 32 px where `crops` are wanted, scenes): `crops` squares of half the size from each scene."""
    sprites_path, scale, size, count, seed, crops, only = job
    rng = np.random.default_rng(seed)
    sprites = pickle.loads(sprites_path.read_bytes())
    painter = Painter(sprites, paint_backgrounds(list(WORLD["styles"]), np.random.default_rng(0), (scale,)), scale)
    scenes = list(itertools.islice((s for s in iter(lambda: sample_scene(rng), None) if only in (None, s["kind"])), count))
    k = 64 * scale // size
    smaller = lambda picture, k: (picture.reshape(len(picture) // k, k, -1, k, 3).mean((1, 3)) + 0.5).astype(np.uint8)
    if not crops:
        pictures = np.empty((count, size, size, 3), np.uint8)
        for i, scene in enumerate(scenes):
            picture = painter.render(rng, scene)
            pictures[i] = picture if k == 1 else smaller(picture, k)
        return pictures, None, scenes
    half = size // 2
    pictures, whole = np.empty((count * crops, half, half, 3), np.uint8), np.empty((count * crops, 32, 32, 3), np.uint8)
    for i, scene in enumerate(scenes):
        picture = painter.render(rng, scene)
        for c in range(i * crops, (i + 1) * crops):
            y, x = 4 * rng.integers(0, half // 4 + 1, 2)
            pictures[c], whole[c] = picture[y : y + half, x : x + half], smaller(picture, size // 32)
    return pictures, whole, [scene for scene in scenes for _ in range(crops)]


def dataset(sprites_path, out, count, size, seed, crops=0, only=None, workers=2):
    scale = {32: 1, 64: 1, 128: 2, 256: 4, 512: 8}[size]
    each = count // (2 * workers)
    out.mkdir(parents=True, exist_ok=True)
    jobs = [(sprites_path, scale, size, each, [seed, i], crops, only) for i in range(2 * workers)]
    with Pool(workers) as pool:
        parts = pool.map(render_chunk, jobs)
    np.save(out / "pictures.npy", np.concatenate([pictures for pictures, *_ in parts]))
    if crops:
        np.save(out / "whole.npy", np.concatenate([whole for _, whole, _ in parts]))
    (out / "scenes.pkl").write_bytes(pickle.dumps([scene for *_, scenes in parts for scene in scenes], protocol=5))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sprites", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=32, help="32 (base), 128, 256 or 512 (super-resolution targets)")
    parser.add_argument("--crops", type=int, default=0, help="keep this many squares of half the size from each scene instead of the scene")
    parser.add_argument("--only", choices=list(WORLD["kinds"]), help="scenes of this kind alone")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    dataset(a.sprites, a.out, a.count, a.size, a.seed, a.crops, a.only)
