"""Makes the fixtures and expectations of every family, or of those named: python make.py [family …]. See README.md."""

import importlib
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
sys.path.insert(0, str(Path(__file__).parent))
FAMILIES = ["sd15", "sd15_inpaint", "sd2", "half", "lcm", "sdxl", "sd3", "flux", "images", "deepfloyd", "pixart", "paint", "controlnet", "image_prompt"]

if __name__ == "__main__":
    import torch
    from diffusers.utils import logging

    logging.set_verbosity_error()
    torch.set_num_threads(1)
    for family in sys.argv[1:] or FAMILIES:
        started = time.time()
        with torch.no_grad():
            importlib.import_module(f"families.{family}").make()
        print(f"{family}: {time.time() - started:.0f} s", flush=True)
