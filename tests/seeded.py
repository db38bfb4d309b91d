"""Weights of any size that need not be kept: numbers that follow from a weight's path and shape alone."""

from __future__ import annotations

import re
import zlib

import numpy as np


def seeded(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Kernels that keep the spread of what goes through, scales near 1, variances from 0.5 to 1.5, small offsets."""
    path = "/".join(path.split("/")[-2:])  # the layer and the weight: name scopes before them are in no config
    path = re.sub(r"/variable_\d+$", "/variable", path)  # Keras numbers what has no name of its own
    random = np.random.default_rng(zlib.crc32(f"{path} {shape}".encode()))
    name = path.rpartition("/")[2]
    if name == "count":
        return np.zeros(shape, "int32")
    if "variance" in name:
        return random.uniform(0.5, 1.5, shape).astype("float32")
    if len(shape) > 1:
        fan_in = int(np.prod(shape[:-1])) if "depthwise" not in name else int(np.prod(shape[:2]))
        return (random.normal(size=shape) * (1.6 / fan_in) ** 0.5).astype("float32")
    if "gamma" in name or "variable" in name:
        return random.uniform(0.7, 1.0, shape).astype("float32")
    return (random.normal(size=shape) * 0.05).astype("float32")
