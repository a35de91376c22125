"""The networks of the embedded eDiff-I: a pixel-space U-Net with cross-attention over
[T5 | CLIP text | CLIP image | learned null] tokens, for the base and, on space-to-depth
features, for super-resolution.

Follows eDiff-I (arXiv 2211.01324): concatenated text sequence with one projection per encoder,
absent conditioning = zeros (and masked as keys), pooled CLIP text + CLIP image added to the noise
embedding, cross-attention beside self-attention at several resolutions.
Deviates: additive instead of concatenated skips (half the convolution cost on a CPU), and four
tokens from the CLIP image embedding instead of one.
"""

import math
import os

import torch
import torch.nn as nn
import torch.nn.functional as F

TEXT_WIDTH = 128  # width of every encoder's embedding
T5_LENGTH, CLIP_LENGTH, IMAGE_TOKENS = 32, 24, 4
CONTEXT = 128  # width of keys and values
SMALL = (32, 64, 96)  # channels where EDIFFI_NETWORK=small
MASKED = -1e4  # finite, so that fp16 weights and an all-masked row stay finite


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, 3×3 convolution twice; the noise embedding scales and shifts in between (ADM)."""

    def __init__(self, channels, embedding):
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.scale_shift = nn.Linear(embedding, 2 * channels)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x, embedding):
        scale, shift = self.scale_shift(embedding)[:, :, None, None].chunk(2, 1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.norm2(h) * (1 + scale) + shift
        return x + self.conv2(F.silu(h))


class AttentionBlock(nn.Module):
    """Self-attention (optional), then cross-attention to the context tokens, both residual.

    Written as MatMul, Softmax, MatMul on [B, heads, rows, width] so that the plain ONNX export
    shows the scores: paint-with-words is added there by the SDK, never here.
    """

    def __init__(self, channels, self_attention, head_width=32):
        super().__init__()
        self.heads = channels // head_width
        self.scale = head_width**-0.5
        self.self_attention = self_attention
        if self_attention:
            self.norm1 = nn.GroupNorm(1, channels)
            self.qkv = nn.Linear(channels, 3 * channels)
            self.out1 = nn.Linear(channels, channels)
            nn.init.zeros_(self.out1.weight)
        self.norm2 = nn.GroupNorm(1, channels)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(CONTEXT, channels)
        self.value = nn.Linear(CONTEXT, channels)
        self.out2 = nn.Linear(channels, channels)
        nn.init.zeros_(self.out2.weight)

    def split(self, x):
        b, n, c = x.shape
        return x.reshape(b, n, self.heads, c // self.heads).transpose(1, 2)

    def attend(self, q, k, v, mask=None):
        scores = torch.matmul(q * self.scale, k.transpose(-1, -2))
        if mask is not None:
            scores = scores + mask
        out = torch.matmul(scores.softmax(-1).to(v.dtype), v)
        b, h, n, d = out.shape
        return out.transpose(1, 2).reshape(b, n, h * d)

    def forward(self, x, context, mask):
        b, c, height, width = x.shape
        if self.self_attention:
            t = self.norm1(x).flatten(2).transpose(1, 2)
            q, k, v = self.qkv(t).chunk(3, -1)
            t = self.out1(self.attend(self.split(q), self.split(k), self.split(v)))
            x = x + t.transpose(1, 2).reshape(b, c, height, width)
        t = self.norm2(x).flatten(2).transpose(1, 2)
        t = self.attend(
            self.split(self.query(t)), self.split(self.key(context)), self.split(self.value(context)), mask
        )
        return x + self.out2(t).transpose(1, 2).reshape(b, c, height, width)


class Block(nn.Module):
    """One residual block, followed by attention where the level has any."""

    def __init__(self, channels, embedding, cross, self_attention):
        super().__init__()
        self.residual = ResidualBlock(channels, embedding)
        self.attention = AttentionBlock(channels, self_attention) if cross else None

    def forward(self, x, embedding, context, mask):
        x = self.residual(x, embedding)
        return x if self.attention is None else self.attention(x, context, mask)


class Conditioning(nn.Module):
    """Noise level and pooled vectors → embedding; encoder tokens → context and key mask."""

    def __init__(self, embedding, levels=1):
        super().__init__()
        self.register_buffer("frequencies", torch.exp(torch.linspace(math.log(0.25), math.log(32.0), 64)))
        self.noise1 = nn.Linear(128 * levels, embedding)
        self.noise2 = nn.Linear(embedding, embedding)
        self.pooled = nn.Linear(2 * TEXT_WIDTH, embedding)
        self.t5 = nn.Linear(TEXT_WIDTH, CONTEXT)
        self.clip = nn.Linear(TEXT_WIDTH, CONTEXT)
        self.image = nn.Linear(TEXT_WIDTH, CONTEXT * IMAGE_TOKENS)
        self.null = nn.Parameter(torch.randn(1, 1, CONTEXT) * 0.02)

    def forward(self, levels, t5, clip, clip_pooled, clip_image):
        waves = [level[:, None] * self.frequencies[None] for level in levels]
        waves = torch.cat([f(w) for w in waves for f in (torch.cos, torch.sin)], 1)
        noise = self.noise2(F.silu(self.noise1(waves)))
        embedding = F.silu(noise + self.pooled(torch.cat([clip_pooled, clip_image], 1)))
        image = self.image(clip_image).reshape(-1, IMAGE_TOKENS, CONTEXT)
        null = self.null.expand(image.shape[0], -1, -1)
        context = torch.cat([self.t5(t5), self.clip(clip), image, null], 1)
        # A token of zeros is an absent one: it must not take attention.
        present = torch.cat([t5, clip, clip_image[:, None].expand(-1, IMAGE_TOKENS, -1)], 1).abs().sum(-1) > 0
        mask = F.pad(torch.where(present, 0.0, MASKED), (0, 1))[:, None, None]
        return embedding, context, mask


class UNet(nn.Module):
    """`channels` per level, each level half the size of the one above.

    cross, self_: which levels have cross-attention and self-attention; the middle has what the last level has.
    again: how many more blocks each level has on the way up. subpixel: upsampling by a convolution of its own for each of the four pixels
    (arXiv 1609.05158), not by repetition, so that what lies between them need not be made anew above.
    `grid`: edge of the learned position map of the last level; 0: none, so that the net is blind to where it looks.
    """

    def __init__(self, channels=(48, 96, 160), blocks=(1, 1, 1), cross=(0, 1, 1), self_=(0, 0, 1),
                 embedding=192, inputs=3, outputs=3, levels=1, grid=8, again=(0, 0, 0), subpixel=False):
        super().__init__()
        self.conditioning = Conditioning(embedding, levels)
        self.input = nn.Conv2d(inputs, channels[0], 3, padding=1)
        level = lambda i, count: nn.ModuleList(Block(channels[i], embedding, bool(cross[i]), bool(self_[i])) for _ in range(count))
        n = len(channels)
        self.down = nn.ModuleList(level(i, blocks[i]) for i in range(n))
        self.up = nn.ModuleList(level(i, blocks[i] + again[i]) for i in range(n))
        self.shrink = nn.ModuleList(nn.Conv2d(channels[i], channels[i + 1], 3, 2, 1) for i in range(n - 1))
        self.subpixel = subpixel
        self.grow = nn.ModuleList(nn.Conv2d(channels[i + 1], channels[i] * (4 if subpixel else 1), 1) for i in range(n - 1))
        self.middle = Block(channels[-1], embedding, True, bool(self_[-1]))
        self.position = nn.Parameter(torch.randn(1, channels[-1], grid, grid) * 0.02) if grid else None
        self.norm = nn.GroupNorm(8, channels[0])
        self.output = nn.Conv2d(channels[0], outputs, 3, padding=1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x, embedding, context, mask):
        """x [B,inputs,H,W]; the rest is what `conditioning` gives → [B,outputs,H,W]."""
        h = self.input(x)
        skips = []
        for i, blocks in enumerate(self.down):
            if i == len(self.down) - 1 and self.position is not None:
                h = h + F.interpolate(self.position, size=h.shape[-2:], mode="bilinear", align_corners=False)
            for block in blocks:
                h = block(h, embedding, context, mask)
            skips.append(h)
            if i < len(self.shrink):
                h = self.shrink[i](h)
        h = self.middle(h, embedding, context, mask)
        for i in reversed(range(len(self.up))):
            h = h + skips[i]
            for block in self.up[i]:
                h = block(h, embedding, context, mask)
            if i:
                h = self.grow[i - 1](h)
                h = F.pixel_shuffle(h, 2) if self.subpixel else F.interpolate(h, scale_factor=2.0, mode="nearest")
        return self.output(F.silu(self.norm(h)))


class Base(nn.Module):
    """F of the base: (c_in·x [B,3,H,W], c_noise [B], embeddings) → [B,3,H,W]. H and W multiples of 4·patch."""

    def __init__(self, patch=1, **options):
        super().__init__()
        self.patch = patch
        self.net = UNet(inputs=3 * patch**2, outputs=3 * patch**2, **options)

    def forward(self, sample, c_noise, t5, clip, clip_pooled, clip_image):
        conditions = self.net.conditioning([c_noise], t5, clip, clip_pooled, clip_image)
        if self.patch == 1:
            return self.net(sample, *conditions)
        return F.pixel_shuffle(self.net(F.pixel_unshuffle(sample, self.patch), *conditions), self.patch)


class SuperResolution(nn.Module):
    """F of a stage on the residual to the enlarged picture: fully convolutional, text-conditioned.

    sample [B,3,H,W] scaled by c_in, c_noise [B], low_res [B,3,H/factor,W/factor] (already augmented), augmentation [B]
    (standard deviation of the noise that was added to it) → [B,3,H,W]. Works on 4×4 patches of the sample beside the
    patches of low_res that they lie on, so that a step is cheap (Imagen's Efficient U-Net in spirit).
    """

    def __init__(self, factor=4, embedding=192, bypass=False, **options):
        super().__init__()
        self.beside = 4 // factor
        inputs = 48 + 3 * self.beside**2
        self.net = UNet(inputs=inputs, outputs=48, levels=2, embedding=embedding, **options)
        # A linear path around the trunk, as strong as the noise levels say: a trunk of 48 channels need not carry the noise of 60.
        self.bypass = nn.Conv2d(inputs, 48, 3, padding=1) if bypass else None
        self.strength = nn.Linear(embedding, 48) if bypass else None

    def forward(self, sample, c_noise, low_res, augmentation, t5, clip, clip_pooled, clip_image):
        low = low_res if self.beside == 1 else F.pixel_unshuffle(low_res, self.beside)
        x = torch.cat([F.pixel_unshuffle(sample, 4), low], 1)
        conditions = self.net.conditioning([c_noise, augmentation * 10], t5, clip, clip_pooled, clip_image)
        h = self.net(x, *conditions)
        if self.bypass is not None:
            h = h + self.bypass(x) * self.strength(conditions[0])[:, :, None, None]
        return F.pixel_shuffle(h, 4)


def grown_base(again):
    """The base with so many more blocks per level on the way up, and subpixel upsampling: what grow.py makes of the plain one."""
    return Base(channels=(64, 128, 192), again=again, subpixel=True)


def base_of(state):
    """The base that `state` is a state of: the plain one, or a grown one."""
    count = lambda level: len({key.split(".")[3] for key in state if key.startswith(f"net.up.{level}.")})
    again = tuple(count(level) - 1 for level in range(3))
    return grown_base(again) if any(again) else Base(channels=(64, 128, 192))


def network_for(name, state=None):
    """The network of a graph by its name, base…, sr1…, sr2…; of the base the middle and high-noise experts are the larger ones that grow.py makes, or whichever
    `state` is a state of. $EDIFFI_NETWORK=large: for 64 px pictures, made on 2×2 patches (gpu.sh); =small: a base with a third of the low-noise expert's parameters (experts.sh)."""
    size = os.environ.get("EDIFFI_NETWORK", "")
    if size not in ("", "large", "small"):
        raise ValueError(f"EDIFFI_NETWORK: expected large, small or nothing, got {size!r}")
    if size == "small" and name.startswith("base"):
        return Base(channels=SMALL)
    if size == "large":
        if name.startswith("sr"):
            return SuperResolution(factor=4 if name.startswith("sr1") else 2, channels=(64, 96, 128), self_=(0, 0, 0), grid=0)
        return Base(patch=2, channels=(72, 128, 192), blocks=(2, 2, 2))
    if name.startswith("sr1"):
        return SuperResolution(factor=4, channels=(64, 96, 128), bypass=True)
    if name.startswith("sr2"):  # trained on crops: no positions, no attention from place to place
        return SuperResolution(factor=2, channels=(48, 64, 96), self_=(0, 0, 0), grid=0, bypass=True)
    if state is not None:
        return base_of(state)
    return grown_base((0, 2, 4)) if name in ("base-high", "base-middle") else Base(channels=(64, 128, 192))


def trained(run, name):
    """The network of `name` with the weights of RUN/NAME.pt, for looking at what was learnt."""
    state = torch.load(run / f"{name}.pt", map_location="cpu")
    network = network_for(name, state).to(memory_format=torch.channels_last)
    network.load_state_dict(state)
    return network.eval()


def precondition(network, x, sigma, sigma_data, *rest):
    """D = c_skip·x + c_out·F(c_in·x; ln(σ)/4), EDM Table 1 (arXiv 2206.00364)."""
    s = sigma.view(-1, 1, 1, 1)
    total = s**2 + sigma_data**2
    return sigma_data**2 / total * x + s * sigma_data * total.rsqrt() * network(x * total.rsqrt(), sigma.log() / 4, *rest)


def edm_loss(network, clean, noise, sigma, sigma_data, *rest, pixels=1.0):
    """λ(σ)·‖D(x + σn; σ) − x‖² per sample, λ = (σ² + σ_d²)/(σ·σ_d)² (EDM eq. 8); `pixels`: weight of each, [B,1,H,W]."""
    s = sigma.view(-1, 1, 1, 1)
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    denoised = precondition(network, clean + s * noise, sigma, sigma_data, *rest)
    return weight * (pixels * (denoised.float() - clean).square()).mean((1, 2, 3))
