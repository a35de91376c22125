"""Opens a UNet with Python's onnxruntime and runs steps; prints a line of JSON. Called by full-size.mjs: MODEL LATENT STEPS THREADS."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

model, latent, steps, threads = sys.argv[1], *map(int, sys.argv[2:5])
options = ort.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
started = time.perf_counter()
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
opened = time.perf_counter() - started


def wave(dtype, *shape):
    return np.sin(np.arange(np.prod(shape))).reshape(shape).astype(dtype)


half = np.float16 if session.get_inputs()[0].type == "tensor(float16)" else np.float32
timestep = next(i for i in session.get_inputs() if i.name == "timestep")
feeds = {"sample": wave(half, 2, 4, latent, latent), "encoder_hidden_states": wave(half, 2, 77, 768), "timestep": np.full([2] * len(timestep.shape), 3, np.int64)}
seconds = []
for _ in range(steps):
    started = time.perf_counter()
    output = session.run(None, feeds)[0]
    seconds.append(time.perf_counter() - started)
status = Path("/proc/self/status").read_text()
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps({"open": opened, "steps": seconds, "peak": peak, "head": output.ravel()[:64].astype(float).tolist()}))
