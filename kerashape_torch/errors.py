"""One voice for every refusal.

A layer states one short fact; whoever called it adds which layer, with which shape, and how the data got there:

>>> error = ShapeError("height: a window of 3 with padding 'valid' needs at least 3, got 2")
>>> print(error.at("conv2d_1 = Conv2D(filters=64, kernel_size=3)", "(None, 2, 2, 32)"))
conv2d_1 = Conv2D(filters=64, kernel_size=3) cannot take (None, 2, 2, 32)
  height: a window of 3 with padding 'valid' needs at least 3, got 2
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

if sys.version_info >= (3, 11):
    from typing import Self
else:
    from typing_extensions import Self


class KerashapeError(ValueError):
    """Base of every error of this package. It is a ``ValueError``, as Keras raises for the same mistakes."""


class ShapeError(KerashapeError):
    """A shape that a layer cannot take.

    Args:
        fact: what is wrong, in one line, naming the axis.
        hint: the way out, where there is one.
    """

    def __init__(self, fact: str, hint: str | None = None) -> None:
        super().__init__(fact)
        self.fact = fact
        self.hint = hint
        self.layer: str | None = None
        self.shapes: str | None = None
        self.path: str | None = None

    def at(self, layer: str, shapes: str, path: str | None = None) -> ShapeError:
        """Adds the place, once: the innermost layer is the one that knows. The way there may be added later."""
        if self.layer is None:
            self.layer, self.shapes = layer, shapes
        if self.path is None:
            self.path = path
        return self

    def __str__(self) -> str:
        lines = [self.fact]
        if self.layer is not None:
            lines = [f"{self.layer} cannot take {self.shapes}", f"  {self.fact}"]
        if self.path:
            lines.append(f"  reached by: {self.path}")
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)


class ConfigError(KerashapeError):
    """Arguments or a config that describe no layer or model.

    Attributes:
        supply: the key of ``custom_objects`` that gets past it, where there is one.
    """

    supply: str | None = None

    def needing(self, key: Any) -> Self:
        """Names that key."""
        self.supply = key if isinstance(key, str) else None
        return self


class UnknownLayerError(ConfigError):
    """A class name that is in no catalog and in no ``custom_objects``."""


class UnsafeConfigError(ConfigError):
    """A file that asks for code to be run; nothing from a file is ever imported or evaluated."""


class WeightsError(KerashapeError):
    """Arrays that do not fit the weights of a module."""


_RENAMED = {
    "output_dim": "units", "nb_filter": "filters", "border_mode": "padding", "dim_ordering": "data_format",
    "subsample": "strides", "subsample_length": "strides", "filter_length": "kernel_size", "nb_row": "kernel_size",
    "nb_col": "kernel_size", "atrous_rate": "dilation_rate", "pool_length": "pool_size", "bias": "use_bias",
    "init": "kernel_initializer", "inner_init": "recurrent_initializer", "inner_activation": "recurrent_activation",
    "dropout_W": "dropout", "dropout_U": "recurrent_dropout", "p": "rate", "sigma": "stddev", "lr": "learning_rate",
    "input": "inputs", "output": "outputs",
    **{f"{letter}_{what}": f"{of}_{what}" for what in ("regularizer", "constraint")
       for of, letter in (("kernel", "W"), ("bias", "b"), ("recurrent", "U"))}}
"""Arguments of Keras 1 and 2, and their names in Keras 3."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the nearest known name, or nothing.

    >>> did_you_mean("unit", ["units", "activation"]), did_you_mean("border_mode", ["strides", "padding"])
    (" Did you mean 'units'?", " Older Keras called it so: it is 'padding' now")
    """
    import difflib  # only on the way to an error: it costs a few milliseconds

    known = list(known)
    if _RENAMED.get(name) in known:
        return f" Older Keras called it so: it is {_RENAMED[name]!r} now"
    lowered = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f" Did you mean {lowered[near[0]]!r}?" if near else ""


def refuse(layer: Any, why: str, way_out: str) -> KerashapeError:
    """The error for something that a layer cannot have, with the way out."""
    return KerashapeError(f"{layer.describe()}: {why}. {way_out}")
