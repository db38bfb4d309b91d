"""Whether a model gives here what it gives in Keras: shapes and numbers, layer by layer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.graph import SymbolicTensor
from kerashape_torch.layer import Layer
from kerashape_torch.models import InputLayer, Model
from kerashape_torch.reports.made_up import made_up_inputs
from kerashape_torch.saving import load_model
from kerashape_torch.saving.reading import read
from kerashape_torch.shape import Shape, to_text
from kerashape_torch.structure import flatten
from kerashape_torch.testing import oracle
from kerashape_torch.text import aligned
from kerashape_torch.torch_modules.strings import is_text

RTOL, ATOL = 1e-4, 1e-5
_COARSE = {"float16": 5e-3, "bfloat16": 4e-2}
"""What models that compute in 16 bits anywhere are held to: their rounding goes on through the layers after."""


class Compared(NamedTuple):
    """One tensor, here and there.

    Attributes:
        name: of the layer, below those of the models around it: ``encoder/dense_1``; ``#2`` is its second call.
        there: the shape in Keras, or that of the recorded array.
        difference: the largest, None where the shapes differ.
        largest: the largest number in Keras.
        agrees: within rtol 1e-4 and atol 1e-5; where the model computes in 16 bits, within a few of their roundings.
    """

    name: str
    class_name: str
    here: Shape
    there: Shape
    difference: float | None
    largest: float
    agrees: bool


class Verified(NamedTuple):
    """What :func:`verify` found. ``str()`` prints it."""

    model: str
    against: str
    rows: list[Compared]

    @property
    def agrees(self) -> bool:
        """Whether all shapes and numbers do."""
        return all(row.agrees for row in self.rows)

    @property
    def departure(self) -> Compared | None:
        """The first layer that departs from Keras."""
        return next((row for row in self.rows if not row.agrees), None)

    def cells(self) -> list[tuple[str, ...]]:
        """The findings as lines of cells."""
        lines: list[tuple[str, ...]] = [("layer", "class", "shape here", "shape there", "largest difference", "")]
        for row in self.rows:
            difference = "-" if row.difference is None else f"{row.difference:.1e} of {row.largest:.1e}"
            lines.append((row.name, row.class_name, to_text(row.here), to_text(row.there), difference,
                          "" if row.agrees else "DEPARTS"))
        return lines

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        against = f"{self.model}, against {self.against}"
        first = self.departure
        if first is not None:
            count = sum(not row.agrees for row in self.rows)
            return f"{against}: {count} of {len(self.rows)} depart, {first.name} first"
        worst = max((row.difference or 0.0 for row in self.rows), default=0.0)
        return f"{against}: all {len(self.rows)} agree, largest difference {worst:.1e}"

    def __str__(self) -> str:
        return f"{aligned(self.cells())}\n\n{self.verdict}"

    def to_dict(self) -> dict[str, Any]:
        """The findings as values that JSON can hold."""
        first = self.departure
        return {"model": self.model, "against": self.against, "agrees": self.agrees,
                "departure": None if first is None else first.name, "rows": [row._asdict() for row in self.rows]}


def verify(path: Any, against: Any = None, batch: int = 2) -> Verified:
    """Compares a model file, as it is read here, with Keras or with a recorded case.

    Args:
        path: of the model.
        against: a ``.npz`` with ``input_0``, ``output_0`` and so on. Without it Keras 3 or tf_keras is asked, if
            either is installed, on made-up inputs, and layer by layer; else a case that lies beside the file under
            the same name with ``.npz``, or in ``parity.npz``.
        batch: how many samples are made up.

    Raises:
        KerashapeError: there is neither Keras nor a recorded case.
    """
    model = load_model(path)
    if not model.built:
        raise ConfigError(f"{model.name} has no input shape, so nothing can be run")
    if against is not None:
        return _against_case(model, Path(os.fsdecode(os.fspath(against))))
    try:
        keras = oracle.load(path, read(path, weights=False).version)
        inputs = made_up_inputs(model, batch)
        return Verified(model.name, keras.name, _layers(model, keras, keras.model, inputs, ""))
    except oracle.Unavailable as error:
        case = _beside(Path(os.fsdecode(os.fspath(path))))
        if case is None:
            raise KerashapeError(f"{model.name} cannot be verified: {error}. Way out: install the Keras that reads "
                                 "it, or give a recorded case (.npz with input_0, output_0)") from error
        return _against_case(model, case)


def _beside(path: Path) -> Path | None:
    candidates = (path.with_suffix(".npz"), path.with_name("parity.npz"))
    return next((each for each in candidates if each.is_file()), None)


def _tolerances(tensors: list[SymbolicTensor]) -> tuple[float, float]:
    coarse = max((_COARSE.get(x.dtype, 0.0) for x in tensors), default=0.0)
    return max(RTOL, coarse), max(ATOL, coarse)


# ---- Keras -----------------------------------------------------------------------------------------------------------


def _layers(model: Model, keras: oracle.Oracle, theirs: Any, inputs: list[Any], prefix: str) -> list[Compared]:
    """A row for each output of each layer. A model inside that departs first is looked into, on Keras' own tensors."""
    found = keras.tensors_of(theirs)
    layers: list[Layer] = []
    names: list[str] = []
    here: list[SymbolicTensor] = []
    there: list[Any] = []
    for layer in model.operations:
        tensors = [x for node in model.graph.nodes_of(layer) for x in flatten(node.outputs)]
        other = found.get(layer.name, [])
        if not isinstance(layer, InputLayer) and len(tensors) == len(other):
            layers += [layer] * len(tensors)
            names += [f"{prefix}{layer.name}{f' #{i + 1}' if i else ''}" for i in range(len(tensors))]
            here += tensors
            there += other
    arrays = [x if is_text(x) else x.numpy() for x in inputs]
    within = _tolerances(here)
    rows = [_compared(name, type(layer).__name__, x.shape, tuple(y.shape), a, b, within)
            for layer, name, x, y, a, b in zip(layers, names, here, there, _values(model, here, inputs),
                                               keras.values(theirs, there, arrays))]
    first = next((i for i, row in enumerate(rows) if not row.agrees), None)
    inner = layers[first] if first is not None else None
    if isinstance(inner, Model):
        given = [torch.as_tensor(x) for x in keras.values(theirs, keras.inputs_of(theirs, inner.name), arrays)]
        rows[first:first] = _layers(inner, keras, keras.graph_of(theirs).get_layer(inner.name), given,
                                    f"{prefix}{inner.name}/")
    return rows


def _values(model: Model, tensors: list[SymbolicTensor], inputs: list[Any]) -> list[np.ndarray[Any, Any]]:
    module = Model(list(model.graph.flat_inputs), tensors).to_torch()
    with torch.inference_mode():
        return [x.float().numpy() if x.is_floating_point() else x.numpy() for x in flatten(module(*inputs))]


# ---- a recorded case -------------------------------------------------------------------------------------------------


def _against_case(model: Model, path: Path) -> Verified:
    try:
        with np.load(path, allow_pickle=False) as file:
            inputs, outputs = ([file[f"{kind}_{i}"] for i in range(sum(name.startswith(f"{kind}_") for name in file))]
                               for kind in ("input", "output"))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path.name} is no recorded case, with input_0, output_0 and so on: {error}") from error
    tensors = model.graph.flat_outputs
    if len(inputs) != len(model.graph.flat_inputs) or len(outputs) != len(tensors):
        raise ConfigError(f"{path.name} has {len(inputs)} inputs and {len(outputs)} outputs; {model.name} has "
                          f"{len(model.graph.flat_inputs)} and {len(tensors)}")
    got = _values(model, tensors, [x if is_text(x) else torch.as_tensor(x) for x in inputs])
    within = _tolerances(tensors)
    rows = [_compared(x.node.layer.name, type(x.node.layer).__name__, x.shape, (None, *want.shape[1:]), value, want,
                      within)
            for x, value, want in zip(tensors, got, outputs)]
    return Verified(model.name, path.name, rows)


def _compared(name: str, class_name: str, here: Shape, there: Shape, got: np.ndarray[Any, Any],
              want: np.ndarray[Any, Any], within: tuple[float, float]) -> Compared:
    if got.shape != want.shape:
        return Compared(name, class_name, here, there, None, 0.0, False)
    if want.dtype.kind not in "fiub":
        return Compared(name, class_name, here, there, 0.0, 0.0, bool((got == want).all()))
    a, b = got.astype("float64"), want.astype("float64")
    with np.errstate(invalid="ignore"):  # of two infinities
        difference = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    rtol, atol = within
    agrees = bool((difference <= atol + rtol * np.abs(b)).all())
    return Compared(name, class_name, here, there, float(difference.max(initial=0.0)),
                    float(np.abs(b).max(initial=0.0)), agrees)
