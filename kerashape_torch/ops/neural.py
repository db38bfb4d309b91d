"""Ops of neural networks: convolutions, pooling, normalization, attention and losses."""

from collections.abc import Mapping
from typing import Annotated, Any

from kerashape_torch.kinds import Choice, DataFormat, Positive, per_axis
from kerashape_torch.ops import neural_rules as rules
from kerashape_torch.ops.operation import Off, Recipe, TorchFunction, as_tuple, op, own, stock

SoftCap = Annotated[float | None, Off("is for TPUs, as in Keras")]
Padding = Annotated[str, Choice("valid", "same")]

# ---- windows that slide ----------------------------------------------------------------------------------------------


def _pools(names: Mapping[str, tuple[str, str]]) -> None:
    def recipe_of(kind: str) -> Recipe:
        def recipe(inputs: Any, /, pool_size: Any, strides: Any = None, padding: Padding = "valid",
                   data_format: DataFormat = None) -> TorchFunction:
            rank = inputs.ndim - 2
            window = per_axis(pool_size, rank)
            return own("neural.pool", kind=kind, window=window, padding=padding, last=data_format != "channels_first",
                       stride=window if strides is None else per_axis(strides, rank))

        return recipe

    for name, (kind, what) in names.items():
        op("nn", rules.pooled, name=name, doc=f"{what} in each place of a window that slides.")(recipe_of(kind))


_pools({"max_pool": ("max", "The largest element"),
        "average_pool": ("average", "The mean of the real elements, not of those that ``same`` adds,")})


def _adaptive_pools(names: Mapping[str, str]) -> None:
    def recipe_of(kind: str) -> Recipe:
        def recipe(inputs: Any, /, output_size: Any, data_format: DataFormat = None) -> TorchFunction:
            return own("neural.adaptive_pool", kind=kind, size=per_axis(output_size, inputs.ndim - 2),
                       last=data_format != "channels_first")

        return recipe

    for name, kind in names.items():
        doc = f"``keras.ops.{name}`` to a given size. (Keras' rule for channels last has an axis too many.)"
        op("nn", rules.adapted, name=name, doc=doc)(recipe_of(kind))


_adaptive_pools({"adaptive_max_pool": "max", "adaptive_average_pool": "avg"})


def _windows(inputs: Any, strides: Any, padding: str, data_format: Any, dilation_rate: Any) -> dict[str, Any]:
    rank = inputs.ndim - 2
    return {"stride": per_axis(strides, rank), "dilation": per_axis(dilation_rate, rank), "padding": padding,
            "last": data_format != "channels_first"}


@op("nn", rules.convolved)
def conv(inputs: Any, kernel: Any, /, strides: Any = 1, padding: Padding = "valid", data_format: DataFormat = None,
         dilation_rate: Any = 1) -> TorchFunction:
    """A convolution with a kernel (window..., channels, filters)."""
    return own("neural.conv", **_windows(inputs, strides, padding, data_format, dilation_rate))


@op("nn", rules.convolved_depthwise)
def depthwise_conv(inputs: Any, kernel: Any, /, strides: Any = 1, padding: Padding = "valid",
                   data_format: DataFormat = None, dilation_rate: Any = 1) -> TorchFunction:
    """A convolution of each channel by itself, with a kernel (window..., channels, filters for each)."""
    return own("neural.depthwise_conv", **_windows(inputs, strides, padding, data_format, dilation_rate))


@op("nn", rules.convolved_separably)
def separable_conv(inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any, /, strides: Any = 1,
                   padding: Padding = "valid", data_format: DataFormat = None, dilation_rate: Any = 1) -> TorchFunction:
    """A convolution of each channel by itself, then one across the channels."""
    return own("neural.separable_conv", **_windows(inputs, strides, padding, data_format, dilation_rate))


@op("nn", rules.convolved_back)
def conv_transpose(inputs: Any, kernel: Any, /, strides: Any = 1, padding: Padding = "valid",
                   output_padding: Any = None, data_format: DataFormat = None, dilation_rate: Any = 1) -> TorchFunction:
    """A transposed convolution with a kernel (window..., filters, channels)."""
    rank = inputs.ndim - 2
    return own("neural.conv_transpose", output_padding=per_axis(output_padding, rank),
               **_windows(inputs, strides, padding, data_format, dilation_rate))


@op("nn", rules.unfolded)
def unfold(x: Any, /, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> TorchFunction:
    """The elements of each place of a window, as columns."""
    return stock("nn.functional.unfold", kernel_size=as_tuple(kernel_size), dilation=as_tuple(dilation),
                 padding=as_tuple(padding), stride=as_tuple(stride))


@op("nn", rules.folded)
def fold(x: Any, /, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
         stride: Any = 1) -> TorchFunction:
    """Columns laid back where :func:`unfold` took them, added up where they meet."""
    return stock("nn.functional.fold", output_size=as_tuple(output_size), kernel_size=as_tuple(kernel_size),
                 dilation=as_tuple(dilation), padding=as_tuple(padding), stride=as_tuple(stride))


@op("nn", rules.depth_to_space)
def depth_to_space(x: Any, /, block_size: int, data_format: DataFormat = "channels_last") -> TorchFunction:
    """Channels laid out as blocks of pixels, in the order of TensorFlow."""
    return own("neural.depth_to_space", block=block_size, last=data_format != "channels_first")


@op("nn", rules.space_to_depth)
def space_to_depth(x: Any, /, block_size: int, data_format: DataFormat = "channels_last") -> TorchFunction:
    """Blocks of pixels as channels."""
    return own("neural.space_to_depth", block=block_size, last=data_format != "channels_first")


# ---- normalization ---------------------------------------------------------------------------------------------------


@op("nn", rules.batch_normalized, operands=("offset", "scale"), class_name="BatchNorm")
def batch_normalization(x: Any, mean: Any, variance: Any, /, axis: int, offset: Any = None, scale: Any = None,
                        epsilon: float = 1e-3) -> TorchFunction:
    """``x`` less the mean over the deviation, scaled and moved; a row for each along one axis."""
    return own("neural.batch_normalization", axis=axis, epsilon=epsilon)


@op("nn", rules.kept, class_name="LayerNorm")
def layer_normalization(x: Any, gamma: Any = None, beta: Any = None, /, axis: Any = -1, epsilon: Any = None,
                        rms_scaling: bool = False) -> TorchFunction:
    """``x`` with mean 0 and deviation 1 along some axes, scaled and moved."""
    return own("neural.layer_normalization", axes=_axes(axis), epsilon=_epsilon(epsilon), rms_scaling=rms_scaling)


@op("nn", rules.kept, named=("scale",), class_name="RMSNorm")
def rms_normalization(x: Any, /, scale: Any = None, axis: Any = -1, epsilon: Any = None) -> TorchFunction:
    """``x`` over its root mean square along some axes, scaled."""
    return own("neural.rms_normalization", axes=_axes(axis), epsilon=_epsilon(epsilon))


@op("nn", rules.normalized, casts=True)
def normalize(x: Any, /, axis: Any = -1, order: Positive = 2, epsilon: Any = None) -> TorchFunction:
    """``x`` over its norm along some axes."""
    return own("neural.normalize", axes=None if axis is None else _axes(axis), order=order, epsilon=_epsilon(epsilon))


def _axes(axis: Any) -> tuple[int, ...]:
    return (axis,) if isinstance(axis, int) else tuple(axis)


def _epsilon(epsilon: Any) -> float:
    return 1e-7 if epsilon is None else epsilon


# ---- attention and losses --------------------------------------------------------------------------------------------


@op("nn", rules.attended, named=("bias", "mask", "scale"))
def dot_product_attention(query: Any, key: Any, value: Any, /, bias: Any = None, mask: Any = None, scale: Any = None,
                          is_causal: bool = False, flash_attention: Any = None,
                          attn_logits_soft_cap: SoftCap = None) -> TorchFunction:
    """Attention over tensors (batch, length, heads, size). (Keras' rule says the size of the query, for that of the
    value.)"""
    return own("neural.dot_product_attention", is_causal=is_causal)


@op("nn", rules.compared_alike)
def binary_crossentropy(target: Any, output: Any, /, from_logits: bool = False) -> TorchFunction:
    """The cross entropy of each element by itself."""
    return own("neural.binary_crossentropy", from_logits=from_logits)


@op("nn", rules.categories)
def categorical_crossentropy(target: Any, output: Any, /, from_logits: bool = False, axis: int = -1) -> TorchFunction:
    """The cross entropy of probabilities along one axis. (Keras' rule drops the last axis, whatever ``axis`` is.)"""
    return own("neural.categorical_crossentropy", from_logits=from_logits, dim=axis)


@op("nn", rules.sparse_categories)
def sparse_categorical_crossentropy(target: Any, output: Any, /, from_logits: bool = False,
                                    axis: int = -1) -> TorchFunction:
    """The cross entropy of the class numbers in ``target``."""
    return own("neural.sparse_categorical_crossentropy", from_logits=from_logits, dim=axis)


@op("nn", rules.ctc_loss, class_name="CTCLoss")
def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, /, mask_index: int = 0) -> TorchFunction:
    """The CTC loss of each sequence."""
    return own("neural.ctc_loss", blank=mask_index)


@op("nn", rules.ctc_decoded, class_name="CTCDecode")
def ctc_decode(inputs: Any, sequence_lengths: Any, /, strategy: str = "greedy", beam_width: int = 100,
               top_paths: int = 1, merge_repeated: bool = True, mask_index: int = 0) -> TorchFunction:
    """The likeliest labels of each step, without repetitions and blanks, filled with -1; and minus their sum."""
    return own("neural.ctc_decode", merge_repeated=merge_repeated, blank=mask_index)


@op("nn", rules.psnr, class_name="PSNR")
def psnr(x1: Any, x2: Any, /, max_val: float) -> TorchFunction:
    """The peak signal-to-noise ratio of two tensors, in decibels."""
    return own("neural.psnr", max_val=max_val)
