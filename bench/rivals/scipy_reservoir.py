"""A reservoir's step with scipy.sparse: `python3 scipy_reservoir.py '{"units": ..., "connections": ..., "seconds": ...}'`. Prints the best seconds a step."""

import json
import sys
import time

import numpy as np
import scipy
from scipy import sparse

options = json.loads(sys.argv[1])
n, k = options["units"], options["connections"]
generator = np.random.default_rng(1)
columns = np.concatenate([np.sort(generator.choice(n, k, replace=False)) for _ in range(n)]).astype(np.int32)
values = generator.uniform(-0.1, 0.1, n * k).astype(np.float32)
w = sparse.csr_matrix((values, columns, np.arange(0, n * k + 1, k, dtype=np.int32)), shape=(n, n))
w_in = generator.uniform(-1, 1, n).astype(np.float32)
leak = np.float32(0.3)


def best(fn):
    least, end = float("inf"), time.perf_counter() + options["seconds"]
    while time.perf_counter() < end:
        start = time.perf_counter()
        fn()
        least = min(least, time.perf_counter() - start)
    return least


h = np.zeros(n, dtype=np.float32)


def step():
    global h
    h = (1 - leak) * h + leak * np.tanh(w_in * np.float32(0.5) + w @ h)


print(json.dumps({"version": scipy.__version__, "step": best(step), "product": best(lambda: w @ h)}))
