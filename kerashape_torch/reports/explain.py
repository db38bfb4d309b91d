"""One layer in words: what its arguments are, and how its shapes and its count of parameters follow from them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.reports.glossary import meaning, note
from kerashape_torch.shape import AXES, to_text
from kerashape_torch.shape_table import shape_table
from kerashape_torch.standalone import rule_arguments, with_batch
from kerashape_torch.structure import flatten_shapes, is_shape
from kerashape_torch.text import aligned
from kerashape_torch.weights import WeightSpec


class Argument(NamedTuple):
    """An argument that was given, and what it means, if that is known."""

    name: str
    value: str
    meaning: str | None


class Named(NamedTuple):
    """A shape or a weight, in words."""

    name: str
    shape: Any
    meaning: str
    params: int = 0
    trainable: bool = True


class Explanation(NamedTuple):
    """What :func:`explain` says, as data. ``str()`` writes it."""

    layer: str
    does: str
    arguments: list[Argument]
    shapes: list[Named]
    weights: list[Named]
    known: bool
    note: str | None

    @property
    def params(self) -> int:
        """How many numbers the weights hold."""
        return sum(weight.params for weight in self.weights)

    def __str__(self) -> str:
        given = [(f"{a.name}={a.value}", a.meaning) for a in self.arguments if a.meaning]
        named = [(each.name, *([to_text(each.shape)] if self.known else []), each.meaning)
                 for each in (*self.shapes, *self.weights)]
        parts = [f"{self.layer}\n{self.does}".rstrip(), aligned(given) if given else "", self.note or "",
                 f"{aligned(named)}\n{self._count()}"]
        return "\n\n".join(part for part in parts if part)

    def _count(self) -> str:
        if not self.known:
            return "Once the input shape is known, the output shape, every weight shape and the count follow from it."
        fixed = sum(weight.params for weight in self.weights if not weight.trainable)
        ending = f", {fixed:,} of them not trainable" if fixed else ""
        terms = " + ".join(str(weight.params) for weight in self.weights)
        return (f"{terms} = " * (len(self.weights) > 1)) + f"{self.params:,} parameters{ending}"

    def to_dict(self) -> dict[str, Any]:
        """The explanation as values that JSON can hold."""
        return {"layer": self.layer, "does": self.does, "arguments": [each._asdict() for each in self.arguments],
                "shapes": {each.name: {"shape": each.shape, "axes": each.meaning} for each in self.shapes},
                "weights": [each._asdict() for each in self.weights], "params": self.params if self.known else None,
                "note": self.note}


def explain(layer: Layer, input_shape: Any = None) -> str:
    """What a layer's arguments are, its shapes with their axes, and each weight's shape with the arithmetic behind it.

    Args:
        layer: any layer. Of a model, the shape table is given.
        input_shape: if the layer does not know it. The batch axis may be left out; an integer means one axis.

    >>> from kerashape_torch.layers import Dense
    >>> print(explain(Dense(units=4), 3))
    Dense(units=4)
    Weighs the last axis: activation(inputs @ kernel + bias).
    <BLANKLINE>
    units=4           how many numbers come out for each vector that goes in: the size of the last output axis
    input_shape=(3,)  the shape of one sample; the batch axis is left out here and is the None below
    <BLANKLINE>
    input   (None, 3)  batch, features
    output  (None, 4)  batch, units
    kernel  (3, 4)     one number for each of 3 input features and 4 units: 3 * 4 = 12
    bias    (4)        one number for each of 4 units: 4
    12 + 4 = 16 parameters
    """
    return str(shape_table(layer, input_shape) if isinstance(layer, Model) else explanation(layer, input_shape))


def explanation(layer: Layer, input_shape: Any = None) -> Explanation:
    """What :func:`explain` says, as data."""
    shapes = _call_shapes(layer, input_shape)
    arguments = [Argument(name, repr(value), meaning(layer, name, value)) for name, value in layer.given().items()
                 if name != "name"]
    if input_shape is not None:
        shape = (input_shape,) if isinstance(input_shape, int) else input_shape
        arguments.append(Argument("input_shape", repr(shape), meaning(layer, "input_shape", shape)))
    ends, weights = _in_words(layer, shapes), []
    if shapes is not None:
        specs = layer.weight_specs(*shapes)
        twice = len({spec.name for spec in specs}) < len(specs)
        weights = [_weight(spec, spec.full_path if twice else spec.name, layer.trainable) for spec in specs]
    does = (inspect.getdoc(type(layer)) or "").split("\n\n")[0].replace("``", "").replace("\n", " ")
    remark = None if any(each.name == "input_dim" for each in arguments) else note(layer)
    return Explanation(repr(layer), does, arguments, ends, weights, shapes is not None, remark)


def _call_shapes(layer: Layer, input_shape: Any) -> Sequence[Any] | None:
    if input_shape is not None:
        return rule_arguments(layer, with_batch(layer, input_shape))
    return layer.call_shapes() if layer.built else None


# ---- shapes ----------------------------------------------------------------------------------------------------------


def _in_words(layer: Layer, shapes: Sequence[Any] | None) -> list[Named]:
    said = _said(type(layer), "Input shape"), _said(type(layer), "Output shape")
    if shapes is None:
        return [Named("input", None, said[0]), Named("output", None, said[1])]
    names = layer.shape_arguments if len(shapes) > 1 else ("input",)
    ends = [*zip(names, shapes), ("output", layer.compute_output_shape(*shapes))]
    return [Named(name, shape, _axes(layer, shape, said[name == "output"], said[0])) for name, shape in ends
            if shape is not None]


def _said(cls: type, heading: str) -> str:
    """What the docstring says after a heading, up to the next one."""
    for base in cls.__mro__:
        found = re.search(rf"^ *{heading}:\s*(.*?)(?=\n\s*\n|\n\s*[A-Z>]\S* ?\w*:|\Z)",
                          base.__dict__.get("__doc__") or "", re.DOTALL | re.MULTILINE)
        if found:
            return re.sub(r"\s+", " ", found[1]).replace("``", "")
    return ""


def _axes(layer: Layer, shape: Any, said: str, said_of_input: str) -> str:
    """Names for the axes of a shape, by the docstring: the first tuple in it that has as many axes."""
    if not is_shape(shape):
        parts = [_axes(layer, each, said, said_of_input) for each in flatten_shapes(shape)]
        return "; ".join(dict.fromkeys(parts)) if all(parts) else ""
    tuples = re.findall(r"\(([^()]*)\)", said_of_input if said.startswith("the same") else said)
    for names in (re.split(r",\s*", text) for text in tuples):
        free = sum(name == "..." or name.startswith("*") for name in names)
        if (len(names) == len(shape) and not free) or (free == 1 and len(names) - 1 <= len(shape)):
            channels_first = getattr(layer, "data_format", None) == "channels_first"
            if channels_first and names[1:2] != ["channels"] and len(names) > 2:
                names.insert(1, names.pop())
            return ", ".join(name for name in names if name != "..." or len(names) <= len(shape))
    return ""


# ---- weights ---------------------------------------------------------------------------------------------------------


def _weight(spec: WeightSpec, name: str, trainable: bool) -> Named:
    product = f"{' * '.join(map(str, spec.shape))} = {spec.size}" if len(spec.shape) > 1 else str(spec.size)
    what = f"one number for each of {_counted(spec)}: " if len(spec.axes) == len(spec.shape) and spec.shape else ""
    return Named(name, spec.shape, what + product, spec.size, trainable and spec.trainable)


def _counted(spec: WeightSpec) -> str:
    """``3 * 3 places in the window, 4 input channels and 8 filters``."""
    parts: list[str] = []
    window: list[str] = []
    for size, axis in zip(spec.shape, spec.axes):
        if axis in AXES[3] + AXES[1]:
            window.append(str(size))
            continue
        parts += _places(window) + [_sized(size, axis)]
        window = []
    parts += _places(window)
    return " and ".join([", ".join(parts[:-1])] * (len(parts) > 1) + parts[-1:])


def _places(window: list[str]) -> list[str]:
    return [f"{' * '.join(window)} places in the window"] if window else []


def _sized(size: int, axis: str) -> str:
    """``1 unit``, ``4 units``, ``4 gates * 7 units``."""
    joined = re.fullmatch(r"(\d+) (\w+) \* (\w+)", axis)
    if joined:
        return f"{joined[1]} {joined[2]} * {_sized(size // int(joined[1]), joined[3])}"
    return f"{size} " + (re.sub(r"\b(unit|feature|channel|filter|head|place)s\b", r"\1", axis) if size == 1 else axis)
