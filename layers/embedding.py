"""Tables that turn integers into vectors."""

from collections.abc import Mapping, Sequence
from typing import Any

from kerashape_torch import ops
from kerashape_torch.config import argument
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import Positive
from kerashape_torch.layer import Layer
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, standardize, to_text
from kerashape_torch.structure import flatten
from kerashape_torch.weights import Scales, WeightSpec, weight, with_lora


class Embedding(Layer):
    """Looks up a vector of ``output_dim`` numbers for each integer below ``input_dim``.

    ``input_dim`` is the size of the vocabulary, not an input shape; ``input_length``, as in Keras 2, is one.

    Input shape:  (batch, ...) of integers; floats are cut to integers, as in Keras
    Output shape: (batch, ..., output_dim)

    >>> Embedding(1000, 64).compute_output_shape((None, 10))
    (None, 10, 64)
    >>> Embedding(1000, 64, input_length=10).output_shape
    (None, 10, 64)
    """

    input_dim: Positive
    output_dim: Positive
    embeddings_initializer: InitializerLike = "uniform"
    embeddings_regularizer: RegularizerLike = None
    embeddings_constraint: ConstraintLike = None
    mask_zero: bool = False
    given_weights: Any = argument(alias="weights", default=None)
    lora_rank: int | None = None
    lora_alpha: int | None = None
    quantization_config: Any = None
    activity_regularizer: RegularizerLike = None
    input_length: Any = None

    takes_integers = True

    def __post_init__(self) -> None:
        self._start = _only_array(self.given_weights, (self.input_dim, self.output_dim))
        if self.lora_rank and self.embeddings_constraint is not None:
            raise ConfigError(f"{type(self).__name__}(lora_rank=...) cannot be had together with embeddings_constraint")
        if self.lora_rank and self.lora_alpha is None:
            self.lora_alpha = self.lora_rank
        self.__dict__["supports_masking"] = self.mask_zero

    def _declared_shape(self) -> Shape | None:
        given = super()._declared_shape()
        if given is not None or self.input_length is None:
            return given
        length = self.input_length if isinstance(self.input_length, (list, tuple)) else (self.input_length,)
        return (self.batch_size, *standardize(length, "input_length"))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        return ops.not_equal(inputs, 0) if self.mask_zero else None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.is_in_use and self.lora_rank:
            config["lora_alpha"] = self.lora_rank  # Keras forgets the alpha when it builds this layer, as in Dense
        for name in ("weights", "input_length", *(() if self.lora_rank else ("lora_rank", "lora_alpha"))):
            config.pop(name, None)  # values are not part of a config; the model writes the input shape
        return config

    def compute_output_shape(self, shape: Shape) -> Shape:
        return (*shape, self.output_dim)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        start = self.embeddings_initializer if self._start is None else self._start
        table = weight("embeddings", (self.input_dim, self.output_dim), start, at="weight",
                       regularizer=self.embeddings_regularizer, constraint=self.embeddings_constraint,
                       axes=("integers", "places of a vector"))
        table = table._replace(scales=Scales(over=(1,), order=(0,), along=1))
        return with_lora([table], self.lora_rank, self.lora_rank)

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.embedding import Embedding, LoraEmbedding

        if self.lora_rank:
            return LoraEmbedding(self.input_dim, self.output_dim, self.lora_rank)
        return Embedding(self.input_dim, self.output_dim)


def _only_array(weights: Any, shape: tuple[int, ...]) -> Any:
    """The table given as ``weights=``: an array, or a list that holds one."""
    if weights is None:
        return None
    array = weights[0] if isinstance(weights, (list, tuple)) and len(weights) == 1 else weights
    if not hasattr(array, "tolist") or not hasattr(array, "shape"):
        raise ConfigError(f"Embedding(weights=...) must be an array or a list with one, got {type(weights).__name__}")
    if tuple(array.shape) != shape:
        raise ConfigError(f"Embedding(weights=...) must have the shape {to_text(shape)}, (input_dim, output_dim), "
                          f"got {to_text(tuple(array.shape))}")
    return array


class ReversibleEmbedding(Embedding):
    """An embedding that also goes back: called with ``reverse=True`` it gives a score for each integer.

    Input shape:  (batch, ...) of integers; with ``reverse=True`` (batch, ..., output_dim)
    Output shape: (batch, ..., output_dim); with ``reverse=True`` (batch, ..., input_dim)

    >>> ReversibleEmbedding(1000, 64).compute_output_shape((None, 10))
    (None, 10, 64)
    >>> from kerashape_torch import Input
    >>> ReversibleEmbedding(1000, 64)(Input((10, 64)), reverse=True).shape
    (None, 10, 1000)
    """

    input_dim: Positive
    output_dim: Positive
    tie_weights: bool = True
    embeddings_initializer: InitializerLike = "uniform"
    embeddings_regularizer: RegularizerLike = None
    embeddings_constraint: ConstraintLike = None
    mask_zero: bool = False
    reverse_dtype: Any = None
    logit_soft_cap: Any = None
    call_arguments = ("inputs", "reverse")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lora_rank and not self.tie_weights:
            raise ConfigError("ReversibleEmbedding(lora_rank=...) cannot be had together with tie_weights=False")

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if not self.bind(args, kwargs).get("reverse"):
            return super().outputs_for(specs, args, kwargs)
        shape = flatten(specs)[0].shape
        if shape[-1:] != (self.output_dim,):
            raise ShapeError(f"reverse: the last axis must be output_dim={self.output_dim}, in {to_text(shape)}")
        return TensorSpec((*shape[:-1], self.input_dim), self.compute_dtype)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        tables = super().weight_specs(shape)
        if not self.tie_weights:
            back = weight("reverse_embeddings", (self.output_dim, self.input_dim), self.embeddings_initializer,
                          at="reverse_weight", axes=("places of a vector", "integers"))
            tables.append(back._replace(scales=Scales(over=(0,), order=(1,), packed=0)))
        return tables

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.embedding import ReversibleEmbedding

        return ReversibleEmbedding(self.input_dim, self.output_dim, self.tie_weights, self.logit_soft_cap,
                                   self.reverse_dtype, self.lora_rank or 0)
