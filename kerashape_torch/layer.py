"""The layer: a specification that owns no array.

A layer's arguments are bare fields, and it states three rules: the output shape, the weights, and the torch module.
``input_shape`` and its spellings, names, dtypes, calling, counting and configs are the base class's business.
"""

import functools
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from kerashape_torch.activations import shape_after
from kerashape_torch.config import Field, Record, argument, register_family, serialize, to_config
from kerashape_torch.connected import Connected
from kerashape_torch.costed import Costed
from kerashape_torch.dtypes import DType, computed_and_kept, is_float
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.graph import Node, TensorSpec, connect, serials, shapes_of, snake_case
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.settings import dtype_policy
from kerashape_torch.shape import Shape, channels_first_axis, is_standard, standardize, to_text
from kerashape_torch.structure import flatten, flatten_shapes, map_shapes
from kerashape_torch.user_layers import (
    CONSTRUCTION_ONLY,
    UserDefined,
    after_building,
    argument_names,
    built,
    function_of,
    remembering,
    remembering_arguments,
    torch_function,
)
from kerashape_torch.weights import WeightSpec

if TYPE_CHECKING:
    import torch
    from typing_extensions import Self


KERAS = "keras"
"""Layout: the module takes and gives axes in Keras' order."""
CHANNELS_FIRST = "channels_first"
"""Layout: the module takes and gives (batch, channels, ...), as torch's spatial modules do."""
ANY = "any"
"""Layout: the module takes what comes and gives it back in the same order."""


class _Arguments(Record, family=True, kw_only=True):
    """What every layer may be given, besides its own arguments."""

    keras_module = "keras.layers"

    given_name: str | None = argument(alias="name", default=None)
    given_trainable: bool = argument(alias="trainable", default=True)
    dtype: DType = None
    if not TYPE_CHECKING:  # to which the place that a layer gives it among its own arguments would be the first
        activity_regularizer: RegularizerLike = None
    given_input_shape: Any = argument(alias="input_shape", default=None)
    input_dim: int | None = None
    batch_input_shape: Any = None
    batch_shape: Any = None
    batch_size: int | None = None


_ACTIVATIONS = ("activation", "recurrent_activation")
_SPELLINGS = frozenset({"given_input_shape", "input_dim", "batch_input_shape", "batch_shape"})
_RULES = ("compute_output_shape", "weight_specs", "module", "masked_module", "layout", "outputs_for", "bind",
          "sublayers", "makes_floats", "computes_like", "in_channels_first", "leaves_masks_of", "takes_masks_off")


def _stating_its_layer(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A rule whose ShapeErrors say which layer and which shapes they are about."""

    @functools.wraps(rule)
    def stated(self: "Layer", *shapes: Any) -> Any:
        for shape in shapes:
            if not is_standard(shape) and shape is not None:
                shapes = tuple(None if each is None else map_shapes(standardize, each) for each in shapes)
                break
        try:
            return rule(self, *shapes)
        except ShapeError as error:
            raise error.at(self.describe(), _shapes_text(shapes)) from None
        except TypeError as error:
            if any(None in shape for shape in flatten_shapes([s for s in shapes if s is not None])):
                fact = "an axis is None that this layer needs to know"
                raise ShapeError(fact).at(self.describe(), _shapes_text(shapes)) from error
            raise

    stated.states_its_layer = True  # type: ignore[attr-defined]
    return stated


def _shapes_text(shapes: Sequence[Any]) -> str:
    given = [shape for shape in shapes if shape is not None]
    return to_text(given[0] if len(given) == 1 else given)


def _activated(rule: Callable[..., Any]) -> Callable[..., Any]:
    """A shape rule that also says what the layer's activation, which lowering appends, makes of the shape."""

    @functools.wraps(rule)
    def activated(self: "Layer", *shapes: Any) -> Any:
        shape, activation = rule(self, *shapes), self.appended_activation
        # an heir's rule that asks this one has its own turn
        if activation is None or getattr(type(self).compute_output_shape, "__wrapped__", None) is not activated:
            return shape
        if isinstance(activation, Layer):
            return activation.compute_output_shape(shape)
        return shape_after(activation, shape)

    return activated


class Layer(UserDefined, Connected, Costed, _Arguments, catalog=False):
    """Base of all layers. A subclass writes its arguments as fields and overrides the rules that differ.

    Instead of rules it may have a ``forward`` of torch tensors, and a ``build`` that makes its weights: see
    :mod:`kerashape_torch.user_layers`.

    The rules take shapes as the layer's call takes tensors: one shape, a list of shapes for layers that merge a list,
    or one shape for each of :attr:`shape_arguments`.

    >>> class Twice(Layer, catalog=False):
    ...     '''Doubles the last axis.'''
    ...     def compute_output_shape(self, shape):
    ...         return (*shape[:-1], 2 * shape[-1])
    >>> Twice().compute_output_shape((None, 3))
    (None, 6)
    """

    call_arguments: ClassVar[tuple[str, ...]] = ("inputs",)
    """Names of the arguments of a call, in order, as Keras names them."""
    shape_arguments: ClassVar[tuple[str, ...]] = ("inputs",)
    """Those of them whose shapes the three rules take."""
    activation_is_inside: ClassVar[bool] = False
    """True where the module applies ``activation`` itself (in a recurrent cell); else lowering appends it."""
    keeps_dtype: ClassVar[bool] = False
    """True where integers stay integers: layers that only move elements."""
    takes_integers: ClassVar[bool] = False
    """True where integers mean something as such; elsewhere they become floats before the layer computes."""
    has_policy: ClassVar[bool] = True
    """False where there is no dtype policy: an op computes in the dtypes that come."""
    supports_masking: ClassVar[bool] = False
    """True where a mask goes through to the next layer."""
    built_when_made: ClassVar[bool] = False
    """True where Keras builds the layer at once; the config of a model then does not say its input shape."""
    counts_its_creation: ClassVar[bool] = False
    """True for a functional model, whose calls Keras numbers from 1 where a config names inputs and outputs."""
    training_unless_told: ClassVar[bool | None] = None
    """What Keras writes as ``training`` into a call that says nothing of it; it then means nothing either."""
    rests_in_inference: ClassVar[bool] = False
    """True where what comes out is what came in, outside of training."""
    uses_mask: ClassVar[bool] = False
    """True where a mask changes the numbers."""
    uses_own_mask: ClassVar[bool] = False
    """True where the numbers depend on the mask that the layer makes; lowering gives it to the module as ``mask``."""
    takes_masks_off: ClassVar[bool] = False
    """True where Keras' computation leaves the tensors that it was given without their masks."""
    takes_strings: ClassVar[bool] = False
    """True where the layer reads strings, which are no tensors: it turns them into one."""
    runs_functions: ClassVar[bool] = False
    """True where the rules are written around a function of a user's own: of a cell."""
    _given_to_init: ClassVar[Mapping[str, Any]] = types.MappingProxyType({})
    _activations: ClassVar[tuple[str, ...]] = ()
    _appends_activation: ClassVar[bool] = False

    # ---- the three rules ---------------------------------------------------------------------------------------------

    def compute_output_shape(self, *shapes: Any, **_: Any) -> Any:
        """Input shape(s) to output shape(s), with None where a size is not known."""
        if torch_function(self) is None:
            return shapes[0]
        from kerashape_torch.composed import try_shapes

        return shapes_of(try_shapes(self, shapes).outputs)

    def weight_specs(self, *shapes: Any, **_: Any) -> list[WeightSpec]:
        """The weights for an input shape, in Keras' order: trainable ones first."""
        if torch_function(self) is not None:
            from kerashape_torch.composed import arrange

            return arrange(self, shapes).weight_specs()
        return built(self, shapes)[1] if type(self).build is not UserDefined.build else []

    def module(self, *shapes: Any, **_: Any) -> "torch.nn.Module":
        """A torch module for an input shape, stock wherever torch has one; it takes the order of :meth:`layout`."""
        if torch_function(self) is None:
            raise NotImplementedError(f"{type(self).__name__} has no torch module")
        from kerashape_torch.composed import arrange
        from kerashape_torch.torch_modules.user import UserLayer

        return UserLayer(self, arrange(self, shapes))

    # ---- what else a layer may say -----------------------------------------------------------------------------------

    def layout(self, *shapes: Any) -> str:
        """The order of axes that the module works in: ``"keras"``, ``"channels_first"`` or ``"any"``."""
        return KERAS

    def sublayers(self) -> Sequence["Layer"]:
        """Layers inside this one, as those of a wrapper, or in the attributes of a user's layer."""
        if torch_function(self) is None:
            return ()
        from kerashape_torch.composed import held_layers

        return held_layers(self)

    def layers_to_name(self) -> Sequence["Layer"]:
        """The layers inside this one and those that it has as activations: all that need names."""
        inside = self.sublayers()
        for name in self._activations:
            if isinstance(held := self.__dict__.get(name), Layer):
                inside = [*inside, held]
        return inside

    def leaves_masks_of(self) -> "Layer":
        """The layer whose masks are on the outputs once the model runs: one inside, where this one minds none."""
        return self

    def masked_module(self, shape: Any) -> "torch.nn.Module":
        """As :meth:`module`, for a call with a mask that changes its numbers: ``forward`` takes it as ``mask``."""
        return self.module(shape)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the output, for the first argument of a call and its mask; asked where ``supports_masking``.

        It may use :mod:`kerashape_torch.ops` alone, so that it runs on symbolic tensors as on real ones.
        """
        return previous_mask

    def keeps_masks_of(self, args: Sequence[Any]) -> bool:
        """Whether Keras writes down the masks that these arguments bring along: those of one tensor in its own dtype.

        Where it converts arguments it does not, and finds the masks anew when the model runs.
        """
        return len(args) == 1 and isinstance(args[0], TensorSpec) and args[0].dtype == self.compute_dtype

    def casts_of(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[str | None, str | None]:
        """The dtypes that a call's tensors, and its result, are cast to when it runs; None where they stay."""
        return self.compute_dtype if self.makes_floats else None, None

    @property
    def appended_activation(self) -> Any:
        """The activation that lowering appends, or None; a layer with a ``forward`` or ``call`` applies its own."""
        return getattr(self, "activation", None) if self._appends_activation else None

    # ---- construction ------------------------------------------------------------------------------------------------

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for rule in ("compute_output_shape", "weight_specs", "module", "masked_module"):
            own = cls.__dict__.get(rule)
            if own is not None and not hasattr(own, "states_its_layer"):
                if rule == "compute_output_shape" and cls.is_users_own() and not cls.follows_call:
                    own = after_building(own)
                setattr(cls, rule, _stating_its_layer(own if rule != "compute_output_shape" else _activated(own)))
        if "compute_mask" in cls.__dict__ and cls.is_users_own() and "supports_masking" not in cls.__dict__:
            cls.supports_masking = True  # as in Keras
        if "build" in cls.__dict__ and cls.is_users_own() and not cls.follows_call:
            cls.build = remembering(cls.__dict__["build"])  # type: ignore[method-assign]
        if "weights_may_be_refused" not in cls.__dict__:
            cls.weights_may_be_refused = cls.sublayers is not Layer.sublayers or cls.is_users_own()
        if cls.is_users_own():
            cls.__init__ = remembering_arguments(cls.__init__)  # type: ignore[method-assign]
        cls._torch_function = function = function_of(cls)
        if function is not None:
            cls._put_rules_aside()
            cls.call_arguments = argument_names(function, shaped=False)
            cls.shape_arguments = argument_names(function, shaped=True)
            cls.uses_mask = "mask" in cls.call_arguments
        cls._activations = tuple(name for name in _ACTIVATIONS if name in cls._fields)
        cls._appends_activation = "activation" in cls._fields and function is None and not cls.activation_is_inside

    @classmethod
    def _put_rules_aside(cls) -> None:
        """Where a function says what is computed, the rules of a layer of this package that is extended do not."""
        for rule in () if cls.runs_functions else _RULES:
            if (stated_by := owner(cls, rule)) is not Layer and not stated_by.is_users_own():
                setattr(cls, rule, inspect.getattr_static(Layer, rule))

    @classmethod
    def is_users_own(cls) -> bool:
        """Whether the class is none of this package."""
        return cls.keras_module == cls.__module__

    def copy(self, **changes: Any) -> "Self":
        return super().copy(**{"_tried": {}, **changes})

    def _take_arguments(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self.serial = next(serials)
        self.nodes: list[Node] = []
        self._namer: Any = None
        self._auto_name: str | None = None
        self._tried: dict[str, Any] = {}  # see composed.follow
        self.saved_weights: list[Any] | None = None  # from the file that the layer came from, in Keras' order, unread
        kwargs.pop("autocast", None)  # Keras writes it for layers of a user's own
        if kwargs.get("dtype") is None and self.has_policy and dtype_policy() != "float32":
            kwargs["dtype"] = self.dtype_unless_told()
        super()._take_arguments(args, kwargs)
        if self.given_name is not None and (not isinstance(self.given_name, str) or "/" in self.given_name):
            raise ConfigError(f"{type(self).__name__}(name=...) must be a string without '/', got {self.given_name!r}")
        self.declared_shape = self._declared_shape()

    def _declared_shape(self) -> Shape | None:
        """The input shape that the arguments give, with its batch axis; conflicting spellings are refused."""
        given = self.__dict__
        if _SPELLINGS.isdisjoint(given):
            return None
        spellings: dict[str, Shape] = {}
        batch = given.get("batch_size")
        if self.given_input_shape is not None:
            spellings["input_shape"] = (batch, *standardize(self.given_input_shape, "input_shape"))
        if given.get("input_dim") is not None and "input_dim" not in self._own_arguments():
            length = given.get("input_length")
            steps = () if length is None else (length,)
            spellings["input_dim"] = (batch, *standardize((*steps, given["input_dim"]), "input_dim"))
        for spelling in ("batch_input_shape", "batch_shape"):
            if given.get(spelling) is not None:
                spellings[spelling] = standardize(given[spelling], spelling)
        shapes = list(spellings.items())
        for spelling, shape in shapes[1:]:
            first, expected = shapes[0]
            if shape != expected and not (spelling.startswith("batch") and shape[1:] == expected[1:]):
                raise ConfigError(f"{type(self).__name__} is given two input shapes: {first} means "
                                  f"{to_text(expected)}, {spelling} means {to_text(shape)}. Keep one of them")
        return shapes[-1][1] if shapes else None

    @classmethod
    def _own_arguments(cls) -> list[str]:
        return [name for name, field in cls._fields.items() if not field.keyword_only]

    # ---- names -------------------------------------------------------------------------------------------------------

    @property
    def name_prefix(self) -> str:
        """What automatic names begin with: the class name in snake case."""
        return snake_case(type(self).__name__)

    @property
    def name(self) -> str:
        """The layer's name in its model: given, or numbered in order of creation as Keras does in a fresh process."""
        if self.given_name is not None:
            return self.given_name
        if self._namer is not None:
            self._namer.assign_names()
        return self._auto_name or self.name_prefix

    def describe(self, name: str | None = None) -> str:
        """``dense_1 = Dense(units=4)``: how errors speak of a layer."""
        return f"{name or self.name} = {type(self).__name__}({self._arguments(but=('name',))})"

    # ---- dtypes ------------------------------------------------------------------------------------------------------

    @property
    def compute_dtype(self) -> str:
        """The dtype that the layer computes in, by its dtype policy."""
        return computed_and_kept(self.dtype)[0]

    @property
    def variable_dtype(self) -> str:
        """The dtype of the layer's weights, by its dtype policy."""
        return computed_and_kept(self.dtype)[1]

    def computes_like(self) -> "Layer":
        """The layer whose dtype policy the module follows: one inside, where this one only hands tensors on."""
        return self

    def dtype_unless_told(self) -> str | None:
        """The dtype policy where none is given: that of ``set_dtype_policy``."""
        return dtype_policy()

    def output_dtype(self, dtype: str) -> str:
        """The dtype that comes out for one that goes in: floats become the compute dtype."""
        return dtype if self.keeps_dtype and not is_float(dtype) else self.compute_dtype

    @property
    def makes_floats(self) -> bool:
        """Whether the layer computes in floats whatever comes."""
        as_they_are = self.takes_integers or self.takes_strings or torch_function(self) is not None
        return self.has_policy and not as_they_are and is_float(self.output_dtype("int32"))

    def input_dtype(self) -> str:
        """The dtype of the tensors that the layer takes, where nobody says it."""
        return self.compute_dtype

    # ---- calling -----------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Connects the layer to symbolic tensors; returns symbolic tensors of the inferred shapes."""
        self.about_to_be_called()
        told = self.training_unless_told
        return connect(self, args, kwargs if told is None else {"training": told, **kwargs})

    @property
    def runs_on_the_spot(self) -> bool:
        """Whether a ``call`` of a user's own may make the layer where it needs it: nothing of it lasts, and training is
        no different."""
        lasts = type(self).weight_specs is not Layer.weight_specs or torch_function(self) is not None
        return not lasts and not self.rests_in_inference and self.training_unless_told is None

    def run_on_tensors(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What comes out for torch tensors, of a layer that :attr:`runs_on_the_spot`."""
        from kerashape_torch.composed import run_on_tensors

        return run_on_tensors(self, args, kwargs)

    def about_to_be_called(self) -> None:
        """What Keras does beside, when it builds the layer at its first call."""

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name."""
        if len(args) > len(self.call_arguments):
            raise ConfigError(f"{self.describe()} is called with {len(args)} positional arguments and takes "
                              f"{len(self.call_arguments)}: {', '.join(self.call_arguments)}")
        bound = dict(zip(self.call_arguments, args))
        bound.update(kwargs)
        return bound

    def input_specs(self, args: Sequence[Any], kwargs: Mapping[str, Any],
                    bound: Mapping[str, Any] | None = None) -> list[Any]:
        """The tensors of a call that the rules speak of, as structures of specs, without trailing ones not given.
        ``bound`` is what :meth:`bind` made of the arguments, if that is known."""
        bound = self.bind(args, kwargs) if bound is None else bound
        given = list(map(bound.get, self.shape_arguments))
        while given and given[-1] is None:
            given.pop()
        return given

    def output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Shapes and dtypes that come out of a call with these symbolic tensors or :class:`TensorSpec`."""
        return self.outputs_for(self.input_specs(args, kwargs), args, kwargs)

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The same, for whoever has the :meth:`input_specs` of the call already."""
        if self._torch_function is not None and type(self).compute_output_shape is Layer.compute_output_shape:
            from kerashape_torch.composed import follow

            return follow(self, args, kwargs).outputs
        shapes = self.compute_output_shape(*map(shapes_of, specs))
        first = specs[0] if specs else None
        if not isinstance(first, TensorSpec):
            first = next((x for x in flatten(specs) if isinstance(x, TensorSpec)), None)
        dtype = self.output_dtype(first.dtype if first is not None else self.compute_dtype)
        return TensorSpec(shapes, dtype) if is_standard(shapes) else map_shapes(
            lambda shape: TensorSpec(tuple(shape), dtype), shapes)

    # ---- what is known once connected --------------------------------------------------------------------------------

    @property
    def trainable(self) -> bool:
        """Whether training may change the weights."""
        return self.given_trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.given_trainable = value
        for inner in self.sublayers():
            inner.trainable = value

    @property
    def weights(self) -> list[WeightSpec]:
        """The weights for the known input shape. A frozen layer has no trainable ones."""
        specs = self.weight_specs(*self.call_shapes())
        return specs if self.trainable else [spec._replace(trainable=False) for spec in specs]

    @property
    def built(self) -> bool:
        """Whether the input shape is known, and with it every weight shape; of a user's class, whether it was built."""
        builds = type(self).build is not UserDefined.build
        known = not vars(self).keys().isdisjoint(("_before_build", "_built_for"))
        return bool(self.nodes) or (known if builds else self.declared_shape is not None)

    @built.setter
    def built(self, value: bool) -> None:
        """Layers written for Keras say so in ``build``; here the input shape says it."""

    @property
    def is_in_use(self) -> bool:
        """Whether Keras would have built it: it is called, or lies inside what is."""
        return bool(self.nodes) or (self._namer is not None and bool(self._namer.built))

    def count_params(self, trainable: bool | None = None) -> int:
        """How many numbers the weights hold; of the trainable or the others alone, if asked.

        >>> from kerashape_torch.layers import Dense
        >>> Dense(4, input_shape=(3,)).count_params()
        16
        """
        return sum(spec.size for spec in self.weights if trainable is None or spec.trainable == trainable)

    # ---- configs -----------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The layer as a Keras 3 config. The input shape is the model's to write, as in Keras."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        for name, field in self._fields.items():
            if name not in config and self._is_written(field):
                config[name] = self._written(field)
        return {**config, **{name: to_config(value) for name, value in self._given_to_init.items()}}

    def given(self) -> dict[str, Any]:
        return {**self._given_to_init, **super().given()}

    def _is_written(self, field: Field) -> bool:
        if field.keyword_only and field.name in CONSTRUCTION_ONLY:
            return False
        if field.keyword_only and field.name == "activity_regularizer":
            return getattr(self, field.attribute) is not None
        return super()._is_written(field)

    def serialize(self) -> dict[str, Any]:
        """The config with its class, as a model's config lists it."""
        written = serialize(self)
        shapes = self.built_for() if self.nodes else [None]
        if not self.built_when_made and all(x is not None for x in shapes):
            names = [f"{name}_shape" for name in self.shape_arguments]
            written["build_config"] = ({"input_shape": shapes[0]} if len(shapes) == 1
                                       else {"shapes_dict": dict(zip(names, shapes))})
        return written

    def built_for(self) -> list[Any]:
        """The shapes that Keras' ``build`` is told."""
        return self.call_shapes()

    def output_regularizer(self) -> Any:
        """What is added to a training loss for the outputs: a name, a regularizer or a function, or None."""
        return self.__dict__.get("activity_regularizer")

    def listener(self, order: str = KERAS) -> Any:
        """What takes the layer's outputs to that regularizer, for a module made while training listens; else None."""
        from kerashape_torch.torch_modules.activity import listener

        return listener(self.output_regularizer(), order == CHANNELS_FIRST)

    # ---- doors to the rooms below ------------------------------------------------------------------------------------

    def to_torch(self, input_shape: Any = None, device: Any = None, dtype: Any = None,
                 optimize: str | None = None) -> "torch.nn.Module":
        """The layer alone as a torch module that takes tensors in Keras' order.

        Without an input shape the module is lazy: its first call infers every weight shape from the tensor.

        >>> from kerashape_torch.layers import LSTM
        >>> import torch
        >>> LSTM(7).to_torch()(torch.zeros(2, 5, 3)).shape
        torch.Size([2, 7])
        """
        from kerashape_torch.lowering import layer_to_torch

        return layer_to_torch(self, input_shape, device, dtype, optimize)

    def inner_module(self, shape: Any, masked: bool = False) -> "torch.nn.Module":
        """A module that takes and gives Keras' order, the activation in it, for a layer that holds this one.

        If ``masked``, it takes a ``mask`` too.
        """
        from kerashape_torch.lowering.compile import inner_module

        return inner_module(self, shape, masked)

    def explain(self, input_shape: Any = None) -> str:
        """What the arguments are, the shapes, and each weight's shape with the arithmetic that leads to it."""
        from kerashape_torch.reports import explain

        return explain(self, input_shape)

    def in_channels_first(self, rank: int) -> "Self":
        """This layer for a tensor whose last axis has been moved to the front of the others: its axes are moved too."""
        moved: dict[str, Any] = {}
        for name, field in self._fields.items():
            value = getattr(self, field.attribute) if type(field.kind).__name__ == "_Axis" else None
            if isinstance(value, int):
                moved[name] = channels_first_axis(value, rank)
            elif isinstance(value, tuple):
                moved[name] = tuple(channels_first_axis(axis, rank) for axis in value)
        return self.copy(**moved) if moved else self


def owner(cls: type[Layer], name: str) -> type[Layer]:
    """The layer class that a class has a method or an attribute from."""
    return next(each for each in cls.__mro__ if name in vars(each) and issubclass(each, Layer))


register_family("keras.layers", Layer)
register_family("keras.models", Layer)
register_family("keras.src.models", Layer)
