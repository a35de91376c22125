"""The Python side of step.mjs: one line "CLASS STEPS ROUNDS" in, seconds per step out, by diffusers' own scheduler on [1, 4, 64, 64]."""

import json
import sys
import time

import diffusers
import torch

CONFIGS = json.loads(sys.argv[1])
latents = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
answers = [torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(1 + i)) for i in range(8)]
print(json.dumps({"torch": torch.__version__, "diffusers": diffusers.__version__, "threads": torch.get_num_threads()}), flush=True)

with torch.no_grad():
    for line in sys.stdin:
        name, steps, rounds = line.split()
        config = {k: v for k, v in CONFIGS[name].items() if k != "_class_name"}
        scheduler = getattr(diffusers, name)(**config)
        spent = 0.0
        for _ in range(int(rounds)):
            scheduler.set_timesteps(int(steps))
            x = latents * scheduler.init_noise_sigma
            for i, t in enumerate(scheduler.timesteps):
                start = time.perf_counter()
                scheduler.scale_model_input(x, t)
                x = scheduler.step(answers[i % 8], t, x).prev_sample
                spent += time.perf_counter() - start
        print(spent / int(rounds) / int(steps), flush=True)
