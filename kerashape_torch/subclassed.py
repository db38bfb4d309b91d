"""Models with a ``call`` of their own, as Keras has them: layers in attributes, and a function that calls them.

``call`` is followed once, on symbolic tensors, as soon as an input shape is known. From then on the model is one like
all others: every shape is known, it compiles to stock modules, and it can be ported.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from kerashape_torch.composed import attributes, layers_inside
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.following import add_to_losses, alone, apart, followed
from kerashape_torch.graph import Graph, SymbolicTensor, TensorSpec, nodes_to, shapes_of
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model, Sequential
from kerashape_torch.own_weights import OwnWeight, as_tensors, declared_weights, weight_layers
from kerashape_torch.shape import standardize
from kerashape_torch.structure import flatten, map_shapes, map_structure
from kerashape_torch.user_layers import argument_names, copied

if TYPE_CHECKING:
    from typing_extensions import Self


class Subclassed(Model, catalog=False):
    """What a class extends in place of :class:`Model` if it has a ``call``.

    ``call`` may use layers, operators and :mod:`kerashape_torch.ops`. ``training`` is None in it: the layers go by the
    mode of the module that the model compiles to.

    >>> from kerashape_torch.layers import Dense
    >>> class Net(Model):
    ...     def __init__(self, units):
    ...         super().__init__()
    ...         self.hidden, self.out = Dense(units, activation="relu"), Dense(1)
    ...     def call(self, inputs):
    ...         return self.out(self.hidden(inputs))
    >>> net = Net(4)
    >>> net.build((None, 3))
    >>> net.output_shape, net.count_params()
    ((None, 1), 21)
    """

    follows_call: ClassVar[bool] = True
    counts_its_creation = False
    _runs_build = False

    @classmethod
    def extended_by(cls, other: type[Model]) -> None:
        """Puts this class among the bases of one that has a ``call``, before its own are looked at."""
        if not issubclass(other, cls):
            other.__bases__ = (*(base for base in other.__bases__ if base is not Model), cls)
        training = inspect.signature(vars(other)["call"]).parameters.get("training")
        other.asks_for_training = training is not None
        said = training.default if training is not None else None
        other.training_unless_told = said if isinstance(said, bool) else None
        own = vars(other).get("build")
        if own is not None:
            other.build = _followed_by_the_call(own)  # type: ignore[method-assign]  # of a class just being made

    def _start(self) -> None:
        self._graph: Graph | None = None  # type: ignore[assignment]  # until the shape is known
        self._ghosts: list[Any] = []
        self._own_weights: list[OwnWeight] = []
        self._takes: tuple[str, ...] = ()  # the names of the call's tensors
        self._said: dict[str, Any] = {}  # its other arguments

    def _arguments(self, but: tuple[str, ...] = ()) -> str:
        given = {"name": self.given_name, **self._given_to_init}
        return ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None and name not in but)

    # ---- following the call ------------------------------------------------------------------------------------------

    def build(self, input_shape: Any = None, **shapes: Any) -> None:
        """Gives the input shape, or a list or dict of them, batch axis included.

        Args:
            input_shape: of the first argument of ``call``.
            shapes: of each tensor by its argument's name, ``context_shape=(None, 3)``, where there are several.

        Raises:
            ShapeError: there is none, or a layer refuses it.
            ConfigError: ``call`` cannot be followed, or has no such arguments.
        """
        if self._runs_build or self._graph is not None:
            return
        first, *_ = names = self._call_names()
        shapes = {name: shape for name, shape in {f"{first}_shape": input_shape, **shapes}.items() if shape is not None}
        if not shapes:
            raise ShapeError(f"{self.name} has no input shape yet", hint="build((None, ...)) needs one")
        unknown = shapes.keys() - {f"{name}_shape" for name in names}
        if unknown:
            raise ConfigError(f"build of {self.name} is given {', '.join(sorted(unknown))}; its call takes "
                              f"{', '.join(names)}")
        self._follow({name.removesuffix("_shape"): _specs(shape, name) for name, shape in shapes.items()})

    def _follow(self, given: Mapping[str, Any]) -> None:
        specs, self._said = apart(self._in_order(given))
        self._takes = tuple(specs)
        self._check_all_are_given(given)
        weights = self._weights_after_build(specs)
        with as_tensors(self, weights):
            graph = followed(self.call, specs, self._said, [*weights, *layers_inside(self)], self._refusal)
        graph.keep(weight() for weight in weights)
        self._check_losses(graph)
        self._graph, self._own_weights = graph, weights
        self._ghosts = self._graph.mask_layers()
        self._adopt_all()
        self.assign_names()

    def _weights_after_build(self, specs: Mapping[str, Any]) -> list[OwnWeight]:
        made = vars(self).setdefault("_made", [])
        before = len(made)
        self._runs_build = True
        try:
            self.build(**self._shapes_to_build(specs))  # the class's own may make layers too
            return declared_weights(self)
        finally:
            self._runs_build = False
            del made[before:]  # it may be built anew

    def _in_order(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of ``call`` in the order in which it has them."""
        return {name: given[name] for name in dict.fromkeys([*self._call_names(), *given]) if name in given}

    def _check_all_are_given(self, given: Mapping[str, Any]) -> None:
        taken = inspect.signature(self.call).parameters.values()
        missing = [p.name for p in taken if p.default is p.empty and p.name not in (*given, "training")
                   and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if missing:
            every = [f"{name}_shape" for name in (*given, *missing)]
            raise ShapeError(f"the call of {self.name} takes {', '.join(missing)} too, besides {', '.join(given)}",
                             hint=f"build({'=..., '.join(every)}=...), or call the model on Input(...). Keras' files "
                             f"have the first shape alone, unless the class has build(self, {', '.join(every)}): make "
                             "the model yourself, build it, and load_weights")

    def _shapes_to_build(self, specs: Mapping[str, Any]) -> dict[str, Any]:
        """What the class's own ``build`` is told: as in Keras, the first shape, or those that it has arguments for."""
        shapes = {f"{name}_shape": shapes_of(spec) for name, spec in specs.items()}
        if type(self).build is Subclassed.build:
            return shapes
        names = _shape_names(self.build)
        if len(names) == 1:
            return {names[0]: next(iter(shapes.values()))}
        return {name: shape for name, shape in shapes.items() if name in names}

    def _adopt_all(self) -> None:
        for layer in self.layers_to_name():
            self._adopt(layer)

    def _refusal(self, why: str) -> ConfigError:
        name = type(self).__name__
        return ConfigError(f"the call of {name} cannot be followed on symbolic tensors: {why}. Layers, operators and "
                           "kerashape_torch.ops can. Way out for others: a layer, class "
                           f"{name}(layers.Layer), with the same __init__, build and call, and a model of it: "
                           f"x = Input(...); Model(x, {name}(...)(x))")

    def add_loss(self, loss: Any) -> None:
        """Adds to the loss of a training step, in ``call``."""
        for each in loss if isinstance(loss, (list, tuple)) else [loss]:
            if not isinstance(each, SymbolicTensor):
                raise self._refusal(f"it adds a loss that is no tensor of its call: {each!r}")
            add_to_losses(each if each.shape == () else each._operator("sum", each))

    def _check_losses(self, graph: Graph) -> None:
        known = {id(x) for node in graph.nodes for x in flatten(node.outputs)}
        for node in (node for loss in graph.losses for node in nodes_to(loss, known)):
            if node.layer.has_policy:
                raise self._refusal(f"it adds a loss of what {node.layer.describe()} gives, which no output needs")

    # ---- the parts ---------------------------------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        if self._graph is None:
            raise ShapeError(f"the input shape of {self.name} is not known yet",
                             hint="call model.build((None, ...)), or the model on Input(...)")
        return self._graph

    @property
    def built(self) -> bool:
        return self._graph is not None

    @built.setter
    def built(self, value: bool) -> None:
        """Models written for Keras say so in ``build``; here the input shape says it."""

    @property
    def layers(self) -> list[Layer]:
        """The layers in attributes that ``call`` calls, in Keras' order: as they were assigned."""
        if self._graph is None:
            self._adopt_all()
            return layers_inside(self)
        return [layer for layer in layers_inside(self) if layer in self._graph.layers]

    @property
    def operations(self) -> list[Layer]:
        return self.layers

    def layers_to_name(self) -> Sequence[Layer]:
        called = self._graph.layers if self._graph is not None else ()
        return [x for x in dict.fromkeys([*layers_inside(self), *called]) if not isinstance(x, OwnWeight)]

    def sublayers(self) -> Sequence[Layer]:
        return weight_layers(self)

    def _direct_layers(self) -> Sequence[Layer]:
        return self.layers_to_name()

    @classmethod
    def _call_names(cls) -> tuple[str, ...]:
        return argument_names(cls.call, shaped=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        names = self._call_names()
        if "mask" in names[len(args):] and kwargs.get("mask") is None:  # as in Keras, that of the first tensor
            mask = map_structure(lambda x: getattr(x, "mask", None), args[0] if args else kwargs[names[0]])
            kwargs = {**kwargs, "mask": mask} if isinstance(mask, TensorSpec) else kwargs
        return super().__call__(*args, **kwargs)

    def _given(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What ``call`` is given of its arguments by name, and ``training`` and a mask that it does not ask for."""
        names = self._call_names()
        given = {name: x for name, x in {**dict(zip(names, args)), **kwargs}.items() if x is not None}
        given = self._in_order(given)
        beside = [name for name in ("training", "mask") if name in given and (name == "training" or name not in names)]
        return given, {name: given.pop(name) for name in beside}

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        given, beside = self._given(args, kwargs)
        return {"inputs": alone(apart(given)[0]), **beside}

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        given, _ = self._given(args, kwargs)
        tensors, said = apart(given)
        if self._graph is None:
            self._follow({**map_structure(lambda x: TensorSpec(x.shape, x.dtype), tensors), **said})
        elif (tuple(tensors), said) != (self._takes, self._said):
            raise ConfigError(f"{self.describe()} is called with {_listed(tensors, said)} and was built with "
                              f"{_listed(self._takes, self._said)}. Way out: one model for each")
        return super().outputs_for(specs, args, kwargs)

    def compute_output_shape(self, shape: Any) -> Any:
        """The output shape for an input shape; it does not build the model."""
        if self._graph is not None:
            return super().compute_output_shape(shape)
        twin = self.twin()
        twin.build(shape)
        return twin.output_shape

    def twin(self) -> Self:
        """A copy that is not built; its layers are copies with the same names."""
        copies: dict[Layer, Layer] = {}

        def twin_of(layer: Layer) -> Layer:
            if layer not in copies:
                copies[layer] = unbuilt(layer)
            return copies[layer]

        found = self.copy(**{name: copied(value, {}) for name, value in vars(self).items()})
        return found.copy(nodes=[], _graph=None, _own_weights=[], _namer=None, _names=None, name=self.name,
                          **attributes(self, twin_of))

    # ---- configs -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        config, cls = Layer.get_config(self), type(self)
        if cls.get_config is Subclassed.get_config and not {"name", "kwargs"} & set(inspect.signature(cls).parameters):
            del config["name"]  # as in Keras, to the letter: a class may give itself one
        return config

    def serialize(self) -> dict[str, Any]:
        written = super().serialize()
        if self._graph is not None:
            inputs = [self._graph.inputs] if len(self._takes) == 1 else self._graph.inputs
            told = self._shapes_to_build({name: x for name, x in zip(self._takes, inputs) if name != "mask"})
            written["build_config"] = {"input_shape": next(iter(told.values()))} if len(told) == 1 else {
                "shapes_dict": told}
        return written


def _specs(shapes: Any, name: str) -> Any:
    return map_shapes(lambda each: each if each is None else TensorSpec(standardize(each, f"build({name})"), "float32"),
                      shapes)


def _listed(tensors: Iterable[str], said: Mapping[str, Any]) -> str:
    return ", ".join([*tensors, *(f"{name}={x!r}" for name, x in said.items())])


def unbuilt(layer: Any) -> Any:
    """A copy of a layer under the same name that no call has built."""
    if isinstance(layer, Subclassed):
        return layer.twin()
    if isinstance(layer, Sequential) and not layer.built:
        return Sequential([unbuilt(inner) for inner in layer.layers], name=layer.name)
    return layer.copy(nodes=[], name=layer.name)


def _followed_by_the_call(build: Callable[..., None]) -> Callable[..., None]:
    """A class's own ``build``, which runs first when the model is built, and what it makes is called then."""
    names = _shape_names(functools.partial(build, None))

    @functools.wraps(build)
    def built(self: Subclassed, *shapes: Any, **named: Any) -> None:
        if self._runs_build:
            build(self, *shapes, **named)
        else:
            given = {**dict(zip(names, shapes)), **named}
            first_alone = len(names) == 1 and given.keys() == {*names}
            Subclassed.build(self, *given.values()) if first_alone else Subclassed.build(self, **given)

    return built


def _shape_names(build: Callable[..., None]) -> list[str]:
    """The arguments of a ``build`` that has been bound to its model."""
    found = inspect.signature(build).parameters.values()
    return [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
