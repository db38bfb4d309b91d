"""Layers that everything else is built of: dense ones, embeddings, activations as layers, and user functions."""

from typing import Any

from kerashape_torch.activations import Activation as ActivationLike
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import Positive
from kerashape_torch.layer import ANY, Layer
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, fixed, require_min_rank
from kerashape_torch.weights import Scales, WeightSpec, kernel_and_bias, with_lora

_SCALES = Scales(over=(0,), order=(1,))


class Dense(Layer):
    """Weighs the last axis: ``activation(inputs @ kernel + bias)``.

    Input shape:  (batch, ..., features)
    Output shape: (batch, ..., units)

    With ``lora_rank`` the kernel is frozen and the product of two narrow ones is added to it. Keras forgets
    ``lora_alpha`` when it builds this layer, so it changes no number here either.

    >>> Dense(units=4, input_shape=(3,)).output_shape
    (None, 4)
    >>> Dense(15).compute_output_shape((None, 5, 3))
    (None, 5, 15)
    """

    units: Positive
    activation: ActivationLike = None
    use_bias: bool = True
    kernel_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None
    kernel_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None
    lora_rank: int | None = None
    lora_alpha: int | None = None
    quantization_config: Any = None
    supports_masking = True
    written_only_if_given = ("activity_regularizer", "lora_rank", "lora_alpha")

    def __post_init__(self) -> None:
        self.lora_alpha = (self.lora_alpha or self.lora_rank) if self.lora_rank else None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **({"lora_alpha": self.lora_rank} if self.lora_rank and self.is_in_use else {})}

    def compute_output_shape(self, shape: Shape) -> Shape:
        require_min_rank(shape, 2, "(batch, ..., features)")
        return (*shape[:-1], self.units)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        specs = kernel_and_bias(self, (fixed(shape[-1], "features"), self.units), pattern="i o -> o i",
                                axes=("input features", "units"), scales=_SCALES)
        return with_lora(specs, self.lora_rank, self.lora_rank)

    def module(self, shape: Shape) -> Any:
        from torch import nn

        features = fixed(shape[-1], "features")
        if self.lora_rank:
            from kerashape_torch.torch_modules.lora import LoraLinear

            return LoraLinear(features, self.units, self.use_bias, self.lora_rank)
        return nn.Linear(features, self.units, bias=self.use_bias)


class Activation(Layer):
    """Applies an activation function by name.

    Input shape:  any
    Output shape: the same; ``"glu"`` leaves half of the last axis, where Keras' shape rule says that it stays

    >>> Activation("relu").compute_output_shape((None, 32))
    (None, 32)
    """

    built_when_made = True
    activation: ActivationLike
    supports_masking = True
    takes_integers = True  # as its function does

    def compute_output_shape(self, shape: Shape) -> Shape:
        return shape

    def layout(self, shape: Shape) -> str:
        return ANY

    def module(self, shape: Shape) -> Any:
        from torch import nn

        return nn.Identity()  # lowering appends the activation, as it does for every layer that has one


class Identity(Layer):
    """Gives back what it gets.

    Input shape:  any
    Output shape: the same
    """

    built_when_made = True
    keeps_dtype = True
    supports_masking = True

    def layout(self, shape: Shape) -> str:
        return ANY

    def module(self, shape: Shape) -> Any:
        from torch import nn

        return nn.Identity()
