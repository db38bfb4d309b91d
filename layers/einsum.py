"""A dense layer over any axes, said by an einsum equation."""

import re
from typing import Annotated, Any, NamedTuple

from kerashape_torch import initializers
from kerashape_torch.activations import Activation as ActivationLike
from kerashape_torch.config import argument
from kerashape_torch.constraints import ConstraintLike
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.initializers import InitializerLike
from kerashape_torch.kinds import Kind
from kerashape_torch.layer import Layer
from kerashape_torch.regularizers import RegularizerLike
from kerashape_torch.shape import Shape, Size, elements, fixed, standardize, to_text
from kerashape_torch.weights import Scales, WeightSpec, weight, with_lora

_FORMS = {
    "none": re.compile("([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)"),
    "left": re.compile(r"\.\.\.([a-zA-Z]+),([a-zA-Z]+)->\.\.\.([a-zA-Z]+)"),
    "right": re.compile(r"([a-zA-Z]{2,})\.\.\.,([a-zA-Z]+)->([a-zA-Z]+)\.\.\."),
}


class Fitted(NamedTuple):
    """What an equation says of an input shape."""

    kernel: tuple[int, ...]
    bias: tuple[int, ...] | None
    output: Shape
    kernel_axes: tuple[str, ...]


class Equation(NamedTuple):
    """An einsum equation of an input and a kernel, by its letters.

    Attributes:
        inputs, kernel, output: the letters of each.
        ellipsis: where the axes without letters are: ``"none"``, ``"left"`` or ``"right"``.
        bias: the letters that the bias has, or None.
    """

    inputs: str
    kernel: str
    output: str
    ellipsis: str
    bias: str | None

    @classmethod
    def read(cls, equation: str, bias_axes: str | None) -> "Equation":
        """The parts of an equation.

        >>> Equation.read("...x,xy->...y", "y").kernel
        'xy'
        """
        where = f"EinsumDense(equation={equation!r})"
        found = [(name, match) for name, form in _FORMS.items() if (match := form.fullmatch(equation))]
        if not found:
            raise ConfigError(f"{where} must read 'ab,bc->ac', '...b,bc->...c' or 'ab...,bc->ac...'")
        ellipsis, match = found[0]
        parts = cls(match[1], match[2], match[3], ellipsis, bias_axes)
        for letter in parts.output:
            if letter not in parts.inputs + parts.kernel:
                raise ConfigError(f"{where}: {letter!r} of the output is neither in the input nor in the kernel")
        for letter in parts.kernel:
            if letter not in parts.inputs + parts.output:
                raise ConfigError(f"{where}: {letter!r} of the kernel is neither in the input nor in the output, "
                                  "so its size is not known")
        for letter in bias_axes or "":
            if letter not in parts.output:
                raise ConfigError(f"EinsumDense(bias_axes={bias_axes!r}): {letter!r} is not in the output "
                                  f"{parts.output!r}")
        return parts

    @property
    def summed(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The kernel's axes that are summed over, and those that the output has: its inputs and its outputs."""
        axes = range(len(self.kernel))
        return (tuple(i for i in axes if self.kernel[i] not in self.output),
                tuple(i for i in axes if self.kernel[i] in self.output))

    def without_letters(self, shape: Shape) -> int:
        """How many axes of an input have no letter."""
        elided = len(shape) - len(self.inputs)
        if elided < 0:
            raise ShapeError(f"the equation names {len(self.inputs)} axes, {self.inputs!r}, got rank {len(shape)}")
        return elided

    def fit(self, shape: Shape, given: Shape) -> Fitted:
        """Sizes for an input shape, where ``given`` are the output's sizes without the batch."""
        elided = self.without_letters(shape)
        if self.ellipsis == "left":
            full = (*shape[:max(elided, 1)], *given)
            offset = elided
        else:
            full = (*shape[:1], *given, *shape[len(shape) - elided:])
            offset = 0
        if len(full) < offset + len(self.output):
            raise ShapeError(f"output_shape={given} has no size for {self.output[len(full) - offset]!r} "
                             f"of the output {self.output!r}")
        inputs = dict(zip(self.inputs, shape[elided if self.ellipsis == "left" else 0:]))
        outputs = dict(zip(self.output, full[offset:]))
        self._check_shared(inputs, outputs)
        sizes = {**inputs, **outputs}
        kernel = tuple(fixed(sizes[letter], f"axis {letter!r}") for letter in self.kernel)
        axes = tuple(f"places along {letter}" for letter in self.kernel)
        return Fitted(kernel, self._bias(outputs, elided), self._output(shape, full, outputs, elided), axes)

    def _check_shared(self, inputs: dict[str, Size], outputs: dict[str, Size]) -> None:
        for letter, size in inputs.items():
            if outputs.get(letter) not in (None, size):
                raise ShapeError(f"axis {letter!r}: the input has {size}, and output_shape says {outputs[letter]}")

    def _bias(self, outputs: dict[str, Size], elided: int) -> tuple[int, ...] | None:
        if self.bias is None:
            return None
        first = min((self.output.find(letter) for letter in self.bias), default=0)
        sizes = tuple(fixed(outputs[letter], f"axis {letter!r}") if letter in self.bias else 1
                      for letter in self.output[first:])
        return sizes if self.ellipsis == "left" else (*sizes, *(1,) * elided)

    def _output(self, shape: Shape, full: Shape, outputs: dict[str, Size], elided: int) -> Shape:
        named = tuple(outputs[letter] for letter in self.output)
        if self.ellipsis == "left":
            return (*shape[:elided], *named)
        if self.ellipsis == "right":
            return (*named, *shape[len(shape) - elided:])
        return named if not elided else full


class _OutputSizes(Kind):
    """The output's sizes without its batch; one number for one axis."""

    def read(self, value: Any, where: str) -> Any:
        standardize((value,) if isinstance(value, int) else value, where)
        return tuple(value) if isinstance(value, list) else value

    def write(self, value: Any, record: Any) -> Any:
        return (value,) if isinstance(value, int) else tuple(value)


class EinsumDense(Layer):
    """A dense layer over the axes that an einsum equation names: ``activation(einsum(equation, x, kernel) + bias)``.

    ``output_shape`` are the sizes of the output's axes after the batch; with ``...`` on the left, of its letters.

    Input shape:  as the equation names its axes; ``...`` is any number of axes
    Output shape: as the equation names them; a None in ``output_shape`` stays None

    Keras' shape rule puts several axes under a left ``...`` in reverse order, and counts ``output_shape`` entries that
    have no letter. The shape here is that of the tensor that comes out. An equation without ``...`` and a longer input
    pass Keras' rule and fail in its computation; here compiling is refused.

    >>> EinsumDense("abc,cd->abd", output_shape=(None, 64), bias_axes="d").compute_output_shape((None, 32, 128))
    (None, None, 64)
    >>> EinsumDense("...x,xy->...y", output_shape=64).compute_output_shape((None, 8, 32, 128))
    (None, 8, 32, 64)
    """

    equation: str
    given_output_shape: Annotated[Any, _OutputSizes()] = argument(alias="output_shape")
    activation: ActivationLike = None
    bias_axes: str | None = None
    kernel_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    kernel_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None
    lora_rank: int | None = None
    lora_alpha: int | None = None
    gptq_unpacked_column_size: int | None = None
    quantization_config: Any = None
    activity_regularizer: RegularizerLike = None
    written_only_if_given = ("lora_rank", "lora_alpha", "gptq_unpacked_column_size")

    def __post_init__(self) -> None:
        self.parts = Equation.read(self.equation, self.bias_axes)
        self.lora_alpha = (self.lora_alpha or self.lora_rank) if self.lora_rank else None

    def fit(self, shape: Shape) -> Fitted:
        """What the equation says of an input shape."""
        given = self.given_output_shape
        return self.parts.fit(shape, standardize((given,) if isinstance(given, int) else given))

    def compute_output_shape(self, shape: Shape) -> Shape:
        return self.fit(shape).output

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        return kernel_specs(self, self.parts, self.fit(shape), "i o -> o i" if self._is_linear() else None)

    def _is_linear(self) -> bool:
        """Whether the equation weighs the last axis alone, as ``nn.Linear`` does."""
        left, kernel, right, _, bias = self.parts
        return (not self.lora_rank and len(kernel) == 2 and (left[-1:], right[-1:]) == (kernel[0], kernel[1])
                and left[:-1] == right[:-1] and kernel[1] not in left and self.parts.ellipsis != "right"
                and bias in (None, kernel[1]))

    def flops(self, shape: Shape) -> int:
        letters = zip(self.parts.kernel, self.fit(shape).kernel)
        return 2 * elements((*shape, *(size for letter, size in letters if letter not in self.parts.inputs)))

    def module(self, shape: Shape) -> Any:
        from torch import nn

        from kerashape_torch.torch_modules.einsum import Einsum

        if self.parts.ellipsis == "none" and self.parts.without_letters(shape):
            raise ShapeError(f"the equation names {len(self.parts.inputs)} axes, got rank {len(shape)}",
                             hint="'...' in the equation stands for any number of axes"
                             ).at(self.describe(), to_text(shape))
        kernel, bias, _, _ = self.fit(shape)
        if self._is_linear():
            return nn.Linear(kernel[0], kernel[1], bias=bias is not None)
        scale = (self.lora_alpha or 0) / self.lora_rank if self.lora_rank else 0.0
        return Einsum(self.equation, kernel, bias, self.lora_rank or 0, scale)


def kernel_specs(layer: EinsumDense, parts: Equation, fitted: Fitted, pattern: str | None) -> list[WeightSpec]:
    """The kernel and bias of an equation, with what the layer's arguments say of them."""
    kernel = weight("kernel", fitted.kernel, for_axes(layer.kernel_initializer, parts), at="weight",
                    pattern=pattern, regularizer=layer.kernel_regularizer, constraint=layer.kernel_constraint,
                    axes=fitted.kernel_axes)
    specs = [kernel._replace(scales=scales_of(parts, fitted))]
    if fitted.bias is not None:
        specs.append(weight("bias", fitted.bias, layer.bias_initializer, regularizer=layer.bias_regularizer,
                            constraint=layer.bias_constraint,
                            axes=tuple(f"places along {letter}" for letter in parts.bias or "")))
    return with_lora(specs, layer.lora_rank, layer.lora_alpha)


def scales_of(parts: Equation, fitted: Fitted) -> Scales:
    """How Keras quantizes the kernel: the scales of int8 have the axes of the output."""
    elided = (None,) * (len(fitted.output) - len(parts.output) if parts.ellipsis != "none" else 0)
    letters = tuple(parts.kernel.index(letter) if letter in parts.kernel else None for letter in parts.output)
    return Scales(parts.summed[0], (*elided, *letters) if parts.ellipsis == "left" else (*letters, *elided))


def for_axes(initializer: Any, parts: Equation) -> Any:
    """The initializer that counts a kernel's inputs and outputs by the equation, where it counts them at all."""
    made = initializers.get(initializer)
    if not hasattr(made, "input_axes") or (made.input_axes is not None and made.output_axes is not None):
        return initializer
    inputs, outputs = parts.summed
    return made.copy(input_axes=inputs, output_axes=outputs)
