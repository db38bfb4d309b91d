"""The dtype that comes out of several dtypes together, by Keras' rules, without torch.

Keras orders dtypes in a lattice and takes the nearest one above all operands. A Python number gives way to a tensor of
its sort, and 64 bits become 32. (At run time 64-bit tensors stay as they are, as on Keras' own torch backend.)
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, Any

from kerashape_torch.dtype_policies import MIXED, policy_name, quantization
from kerashape_torch.dtype_policies import computed_and_kept as computed_and_kept
from kerashape_torch.errors import ConfigError
from kerashape_torch.kinds import Kind

_NEXT = {
    "bool": ("int",), "uint8": ("int16", "uint16"), "uint16": ("int32", "uint32"), "uint32": ("int64", "uint64"),
    "uint64": ("float",), "int": ("uint8", "int8", "complex64"), "int8": ("int16",), "int16": ("int32",),
    "int32": ("int64",), "int64": ("float",), "float": ("bfloat16", "float16"), "bfloat16": ("float32",),
    "float16": ("float32",), "float32": ("float64", "complex64"), "float64": ("complex128",),
    "complex64": ("complex128",), "complex128": ()}
"""Each dtype and those right above it; ``int`` and ``float`` are Python's numbers."""

_NARROW = {"int": "int32", "float": "float32", "int64": "int32", "uint64": "uint32", "float64": "float32",
           "complex128": "complex64"}

DTYPES = tuple(name for name in _NEXT if name not in ("int", "float"))


def dtype_name(dtype: Any) -> str:
    """The name of a dtype that is given by it, as Python's type, or as torch's or NumPy's dtype.

    >>> dtype_name("int32"), dtype_name(float)
    ('int32', 'float')
    """
    return str(getattr(dtype, "__name__", dtype)).removeprefix("torch.")


class DTypeName(Kind):
    """The name of a dtype; ``int`` and ``float`` mean 32 bits."""

    def read(self, value: Any, where: str) -> Any:
        if value is None:
            return None
        name = str(value).removeprefix("torch.")
        name = {"int": "int32", "float": "float32"}.get(name, name)
        if name not in DTYPES:
            raise ConfigError(f"{where} must be the name of a dtype, got {value!r}")
        return name


def result_type(*kinds: Any) -> str:
    """The dtype of names of dtypes and of Python's types ``bool``, ``int`` and ``float`` together.

    >>> result_type("int32", float), result_type("float16", "bfloat16"), result_type("uint8", "int8", int)
    ('float32', 'float32', 'int16')
    """
    names = frozenset(kind if isinstance(kind, str) else f"{kind.__name__}" for kind in kinds)
    if names not in _known:  # no functools.cache, of which torch.compile warns
        _known[names] = _result_type(names)
    return _known[names]


_known: dict[frozenset[str], str] = {}


def _result_type(names: frozenset[str]) -> str:
    if names <= {"bool", "int", "float"}:  # numbers among themselves: as the tensors that they would be
        names = frozenset(_NARROW.get(name, name) for name in names)
    for name in names:
        if name not in _NEXT:
            raise ConfigError(f"{name!r} has no place among the dtypes that operands have in common; cast it first")
    shared = frozenset.intersection(*map(_above, names))
    nearest = next(name for name in _NEXT if name in shared and shared <= _above(name))
    return narrow(nearest)


@functools.cache
def _above(name: str) -> frozenset[str]:
    return frozenset({name}).union(*map(_above, _NEXT[name]))


def narrow(dtype: str) -> str:
    """The dtype in 32 bits, if it has 64.

    >>> narrow("int64"), narrow("float16")
    ('int32', 'float16')
    """
    return _NARROW.get(dtype, dtype)


def is_float(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat"))


def is_integer(dtype: str) -> bool:
    return "int" in dtype


# ---- policies --------------------------------------------------------------------------------------------------------

class DTypeKind(Kind):
    """A dtype or a dtype policy, by its name.

    A policy of quantized weights, ``int8_from_float32``, says how a file stores them. Here they are floats, and the
    policy that is written is that of the floats.
    """

    def __init__(self) -> None:
        self._sound: set[str] = set()  # names that were read before

    def read(self, value: Any, where: str) -> Any:
        if type(value) is str and value in self._sound:
            return value
        if isinstance(value, Mapping):
            value = policy_name(value)
        name = value if isinstance(value, str) else dtype_name(value)
        if name == "float":
            name = "float32"
        if quantization(name)[1] not in (*DTYPES, "string", *MIXED):
            raise ConfigError(f"{where} must be a dtype or a policy such as 'float32' or 'mixed_float16', "
                              f"got {value!r}")
        self._sound.add(name)
        return name

    def write(self, value: Any, record: Any) -> Any:
        return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": quantization(value or "float32")[1]},
                "registered_name": None}


DType = Annotated[str | None, DTypeKind()]
