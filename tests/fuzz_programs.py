"""Programs: models in plain JSON, so that they can be kept, replayed and made smaller, built here and in Keras.

::

    {"inputs": [{"shape": [null, 4], "dtype": "float32"}],
     "layers": [{"object": "layers.Dense", "args": {"units": 3}}],
     "steps": [{"layer": 0, "style": "single", "of": [0], "kwargs": {}},
               {"op": "add", "args": [{"of": 1}, 2.0], "kwargs": {}}],
     "outputs": [2], "sizes": [3, 5, 4, 6, 3, 4], "batch": 2}

Tensors are numbered: the inputs, then what each step gives. ``outputs`` may be null: all that the last step gives.
``sizes`` fill the axes that are None when the model runs. A layer may be a nested model: ``{"program": ...}``.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import harness
import numpy as np
import torch

from kerashape_torch.errors import KerashapeError
from kerashape_torch.structure import flatten

Json = Any


class Failure(Exception):
    """What differs, and how."""

    def __init__(self, kind: str, text: Any = "") -> None:
        super().__init__(kind, str(text))
        self.kind, self.text = kind, str(text)



# ---- programs to models ----------------------------------------------------------------------------------------------


def made(k: Any, value: Any, tensors: Any = ()) -> Any:
    """A value of a program as an object of one of the two libraries."""
    if isinstance(value, list):
        items = [made(k, item, tensors) for item in value]
        return items if any(isinstance(item, dict) for item in value) else tuple(items)
    if not isinstance(value, dict):
        return value
    if "object" in value:
        family, name = value["object"].split(".")
        return getattr(getattr(k, family), name)(**{key: made(k, item) for key, item in value["args"].items()})
    if "program" in value:
        return build(k, value["program"], value.get("name"))
    if "slice" in value:
        return slice(*value["slice"])
    if "ellipsis" in value:
        return ...
    return tensors[value["of"]] if "of" in value else {key: made(k, item, tensors) for key, item in value.items()}


def build(k: Any, program: Json, name: str | None = None) -> Any:
    """The model of a program."""
    inputs = [k.Input(batch_shape=tuple(x["shape"]), dtype=x["dtype"]) for x in program["inputs"]]
    tensors, layers, last = list(inputs), {}, inputs

    def layer(index: int) -> Any:
        if index not in layers:
            layers[index] = made(k, program["layers"][index])
        return layers[index]

    for step in program["steps"]:
        last = flatten(result_of(k, step, tensors, layer))
        tensors += last
    if program["outputs"] and max(program["outputs"]) >= len(tensors):
        raise KerashapeError("an output that no step gives")  # on the way to a smaller program
    outputs = last if program["outputs"] is None else [tensors[i] for i in program["outputs"]]
    return k.Model(inputs if len(inputs) > 1 else inputs[0], outputs if len(outputs) > 1 else outputs[0],
                   **({} if name is None else {"name": name}))


def result_of(k: Any, step: Json, tensors: list[Any], layer: Callable[[int], Any]) -> Any:
    """What a step gives, of the tensors so far; ``layer`` has the layers by their numbers."""
    kwargs = {key: made(k, value, tensors) for key, value in step["kwargs"].items()}
    if "op" in step:
        function = operators.get(step["op"]) or getattr(k.ops, step["op"])
        return function(*made(k, step["args"], tensors), **kwargs)
    return layer(step["layer"])(*harness.arrange(step["style"], [tensors[i] for i in step["of"]]), **kwargs)


operators: dict[str, Any] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "[]": lambda x, key: x[key],
}


def attempt(function: Any, *args: Any) -> tuple[Any, Exception | None]:
    try:
        return function(*args), None
    except Exception as error:  # Keras refuses by errors of every class
        return None, error


def inputs_of(program: Json) -> list[torch.Tensor]:
    random = np.random.default_rng(zlib.crc32(json.dumps(program["sizes"]).encode()))
    found = []
    for x in program["inputs"]:
        batch, *axes = x["shape"]
        shape = [batch or program["batch"], *(size or program["sizes"][i] for i, size in enumerate(axes))]
        found.append(torch.as_tensor(harness.random_input(random, shape, x["dtype"], x.get("indices", False))))
    return found


def objects_in(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        if "object" in value:
            yield value
        for item in value.values():
            yield from objects_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from objects_in(item)


def same(kind: str, got: Any, want: Any) -> None:
    difference = _difference(got, want)
    if difference is not None:
        raise Failure(kind, "at {}: {}\n  Keras: {}".format(*difference))


def _difference(got: Any, want: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """The first place where two structures differ. Keras writes 0.01 as the nearest number of 32 bits."""
    if isinstance(got, dict) and isinstance(want, dict) and got.keys() == want.keys():
        pairs = [(f"{where}.{key}", got[key], want[key]) for key in want]
    elif isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        pairs = [(f"{where}[{i}]", x, y) for i, (x, y) in enumerate(zip(got, want))]
    elif type(got) is type(want) is float:
        return None if math.isclose(got, want, rel_tol=1e-6) else (where, got, want)
    else:
        return None if got == want else (where, got, want)
    return next((found for at, x, y in pairs if (found := _difference(x, y, at)) is not None), None)


