"""Procedural backgrounds: ten plain colours and ten scenes, in every style, at 64 to 512 px."""

import numpy as np
from PIL import Image
from scipy import ndimage

from vocabulary import PLAIN, SCENES

N = 256
Y, X = np.mgrid[:N, :N] / N
BACKGROUNDS = [*(f"plain:{c}" for c in PLAIN), *SCENES]
WHITE = (250, 252, 255)


def gradient(top, bottom, end=1.0):
    t = np.clip(np.linspace(0, 1, N) / end, 0, 1)[:, None, None]
    return (np.array(top) * (1 - t) + np.array(bottom) * t) * np.ones((1, N, 1))


def grain(rng, sigma, amplitude):
    noise = ndimage.gaussian_filter(rng.standard_normal((N, N)), sigma, mode="wrap")
    return (noise / noise.std() * amplitude)[..., None]


def over(image, color, mask):
    return image * (1 - mask) + np.array(color) * mask


def clouds(rng, image, count, color, top, bottom, rx, ry, opacity):
    for _ in range(count):
        cx, cy = rng.uniform(0, 1), rng.uniform(top, bottom)
        mask = np.zeros((N, N))
        for _ in range(4):
            dx = (X - cx - rng.uniform(-1, 1) * rx * 0.8) / (rx * rng.uniform(0.5, 1))
            dy = (Y - cy - rng.uniform(-0.3, 0.3) * ry) / (ry * rng.uniform(0.7, 1.2))
            mask = np.maximum(mask, 1 - dx**2 - dy**2)
        image = over(image, color, np.clip(mask * 4, 0, 1)[..., None] * opacity)
    return image


def ground(rng, image, color, horizon, wave=0.02, texture=6):
    y = horizon + wave * np.sin(X * rng.uniform(3, 7) + rng.uniform(0, 6))
    shade = 1 - 0.25 * np.clip((Y - horizon) / (1 - horizon), 0, 1)[..., None]
    return over(image, np.array(color) * shade + grain(rng, 1.5, texture), np.clip((Y - y) * N / 2, 0, 1)[..., None])


def stars(rng, image):
    for _ in range(rng.integers(25, 45)):
        y, x = rng.integers(2, N - 2, 2)
        size = rng.uniform(1.2, 2.6)
        image = over(image, (255, 250, 225), np.exp(-((Y * N - y) ** 2 + (X * N - x) ** 2) / (2 * size**2))[..., None])
    return image


def sky(rng):
    return clouds(rng, gradient((88, 160, 236), (176, 216, 250)), rng.integers(2, 5), WHITE, 0.08, 0.9, 0.16, 0.07, 0.9)


def grass(rng):
    image = clouds(rng, gradient((110, 180, 240), (196, 228, 250)), rng.integers(1, 3), WHITE, 0.05, 0.3, 0.14, 0.05, 0.9)
    return ground(rng, image, (104, 178, 72), rng.uniform(0.52, 0.62))


def beach(rng):
    image = clouds(rng, gradient((110, 190, 245), (200, 232, 250)), 1, WHITE, 0.05, 0.2, 0.14, 0.05, 0.9)
    shore = rng.uniform(0.38, 0.46)
    return ground(rng, ground(rng, image, (40, 140, 200), shore, 0.004, 4), (240, 212, 150), shore + 0.2, 0.02, 5)


def night(rng):
    return ground(rng, stars(rng, gradient((14, 20, 60), (44, 52, 110))), (30, 54, 60), rng.uniform(0.72, 0.8), 0.03, 3)


def space(rng):
    nebula = np.clip(grain(rng, 24, 26), 0, 80) * np.array([1, 0.45, 1.15])
    return stars(rng, gradient((10, 6, 26), (34, 14, 58)) + nebula)


def sunset(rng):
    image = gradient((120, 80, 160), (255, 170, 90), 0.65)
    sun = np.clip((0.11 - np.hypot(X - rng.uniform(0.2, 0.8), Y - 0.58)) * 60, 0, 1)[..., None]
    return ground(rng, over(image, (255, 236, 150), sun), (92, 60, 84), rng.uniform(0.66, 0.72), 0.02, 3)


def snow(rng):
    image = ground(rng, gradient((170, 196, 222), (214, 228, 240)), (240, 245, 252), rng.uniform(0.55, 0.65), 0.03, 3)
    return clouds(rng, image, rng.integers(14, 24), (255, 255, 255), 0, 1, 0.014, 0.014, 1.0)


def sea(rng):
    rays = 12 * np.sin(X * 18 + Y * 8 + rng.uniform(0, 6))[..., None] * np.clip(1 - Y, 0, 1)[..., None]
    image = ground(rng, gradient((40, 150, 200), (10, 60, 120)) + rays, (170, 160, 120), rng.uniform(0.82, 0.88), 0.03, 4)
    return clouds(rng, image, rng.integers(4, 9), (190, 230, 250), 0.05, 0.8, 0.018, 0.018, 0.7)


def desert(rng):
    far = ground(rng, gradient((130, 196, 236), (250, 224, 180)), (222, 170, 100), rng.uniform(0.5, 0.58), 0.06, 4)
    return ground(rng, far, (236, 192, 120), rng.uniform(0.66, 0.74), 0.05, 4)


def forest(rng):
    image = gradient((120, 160, 120), (70, 110, 70))
    for _ in range(9):
        trunk = np.clip((rng.uniform(0.015, 0.035) - np.abs(X - rng.uniform(0, 1))) * N / 2, 0, 1)[..., None]
        image = over(image, np.array((84, 60, 44)) * rng.uniform(0.6, 1), trunk)
    return ground(rng, clouds(rng, image, 9, (44, 92, 52), 0, 0.25, 0.2, 0.12, 0.9), (58, 84, 44), rng.uniform(0.72, 0.8), 0.02, 6)


def plain(rng, color):
    c = np.array(PLAIN[color]) + rng.uniform(-8, 8, 3)
    return gradient(c * 1.06, c * 0.92)


PAINTERS = dict(sky=sky, grass=grass, beach=beach, night=night, space=space, sunset=sunset, snow=snow, sea=sea, desert=desert, forest=forest)


def restyle(rng, image, style, is_plain):
    blur = ndimage.gaussian_filter
    if style == "sketch":
        gray = image @ np.array([0.3, 0.59, 0.11])
        line = np.clip(5 * np.hypot(blur(gray, 1.5, order=(0, 1)), blur(gray, 1.5, order=(1, 0))), 0, 110)
        gray = 250 - (255 - gray) * 0.3 * (0.85 + 0.15 * np.sin((X - Y) * N * 0.4)) - line
        return np.repeat(np.clip(gray, 0, 255)[..., None], 3, -1)
    if style == "watercolor":
        soft = np.stack([blur(image[..., c], 3) for c in range(3)], -1)
        return soft * 0.6 + 98 + grain(rng, 10, 8)
    if style == "neon":
        return image * 0.22
    if style == "pixel":
        blocks = image.reshape(N // 8, 8, N // 8, 8, 3).mean((1, 3))
        return (np.round(blocks / 28) * 28).repeat(8, 0).repeat(8, 1)
    if style == "flat" and not is_plain:
        return np.round(ndimage.median_filter(image, (5, 5, 1)) / 14) * 14
    return image


def reduced(image, size):
    if size > N:  # the paint of 512 px is that of 256: only what stands before it is finer
        return np.asarray(Image.fromarray(reduced(image, N)).resize((size, size), Image.BICUBIC))
    k = N // size
    return (np.clip(image, 0, 255).reshape(size, k, size, k, 3).mean((1, 3)) + 0.5).astype(np.uint8)


def paint_backgrounds(styles, rng, scales=(1, 2), variants=10):
    """{(background, style): {scale: [uint8 picture, …]}} at 64·scale px."""
    made = {}
    for background in BACKGROUNDS:
        is_plain = background.startswith("plain:")
        for _ in range(4 if is_plain else variants):
            image = np.clip(plain(rng, background[6:]) if is_plain else PAINTERS[background](rng), 0, 255)
            for style in styles:
                full = restyle(rng, image, style, is_plain)
                for scale in scales:
                    made.setdefault((background, style), {}).setdefault(scale, []).append(reduced(full, 64 * scale))
    return made
