"""Seeded random weights that behave: no vanishing output, sharp attention, biases and gains that are not the identity."""

import torch

FOLD = 251  # rows of a vocabulary's embedding before it repeats: small files, and neighbouring tokens still differ


@torch.no_grad()
def enliven(module, seed, text=1.0):
    """Weights ~ N(0, 1/fan-in), queries and keys doubled, cross-attention multiplied by `text`, biases and norms perturbed."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda p: torch.randn(p.shape, generator=generator)
    tables = {id(m.weight) for m in module.modules() if isinstance(m, torch.nn.Embedding)}
    seen = set()
    for name, p in module.named_parameters():
        if id(p) in seen:
            continue
        seen.add(id(p))
        if id(p) in tables:
            rows = torch.randn(min(FOLD, p.shape[0]), p.shape[1], generator=generator)
            p.copy_(rows.repeat(-(-p.shape[0] // rows.shape[0]), 1)[: p.shape[0]])
        elif p.ndim >= 2:
            gain = 1.6 if any(n in name for n in ("to_q.", "to_k.", "q_proj.", "k_proj.", "add_q_proj.", "add_k_proj.")) else 1.0
            if "attn2.to_out" in name or "attn2.to_v" in name:
                gain *= text
            p.copy_(draw(p) * gain * p[0].numel() ** -0.5)
        elif name.endswith("weight"):
            p.copy_(1 + 0.1 * draw(p))
        else:
            p.copy_(0.1 * draw(p))
    return module.eval().requires_grad_(False)


@torch.no_grad()
def scale_output(layer, output, std):
    """Scales the last linear or convolution `layer` so that `output()`, called once, would have the given deviation."""
    factor = std / float(output().std())
    layer.weight.mul_(factor)
    layer.bias.mul_(factor)


@torch.no_grad()
def fit_output(layer, examples, mix=0.1, ridge=1e-2):
    """Fits the last linear or convolution so that the network roughly predicts the target: random features, but latents that behave.

    `examples` yields (call, target in the layer's own output layout). A random output of deviation `mix` is added: it carries text and structure.
    """
    features, targets = [], []
    convolution = isinstance(layer, torch.nn.Conv2d)
    rows = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0]))
    for call, target in examples:
        rows.clear()
        call()
        x = torch.nn.functional.unfold(rows[0], layer.kernel_size, padding=layer.padding).transpose(1, 2) if convolution else rows[0]
        features.append(x.flatten(0, -2))
        targets.append((target.flatten(2).transpose(1, 2) if convolution else target).flatten(0, -2))
    handle.remove()
    x, y = torch.cat(features).double(), torch.cat(targets).double()
    x = torch.cat([x, torch.ones(len(x), 1)], 1)
    gram = x.T @ x
    solution = torch.linalg.solve(gram + ridge * gram.diagonal().mean() * torch.eye(len(gram)), x.T @ y).T
    weight, bias = solution[:, :-1], solution[:, -1]
    noise = layer.weight.flatten(1).double()
    noise = noise * mix / (x[:, :-1] @ noise.T).std()
    layer.weight.copy_((weight + noise).reshape(layer.weight.shape))
    layer.bias.copy_(bias)
    return float(((x @ solution.T - y) ** 2).mean() / (y**2).mean())


def smooth(generator, *shape):
    """Random blobs of unit deviation: stand-ins for the latents of pictures."""
    coarse = torch.randn(*shape[:-2], max(2, shape[-2] // 4), max(2, shape[-1] // 4), generator=generator)
    x = torch.nn.functional.interpolate(coarse, shape[-2:], mode="bilinear", align_corners=True)
    return x / x.std()


def noised_vp(generator, shape, timestep):
    """(x_t, ε) of the usual scaled-linear schedule."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    alpha = (1 - betas).cumprod(0)[timestep]
    noise = torch.randn(shape, generator=generator)
    return alpha.sqrt() * smooth(generator, *shape) + (1 - alpha).sqrt() * noise, noise


def noised_flow(generator, shape, sigma):
    """((1−σ)·x₀ + σ·n, n − x₀) of rectified flow."""
    clean, noise = smooth(generator, *shape), torch.randn(shape, generator=generator)
    return (1 - sigma) * clean + sigma * noise, noise - clean


def patches(x, size=2):
    """[B, C, h, w] → [B, tokens, size·size·C], channels fastest, as SD3's last layer has it."""
    b, c, h, w = x.shape
    return x.reshape(b, c, h // size, size, w // size, size).permute(0, 2, 4, 3, 5, 1).reshape(b, -1, size * size * c)


def packed(x):
    """[B, C, h, w] → [B, tokens, C·4], channels slowest, as FLUX packs latents."""
    b, c, h, w = x.shape
    return x.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, -1, 4 * c)
