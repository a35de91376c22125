"""Experts by averaging weights: (1 − share)·parent + share·an expert of an earlier parent, on the same σ-interval (model soups, arXiv 2203.05482).

    python soup.py --parent RUN/base.pt --earlier RUN0 --out RUN high=0.25 middle=0.25 low=0.4 [control=0.25]

The parent must have grown out of the earlier experts (resume.py starts it at their mean), so that all lie in one valley. `control` takes the mean
of the earlier experts instead of one of them: what averaging alone brings, without any interval.
"""

import argparse
from pathlib import Path

import torch

EXPERTS = ("high", "middle", "low")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("share", nargs="+")
    parser.add_argument("--parent", type=Path, required=True)
    parser.add_argument("--earlier", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    a = parser.parse_args()
    parent = torch.load(a.parent)
    expert = lambda name: torch.load(a.earlier / f"base-{name}.pt")
    for name, share in (part.split("=") for part in a.share):
        share = float(share)
        others = [expert(each) for each in (EXPERTS if name == "control" else [name])]  # only what is asked for: experts may be of different sizes
        torch.save({k: (1 - share) * parent[k] + share * sum(other[k] for other in others) / len(others) for k in parent}, a.out / f"base-{name}.pt")
