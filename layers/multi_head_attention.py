"""Attention of several heads, each with its own projections of query, key and value."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from kerashape_torch.config import argument
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.graph import Ghost, TensorSpec, shapes_of
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import Fraction, Kind, Positive, PositiveOrNone
from kerashape_torch.layer import KERAS, Layer
from kerashape_torch.layers.einsum import Equation, for_axes, scales_of
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, axis_index, elements, fixed, require_rank, standardize, to_text
from kerashape_torch.weights import WeightSpec, weight


class _Projection(NamedTuple):
    """One of the dense layers inside: its name, its equation, the input and the output's sizes without the batch."""

    name: str
    equation: str
    bias: str
    shape: Shape
    sizes: Shape


class _Options:
    """Arguments that these layers share; each says again where they come among its own."""

    dropout: Fraction
    use_bias: bool
    use_gate: bool
    sliding_window: PositiveOrNone
    flash_attention: bool | None
    kernel_initializer: InitializerLike
    bias_initializer: InitializerLike
    kernel_regularizer: RegularizerLike
    bias_regularizer: RegularizerLike
    kernel_constraint: ConstraintLike
    bias_constraint: ConstraintLike
    activity_regularizer: RegularizerLike


class _Headed(_Options, Layer, catalog=False):
    """What the layers of several heads share: their calls, their weights and the shapes that they refuse."""

    call_arguments = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask",
                      "return_attention_scores", "training", "use_causal_mask")
    shape_arguments = ("query", "value", "key")
    supports_masking = True
    uses_mask = True
    unwritten = ("flash_attention",)

    def __post_init__(self) -> None:
        if self.flash_attention and self.dropout > 0:
            raise ConfigError(f"{type(self).__name__}(flash_attention=True) cannot be had together with "
                              f"dropout={self.dropout}")

    def about_to_be_called(self) -> None:
        if "_ghosts" not in self.__dict__:  # two layers that Keras makes here, and counts in the names of others
            self.__dict__["_ghosts"] = (Ghost("softmax"), Ghost("dropout"))

    def layout(self, query: Shape, value: Any = None, key: Any = None) -> str:
        return KERAS

    def attended(self, query: Shape, key: Shape) -> tuple[Shape, Shape, Shape]:
        """The axes of the scores: those that are not attended along, the heads among them; the queries'; the keys'."""
        raise NotImplementedError

    def projections(self, query: Shape, value: Shape, key: Shape) -> list[_Projection]:
        """The dense layers inside, in Keras' order."""
        raise NotImplementedError

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        output = super().outputs_for(specs, args, kwargs)
        bound = self.bind(args, kwargs)
        if not bound.get("return_attention_scores"):
            return output
        if self.flash_attention:
            raise ShapeError("return_attention_scores: flash attention makes no scores", hint="flash_attention=None")
        query, value, *rest = map(shapes_of, specs)
        kept, queries, keys = self.attended(query, rest[0] if rest else value)
        return output, TensorSpec((*kept, *queries, *keys), output.dtype)

    def weight_specs(self, query: Shape, value: Any = None, key: Any = None) -> list[WeightSpec]:
        self.check(query, value, key)
        return [spec for projection in self.projections(query, value, key or value) for spec in self._specs(projection)]

    def _told(self, *arguments: Any, **named: Any) -> Any:
        """The torch module; Keras gives the activity regularizer to the projections in it."""
        from kerashape_torch.torch_modules.activity import listener
        from kerashape_torch.torch_modules.attention import MultiHeadAttention

        made = MultiHeadAttention(*arguments, **named)
        made.activity = listener(self.activity_regularizer)
        return made

    @property
    def head_sizes(self) -> tuple[int, int]:
        """The width of a head's keys, and of its values."""
        raise NotImplementedError

    def flops(self, query: Shape, value: Any = None, key: Any = None) -> int:
        kept, queries, keys = self.attended(query, key or value)
        multiplied = sum(self.head_sizes) * elements((*kept, *queries, *keys))
        for projection in self.projections(query, value, key or value):
            places = value if projection.name in ("key", "value") else query
            multiplied += self._specs(projection)[0].size * elements(places[:-1])
        return 2 * multiplied

    def _specs(self, projection: _Projection) -> list[WeightSpec]:
        """Kernel and bias of a projection; torch has them as an ``nn.Linear`` whose axes are joined."""
        name, equation, bias, shape, sizes = projection
        parts = Equation.read(equation, bias if self.use_bias else None)
        fitted = parts.fit(shape, sizes)
        inputs, outputs = ([parts.kernel[i] for i in axes] for axes in parts.summed)
        lengths = dict(zip(parts.kernel, fitted.kernel))
        left, right = " ".join(inputs), " ".join(outputs)
        specs = [weight("kernel", fitted.kernel, for_axes(self.kernel_initializer, parts), at=f"{name}.weight",
                        pattern=f"{left} {right} -> ({right}) ({left})", trainable=True,
                        regularizer=self.kernel_regularizer,
                        constraint=self.kernel_constraint, axes=tuple(_AXES[letter] for letter in parts.kernel),
                        scales=scales_of(parts, fitted), **lengths)]
        if fitted.bias is not None:
            specs.append(weight("bias", fitted.bias, self.bias_initializer, at=f"{name}.bias",
                                pattern=f"{right} -> ({right})", trainable=True, regularizer=self.bias_regularizer,
                                constraint=self.bias_constraint, axes=tuple(_AXES[letter] for letter in outputs),
                                scales=None, **{letter: lengths[letter] for letter in outputs}))
        return [spec.below(keras=name) for spec in specs]

    def check(self, query: Shape, value: Any, key: Any) -> None:
        """Refuses shapes that cannot belong together."""
        if value is None:
            raise ShapeError("takes at least two tensors, layer(query, value), got one",
                             hint="for self-attention write layer(x, x)")
        if key is not None and value[1:-1] != key[1:-1]:
            raise ShapeError(f"key: value and key differ in more than their last axis, in {to_text([value, key])}")

    def _alike(self, query: Shape, value: Shape, key: Shape) -> None:
        if len({len(query), len(value), len(key)}) > 1:
            raise ShapeError(f"the ranks of query, value and key differ: {to_text([query, value, key])}"
                             ).at(self.describe(), to_text([query, value, key]))


_AXES = {"d": "features", "h": "heads", "k": "key_dim", "v": "value_dim", "u": "query heads", "m": "features",
         **dict.fromkeys("pqrstwxyz", "output features")}


class _OutputSizes(Kind):
    """The sizes that replace the query's last axis; one number for one axis."""

    def read(self, value: Any, where: str) -> Any:
        if value:
            standardize((value,) if isinstance(value, int) else value, where)
        return tuple(value) if isinstance(value, list) else value

    def write(self, value: Any, record: Any) -> Any:
        return (value,) if isinstance(value, int) and value else value


class _AttentionAxes(Kind):
    def read(self, value: Any, where: str) -> Any:
        axes = list(value) if isinstance(value, (list, tuple)) else [value]
        if any(not isinstance(axis, int) for axis in axes):
            raise ConfigError(f"{where} must be an axis or several, got {value!r}")
        return tuple(value) if isinstance(value, list) else value

    def write(self, value: Any, record: Any) -> Any:
        return (value,) if isinstance(value, int) else value


class MultiHeadAttention(_Headed):
    """Attention in ``num_heads`` subspaces at once; called as ``layer(query, value)`` or ``layer(query, value, key)``.

    Where no scores are asked for, torch's fused ``scaled_dot_product_attention`` does it.

    Input shape:  query (batch, queries, features), value and key (batch, keys, features); several axes of steps are
                  attended along together, or those in ``attention_axes``
    Output shape: (batch, queries, features) as the query has them, or with ``output_shape`` other features; with
                  ``return_attention_scores=True`` also the scores (batch, heads, queries, keys)

    Keras' shape rule says (batch, heads, queries, queries) of the scores; the shape here is that of the real ones. A
    query that ``attention_mask`` allows to look nowhere gives, as in Keras, the mean of all values, but the bias alone
    where scores are asked for, ``dropout`` is set, or the inputs have another rank than 3.

    >>> MultiHeadAttention(num_heads=2, key_dim=3).compute_output_shape((None, 4, 6), (None, 5, 6))
    (None, 4, 6)
    >>> from kerashape_torch import Input
    >>> layer = MultiHeadAttention(num_heads=2, key_dim=3)
    >>> [x.shape for x in layer(Input((4, 6)), Input((5, 6)), return_attention_scores=True)]
    [(None, 4, 6), (None, 2, 4, 5)]
    """

    num_heads: Positive
    key_dim: Positive
    value_dim: PositiveOrNone = None
    dropout: Fraction = 0.0
    use_bias: bool = True
    given_output_shape: Annotated[Any, _OutputSizes()] = argument(alias="output_shape", default=None)
    attention_axes: Annotated[Any, _AttentionAxes()] = None
    sliding_window: PositiveOrNone = None
    flash_attention: bool | None = None
    kernel_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None
    kernel_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None
    use_gate: bool = False
    seed: int | None = None
    takes_masks_off = True

    def output_regularizer(self) -> Any:
        """None: Keras asks it for the projections alone."""
        return None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["value_dim"] = self.value_dim or self.key_dim
        if self.nodes:
            config["attention_axes"] = self.axes(len(self.call_shapes()[1]))  # Keras settles them when it builds
        return config

    def axes(self, rank: int) -> tuple[int, ...]:
        """The axes that are attended along: all between the batch and the features, unless some were named."""
        given = self.attention_axes
        if given is None:
            return tuple(range(1, rank - 1))
        given = (given,) if isinstance(given, int) else given
        return tuple(axis_index(axis, rank, "attention_axes") for axis in given)

    @property
    def _outputs(self) -> tuple[int, ...]:
        given = self.given_output_shape
        return (given,) if given and isinstance(given, int) else tuple(given or ())

    def compute_output_shape(self, query: Shape, value: Any = None, key: Any = None) -> Shape:
        self.check(query, value, key)
        return (*query[:-1], *(self._outputs or query[-1:]))

    def attended(self, query: Shape, key: Shape) -> tuple[Shape, Shape, Shape]:
        axes = self.axes(len(key))
        kept = tuple(size for axis, size in enumerate(query[:-1]) if axis not in axes)
        return (*kept, self.num_heads), tuple(query[axis] for axis in axes), tuple(key[axis] for axis in axes)

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if self.bind(args, kwargs).get("use_causal_mask") or self.sliding_window is not None:
            shapes = list(map(shapes_of, specs))
            if len(shapes) > 1 and len(shapes[1]) > 2 and self.axes(len(shapes[1])) != (1,):
                raise ShapeError("attention_axes: a causal mask and a sliding window run along axis 1 alone")
        return super().outputs_for(specs, args, kwargs)

    @property
    def head_sizes(self) -> tuple[int, int]:
        return self.key_dim, self.value_dim or self.key_dim

    def projections(self, query: Shape, value: Shape, key: Shape) -> list[_Projection]:
        head, value_head = (self.num_heads, self.key_dim), (self.num_heads, self.value_dim or self.key_dim)
        into = "...d,dhk->...hk"
        outputs = self._outputs or (fixed(query[-1], "features"),)
        letters = "pqrstwxyz"[:len(outputs)]
        gate = [_Projection("gate", into, "hk", query, value_head)] if self.use_gate else []
        return [_Projection("query", into, "hk", query, head), _Projection("key", into, "hk", key, head), *gate,
                _Projection("value", into, "hk", value, value_head),
                _Projection("attention_output", f"...hv,hv{letters}->...{letters}", letters,
                            (*query[:-1], *value_head), outputs)]

    def module(self, query: Shape, value: Any = None, key: Any = None) -> Any:
        key = key or value
        self._alike(query, value, key)
        if len(query) < 3:
            raise ShapeError("expected rank 3 or more, (batch, steps, features), got rank 2"
                             ).at(self.describe(), to_text([query, value, key]))
        features = [fixed(shape[-1], "features") for shape in (query, key, value)]
        return self._told(
            (features[0], features[1], features[2]), (self.num_heads, self.num_heads),
            (self.key_dim, self.value_dim or self.key_dim), self._outputs or (features[0],), rank=len(query),
            axes=self.axes(len(query)), bias=self.use_bias, gated=self.use_gate, dropout=self.dropout,
            width=self.sliding_window)


class GroupQueryAttention(_Headed, aliases=("GroupedQueryAttention",)):
    """Attention whose query heads share key and value heads in groups; called as ``layer(query, value)``.

    Input shape:  query (batch, queries, features), value (batch, keys, features), key (batch, keys, any)
    Output shape: (batch, queries, features) as the query has them; with ``return_attention_scores=True`` also the
                  scores (batch, query heads, queries, keys)

    >>> GroupQueryAttention(head_dim=3, num_query_heads=4, num_key_value_heads=2
    ...                     ).compute_output_shape((None, 4, 6), (None, 5, 6))
    (None, 4, 6)
    """

    head_dim: Positive
    num_query_heads: Positive
    num_key_value_heads: Positive
    dropout: Fraction = 0.0
    use_bias: bool = True
    sliding_window: PositiveOrNone = None
    flash_attention: bool | None = None
    kernel_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None
    kernel_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None
    use_gate: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_query_heads % self.num_key_value_heads:
            raise ConfigError(f"GroupQueryAttention(num_query_heads={self.num_query_heads}) must be divisible by "
                              f"num_key_value_heads={self.num_key_value_heads}")

    @property
    def name_prefix(self) -> str:
        return "grouped_query_attention"

    def compute_output_shape(self, query: Shape, value: Any = None, key: Any = None) -> Shape:
        self.check(query, value, key)
        if query[-1] != value[-1]:
            raise ShapeError(f"features: the query has {query[-1]} and the value {value[-1]}")
        return query

    def attended(self, query: Shape, key: Shape) -> tuple[Shape, Shape, Shape]:
        return (query[0], self.num_query_heads), query[1:2], key[1:2]

    @property
    def head_sizes(self) -> tuple[int, int]:
        return self.head_dim, self.head_dim

    def projections(self, query: Shape, value: Shape, key: Shape) -> list[_Projection]:
        head, shared = (None, self.num_query_heads, self.head_dim), (None, self.num_key_value_heads, self.head_dim)
        gate = [_Projection("gate", "bqd,dhk->bqhk", "hk", query, head)] if self.use_gate else []
        return [_Projection("query", "bqd,dhk->bqhk", "hk", query, head),
                _Projection("key", "bqd,dhk->bqhk", "hk", key, shared), *gate,
                _Projection("value", "bqd,dhk->bqhk", "hk", value, shared),
                _Projection("attention_output", "bqhk,hkm->bqm", "m", (None, *head),
                            (None, fixed(query[-1], "features")))]

    def module(self, query: Shape, value: Any = None, key: Any = None) -> Any:
        key = key or value
        self._alike(query, value, key)
        if len(query) != 3:
            require_rank(query, 3, "(batch, steps, features)")
        features = [fixed(shape[-1], "features") for shape in (query, key, value)]
        return self._told(
            (features[0], features[1], features[2]), (self.num_query_heads, self.num_key_value_heads),
            (self.head_dim, self.head_dim), (features[0],), bias=self.use_bias, gated=self.use_gate,
            dropout=self.dropout, width=self.sliding_window)
