"""Layers of a user's own: ``build`` makes the weights, ``forward`` is torch, and the shapes follow from running it.

A class may also state the three rules itself, as the layers of this package do. ``build``, ``add_weight`` and ``call``
are Keras' own ways, so a layer written for Keras needs other functions inside ``call`` and nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kerashape_torch.dtypes import is_float, is_integer
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.graph import TensorSpec, shapes_of
from kerashape_torch.meta_rule import infer_by_running
from kerashape_torch.shape import to_text
from kerashape_torch.structure import map_structure
from kerashape_torch.weights import Place, WeightSpec


class UserDefined:
    """What a layer class may define, besides or instead of the three rules."""

    def build(self, *shapes: Any, **_: Any) -> None:
        """Makes the weights for an input shape, with :meth:`add_weight`."""

    def add_weight(self, shape: Sequence[int] | None = None, initializer: Any = None, dtype: Any = None,
                   trainable: bool = True, autocast: bool = True, regularizer: Any = None, constraint: Any = None,
                   aggregation: Any = None, overwrite_with_gradient: bool = False, name: str | None = None) -> Any:
        """Declares a weight, in ``build``; where the layer runs it is a tensor, under the name that ``build`` gave it.

        Arguments are Keras'. A weight that is assigned to nothing is found under its own name.
        """
        made = self.__dict__.get("_made")
        if made is None:
            raise ConfigError(f"{type(self).__name__}: add_weight is called in build(self, input_shape)")
        dtype = None if dtype is None else getattr(dtype, "__name__", str(dtype)).removeprefix("torch.")
        default = "zeros" if dtype == "bool" or is_integer(dtype or "") else "glorot_uniform"
        name = name or ("variable" if not made else f"variable_{len(made)}")
        spec = WeightSpec(name, tuple(shape or ()), trainable, initializer or default, regularizer, constraint,
                          dtype=dtype)
        made.append(spec)
        return spec


def torch_function(layer: Any) -> Callable[..., Any] | None:
    """``forward``, or ``call`` as Keras names it, of a layer's class: a function of the layer and of tensors."""
    return getattr(type(layer), "forward", None) or getattr(type(layer), "call", None)


def argument_names(function: Callable[..., Any], *, shaped: bool) -> tuple[str, ...]:
    """The names of a call's arguments; or of those alone that take tensors, whose shapes the rules are told.

    >>> def forward(self, x, memory=None, scale=2.0, training=False): ...
    >>> argument_names(forward, shaped=False), argument_names(forward, shaped=True)
    (('x', 'memory', 'scale', 'training'), ('x', 'memory'))
    """
    found = list(inspect.signature(function).parameters.values())[1:]
    named = [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return tuple(p.name for p in named if not shaped or (
        p.name not in ("training", "mask") and (p.default is p.empty or p.default is None)))


def given_to_init(cls: type[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a user's own ``__init__``, which are no fields, for the config; Keras writes them too."""
    signature = inspect.signature(cls.__init__)
    bound = signature.bind_partial(None, *args, **kwargs).arguments  # a copy is made without any
    own = [p.name for p in list(signature.parameters.values())[1:] if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return {name: bound[name] for name in own if name in bound and name not in cls._fields}


def built(layer: Any, shapes: Sequence[Any]) -> tuple[Any, list[WeightSpec]]:
    """A copy of a layer after ``build``, and the weights that it made: trainable ones first, as Keras lists them."""
    twin = layer.copy(nodes=[], _made=[])
    build = twin.build
    takes = [p for p in inspect.signature(build).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    try:
        build(*shapes[:len(takes)])
    except KerashapeError:
        raise
    except Exception as error:  # whatever the user's function raises
        given = ", ".join(map(to_text, shapes))
        raise ShapeError(f"{type(layer).__name__}.build fails on {given}: {error}") from error
    made = twin.__dict__.pop("_made")
    for spec in made:
        if None in spec.shape:
            raise ShapeError(f"{spec.name} is {to_text(spec.shape)}: an axis is None that the weights need",
                             hint="give its size in the input shape")
    attributes = {id(value): name for name, value in vars(twin).items() if isinstance(value, WeightSpec)}
    specs = [spec._replace(places=(Place(_free(layer, attributes.get(id(spec), spec.name))),)) for spec in made]
    return twin, sorted(specs, key=lambda spec: not spec.trainable)


def _free(layer: Any, name: str) -> str:
    if name in layer._fields or hasattr(type(layer), name):
        raise ConfigError(f"{type(layer).__name__}: a weight named {name!r} hides what the layer has under this name. "
                          f"Way out: self.{name}_weight = self.add_weight(...)")
    return name


def run_shapes(layer: Any, args: Any, kwargs: Any) -> Any:
    """The output specs of a layer's torch function for arguments in which tensors are specs: it is run on them."""
    function = torch_function(layer)
    assert function is not None
    given = [shapes_of(spec) for spec in layer.input_specs(args, kwargs)]
    ready, weights = layer.copy(nodes=[]), layer.weight_specs(*given)
    if type(layer).build is not UserDefined.build:
        ready, weights = built(layer, given)

    def run(*args: Any, **kwargs: Any) -> Any:
        tensors = {spec.places[0].path: empty(spec, layer.compute_dtype) for spec in weights}
        return function(ready.copy(**tensors, training=False), *args, **kwargs)

    def cast(x: Any) -> Any:
        return TensorSpec(x.shape, layer.compute_dtype) if isinstance(x, TensorSpec) and is_float(x.dtype) else x

    run.__name__ = f"{type(layer).__name__}.{function.__name__}"
    return infer_by_running(run, *map_structure(cast, (args, kwargs)))


def empty(spec: WeightSpec, dtype: str) -> Any:
    """A tensor for a weight as it lies in torch."""
    import torch
    from einops import rearrange

    (place,) = spec.places
    tensor = torch.empty(spec.shape, dtype=getattr(torch, spec.dtype or dtype))
    return rearrange(tensor, place.pattern, **place.sizes) if place.pattern else tensor
