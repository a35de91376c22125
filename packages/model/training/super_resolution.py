"""Training pairs of the super-resolution stages: what they see and what they must add."""

import numpy as np
import torch
import torch.nn.functional as F

NOISE = {4: 0.25, 2: 0.1}  # by factor: the strongest noise added to the input


def shrink(pictures, factor):
    """Area average, the way the base's training pictures were made."""
    return F.avg_pool2d(pictures, factor)


def enlarge(small, factor):
    """Bilinear, half-pixel: what the SDK adds the residual to."""
    return F.interpolate(small, scale_factor=float(factor), mode="bilinear", align_corners=False)


def blur(x):
    return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)


def degrade(small, rng, factor, noise=None):
    """What the stage before gets wrong: blur on some pictures, then noise of a known strength (Imagen's augmentation): up to NOISE, or just `noise`.

    The stage before the ×2 stage is itself super-resolution: its edges are softer by several pixels, so that the blur is wider.
    Returns (degraded [B,3,H,W], strength [B]).
    """
    n = len(small)
    column = lambda values: torch.from_numpy(values).float().to(small.device).view(-1, 1, 1, 1)
    amount = column(rng.uniform(0, 0.6, n) * (rng.random(n) < 0.5))
    small = torch.lerp(small, blur(small), amount)
    if factor == 2:
        amount = column(rng.uniform(0, 1, n) * (rng.random(n) < 0.5))
        small = torch.lerp(small, blur(blur(small)), amount)
    strength = rng.uniform(0, NOISE[factor], n) if noise is None else np.full(n, noise)
    return small + column(strength) * torch.randn_like(small), torch.from_numpy(strength).float().to(small.device)


def residual_batch(pictures, rng, scale, factor, repainted=None, noise=None):
    """[B,3,H,W] → (residual / scale, [low_res, augmentation], clean small picture).

    The residual is taken to the enlarged *degraded* picture: the stage also mends what degradation did, and, where the base's own versions
    are given (repaint.py), half of the time what the base did.
    """
    small = low = shrink(pictures, factor)
    if repainted is not None:
        by_base = torch.from_numpy(rng.random(len(small)) < 0.5).to(small.device)
        low = torch.where(by_base.view(-1, 1, 1, 1), repainted, small)
    low, strength = degrade(low, rng, factor, noise)
    return (pictures - enlarge(low, factor)) / scale, [low, strength], small
