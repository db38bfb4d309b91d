"""Layers of a user's own that hold other layers as attributes, in lists and dicts too, and call them.

On shapes alone the function is run with stand-ins for the layers, which note how each is called. From these calls
follow the weights of all that is inside, and a module for each way in which a layer is called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

from kerashape_torch import masks, meta_rule
from kerashape_torch.dtypes import is_float
from kerashape_torch.errors import ConfigError
from kerashape_torch.graph import MaskedSpec, TensorSpec, number, shapes_of
from kerashape_torch.input_spec import check_input_spec
from kerashape_torch.layer import Layer, owner
from kerashape_torch.models import Input, Model
from kerashape_torch.parts import held_at, is_one_module, listened_to, part_module, set_in_call, torch_name, where_first
from kerashape_torch.structure import flatten, map_shapes, map_structure
from kerashape_torch.user_layers import (
    argument_names,
    as_keras_has_them,
    built,
    makes_weights,
    torch_function,
    with_weights,
)
from kerashape_torch.weights import WeightSpec

_NOT_HELD = ("_namer", "_names", "_ghosts", "_own_weights", "nodes", "_tried")
_MANY = 256
_on_the_spot: dict[Any, Any] = {}  # modules of layers without weights that a user's call made and called
INHERITED = "inherited"
"""The attribute with the layer whose class a user's class extends: what ``super().call(...)`` runs."""


# ---- what is held, and its names -------------------------------------------------------------------------------------


def held(layer: Layer) -> dict[str, Any]:
    """The attributes of a user's layer that are layers, or lists, tuples and dicts with layers, as they are."""
    if torch_function(layer) is None and not layer.follows_call:
        return {}
    found = {name: value for name, value in vars(layer).items()
             if name not in _NOT_HELD and any(isinstance(each, Layer) for each in flatten(value))}
    return {**({INHERITED: found[INHERITED]} if INHERITED in found else {}), **found}


def layers_inside(layer: Layer) -> list[Layer]:
    """The layers in the attributes of a user's layer, each once, in Keras' order: as they were assigned."""
    return list(paths_inside(layer))


def paths_inside(layer: Layer) -> dict[Layer, str]:
    """The same, each with the path of its attribute: ``steps.0`` is the first of a list."""
    return _paths(built_first(layer))


def held_layers(layer: Layer) -> list[Layer]:
    """The same; those that nothing has named yet are named by the layer."""
    found = layers_inside(layer)
    for inner in found:
        if inner._namer is None:
            inner._namer = layer
    return found


def built_first(layer: Layer) -> Layer:
    """A layer as its ``build`` left it when it was first tried; itself before that."""
    return next(iter(layer._tried.values())).layer if layer._tried else layer


def held_first(layer: Layer) -> dict[str, Any]:
    """The attributes that hold layers, as ``build`` left them when the layer was first tried."""
    return {name: value for name, value in held(built_first(layer)).items() if name != INHERITED}


def attributes(layer: Layer, stand_in: Callable[[Layer], Any]) -> dict[str, Any]:
    """What stands for the attributes with layers, where the function runs."""
    return {name: map_structure(lambda each: stand_in(each) if isinstance(each, Layer) else each, value)
            for name, value in held(layer).items()}


def _paths(layer: Layer) -> dict[Layer, str]:
    """Where the module of each layer inside lies, in the order in which Keras has met them.

    Keras meets a layer when it is assigned, and one in a list or a dict when it is put there, which may be later than
    the list was assigned: not before it was made.
    """
    met: list[tuple[int, Layer, str]] = []
    assigned = 0

    def walk(value: Any, path: str) -> None:
        if isinstance(value, Layer):
            met.append((max(assigned, value.serial), value, path))
        elif isinstance(value, (dict, list, tuple)):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                walk(item, f"{path}.{torch_name(str(key))}")

    for name, value in held(layer).items():
        assigned = max(assigned, value.serial) if isinstance(value, Layer) else assigned
        walk(value, torch_name(name))
    found: dict[Layer, str] = {}
    for _, inner, path in sorted(met, key=lambda each: each[0]):
        found.setdefault(inner, path)
    return found


def inherits(cls: type[Layer]) -> type[Layer] | None:
    """The class of this package whose rules a user's class has put aside by a function of its own."""
    return next((each for each in cls.__mro__ if issubclass(each, Layer) and not each.is_users_own()
                 and not each.runs_functions and each.module is not Layer.module), None)


def hold(layer: Layer) -> None:
    """Takes over naming the layers inside a layer, until a model numbers all its layers."""
    members = layers_to_name(layer)
    for inner in members:
        if inner._namer is None or inner._namer in members:
            inner._namer = layer


def assign_names(layer: Layer) -> None:
    """Numbers the layers inside that a layer names."""
    for inner, name in number(layers_to_name(layer)).items():
        if inner._namer is layer:
            inner._auto_name = name


def layers_to_name(layer: Layer) -> list[Layer]:
    """Every layer inside a layer that needs a name; a model inside names its own."""
    return walked(layer, lambda each: () if isinstance(each, Model) else each.layers_to_name())


def walked(layer: Layer, within: Callable[[Layer], Sequence[Layer]]) -> list[Layer]:
    """Every layer inside a layer, however deep."""
    found: list[Layer] = []
    stack = list(within(layer))
    while stack:
        inner = stack.pop()
        found.append(inner)
        stack.extend(within(inner))
    return found


# ---- on shapes alone -------------------------------------------------------------------------------------------------


class Call(NamedTuple):
    """One way in which a layer is called: each tensor among the arguments is a :class:`TensorSpec`."""

    args: Any
    kwargs: Any

    @classmethod
    def of(cls, args: Any, kwargs: Mapping[str, Any], leaf: Callable[[Any], Any]) -> Call:
        """A call without ``training``, which a module knows by its mode, and without what is None."""
        given = {name: x for name, x in kwargs.items() if name != "training" and x is not None}
        return cls(*map_structure(leaf, (args, given)))

    def model(self, layer: Layer) -> Model:
        """A model of this call alone; its inputs are the tensors in order, and then the masks that they carry."""
        inputs: list[Any] = []

        def made(x: Any) -> Any:
            if not isinstance(x, TensorSpec):
                return x
            inputs.append(Input(batch_shape=x.shape, dtype=x.dtype))
            if x.mask is not None:
                inputs[-1].mask = Input(batch_shape=x.mask.shape, dtype=x.mask.dtype)
            return inputs[-1]

        args, kwargs = map_structure(made, tuple(self))
        outputs = layer.copy(nodes=[], _namer=None, name=layer.name)(*args, **kwargs)
        return Model([*inputs, *(x.mask for x in inputs if x.mask is not None)], outputs, name=layer.name)

    @property
    def is_masked(self) -> bool:
        """Whether a tensor carries a mask."""
        return any(isinstance(x, TensorSpec) and x.mask is not None for x in flatten(tuple(self)))

    def shapes(self, layer: Layer) -> list[Any]:
        """The shapes that the layer's rules take."""
        return list(map(shapes_of, layer.input_specs(*self)))

    def merged(self, other: Call) -> Call:
        """This call and the same one at other sizes: the axes that differ are None."""
        others = iter(flatten(tuple(other)))

        def merge(x: Any) -> Any:
            y = next(others)
            return meta_rule.merged(x, y) if isinstance(x, TensorSpec) else x

        return Call(*map_structure(merge, tuple(self)))

    def fits(self, other: Call) -> bool:
        """Whether a call with tensors is of this sort: the same other arguments, and shapes that agree."""
        ours, theirs = flatten(tuple(self)), flatten(tuple(other))
        return len(ours) == len(theirs) and self.kwargs.keys() == other.kwargs.keys() and all(
            map(_agree, ours, theirs))


def _agree(spec: Any, given: Any) -> bool:
    if not isinstance(spec, TensorSpec):
        return type(spec) is type(given) and bool(spec == given)
    shape = getattr(given, "shape", None)
    masked_alike = (meta_rule.mask_of(given) is None) == (spec.mask is None)
    return shape is not None and len(shape) == len(spec.shape) and masked_alike and all(
        size is None or size == got for size, got in zip(spec.shape, shape))


class Trial(NamedTuple):
    """What a layer's function does with shapes.

    Attributes:
        layer: a copy after ``build``; it holds the layers that are called.
        specs: the weights of its own.
        outputs: the specs of what comes out.
        calls: of each layer inside that is called, in Keras' order, the ways in which it is, by the layer's path.
    """

    layer: Layer
    specs: list[WeightSpec]
    outputs: Any
    calls: dict[str, tuple[Layer, list[Call]]]

    def weight_specs(self) -> list[WeightSpec]:
        """The weights of its own, trainable ones first, and those of the layers inside, each where it is met first."""
        own = list(self.specs)
        for path, (inner, calls) in self.calls.items():
            if path == INHERITED:
                own = [*(spec.below(torch=path) for spec in inner_specs(inner, calls)), *own]
        inside = where_first(self._inside()).values()
        return [*sorted(own, key=lambda spec: not spec.trainable), *(spec for specs in inside for spec in specs)]

    def again(self) -> list[tuple[Layer, WeightSpec, WeightSpec]]:
        """The weights that lie in two of the layers inside: whose they are, where they lie first, and where else."""
        inside = self._inside()
        first = where_first(inside)
        return [(owner, *pair) for owner, specs in inside for pair in zip(first[owner], specs)]

    def _inside(self) -> list[tuple[Layer, list[WeightSpec]]]:
        """The layers that have the weights of the layers inside."""
        found = []
        for path, (inner, calls) in self.calls.items():
            if path != INHERITED:
                at = path if is_plain(inner, calls) else f"{path}.{torch_name(inner.name)}"
                found += held_at(inner, calls[0].shapes(inner), at)
        return found


def is_plain(layer: Layer, calls: Sequence[Call]) -> bool:
    """Whether all calls take one tensor and nothing else, so that the layer's own module will do."""
    return all(len(args) == 1 and isinstance(args[0], TensorSpec) and not kwargs and is_one_module(layer, args[0].shape)
               for args, kwargs in calls)


def mask_argument(layer: Layer, call: Call) -> str | None:
    """The argument by which the layer's own module takes the mask that its tensor carries, if it minds it."""
    if not call.is_masked:
        return None
    return "carried" if torch_function(layer) is not None else "mask" if layer.uses_mask else None


def gives_masks(layer: Layer, call: Call) -> bool:
    """Whether the module of a call gives masks beside its outputs: that of a model, which alone knows them."""
    return isinstance(layer, Model) and (call.is_masked or any(
        each.supports_masking and type(each).compute_mask is not Layer.compute_mask
        for each in walked(layer, lambda x: x.sublayers())))


def with_masks(layer: Layer, call: Call, args: Any, kwargs: Any, outputs: Any) -> Any:
    """What the module of a call gave for torch tensors, carrying the masks that they have in Keras."""
    if gives_masks(layer, call):
        outputs, made = outputs
        found = iter(made)
        outputs = map_structure(lambda x: masks.carrying(x, next(found)), outputs)
    elif not isinstance(layer, Model):
        outputs = masks.handed_on(layer, layer.bind(args, kwargs), outputs)
    if layer.takes_masks_off:
        masks.take_off((args, kwargs))
    return outputs


def inner_specs(layer: Layer, calls: Sequence[Call]) -> list[WeightSpec]:
    """The weights of a layer, as they lie in the module of its first call; none of a model, which has no own."""
    if isinstance(layer, Model):
        return []
    at = "" if is_plain(layer, calls) else torch_name(layer.name)
    return [spec.below(torch=at) for spec in layer.weight_specs(*calls[0].shapes(layer))]


def part_modules(layer: Layer, calls: Sequence[Call], heard: bool = True) -> list[Any]:
    """A torch module for each way in which a layer is called; see :func:`part_module`."""
    from kerashape_torch.lowering.compile import part_of_model

    models = [call.model(layer) for call in calls]
    if is_plain(layer, calls):
        return [_plain_module(layer, call, heard) for call in calls]
    modules = [part_of_model(model, gives_masks(layer, call)) for model, call in zip(models, calls)]
    return [listened_to(layer, module) for module in modules] if heard else modules


def run_on_tensors(layer: Layer, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """What a layer without weights makes of torch tensors; calls alike share a module."""
    import torch

    def run(args: Any, kwargs: Any) -> Any:
        call, given = Call.of(args, kwargs, _spec), _with_their_masks(args, kwargs)
        key = type(layer), repr(layer), repr(call), given[0].device
        if key not in _on_the_spot:
            while len(_on_the_spot) >= _MANY:
                _on_the_spot.pop(next(iter(_on_the_spot)))
            _on_the_spot[key] = call.model(layer).to_torch(device=given[0].device)
        return with_masks(layer, call, args, kwargs, _on_the_spot[key](*given))

    apart: Any = torch.compiler.disable  # torch.compile would follow how the module is made
    return apart(run)(args, dict(kwargs))


def _with_their_masks(args: Any, kwargs: Any) -> list[Any]:
    """The torch tensors of a call in order, and then the masks that they carry: what its module takes."""
    import torch

    given = [x for x in flatten(tuple(Call.of(args, kwargs, lambda x: x))) if isinstance(x, torch.Tensor)]
    return [*given, *(mask for mask in map(masks.carried, given) if mask is not None)]


def _plain_module(layer: Layer, call: Call, heard: bool) -> Any:
    with masks_arriving([call.args[0].mask]):
        return part_module(layer, call.args[0].shape, masked=mask_argument(layer, call) == "mask", heard=heard)


def arrange(layer: Layer, shapes: Sequence[Any]) -> Trial:
    """What a layer has for the shapes that its rules take: its function is run only where there are layers inside."""
    ready, specs = own_specs(layer, shapes)
    return try_shapes(layer, shapes) if _paths(ready) else Trial(ready, specs, None, {})


def try_shapes(layer: Layer, shapes: Sequence[Any]) -> Trial:
    """Runs a layer's function on the shapes that its rules take, as in the call with these shapes, if there is one."""
    for node in layer.nodes:
        if list(map(shapes_of, layer.input_specs(node.args, node.kwargs))) == list(shapes):
            return follow(layer, node.args, node.kwargs)
    shapes = layer.shapes_to_try(shapes)
    return follow(layer, tuple(map_shapes(lambda each: TensorSpec(each, layer.compute_dtype), s) for s in shapes), {})


def follow(layer: Layer, args: Any, kwargs: Any) -> Trial:
    """Runs a layer's function on specs, and notes how the layers inside are called, in inference and in training."""

    known = _arriving.get()
    arriving = None if known is None else iter(known)

    def cast(x: Any) -> Any:
        if not isinstance(x, TensorSpec):
            return x
        dtype = layer.compute_dtype if is_float(x.dtype) else x.dtype
        mask = x.mask if arriving is None else next(arriving, None)
        return TensorSpec(x.shape, dtype) if mask is None else MaskedSpec(
            x.shape, dtype, TensorSpec(mask.shape, mask.dtype))

    kwargs, said = masks_apart(kwargs)
    args, kwargs = map_structure(cast, (args, kwargs))
    arriving = iter(())
    kwargs |= map_structure(cast, said)
    key = repr((args, kwargs))
    if key not in layer._tried:
        with masks_arriving(None):
            layer._tried[key] = _followed(layer, args, kwargs)
    return layer._tried[key]  # type: ignore[no-any-return]


MASK_ARGUMENTS = ("mask", "query_mask", "value_mask", "key_mask")
"""Arguments of calls that are masks of others."""


def masks_apart(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments of a call that are no masks, and those that are."""
    said = {name: x for name, x in kwargs.items() if name in MASK_ARGUMENTS}
    return {name: x for name, x in kwargs.items() if name not in said}, said


_arriving: ContextVar[Sequence[TensorSpec | None] | None] = ContextVar("arriving", default=None)


@contextlib.contextmanager
def masks_arriving(found: Sequence[TensorSpec | None] | None) -> Iterator[None]:
    """Says which tensors of a call carry masks when the model runs, as far as another one than where it was written."""
    token = _arriving.set(found)
    try:
        yield
    finally:
        _arriving.reset(token)


def _followed(layer: Layer, args: Any, kwargs: Any) -> Trial:
    ready, specs = own_specs(layer, list(map(shapes_of, layer.input_specs(args, kwargs))))
    inside = _named_alike(layer, ready)
    if not inside:
        return Trial(ready, specs, _run(ready, specs, args, kwargs), {})
    _check_policies(layer, inside)
    calls: dict[Layer, list[Call]] = {inner: [] for inner in inside}
    for training in (True, False):
        outputs, noted = _noting(ready, specs, args, kwargs, training)
        for inner, call in noted:
            if not any(call.fits(known) for known in calls[inner]):
                calls[inner].append(call)
    for inner, found in calls.items():
        if not found and inside[inner] == INHERITED:
            found.append(Call.of(args, {}, lambda x: x))
        if isinstance(inner, Model) and not inner.built and found and not _trying.get():
            inner.build(found[0].args[0].shape)
    return Trial(ready, specs, outputs, {path: (inner, calls[inner]) for inner, path in inside.items() if calls[inner]})


def _check_policies(layer: Layer, inside: Iterable[Layer]) -> None:
    """Refuses what would be computed in other dtypes than in Keras: the module around them casts for all of them."""
    every = [each for inner in inside for each in (inner, *walked(inner, lambda x: x.sublayers()))]
    for each in every:
        if each.has_policy and not isinstance(each, Model) and (each.dtype or "float32") != (layer.dtype or "float32"):
            raise ConfigError(f"{each.describe()} lies inside {layer.describe()}, which has another dtype policy. "
                              f"Give it dtype={layer.dtype!r} too")


def _named_alike(layer: Layer, ready: Layer) -> dict[Layer, str]:
    """The layers inside and their paths. What ``build`` made is named as what it made first, for other shapes."""
    held_layers(layer)  # names those that are there already
    first = {path: inner for inner, path in _paths(built_first(layer)).items()}
    found = _paths(ready)
    for inner, path in found.items():
        if inner._namer is None and inner.given_name is None:
            inner._namer = _NamedAs(inner, first[path]) if path in first else layer
    return found


class _NamedAs(NamedTuple):
    """Names a layer as another one is."""

    layer: Layer
    first: Layer

    def assign_names(self) -> None:
        self.layer._auto_name = self.first.name


def _noting(layer: Layer, specs: Sequence[WeightSpec], args: Any, kwargs: Any,
            training: bool) -> tuple[Any, list[tuple[Layer, Call]]]:
    """The output specs of a layer's function, and the calls of layers inside with free axes as None."""
    runs: list[list[tuple[Layer, Call]]] = []

    def following() -> dict[str, Any]:
        runs.append([])
        return attributes(layer, lambda inner: _Follower(inner, runs[-1]))

    outputs = _run(layer, specs, args, kwargs, training, following)
    return outputs, [(inner, call.merged(again)) for (inner, call), (_, again) in zip(*runs[-2:])]


def own_specs(layer: Layer, shapes: Sequence[Any]) -> tuple[Layer, list[WeightSpec]]:
    """A copy of a layer that is ready to run, and the weights that it has besides those of layers inside."""
    check_input_spec(layer, shapes)
    if makes_weights(layer):
        ready, specs = built(layer, shapes)
    else:
        cls = type(layer)
        stated = cls.weight_specs is not Layer.weight_specs and owner(cls, "weight_specs").is_users_own()
        ready, specs = layer.copy(nodes=[]), layer.weight_specs(*shapes) if stated else []
        vars(ready).update(as_keras_has_them(layer))
    base = inherits(type(layer))
    if base is not None:
        inherited = object.__new__(base)
        written = {name: getattr(layer, name) for name in as_keras_has_them(layer)}
        inherited.__dict__.update(vars(ready), **written, given_name=layer.name, nodes=[], _tried={})
        ready.__dict__[INHERITED] = inherited
    check_input_spec(ready, shapes)  # build may say it
    return ready, specs


def _run(layer: Layer, weights: Sequence[WeightSpec], args: Any, kwargs: Any, training: bool = False,
         attributes: Callable[[], Mapping[str, Any]] = dict) -> Any:
    """The output specs of a layer's function. Its attributes are made anew for each run on tensors without values."""
    function = torch_function(layer)
    assert function is not None
    shapes = map(shapes_of, layer.input_specs(args, kwargs))
    if training and "training" in argument_names(function, shaped=False):
        kwargs = {**kwargs, "training": True}

    inherited = vars(layer)[INHERITED].weight_specs(*shapes) if INHERITED in vars(layer) else ()

    def run(*args: Any, **kwargs: Any) -> Any:
        from kerashape_torch.torch_modules.places import empty

        kwargs |= masks.brought_along(layer, layer.bind(args, kwargs), masks.carried)
        tensors = {spec.places[0].path: empty(spec, layer.compute_dtype) for spec in weights}
        tensors |= {spec.name: _tensor(TensorSpec(spec.shape, layer.compute_dtype)) for spec in inherited}
        parts = attributes()
        given = {**tensors, **parts, **with_weights({**vars(layer), **parts}, tensors)}
        return function(layer.copy(**given, training=training), *args, **kwargs)

    run.__name__ = f"{type(layer).__name__}.{function.__name__}"
    token = _trying.set(True)
    try:
        return meta_rule.infer_by_running(run, args, kwargs)
    finally:
        _trying.reset(token)


_trying: ContextVar[bool] = ContextVar("trying", default=False)
"""Whether the function of a layer runs, at sizes that stand for any: a model inside is built for no such size."""


class _Follower:
    """Stands in for a layer while only shapes flow: notes the call, and gives tensors of the shapes that come out."""

    def __init__(self, layer: Layer, calls: list[tuple[Layer, Call]]) -> None:
        self._layer = layer
        self._calls = calls
        self._set_in_call = set_in_call(layer)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call, layer = Call.of(args, kwargs, _spec), self._layer
        self._calls.append((layer, call))
        layer.about_to_be_called()
        if gives_masks(layer, call):
            return with_masks(layer, call, args, kwargs, self._run(call, args, kwargs))
        if isinstance(layer, Model) and not layer.built:
            x = call.args[0]
            if not layer.layers:
                layer.build(x.shape)  # which says so
            return _tensor(TensorSpec(layer.compute_output_shape(x.shape), layer.layers[-1].output_dtype(x.dtype)))
        specs = layer.output_spec(*call.args, **call.kwargs)
        if torch_function(layer) is not None and any(None in x.shape for x in flatten(specs)):
            specs = follow(layer, call.args, call.kwargs).outputs  # its class states shapes of another call than this
        outputs = map_structure(_tensor, specs)
        return with_masks(layer, call, args, kwargs, outputs)

    def _run(self, call: Call, args: Any, kwargs: Any) -> Any:
        """What a model gives on tensors without values, with masks."""
        return part_modules(self._layer, [call], heard=False)[0](*_with_their_masks(args, kwargs))

    def __getattr__(self, name: str) -> Any:
        """A weight of the layer, once it has been called; else what the layer has under this name."""
        if name in self._set_in_call:
            return self._set_in_call[name]
        first = next((call for layer, call in self._calls if layer is self._layer), None)
        specs = self._layer.weight_specs(*first.shapes(self._layer)) if first is not None else []
        found = next((spec for spec in specs if spec.name == name), None)
        if found is None:
            return getattr(self._layer, name)
        return _tensor(TensorSpec(found.shape, found.dtype or self._layer.compute_dtype))


def _spec(x: Any) -> Any:
    import torch

    if not isinstance(x, torch.Tensor):
        return x
    shape, dtype, mask = tuple(x.shape), str(x.dtype).removeprefix("torch."), masks.carried(x)
    return TensorSpec(shape, dtype) if mask is None else MaskedSpec(shape, dtype, _spec(mask))


def _tensor(spec: Any) -> Any:
    import torch

    if not isinstance(spec, TensorSpec):
        return spec
    shape: Any = spec.shape
    made = torch.empty(shape, dtype=getattr(torch, spec.dtype), device="meta")
    return masks.carrying(made, None if spec.mask is None else _tensor(spec.mask))
