"""Loss per σ of networks on held-out scenes, with the noise of train.py's own validation: comparable across runs.

    python losses.py --run DIR --validation VAL32 base base-high base-middle base-low [--residual-scale 0.15]
"""

import argparse
import json
import math
from pathlib import Path

import torch

from train import Conditioner, Data, validate
from unet import trained

if __name__ == "__main__":
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="+")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--tokenizers", type=Path, default=here.parent / "tokenizers")
    parser.add_argument("--batches", type=int, default=2, help="of 64 scenes")
    parser.add_argument("--sigma-data", type=float, default=0.6)
    parser.add_argument("--residual-scale", type=float, default=0.15)
    a = parser.parse_args()
    a.interval = (0.0, math.inf)
    torch.set_num_threads(1)
    device = torch.device("cpu")
    data, conditioner = Data(a.validation), Conditioner(a.run, a.tokenizers, device)
    for name in a.name:
        a_of = argparse.Namespace(**{**vars(a), "name": name})
        found = validate(a_of, trained(a.run, name), data, conditioner, device, a.batches)
        print(name, json.dumps({str(s): round(v, 4) for s, v in found.items()}), flush=True)
