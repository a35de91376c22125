"""A base network → a larger one, which says the same until it is trained (Net2Net, arXiv 1511.05641).

    python grow.py --run DIR --parent base-middle10 --again 0 2 4 --out base-grown10

--again: how many more blocks than the plain base each level has on the way up, from the finest. Where upsampling becomes subpixel, each of the four pixels
takes the weights that all four had; the new blocks add nothing: the last layer of each branch is zero.
"""

import argparse
from pathlib import Path

import torch

from unet import grown_base, trained


def grown(old, again):
    """The state of the network with `again` more blocks that answers as the network of the state `old` does."""
    torch.manual_seed(5)
    new = grown_base(again).state_dict()
    for key, values in new.items():
        if key in old:
            values.copy_(old[key] if values.shape == old[key].shape else old[key].repeat_interleave(4, 0))
        elif key.endswith(("out1.bias", "out2.bias")):  # the weights of these, and of the last convolution, begin at zero
            values.zero_()
    return new


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--parent", required=True)
    parser.add_argument("--again", type=int, nargs=3, required=True)
    parser.add_argument("--out", required=True)
    a = parser.parse_args()
    torch.save(grown(torch.load(a.run / f"{a.parent}.pt", map_location="cpu"), tuple(a.again)), a.run / f"{a.out}.pt")
    inputs = torch.randn(2, 3, 32, 32), torch.zeros(2), torch.randn(2, 32, 128), torch.randn(2, 24, 128), torch.randn(2, 128), torch.randn(2, 128)
    with torch.no_grad():
        before, after = (trained(a.run, name)(*inputs) for name in (a.parent, a.out))
    print("largest difference", (after - before).abs().max().item(), "of answers up to", before.abs().max().item())
