"""Functions of windows that slide: pools, convolutions, blocks of pixels."""

from __future__ import annotations

from typing import Any

from kerashape_torch.saving.upgrade.expressions import Key, Op, Slice
from kerashape_torch.saving.upgrade.sizes import Shapes, Size
from kerashape_torch.saving.upgrade.tensorflow.table import (
    FUNCTIONS,
    Function,
    Untranslated,
    fixed,
    tf,
    word,
)

_FORMATS: dict[Any, str] = {None: "channels_last", **dict.fromkeys(("NHWC", "NWC", "NDHWC"), "channels_last"),
                            **dict.fromkeys(("NCHW", "NCW", "NCDHW"), "channels_first")}


def _format(data_format: Any) -> str:
    return str(word(data_format, "data_format", _FORMATS))


def padding_of(padding: Any) -> str:
    return str(word(padding if isinstance(padding, str) else str(padding), "padding",
                     {"SAME": "same", "VALID": "valid"}))


def spatial(sizes: Any, data_format: Any, rank: int | None) -> Any:
    """Sizes of windows, which TensorFlow may give for all four axes, for the spatial ones alone, or as one number."""
    if not isinstance(fixed(sizes, "a size of a window"), list):
        return sizes
    if rank is not None and len(sizes) == rank + 2:
        inner = slice(2, None) if _format(data_format) == "channels_first" else slice(1, -1)
        if sum(sizes) - sum(sizes[inner]) != 2:
            raise Untranslated(f"windows over {sizes} go along the batch or the channels")
        sizes = sizes[inner]
    return sizes[0] if len(sizes) == 1 else sizes


def _pool(op: str, rank: int | None) -> Function:
    def function(input: Any = None, ksize: Any = None, strides: Any = None, padding: Any = "VALID",
                 data_format: Any = None, value: Any = None) -> Any:
        axes = rank if rank is not None else len(ksize) - 2 if isinstance(ksize, list) and len(ksize) > 2 else None
        return Op(op, input if input is not None else value, pool_size=spatial(ksize, data_format, axes),
                  strides=spatial(strides, data_format, axes), padding=padding_of(padding),
                  data_format=_format(data_format))

    return function


for _name, _rank in (("", None), ("1d", 1), ("2d", 2), ("3d", 3)):
    FUNCTIONS[f"nn.max_pool{_name}"] = _pool("MaxPool", _rank)
    FUNCTIONS[f"nn.avg_pool{_name}"] = _pool("AveragePool", _rank)


def _conv(op: str, rank: int | None) -> Function:
    def function(input: Any = None, filters: Any = None, strides: Any = 1, padding: Any = "VALID",
                 data_format: Any = None, dilations: Any = None, stride: Any = None, filter: Any = None,
                 value: Any = None, use_cudnn_on_gpu: Any = None, rate: Any = None,
                 explicit_paddings: Any = None) -> Any:
        dilations = dilations if dilations is not None else rate
        image = input if input is not None else value
        if padding == "EXPLICIT":
            padding = [explicit_paddings[i:i + 2] for i in range(0, len(explicit_paddings), 2)]
        if isinstance(padding, list):
            image, padding = Op("Pad", image, pad_width=fixed(padding, "padding")), "VALID"
        return Op(op, image, filters if filters is not None else filter,
                  strides=spatial(1 if strides is None else stride or strides, data_format, rank),
                  padding=padding_of(padding), data_format=_format(data_format),
                  dilation_rate=spatial(dilations or 1, data_format, rank))

    return function


FUNCTIONS.update({"nn.conv1d": _conv("Conv", 1), "nn.conv2d": _conv("Conv", 2), "nn.conv3d": _conv("Conv", 3),
                   "nn.convolution": _conv("Conv", None), "nn.depthwise_conv2d": _conv("DepthwiseConv", 2)})


@tf("nn.bias_add")
def _bias_add(value: Any, bias: Any, data_format: Any = None, *, shapes: Shapes) -> Any:
    if _format(data_format) == "channels_first":
        rank = len(shapes.of(value))
        if rank < 3:
            raise Untranslated("a bias for channels in front of axes that are not known")
        bias = Op("Reshape", bias, newshape=[-1, *[1] * (rank - 2)])
    return Op("Add", value, bias)


@tf("nn.batch_normalization")
def _batch_normalization(x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: Any) -> Any:
    inverse = Op("Rsqrt", Op("Add", variance, variance_epsilon))
    inverse = inverse if scale is None else Op("Multiply", inverse, scale)
    centred = Op("Multiply", Op("Subtract", x, mean), inverse)
    return centred if offset is None else Op("Add", centred, offset)


@tf("nn.lrn", "nn.local_response_normalization")
def _local_response_normalization(input: Any, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0,
                                  beta: float = 0.5) -> Any:
    """The sum over a window along the channels is their number times its mean, once there are zeros at both ends."""
    window = 2 * depth_radius + 1
    pads = [[0, 0], [0, 0], [0, 0], [depth_radius, depth_radius]]
    squares = Op("ExpandDims", Op("Pad", Op("Square", input), pad_width=pads), axis=-1)
    means = Op("AveragePool", squares, pool_size=[1, 1, window], strides=1, data_format="channels_last")
    total = Op("Multiply", Op("Squeeze", means, axis=-1), alpha * window)
    return Op("TrueDivide", input, Op("Power", Op("Add", total, bias), beta))


def _blocks(op: str) -> Function:
    """Channels in front are in the order of channels last, too, which is not that of Keras' op."""
    def function(input: Any, block_size: int, data_format: Any = "NHWC") -> Any:
        if _format(data_format) == "channels_last":
            return Op(op, input, block_size=block_size, data_format="channels_last")
        last = function(Op("Moveaxis", input, source=1, destination=-1), block_size)
        return Op("Moveaxis", last, source=-1, destination=1)

    return function


FUNCTIONS.update({"nn.depth_to_space": _blocks("DepthToSpace"), "nn.space_to_depth": _blocks("SpaceToDepth")})


@tf("nn.pool")
def _any_pool(input: Any, window_shape: Any, pooling_type: Any, strides: Any = None, padding: Any = "VALID",
              data_format: Any = None, dilations: Any = None, dilation_rate: Any = None) -> Any:
    if set(_each_axis(dilations or dilation_rate or 1, len(window_shape))) != {1}:
        raise Untranslated("windows with holes are not had")
    op = word(pooling_type, "pooling_type", {"AVG": "AveragePool", "MAX": "MaxPool"})
    return Op(op, input, pool_size=fixed(window_shape, "window_shape"), padding=padding_of(padding),
              strides=strides or [1] * len(window_shape), data_format=_format(data_format))


def _each_axis(sizes: Any, rank: int) -> list[Any]:
    return list(sizes) if isinstance(sizes, list) else [sizes] * rank


@tf("nn.separable_conv2d")
def _separable_conv(input: Any, depthwise_filter: Any, pointwise_filter: Any, strides: Any, padding: Any,
                    data_format: Any = None, dilations: Any = None, rate: Any = None) -> Any:
    return Op("SeparableConv", input, depthwise_filter, pointwise_filter, strides=spatial(strides, data_format, 2),
              padding=padding_of(padding), data_format=_format(data_format),
              dilation_rate=spatial(dilations or rate or 1, data_format, 2))


# ---- transposed convolutions -----------------------------------------------------------------------------------------


def _transposed(rank: int | None) -> Function:
    def function(input: Any = None, filters: Any = None, output_shape: Any = None, strides: Any = None,
                 padding: Any = "SAME", data_format: Any = None, dilations: Any = None, value: Any = None,
                 filter: Any = None, explicit_paddings: Any = None, *, shapes: Shapes) -> Any:
        image, kernel = (input if input is not None else value), (filters if filters is not None else filter)
        last = _format(data_format) == "channels_last"
        shape, window = shapes.of(image), shapes.of(kernel)
        axes = rank if rank is not None else len(window) - 2
        if _each_axis(spatial(dilations or 1, data_format, axes), axes) != [1] * axes:
            raise Untranslated("windows with holes are not had")
        places = slice(1, -1) if last else slice(2, None)
        wanted = [*output_shape][places] if len(output_shape) == axes + 2 else list(output_shape)
        steps = _each_axis(spatial(strides, data_format, axes), axes)
        format_ = {"strides": steps, "data_format": _format(data_format)}
        if padding_of(padding) == "same" and shape and _are_multiples(wanted, image, shape, places, steps):
            return Op("ConvTranspose", image, kernel, padding="same", **format_)
        if not shape or not window or not all(isinstance(size, int) for size in (*wanted, *shape[places])):
            raise Untranslated("a size of its output or input is not known before there are tensors",
                               "settle the size in the input shape, or call Conv2DTranspose in its place")
        whole = Op("ConvTranspose", image, kernel, padding="valid", **format_)
        return _cut_back(whole, shape[places], window[:axes], steps, wanted, padded=padding_of(padding) == "same",
                         last=last)

    return function


def _are_multiples(wanted: list[Any], image: Any, shape: Any, places: slice, steps: list[int]) -> bool:
    """Whether sizes are those of an image times the strides, also where they are open."""
    return all(size.is_multiple_of(image, axis) == step if isinstance(size, Size) else size == (shape[axis] or 0) * step
               for axis, size, step in zip([*range(len(shape))][places], wanted, steps))


def _cut_back(x: Op, sizes: Any, window: Any, steps: list[int], wanted: list[int], padded: bool, last: bool) -> Op:
    """TensorFlow's ends of a transposed convolution: those that the convolution of ``wanted`` would pad, are cut."""
    pads: list[list[int]] = []
    parts: list[Any] = []
    for size, width, step, end in zip(sizes, window, steps, wanted):
        reached = (size - 1) * step + width
        start = max(reached - end, 0) // 2 if padded else 0
        pads.append([0, max(0, start + end - reached - max(step - width, 0))])
        parts.append(Slice(start, start + end, None))
    whole, channels = Slice(None, None, None), [[0, 0]]
    if any(end for _, end in pads):
        x = Op("Pad", x, pad_width=[[0, 0], *pads, *channels] if last else [[0, 0], *channels, *pads])
    return Op("GetItem", x, Key([whole, *parts, whole] if last else [whole, whole, *parts]))


for _name, _rank in (("", None), ("1d", 1), ("2d", 2), ("3d", 3)):
    tf(f"nn.conv{_name}_transpose", takes_sizes=True)(_transposed(_rank))


# ---- blocks in the batch ---------------------------------------------------------------------------------------------


@tf("space_to_batch_nd", "space_to_batch")
def _space_to_batch(input: Any, block_shape: Any, paddings: Any, *, shapes: Shapes) -> Any:
    """Every pixel of a block goes to an image of its own; those in the corner come first."""
    blocks, shape = _blocks_of(block_shape, shapes.of(input))
    n = len(blocks)
    ends = fixed(paddings, "paddings")
    sizes = [shape[1 + i] + sum(ends[i]) for i in range(n)]
    if any(size % block for size, block in zip(sizes, blocks)):
        raise Untranslated(f"an image of {sizes} is not made of blocks of {blocks}")
    rest = shape[1 + n:]
    if any(sum(pair) for pair in ends):
        input = Op("Pad", input, pad_width=[[0, 0], *ends, *[[0, 0]] * len(rest)])
    cut = [size for whole, block in zip(sizes, blocks) for size in (whole // block, block)]
    apart = Op("Reshape", input, newshape=[-1, *cut, *rest])
    order = [*range(2, 2 * n + 1, 2), 0, *range(1, 2 * n + 1, 2), *range(2 * n + 1, 2 * n + 1 + len(rest))]
    return Op("Reshape", Op("Transpose", apart, axes=order),
              newshape=[-1, *(size // block for size, block in zip(sizes, blocks)), *rest])


@tf("batch_to_space_nd", "batch_to_space")
def _batch_to_space(input: Any, block_shape: Any, crops: Any, *, shapes: Shapes) -> Any:
    blocks, shape = _blocks_of(block_shape, shapes.of(input))
    n, rest = len(blocks), shape[1 + len(blocks):]
    apart = Op("Reshape", input, newshape=[*blocks, -1, *shape[1:]])
    order = [n, *(axis for i in range(n) for axis in (n + 1 + i, i)), *range(2 * n + 1, 2 * n + 1 + len(rest))]
    whole = Op("Reshape", Op("Transpose", apart, axes=order),
               newshape=[-1, *(size * block for size, block in zip(shape[1:], blocks)), *rest])
    ends = fixed(crops, "crops")
    if not any(sum(pair) for pair in ends):
        return whole
    return Op("GetItem", whole, Key([Slice(None, None, None), *(Slice(start, -end or None, None)
                                                                for start, end in ends)]))


def _blocks_of(block_shape: Any, shape: Any) -> tuple[list[int], Any]:
    blocks = fixed(block_shape, "block_shape")
    blocks = blocks if isinstance(blocks, list) else [blocks, blocks]
    if not shape or None in shape[1:]:
        raise Untranslated("it moves pixels between the batch and axes whose sizes are not known before there are "
                           "tensors", "settle the image size in the input shape")
    return blocks, shape
