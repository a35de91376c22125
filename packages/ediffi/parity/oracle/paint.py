"""Paint-with-words inside diffusers' attention: S' = S + strength·max(S)·A over text keys before every softmax, max per picture and head (eDiff-I §4.3)."""

import contextlib
import math

import torch
import torch.nn.functional as F

PLAIN = F.scaled_dot_product_attention


class Painter:
    """`order`: where text and picture tokens stand among queries and keys: 'cross' (text keys alone), 'image-first' and 'text-first' (both together),
    'added' (picture queries, text keys before picture keys). `strides` stride → tokens; `maps` stride → A [B, 1, tokens, T]; `strength` broadcasts to [B, 1, 1, 1]."""

    def __init__(self, order, text, strides, maps, strength=0.0):
        self.order, self.text, self.strides, self.maps, self.strength, self.attention = order, text, strides, maps, strength, {}

    def block(self, queries, keys):
        """The rows and columns that hold picture × text, and their stride; None for any other attention."""
        for stride, area in self.strides.items():
            both = area + self.text
            rows, columns = {"cross": (area, self.text), "added": (area, both)}.get(self.order, (both, both))
            if (queries, keys) == (rows, columns):
                top = self.text if self.order == "text-first" else 0
                left = area if self.order == "image-first" else 0
                return stride, (..., slice(top, top + area), slice(left, left + self.text))
        return None

    def __call__(self, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
        found = self.block(query.shape[-2], key.shape[-2])
        if found is None:
            return PLAIN(query, key, value, attn_mask=attn_mask, is_causal=is_causal, scale=scale)
        stride, block = found
        scores = query @ key.transpose(-2, -1) * (scale or query.shape[-1] ** -0.5)
        if attn_mask is not None:
            scores = scores + attn_mask
        part = scores[block]
        painted = part + self.strength * part.amax((-2, -1), keepdim=True) * self.maps[stride]
        scores = scores.clone()
        scores[block] = painted
        weights = scores.softmax(-1)
        self.attention.setdefault(stride, []).append(weights[block].mean(1))
        return weights @ value


@contextlib.contextmanager
def painting(painter):
    F.scaled_dot_product_attention = painter
    try:
        yield painter
    finally:
        F.scaled_dot_product_attention = PLAIN


def columns(tokenizer, prompt, phrase):
    """The columns of the phrase's tokens in the padded prompt."""
    ids, wanted = tokenizer(prompt).input_ids, tokenizer(phrase).input_ids[1:-1]
    at = next(i for i in range(len(ids)) if ids[i : i + len(wanted)] == wanted)
    return list(range(at, at + len(wanted)))


def map_of(regions, grid, text):
    """A [tokens, T] from regions [(columns, mask [H, W], weight)]: masks resized bilinearly with antialiasing; where columns are shared the larger value wins."""
    out = torch.zeros(grid[0] * grid[1], text)
    for cols, mask, weight in regions:
        plane = F.interpolate(mask[None, None], grid, mode="bilinear", antialias=True).flatten() * weight
        for column in cols:
            out[:, column] = torch.where(plane.abs() > out[:, column].abs(), plane, out[:, column])
    return out


def edm_sigma(alphas_cumprod, timestep):
    alpha = float(alphas_cumprod[int(timestep)])
    return math.sqrt((1 - alpha) / alpha)
