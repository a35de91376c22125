"""What a training run leaves on disk, and goes on from: RUN/NAME.log (a line of JSON for each entry), RUN/NAME.ckpt (all of its state), RUN/NAME.pt (the moving average of its weights)."""

import contextlib
import json

import torch


class Keeper:
    """Of several workers the first alone writes; all of them read."""

    def __init__(self, run, name, rank=0):
        self.first = rank == 0
        self.log, self.checkpoint, self.weights = (run / f"{name}.{ending}" for ending in ("log", "ckpt", "pt"))

    def say(self, **entry):
        if self.first:
            with open(self.log, "a") as log:
                log.write(json.dumps(entry) + "\n")
            print(json.dumps(entry), flush=True)

    def saved(self, device):
        """The state of the run so far, or None: it has not begun."""
        return torch.load(self.checkpoint, map_location=device, weights_only=False) if self.checkpoint.exists() else None

    def save(self, average, **state):
        if self.first:
            unfinished = self.checkpoint.with_suffix(".tmp")
            torch.save(dict(average=average, **state), unfinished)
            unfinished.rename(self.checkpoint)  # at once: a run that is cut off here still has the one before
            torch.save({k: v.cpu().contiguous() for k, v in average.items()}, self.weights)


@contextlib.contextmanager
def averaged(network, average):
    """`network` has the moving average of its weights within, its own again afterwards; random numbers go on as if nobody had looked."""
    kept, state = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    network.load_state_dict(average)
    try:
        yield network
    finally:
        network.load_state_dict(kept)
        torch.set_rng_state(state)
