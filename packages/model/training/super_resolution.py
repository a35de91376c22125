"""Training pairs of the ×4 stage: what it sees and what it must add."""

import numpy as np
import torch
import torch.nn.functional as F

FACTOR = 4


def shrink(pictures):
    """Area average, the way the base's training pictures were made."""
    return F.avg_pool2d(pictures, FACTOR)


def enlarge(small):
    """Bilinear, half-pixel: what the SDK adds the residual to."""
    return F.interpolate(small, scale_factor=float(FACTOR), mode="bilinear", align_corners=False)


def degrade(small, rng):
    """What a base gets wrong: blur on some pictures, then noise of a known strength (Imagen's augmentation).

    Returns (degraded [B,3,H,W], strength [B]).
    """
    n = len(small)
    amount = torch.from_numpy(rng.uniform(0, 0.6, n) * (rng.random(n) < 0.5)).float().to(small.device)
    blurred = F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1)
    small = torch.lerp(small, blurred, amount.view(-1, 1, 1, 1))
    strength = torch.from_numpy(rng.uniform(0, 0.25, n)).float().to(small.device)
    return small + strength.view(-1, 1, 1, 1) * torch.randn_like(small), strength


def residual_batch(pictures, rng, scale):
    """[B,3,128,128] → (residual / scale, [low_res, augmentation], clean small picture).

    The residual is taken to the enlarged *degraded* picture: the stage also mends what degradation did.
    """
    small = shrink(pictures)
    low, strength = degrade(small, rng)
    return (pictures - enlarge(low)) / scale, [low, strength], small
