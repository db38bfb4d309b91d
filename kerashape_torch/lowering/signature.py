"""How a compiled module takes its tensors: by position in Keras' order, by the input layers' names, or as a Keras list
or dict; and what it says when a tensor does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx.graph import CodeGen

from kerashape_torch.errors import ShapeError
from kerashape_torch.shape import Shape, to_text
from kerashape_torch.structure import flatten
from kerashape_torch.torch_modules.strings import Array, is_text, text_array


class KerasSignature(CodeGen):
    """Writes the first lines of ``forward``: one test for each tensor that passes in well under a microsecond.

    Args:
        names: of the input layers, in Keras' order.
        shapes: what each takes; None is any size, and the batch is never checked, as in Keras.
        optional: which of them may be left out.
        structure: how the Keras model nests its inputs, with the index of each as the leaf.
        strings: which of them are strings: an array or a list of them, which no tensor can hold.
    """

    def __init__(self, names: Sequence[str], shapes: Sequence[Shape], optional: Sequence[bool], structure: Any,
                 strings: Sequence[bool]) -> None:
        super().__init__()
        self.names = list(names)
        self.shapes = list(shapes)
        self.optional = list(optional)
        self.structure = structure
        self.strings = list(strings)

    def gen_fn_def(self, free_vars: list[str], maybe_return_annotation: str, **options: Any) -> str:
        arguments = [var.split(":")[0].split("#")[0].strip() for var in free_vars]
        alone = len(arguments) == 1 and not any(self.optional)
        given = arguments if alone else [f"{name}=None" for name in arguments]
        lines = [f"def {self._func_name}(self, {', '.join(given)}){maybe_return_annotation}:"]
        fits = " and ".join("False" if string else _fits(name, shape, optional) for name, shape, optional, string
                            in zip(arguments, self.shapes, self.optional, self.strings))
        received = (f"_receive(({', '.join(arguments)},), {self.names!r}, {self.shapes!r}, {self.structure!r}, "
                    f"{self.strings!r})")
        lines.append(f"    if not ({fits}):\n        {', '.join(arguments)}, = {received}")
        return "\n".join(lines)

    def additional_globals(self) -> list[tuple[str, Any]]:
        return [("_receive", receive)]


def _fits(name: str, shape: Shape, optional: bool) -> str:
    tests = [f"isinstance({name}, torch.Tensor)", f"{name}.dim() == {len(shape)}"]
    tests += [f"{name}.shape[{axis}] == {size}" for axis, size in enumerate(shape) if axis > 0 and size is not None]
    text = " and ".join(tests)
    return f"({name} is None or {text})" if optional else text


def receive(given: tuple[Any, ...], names: list[str], shapes: list[Shape], structure: Any,
            strings: list[bool]) -> tuple[Any, ...]:
    """The tensors in order, from what was passed in another form; strings as arrays.

    Raises:
        ShapeError: a tensor does not fit its input; both shapes are named.
    """
    first = given[0]
    if isinstance(first, Mapping):
        given = tuple(_from_mapping(first, names, structure))
    elif isinstance(first, (list, tuple)) and not _is_the_first_input(given, strings):
        given = tuple(leaf for item in first for leaf in _leaves(item))
    if len(given) != len(names):
        raise ShapeError(f"the model takes {len(names)} tensors, {', '.join(names)}, got {len(given)}")
    return tuple(fitted(*each) for each in zip(given, names, shapes, strings))


def _is_the_first_input(given: tuple[Any, ...], strings: list[bool]) -> bool:
    """Whether a list is strings for the first input, and not all inputs in a list."""
    return strings[0] and is_text(given[0]) and (len(strings) == 1 or given[1] is not None)


def _leaves(given: Any) -> list[Any]:
    return [given] if is_text(given) else flatten(given)


def _from_mapping(given: Mapping[str, Any], names: list[str], structure: Any) -> list[Any]:
    if all(name in given for name in names):
        return [given[name] for name in names]
    if isinstance(structure, Mapping) and all(key in given for key in structure):
        return [leaf for key in sorted(structure) for leaf in _leaves(given[key])]
    if any(key in names for key in given):
        return [given.get(name) for name in names]
    wanted = list(structure) if isinstance(structure, Mapping) else names
    raise ShapeError(f"the model takes the inputs {', '.join(wanted)}, got {', '.join(map(str, given))}")


def fitted(x: Any, name: str, shape: Shape, string: bool = False) -> Any:
    """A tensor, or an array of strings, that fits an input. An axis of 1 at the end may be missing or too many, as in
    Keras."""
    if string and is_text(x):
        x = text_array(x)
    elif not isinstance(x, Tensor):
        if x is None:
            raise ShapeError(f"input {name!r} {to_text(shape)} is missing")
        if isinstance(x, torch.fx.Proxy):
            return x
        wanted = "strings, in an array or a list" if string else "a torch.Tensor"
        raise ShapeError(f"input {name!r} takes {wanted} of shape {to_text(shape)}, got {type(x).__name__}")
    if x.ndim == len(shape) + 1 and x.shape[-1] == 1:
        x = x[..., 0]
    elif x.ndim == len(shape) - 1 and shape[-1] == 1 and _misfit(x, shape[:-1]) is None:
        x = x[..., None]
    if x.ndim != len(shape):
        raise ShapeError(f"input {name!r} takes {to_text(shape)}, rank {len(shape)}; "
                         f"got {tuple(x.shape)}, rank {x.ndim}",
                         hint="is the batch axis missing?" if x.ndim == len(shape) - 1 else None)
    axis = _misfit(x, shape)
    if axis is not None:
        raise ShapeError(f"input {name!r} takes {to_text(shape)}; got {tuple(x.shape)}: "
                         f"axis {axis} is {x.shape[axis]}, not {shape[axis]}", hint=_order_hint(tuple(x.shape), shape))
    return x


def _misfit(x: Tensor | Array, shape: Shape) -> int | None:
    """The first axis after the batch that has another size."""
    sizes = enumerate(zip(x.shape[1:], shape[1:]), start=1)
    return next((axis for axis, (got, size) in sizes if size is not None and got != size), None)


def _order_hint(got: tuple[int, ...], shape: Shape) -> str | None:
    moved = (got[0], *got[2:], got[1])
    if len(shape) > 2 and all(size in (None, have) for have, size in zip(moved[1:], shape[1:])):
        return "this looks channels first: permute it, or compile with to_torch(layout='torch')"
    return None
