"""Emoji art from npm packages → sprites in every style, as premultiplied RGBA at the sizes scenes use.

    python sprites.py --art DIR_WITH_node_modules --out sprites.pkl

Attribution and licences of the art: ../MODEL_CARD.md.
"""

import argparse
import io
import json
import pickle
import zipfile
from functools import cache, partial
from multiprocessing import Pool
from pathlib import Path
from string import ascii_uppercase

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from vocabulary import HUES, OBJECTS, PLAIN, STYLES, WORLD

SIZES = [20, 22, 24, 26, 28, 30, 32, 36, 40, 44, 48, 52]  # of a sprite in a 64 px scene
MASTER = 256
LETTER_SIZES = {1: 24, 2: 22, 3: 16, 4: 13}  # by the length of the word: six pixels and more of a 32 px picture, or nothing can be read
BOARD_SIZES = [58, 60, 62]
BOARDS = {color: PLAIN[color] for color in ("white", "yellow", "orange", "pink", "green", "blue", "gray")}


def square(image):
    """Crops to what is painted and pads to a square, standing on the ground."""
    alpha = np.asarray(image)[..., 3] > 8
    rows, columns = np.where(alpha.any(1))[0], np.where(alpha.any(0))[0]
    image = image.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    w, h = image.size
    side = max(w, h)
    out = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    out.paste(image, ((side - w) // 2, side - h if h < w else 0))
    return out


@cache
def icon_set(folder):
    return tuple(json.loads((folder / name).read_text()) for name in ("icons.json", "chars.json"))


def load_art(art, source, code, side=MASTER):
    """An emoji as RGBA, vector art somewhat larger than `side`, from npm packages or from the file that art_cache.py writes."""
    if art.suffix == ".zip":
        with zipfile.ZipFile(art) as archive:
            return Image.open(io.BytesIO(archive.read(f"{source}/{code}.webp"))).convert("RGBA")
    if source == "3d":
        return Image.open(art / "@lobehub/fluent-emoji-3d/assets" / f"{code}.webp").convert("RGBA")
    icons, names = icon_set(art / "@iconify-json" / source)
    name = names[code if code in names else code.replace("-fe0f", "")]
    icon = icons["icons"].get(name) or icons["icons"][icons["aliases"][name]["parent"]]
    width, height = icon.get("width", icons.get("width", 16)), icon.get("height", icons.get("height", 16))
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{side * 5 // 4}" height="{side * 5 // 4}">{icon["body"]}</svg>'
    )
    import resvg_py  # not on machines that read art_cache.py's file

    return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")


def to_float(image):
    return np.asarray(image, dtype=np.float32) / 255


def to_image(array):
    return Image.fromarray((np.clip(array, 0, 1) * 255 + 0.5).astype(np.uint8))


def recolor(image, hue):
    """Turns the pixels near the dominant hue to `hue`, keeping their shading."""
    a = to_float(image)
    rgb = a[..., :3]
    high, low = rgb.max(-1), rgb.min(-1)
    chroma = np.maximum(high - low, 1e-4)
    saturation = (high - low) / np.maximum(high, 1e-4)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    h = np.where(high == r, ((g - b) / chroma) % 6, np.where(high == g, (b - r) / chroma + 2, (r - g) / chroma + 4)) / 6
    weight = a[..., 3] * (saturation > 0.35) * (high - low)
    counts, _ = np.histogram(h, 24, (0, 1), weights=weight)
    away = (h - (counts.argmax() + 0.5) / 24 + 0.5) % 1 - 0.5
    near = ((np.abs(away) < 0.13) & (saturation > 0.25)).astype(np.float32)[..., None]
    new_hue = (hue + np.clip(away, -0.04, 0.04)) % 1
    value, new_saturation = high, saturation
    if 0.3 < hue < 0.4:
        value = value * 0.85
    if 0.55 < hue < 0.82:
        value = np.maximum(value, 0.55) * 0.95
    if 0.1 < hue < 0.2:
        value = np.minimum(1, value * 1.1 + 0.12)
    if 0.85 < hue < 0.95:
        new_saturation, value = saturation * 0.6, np.minimum(1, value * 1.1 + 0.1)
    i = np.floor(new_hue * 6).astype(int) % 6
    f = new_hue * 6 - np.floor(new_hue * 6)
    p, q, t = value * (1 - new_saturation), value * (1 - new_saturation * f), value * (1 - new_saturation * (1 - f))
    v = value
    out = np.stack(
        [np.choose(i, [v, q, p, p, t, v]), np.choose(i, [t, v, v, q, p, p]), np.choose(i, [p, p, t, v, v, q])], -1
    )
    a = a.copy()
    a[..., :3] = rgb * (1 - near) + out * near
    return to_image(a)


def edges(x, sigma):
    blur = ndimage.gaussian_filter
    return sum(
        np.hypot(blur(x[..., c], sigma, order=(0, 1)), blur(x[..., c], sigma, order=(1, 0))) for c in range(x.shape[-1])
    )


def sketch(rgb, alpha):
    full = rgb + (1 - alpha[..., None])
    luminance = rgb @ np.array([0.3, 0.59, 0.11]) + (1 - alpha)
    line = ndimage.gaussian_filter(np.clip((edges(full, 2.2) + 2 * edges(alpha[..., None], 2.2)) * 9, 0, 1), 1.4)
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    shade = 1 - (1 - luminance) * 0.5 * (0.8 + 0.2 * np.sin((x + y) * 0.4))
    gray = shade * (1 - 0.85 * line)
    return np.dstack([gray, gray, gray * 0.98, np.maximum(alpha, np.clip(line * alpha * 2, 0, 1))])


def watercolor(rgb, alpha, rng):
    blur = ndimage.gaussian_filter
    full = np.stack([blur((rgb + (1 - alpha[..., None]))[..., c], 3) for c in range(3)], -1)
    grain = blur(rng.standard_normal(alpha.shape), 9)
    rim = np.exp(-ndimage.distance_transform_edt(alpha > 0.5) / 5) * 0.16
    paint = full * 0.72 + 0.27 + (grain / grain.std() * 0.09)[..., None] - rim[..., None]
    ragged = blur(rng.standard_normal(alpha.shape), 6)
    coverage = np.clip((blur(alpha, 2.0) - 0.35 + ragged / ragged.std() * 0.06) * 4, 0, 1) * 0.9
    return np.dstack([paint, coverage])


def neon(rgb, alpha):
    blur = ndimage.gaussian_filter
    full = rgb + (1 - alpha[..., None])
    tube = blur(np.clip(edges(full, 2.4) * 5 + 4 * edges(alpha[..., None], 2.4), 0, 1), 1.6)
    tube = tube / max(tube.max(), 1e-3)
    color = np.stack([blur(rgb[..., c], 9) / np.maximum(blur(alpha, 9), 0.05) for c in range(3)], -1)
    color = np.clip(color / np.maximum(color.max(-1, keepdims=True), 0.05) * 1.25 - 0.2, 0.05, 1)
    glow = blur(tube, 7) * 1.6
    light = color * np.clip(tube * 1.5 + glow, 0, 1)[..., None] + (tube**3 * 0.5)[..., None]
    coverage = np.clip(np.maximum(tube * 1.4, np.maximum(glow * 1.2, alpha * 0.75)), 0, 1)
    return np.dstack([light / np.maximum(coverage, 0.05)[..., None], coverage])


def sticker(rgb, alpha):
    border = ndimage.gaussian_filter((ndimage.distance_transform_edt(alpha < 0.5) < 8).astype(np.float32), 1.2)
    return np.dstack([rgb + (1 - alpha[..., None]), np.maximum(border, alpha)])


def restyle(image, style, rng, side=MASTER):
    if style in ("3d", "flat", "cartoon", "pixel"):
        return image.resize((side, side), Image.LANCZOS)
    if side != MASTER:
        raise ValueError(f"{style} at {side} px: its filters are made for {MASTER} px")
    side = image.size[0]
    padded = Image.new("RGBA", (int(side * 1.12),) * 2, (0, 0, 0, 0))
    padded.paste(image, ((padded.size[0] - side) // 2,) * 2)
    a = to_float(padded.resize((MASTER, MASTER), Image.LANCZOS))
    alpha, rgb = a[..., 3], a[..., :3] * a[..., 3:]
    made = {"sketch": sketch, "neon": neon, "sticker": sticker, "watercolor": partial(watercolor, rng=rng)}
    return to_image(made[style](rgb, alpha))


def shrink(image, size, scale, style):
    """Premultiplied uint8 [size·scale, size·scale, 4]; a block of pixel art is one pixel of a picture of 32."""
    a = to_float(image)
    a[..., :3] *= a[..., 3:]
    planes = [Image.fromarray(np.ascontiguousarray(a[..., c])) for c in range(4)]
    resize = lambda n: np.stack([np.asarray(p.resize((n, n), Image.BOX)) for p in planes], -1)
    if style != "pixel":
        out = resize(size * scale)
    else:
        small = resize(size // 2)
        solid = small[..., 3:] > 0.45
        small = np.where(solid, small / np.maximum(small[..., 3:], 0.3), 0)
        small[..., :3] = np.round(small[..., :3] * 9) / 9
        small[..., 3:] = solid
        out = small.repeat(2 * scale, 0).repeat(2 * scale, 1)
    return (np.clip(out, 0, 1) * 255 + 0.5).astype(np.uint8)


def object_sprites(name, art, styles, colorable, scales):
    """{(style, object, color): {size: {scale: premultiplied sprite}}}; scale 1 is for scenes of 64 px, 2 of 128, 4 of 256, 8 of 512."""
    rng = np.random.default_rng(sum(map(ord, name)))
    side = max(MASTER, 64 * max(scales))
    made = {}
    for style in styles:
        source = square(load_art(art, STYLES[style][0], OBJECTS[name], side))
        for color in [None, *(HUES if name in colorable else [])]:
            master = restyle(source if color is None else recolor(source, HUES[color]), style, rng, side)
            made[style, name, color] = {z: {s: shrink(master, z, s, style) for s in scales} for z in SIZES}
    return made


def letter(character, ink):
    """A capital filling its square."""
    font = ImageFont.load_default(size=300)
    left, top, right, bottom = font.getbbox(character)
    image = Image.new("RGBA", (MASTER, MASTER), (0, 0, 0, 0))
    ImageDraw.Draw(image).text(((MASTER - right - left) / 2, (MASTER - bottom - top) / 2), character, font=font, fill=ink, stroke_width=8, stroke_fill=ink)
    return image


def board(color):
    """A board of twice its height, standing on the ground: the upper half of the square is empty."""
    image = Image.new("RGBA", (MASTER, MASTER), (0, 0, 0, 0))
    bright = tuple(min(255, int(40 + 0.9 * c)) for c in color)
    ImageDraw.Draw(image).rounded_rectangle((4, MASTER // 2 + 4, MASTER - 4, MASTER - 4), 24, fill=(*bright, 255), outline=(70, 52, 40, 255), width=8)
    return image


def sign_sprites(styles, scales):
    """Letters and boards in every style, as object_sprites gives them; keys (style, "letter", A) and (style, "board", color)."""
    rng = np.random.default_rng(7)
    made = {}
    for style in styles:
        ink = (255, 244, 214, 255) if style == "neon" else (36, 32, 40, 255)  # letters are drawn plainly in every style: they must be read
        for c in ascii_uppercase:
            made[style, "letter", c] = {z: {s: shrink(letter(c, ink), z, s, "3d") for s in scales} for z in {*LETTER_SIZES.values()}}
        for color in BOARDS:
            master = restyle(board(BOARDS[color]), style, rng)
            made[style, "board", color] = {z: {s: shrink(master, z, s, style) for s in scales} for z in BOARD_SIZES}
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--art", type=Path, required=True, help="folder whose node_modules holds the art packages, or the file of art_cache.py")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    art = arguments.art if arguments.art.suffix == ".zip" else arguments.art / "node_modules"
    job = partial(object_sprites, art=art, styles=list(WORLD["styles"]), colorable=WORLD["colorable"], scales=arguments.scales)
    sprites = sign_sprites(list(WORLD["styles"]), arguments.scales) if "sign" in WORLD["kinds"] else {}
    with Pool() as pool:
        for made in pool.imap_unordered(job, WORLD["objects"]):
            sprites.update(made)
    arguments.out.write_bytes(pickle.dumps(sprites, protocol=5))
    print(f"{len(sprites)} sprites")
