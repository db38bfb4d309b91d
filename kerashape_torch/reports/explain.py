"""One layer in words: what its arguments are, and how its shapes and its count of parameters follow from them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
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
        return "\n\n".join(map(aligned, self.blocks())) + f"\n{self.total}"

    def blocks(self) -> Iterator[list[tuple[str, ...]]]:
        """All but the last line, in blocks of rows of cells."""
        yield [(text,) for text in (self.layer, self.does) if text]
        given = [(f"{a.name}={a.value}", a.meaning) for a in self.arguments if a.meaning]
        if given:
            yield [*given]
        if self.note:
            yield [(line,) for line in self.note.splitlines()]
        yield [(each.name, *([to_text(each.shape)] if self.known else []), each.meaning)
               for each in (*self.shapes, *self.weights)]

    @property
    def total(self) -> str:
        """The last line: how the count adds up."""
        if not self.known:
            return "Once the input shape is known, the output shape, every weight shape and the count follow from it."
        fixed = sum(weight.params for weight in self.weights if not weight.trainable)
        ending = f", {fixed:,} of them not trainable" if fixed else ""
        terms = " + ".join(f"{weight.params:,}" for weight in self.weights)
        noun = "parameter" if self.params == 1 else "parameters"
        return (f"{terms} = " * (len(self.weights) > 1)) + f"{self.params:,} {noun}{ending}"

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
    if input_shape is not None and shapes is not None:
        given = (input_shape,) if isinstance(input_shape, int) else input_shape
        batched = flatten_shapes(given) == flatten_shapes(list(shapes))
        kind = "batch_input_shape" if batched else "input_shape" if is_shape(given) else "input_shapes"
        arguments.append(Argument("input_shape", repr(given), meaning(layer, kind, given)))
    output = None
    if shapes is not None:
        output = layer.output_shape if input_shape is None else layer.compute_output_shape(*shapes)
    ends, weights = _in_words(layer, shapes, output), []
    if shapes is not None:
        specs = layer.weight_specs(*shapes)
        twice = len({spec.name for spec in specs}) < len(specs)
        weights = [_weight(spec, spec.full_path if twice else spec.name, layer.trainable) for spec in specs]
    does = _prose((inspect.getdoc(type(layer)) or "").split("\n\n")[0])
    remark = None if any(each.name == "input_dim" for each in arguments) else note(layer)
    return Explanation(repr(layer), does, arguments, ends, weights, shapes is not None, remark)


def _call_shapes(layer: Layer, input_shape: Any) -> Sequence[Any] | None:
    if input_shape is not None:
        return rule_arguments(layer, with_batch(layer, input_shape))
    return layer.call_shapes() if layer.built else None


# ---- shapes ----------------------------------------------------------------------------------------------------------


def _in_words(layer: Layer, shapes: Sequence[Any] | None, output: Any) -> list[Named]:
    takes, gives = _said(type(layer), "Input shape"), _said(type(layer), "Output shape")
    if shapes is None:
        return [Named("input", None, takes), Named("output", None, gives)]
    names = layer.shape_arguments if len(shapes) > 1 else ("input",)
    ends = [(name, shape, _from(name, takes)) for name, shape in zip(names, shapes)]
    ends.append(("output", output, takes if gives.startswith("the same") else gives))
    return [Named(name, shape, _axes(layer, shape, said)) for name, shape, said in ends if shape is not None]


def _prose(text: str) -> str:
    """A docstring's text without the marks that Sphinx reads."""
    return re.sub(r"\s+", " ", re.sub(r":\w+:`([^`]*)`|``", r"\1", text))


def _from(name: str, said: str) -> str:
    """What is said from the mention of one of several inputs on, or everything."""
    found = re.search(rf"\b{name.removesuffix('s')}s?\b(?![^()]*\))", said)
    return said[found.start():] if found else said


def _said(cls: type, heading: str) -> str:
    """What the docstring says after a heading, up to the next one."""
    for base in cls.__mro__:
        found = re.search(rf"^ *{heading}:\s*(.*?)(?=\n\s*\n|\n\s*[A-Z>]\S* ?\w*:|\Z)",
                          base.__dict__.get("__doc__") or "", re.DOTALL | re.MULTILINE)
        if found:
            return _prose(found[1])
    return ""


def _axes(layer: Layer, shape: Any, said: str) -> str:
    """Names for the axes of a shape, by the docstring: the first tuple in it that has as many axes."""
    tuples = re.findall(r"\([^()]*\)", said)
    if not is_shape(shape):
        shapes = flatten_shapes(shape)
        texts = tuples if said.startswith("a list:") else [said] * len(shapes)  # of a list, each has a tuple of its own
        parts = [_axes(layer, each, text) for each, text in zip(shapes, texts)]
        return "; ".join(dict.fromkeys(parts)) if all(parts) else ""
    for names in (re.split(r",\s*", text[1:-1]) for text in tuples):
        free = sum(name == "..." or name.startswith("*") for name in names)
        differs = any(name.isdigit() and name != str(size) for name, size in zip(names, shape))
        if (len(names) == len(shape) and not free and not differs) or (free == 1 and len(names) - 1 <= len(shape)):
            channels_first = getattr(layer, "data_format", None) == "channels_first"
            if channels_first and names[1:2] != ["channels"] and len(names) > 2:
                names.insert(1, names.pop())
            return ", ".join(name for name in names if name != "..." or len(names) <= len(shape))
    return ""


# ---- weights ---------------------------------------------------------------------------------------------------------


def _weight(spec: WeightSpec, name: str, trainable: bool) -> Named:
    product = f"{' * '.join(map(str, spec.shape))} = {spec.size:,}" if len(spec.shape) > 1 else f"{spec.size:,}"
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
    noun = "place" if set(window) == {"1"} else "places"
    return [f"{' * '.join(window)} {noun} in the window"] if window else []


def _sized(size: int, axis: str) -> str:
    """``1 unit``, ``4 units``, ``4 gates * 7 units``."""
    joined = re.fullmatch(r"(\d+) (\w+) \* (\w+)", axis)
    if joined:
        return f"{joined[1]} {joined[2]} * {_sized(size // int(joined[1]), joined[3])}"
    one = re.sub(r"\b(unit|feature|channel|filter|head|place|kernel|integer)s\b", r"\1", axis)
    return f"{size} {one if size == 1 else axis}"
