"""The table of functions: how a file of this room enters one, and how a call is looked up."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kerashape_torch.saving.upgrade.expressions import Op, Tensor, map_tensors
from kerashape_torch.saving.upgrade.sizes import Shape, Shapes, Size

Function = Callable[..., Any]


class Untranslated(Exception):
    """Why a call cannot be had, and the way out, where it is not a function of the user's own."""

    def __init__(self, why: str, way_out: str | None = None) -> None:
        super().__init__(why)
        self.way_out = way_out


FUNCTIONS: dict[str, Function] = {}
"""Every function by the name under which TensorFlow exports it."""

TAKE_SIZES: set[str] = set()
"""Functions that can do with sizes that are not known."""

REFUSED: dict[str, tuple[str, str | None]] = {}
"""Functions that cannot be had, with the reason and the way out, where it is not a function of the user's own."""

OF_SIZES = ("shape", "size", "rank")
"""Functions that give sizes, which are numbers today."""

_OF_NO_ACCOUNT = ("bad_indices_policy", "name", "validate_indices", "optimize", "layout")


def translated(name: str, first: Any, kwargs: Mapping[str, Any], shapes: Shapes) -> Any:
    """The expression for a call, or None where the function is not known.

    Args:
        shapes: what is known of tensors; functions with an argument of that name are given it.

    Raises:
        Untranslated: it is known, and asks for what cannot be had.
    """
    why = refusal(name)
    if why is not None:
        raise why
    function = _find(name)
    if function is None:
        return None
    signature = inspect.signature(function)
    given = {key: value for key, value in kwargs.items() if key not in _OF_NO_ACCOUNT}
    if "shapes" in signature.parameters:
        given["shapes"] = shapes
    try:
        bound = signature.bind(*([] if first is None else [first]), **given)
    except TypeError as error:
        raise Untranslated(f"its arguments are not those that are known: {error}") from None
    if not takes_sizes(name) and _has_size(list(bound.arguments.values())):
        raise Untranslated("it asks for the size of a tensor as a number, which is not known before there are tensors")
    return function(*bound.args, **bound.kwargs)


def known(name: str) -> bool:
    """Whether a function has an equivalent here."""
    return bare_name(name) in OF_SIZES or _find(name) is not None


def refusal(name: str) -> Untranslated | None:
    """Why a function cannot be had, whatever its arguments are; None where it may be."""
    bare = bare_name(name)
    found = next((REFUSED[key] for key in (name, bare, bare.partition(".")[0] + ".") if key in REFUSED), None)
    return None if found is None else Untranslated(*found)


def takes_sizes(name: str) -> bool:
    """Whether a function can do with sizes that are not known."""
    return bare_name(name) in TAKE_SIZES


def bare_name(name: str) -> str:
    """A function's name without what is in front of those that TensorFlow 1 had."""
    return name.removeprefix("compat.v1.")


def _find(name: str) -> Function | None:
    bare = bare_name(name)
    short = bare.rpartition(".")[2]
    names = (name, bare, *(f"{room}.{short}" for room in ("math", "nn", "linalg", "image") if bare in (
        short, f"math.{short}", f"nn.{short}")), *([short] if bare.startswith("math.") else []))
    return next((FUNCTIONS[each] for each in names if each in FUNCTIONS), None)


def _has_size(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    return isinstance(value, (Size, Shape)) or (isinstance(value, list) and any(map(_has_size, value)))


def refuse_always(*names: str, why: str, way_out: str | None = None) -> None:
    """Enters functions that cannot be had; a name that ends with a point is a whole room of them."""
    REFUSED.update(dict.fromkeys(names, (why, way_out)))


def tf(*names: str, takes_sizes: bool = False) -> Callable[[Function], Function]:
    def enter(function: Function) -> Function:
        FUNCTIONS.update(dict.fromkeys(names, function))
        TAKE_SIZES.update(names if takes_sizes else ())
        return function

    return enter


def is_tensor(value: Any) -> bool:
    return isinstance(value, (Tensor, Op))


def fixed(value: Any, what: str) -> Any:
    """An argument that must be written in the file, because the op keeps it in its config."""
    found: list[Any] = []
    map_tensors(value, found.append)
    if found:
        raise Untranslated(f"{what} is a tensor, and must be a number that is known before there are tensors")
    return value


def word(value: Any, what: str, words: Mapping[Any, Any]) -> Any:
    key = value.upper() if isinstance(value, str) else value
    if key not in words:
        raise Untranslated(f"{what}={value!r} is not had")
    return words[key]


def axis_of(axis: Any) -> Any:
    axis = fixed(axis, "axis")
    return axis[0] if isinstance(axis, list) and len(axis) == 1 else axis


def dtype_of(dtype: Any) -> str:
    name = dtype.get("name", dtype.get("config")) if isinstance(dtype, Mapping) else dtype
    if not isinstance(name, str):
        raise Untranslated(f"its dtype {dtype!r} is not known")
    name = name.removeprefix("tf.").removeprefix("DT_").lower().removesuffix("_ref")
    return {"float": "float32", "double": "float64", "half": "float16"}.get(name, name)


def is_whole(dtype: Any) -> bool:
    """Whether a dtype is one of integers, with which TensorFlow reckons otherwise."""
    return dtype is not None and dtype_of(dtype).startswith(("int", "uint"))
