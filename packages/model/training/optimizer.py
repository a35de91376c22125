"""AdamW, or with `muon` Muon for the inner matrices and AdamW for the rest: embeddings, first and last convolution, norms, biases.

Muon (K. Jordan et al. 2024, kellerjordan.github.io/posts/muon) makes the momentum of a matrix orthogonal before the step, scaled here as in arXiv 2502.16982,
so that AdamW's learning rate and weight decay hold. What it is worth: README.md, "Muon".
"""

import os

import torch
import torch.distributed as distributed


class Optimizer:
    """Each worker orthogonalises its share of the matrices; Muon's momentum, the memory of twenty steps, is not part of a checkpoint."""

    def __init__(self, network, rate, muon=False, rank=0, workers=1):
        inner = [muon and p.ndim in (2, 4) and not name.startswith(("net.input", "net.output")) for name, p in network.named_parameters()]
        parameters = list(network.parameters())
        self.plain = [p for p, is_inner in zip(parameters, inner) if not is_inner]
        self.matrices = [p for p, is_inner in zip(parameters, inner) if is_inner]
        self.workers = workers
        self.adam = torch.optim.AdamW(self.plain, rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
        self.mine = {i: torch.nn.Parameter(p.detach().reshape(len(p), -1).clone()) for i, p in enumerate(self.matrices) if i % workers == rank}
        self.muon = torch.optim.Muon(list(self.mine.values()), rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw") if self.mine else None

    def zero_grad(self):
        for p in [*self.plain, *self.matrices]:
            p.grad = None

    @torch.no_grad()
    def step(self, rate):
        self.adam.param_groups[0]["lr"] = rate
        self.adam.step()
        if self.muon is None:
            return
        self.muon.param_groups[0]["lr"] = rate
        for i, flat in self.mine.items():
            flat.copy_(self.matrices[i].reshape(flat.shape))
            flat.grad = self.matrices[i].grad.reshape(flat.shape)
        self.muon.step()
        stepped = [self.mine[i].reshape(p.shape) if i in self.mine else torch.zeros_like(p) for i, p in enumerate(self.matrices)]
        for p, new in zip(self.matrices, summed(stepped, self.workers)):
            p.copy_(new)


def summed(tensors, workers):
    """The sum of each tensor over all workers, in one message."""
    if workers == 1:
        return tensors
    flat = torch.cat([t.reshape(-1) for t in tensors])
    distributed.all_reduce(flat)
    return [part.view(t.shape) for part, t in zip(flat.split([t.numel() for t in tensors]), tensors)]


def average_gradients(parameters, workers):
    """Each gradient becomes its mean over all workers."""
    parameters = [p for p in parameters if p.grad is not None]
    if workers > 1:
        for p, total in zip(parameters, summed([p.grad for p in parameters], workers)):
            p.grad.copy_(total / workers)


def follow(average, network, decay, steps):
    """Moves the moving average of a network's state (EMA) towards it; faster in the first steps."""
    decay = min(decay, (steps + 1) / (steps + 10))
    for k, v in network.state_dict().items():
        average[k].lerp_(v.to(average[k].dtype), 1 - decay) if v.is_floating_point() else average[k].copy_(v)


def join(rank, workers, port):
    """Makes this process one of several that average their gradients; alone, it does nothing."""
    if workers > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        distributed.init_process_group("gloo", rank=rank, world_size=workers)


def leave(workers):
    """Waits for the others, then ends what `join` began."""
    if workers > 1:
        distributed.barrier()
        distributed.destroy_process_group()
