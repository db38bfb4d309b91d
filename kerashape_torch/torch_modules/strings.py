"""Strings on their way into a module: arrays and lists of ``str`` or ``bytes`` on the host, for torch has none.

A module that reads strings turns them into a tensor on its own device; everything after it runs there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from kerashape_torch.errors import ShapeError

Array = np.ndarray[Any, Any]
F = TypeVar("F", bound=Callable[..., Any])


def on_host(function: F) -> F:
    """A function that ``torch.compile`` leaves to Python."""
    with torch.device("cpu"):  # loads torch's compiler, which in torch 2.6 computes with tensors as it is loaded
        return torch.compiler.disable(function)  # type: ignore[no-any-return, no-untyped-call]


def is_text(x: Any) -> bool:
    """Whether something is strings: a string, an array of them, or nested lists of strings alone.

    >>> is_text("a"), is_text([["a"], ["b"]]), is_text(np.array(["a"])), is_text([1]), is_text([np.array(["a"])])
    (True, True, True, False, False)
    """
    if isinstance(x, np.ndarray):
        return x.dtype.kind in "USTO"
    if isinstance(x, (list, tuple)):
        return bool(x) and all(not isinstance(item, np.ndarray) and is_text(item) for item in x)
    return isinstance(x, (str, bytes))


def text_array(x: Any) -> Array:
    """Strings as an array of objects, which keeps each as it is.

    >>> text_array([["a"], ["b"]]).shape
    (2, 1)
    """
    return np.asarray(x, dtype=object)


def text_bytes(x: Array) -> list[bytes]:
    """All strings of an array in order, in UTF-8, as TensorFlow keeps them.

    >>> text_bytes(text_array(["a", b"b"]))
    [b'a', b'b']
    """
    return [as_bytes(item) for item in x.ravel()]


def as_bytes(item: Any) -> bytes:
    """One string in UTF-8; what could not be decoded once is as it was."""
    if isinstance(item, str):
        return item.encode("utf-8", "surrogateescape")
    if isinstance(item, bytes):
        return item
    raise ShapeError(f"strings are expected, got {item!r} of type {type(item).__name__}",
                     hint="lists of strings must have one length at each depth" if isinstance(item, list) else None)


def gathered(structure: Any) -> Any:
    """The same structure, each list of strings in it an array."""
    if is_text(structure):
        return text_array(structure)
    if isinstance(structure, dict):
        return {key: gathered(value) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [gathered(item) for item in structure]
    return structure


class Placed(nn.Module):
    """A module that makes tensors of what is no tensor: it knows its device and the float dtype that it was cast to."""

    here: Tensor

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer("here", torch.empty(0, dtype=dtype), persistent=False)

    def placed(self, values: Any) -> Tensor:
        """An array as a tensor on the module's device."""
        return torch.as_tensor(values).to(self.here.device)


def texts(x: Any, reader: str) -> Array:
    """The strings that a module was called with.

    Raises:
        ShapeError: it was called with a tensor, or with other objects.
    """
    if not is_text(x):
        raise ShapeError(f"{reader} reads strings, got {type(x).__name__}",
                         hint="in a model: Input(..., dtype='string')")
    return text_array(x)


def shapes_of_inputs(structure: Any) -> list[tuple[int, ...]]:
    """The shapes of all tensors and arrays of strings in a structure, in order."""
    found = gathered(structure)
    if isinstance(found, (Tensor, np.ndarray)):
        return [tuple(found.shape)]
    items: Sequence[Any] = [found[key] for key in sorted(found)] if isinstance(found, dict) else (
        found if isinstance(found, list) else ())
    return [shape for item in items for shape in shapes_of_inputs(item)]
