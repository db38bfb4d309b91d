"""What a layer says of its weights: Keras' names, shapes and order, and where each number lives in the torch module."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kerashape_torch.errors import ConfigError
from kerashape_torch.shape import count


class Place(NamedTuple):
    """Where a Keras weight lives in a torch module.

    Attributes:
        path: of the parameter or buffer, below the layer's module: ``"weight"``, ``"pointwise.weight"``.
        pattern: einops, from Keras' layout to torch's; it inverts for free. None where they are the same. Several, one
            after the other, are parted by semicolons.
        entry: only this part of the Keras array lives here, of as many as the weight has places (a GRU's two biases).
        gates: Keras' gates in torch's order, as blocks of the last axis: ``(1, 0, 2)`` turns z, r, h into r, z, h.
        sizes: lengths of axes that the pattern joins or splits.
    """

    path: str
    pattern: str | None = None
    entry: int | None = None
    gates: tuple[int, ...] | None = None
    sizes: Mapping[str, int] = {}

    def below(self, prefix: str) -> Place:
        """The same place seen from a module that holds this one under a name."""
        return self._replace(path=f"{prefix}.{self.path}" if prefix else self.path)


class Scales(NamedTuple):
    """How Keras quantizes a weight: which of its numbers share a scale, and how integers and scales then lie in a file.

    Attributes:
        over: axes along which numbers share one scale: the inputs of a dense layer, the vector of an embedding.
        order: of the axes of the scales of int8: each an axis of the weight, or None where it has the size 1.
        along: of a matrix of 4-bit numbers, the axis that holds the axes of ``over``; groups of them have own scales.
        packed: of that matrix, the axis along which two numbers share a byte.
    """

    over: tuple[int, ...]
    order: tuple[int | None, ...]
    along: int = 0
    packed: int = 1


class WeightSpec(NamedTuple):
    """One weight of a layer.

    Attributes:
        name: as Keras names the variable: ``kernel``, ``bias``, ``gamma``.
        shape: in Keras' layout.
        trainable: False for statistics such as ``moving_mean``.
        initializer, regularizer, constraint: what the layer's arguments say.
        axes: what each axis counts, for :meth:`Layer.explain`: ``("input features", "units")``.
        places: where its numbers live in torch. Usually one place; several hold a part each.
        path: of the variable below the layer, as Keras writes it: ``lstm_cell/kernel``. Empty: the name itself.
        dtype: where it differs from the layer's: a counter is an integer.
        factor: of LoRA's two narrow weights: a file has only ``kernel + factor * a @ b``, as the kernel.
        scales: how it is stored where the model is quantized. None: Keras never quantizes it.
    """

    name: str
    shape: tuple[int, ...]
    trainable: bool = True
    initializer: Any = "zeros"
    regularizer: Any = None
    constraint: Any = None
    axes: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    path: str = ""
    dtype: str | None = None
    factor: float | None = None
    scales: Scales | None = None

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return count(self.shape)

    @property
    def full_path(self) -> str:
        return self.path or self.name

    def below(self, keras: str = "", torch: str = "") -> WeightSpec:
        """The same weight seen from a layer that wraps this one, in Keras' path and in torch's."""
        return self._replace(path=f"{keras}/{self.full_path}" if keras else self.path,
                             places=tuple(place.below(torch) for place in self.places))


_place = functools.cache(Place)
"""A model has thousands of weights, and few places."""


def _at(path: str, pattern: str | None, sizes: Mapping[str, int]) -> Place:
    return Place(path, pattern, sizes=sizes) if sizes else _place(path, pattern)


def weight(name: str, shape: Sequence[int], initializer: Any = "zeros", *, at: str | None = None,
           pattern: str | None = None, trainable: bool = True, regularizer: Any = None, constraint: Any = None,
           axes: tuple[str, ...] = (), scales: Scales | None = None, **sizes: int) -> WeightSpec:
    """A weight that lives in one place, the usual case.

    >>> weight("kernel", (3, 4), "glorot_uniform", at="weight", pattern="i o -> o i").size
    12
    """
    return WeightSpec(name, tuple(shape), trainable, initializer, regularizer, constraint, axes,
                      (_at(at or name, pattern, sizes),), scales=scales)


@functools.cache
def _said(name: str) -> Callable[[Any], tuple[Any, Any, Any]]:
    return operator.attrgetter(f"{name}_initializer", f"{name}_regularizer", f"{name}_constraint")


def said_of(layer: Any, name: str) -> tuple[Any, Any, Any]:
    """The initializer, regularizer and constraint that a layer was given for its ``kernel``, ``bias`` and so on."""
    return _said(name)(layer)


_new: Callable[..., WeightSpec] = tuple.__new__  # with all fields: in half the time that names take


def kernel_and_bias(layer: Any, shape: Sequence[int], *, pattern: str, axes: tuple[str, ...], name: str = "kernel",
                    bias_shape: Sequence[int] | None = None, bias_pattern: str | None = None, at: str = "",
                    scales: Scales | None = None, **sizes: int) -> list[WeightSpec]:
    """The two weights of most layers, with the initializers, regularizers and constraints that the layer was given.

    The layer's ``<name>_initializer``, ``<name>_regularizer`` and ``<name>_constraint`` are used; the bias comes only
    with ``use_bias``. ``at`` is the path of the torch module that holds ``weight`` and ``bias``; ``scales`` are of the
    kernel.
    """
    shape = tuple(shape)
    place = _at(f"{at}.weight" if at else "weight", pattern, sizes)
    specs = [_new(WeightSpec, (name, shape, True, *said_of(layer, name), axes, (place,), "", None, None, scales))]
    if layer.use_bias:
        place = _at(f"{at}.bias" if at else "bias", bias_pattern, sizes if bias_pattern else {})
        bias = tuple(bias_shape or shape[-1:])
        said = said_of(layer, "bias")
        specs.append(_new(WeightSpec, ("bias", bias, True, *said, axes[-len(bias):], (place,), "", None, None, None)))
    return specs


def with_lora(specs: Sequence[WeightSpec], rank: int | None, alpha: float | None) -> list[WeightSpec]:
    """Keras' LoRA: with a rank, the first weight is frozen and the product of two narrow ones is added to it."""
    if not rank:
        return list(specs)
    kernel, *others = specs
    if kernel.constraint is not None:
        raise ConfigError(f"lora_rank={rank} cannot be had together with {kernel.name}_constraint")
    narrow = weight(f"lora_{kernel.name}_a", (*kernel.shape[:-1], rank), "he_uniform", at="lora_a",
                    regularizer=kernel.regularizer, axes=(*kernel.axes[:-1], "lora_rank"))
    wide = weight(f"lora_{kernel.name}_b", (rank, kernel.shape[-1]), "zeros", at="lora_b",
                  regularizer=kernel.regularizer, axes=("lora_rank", *kernel.axes[-1:]))
    factor = (alpha or rank) / rank
    return [kernel._replace(trainable=False), *others, narrow._replace(factor=factor), wide._replace(factor=factor)]
