"""Shapes and dtypes of the ops of neural networks, without torch."""

from __future__ import annotations

from typing import Any

from kerashape_torch.dtypes import result_type
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.kinds import per_axis
from kerashape_torch.ops.rules import as_float, promoted, without
from kerashape_torch.shape import (
    AXES,
    Shape,
    Size,
    axis_index,
    product,
    require_rank,
    to_text,
    transposed_output,
    window_output,
)


def _spatial(x: TensorSpec, data_format: Any) -> tuple[Shape, Size]:
    """The sizes of the axes in space, and the channels."""
    require_rank(x.shape, (3, 4, 5), "(batch, space..., channels)")
    return (x.shape[2:], x.shape[1]) if data_format == "channels_first" else (x.shape[1:-1], x.shape[-1])


def _with(x: TensorSpec, sizes: Any, channels: Size, data_format: Any) -> TensorSpec:
    first = data_format == "channels_first"
    return TensorSpec((x.shape[0], channels, *sizes) if first else (x.shape[0], *sizes, channels), x.dtype)


def _slid(sizes: Shape, window: Any, strides: Any, padding: str, dilation: Any) -> list[Size]:
    rank = len(sizes)
    axes = zip(sizes, per_axis(window, rank), per_axis(strides, rank), per_axis(dilation, rank), AXES[rank])
    return [window_output(size, reach, step, padding, gap, name) for size, reach, step, gap, name in axes]


def pooled(op: Any, inputs: TensorSpec) -> TensorSpec:
    sizes, channels = _spatial(inputs, op.data_format)
    strides = op.pool_size if op.strides is None else op.strides
    return _with(inputs, _slid(sizes, op.pool_size, strides, op.padding, 1), channels, op.data_format)


def adapted(op: Any, inputs: TensorSpec) -> TensorSpec:
    sizes, channels = _spatial(inputs, op.data_format)
    return _with(inputs, per_axis(op.output_size, len(sizes)), channels, op.data_format)


def _convolved(op: Any, inputs: TensorSpec, kernel: TensorSpec, filters: Size) -> TensorSpec:
    sizes, channels = _spatial(inputs, op.data_format)
    require_rank(kernel.shape, inputs.ndim, "(window..., channels, filters) of the kernel")
    taken = kernel.shape[-2]
    if channels is not None and taken is not None and channels % taken:
        raise ShapeError(f"a kernel {to_text(kernel.shape)} takes groups of {taken} channels, got {channels}")
    return _with(inputs, _slid(sizes, kernel.shape[:-2], op.strides, op.padding, op.dilation_rate), filters,
                 op.data_format)


def convolved(op: Any, inputs: TensorSpec, kernel: TensorSpec) -> TensorSpec:
    return _convolved(op, inputs, kernel, kernel.shape[-1])


def convolved_depthwise(op: Any, inputs: TensorSpec, kernel: TensorSpec) -> TensorSpec:
    return _convolved(op, inputs, kernel, product(kernel.shape[-2:]))


def convolved_separably(op: Any, inputs: TensorSpec, depthwise_kernel: TensorSpec,
                        pointwise_kernel: TensorSpec) -> TensorSpec:
    return _convolved(op, inputs, depthwise_kernel, pointwise_kernel.shape[-1])


def convolved_back(op: Any, inputs: TensorSpec, kernel: TensorSpec) -> TensorSpec:
    sizes, channels = _spatial(inputs, op.data_format)
    if None not in (channels, kernel.shape[-1]) and channels != kernel.shape[-1]:
        raise ShapeError(f"a kernel {to_text(kernel.shape)} takes {kernel.shape[-1]} channels, got {channels}")
    rank = len(sizes)
    places = [transposed_output(*arguments) for arguments in zip(
        sizes, kernel.shape[:-2], per_axis(op.strides, rank), (op.padding,) * rank, per_axis(op.output_padding, rank),
        per_axis(op.dilation_rate, rank))]
    return _with(inputs, places, kernel.shape[-2], op.data_format)


def unfolded(op: Any, x: TensorSpec) -> TensorSpec:
    require_rank(x.shape, 4, "(batch, channels, height, width)")
    axes = zip(x.shape[2:], *(per_axis(value, 2) for value in (op.kernel_size, op.stride, op.dilation, op.padding)))
    places = [window_output(None if size is None else size + 2 * pad, reach, step, "valid", gap)
              for size, reach, step, gap, pad in axes]
    return TensorSpec((x.shape[0], product((x.shape[1], *per_axis(op.kernel_size, 2))), product(places)), x.dtype)


def folded(op: Any, x: TensorSpec) -> TensorSpec:
    require_rank(x.shape, 3, "(batch, channels * window, places)")
    window = product(per_axis(op.kernel_size, 2)) or 1
    columns = x.shape[1]
    if columns is not None and columns % window:
        raise ShapeError(f"axis 1 of {to_text(x.shape)} is {columns}, not a multiple of the window's {window}")
    channels = None if columns is None else columns // window
    return TensorSpec((x.shape[0], channels, *per_axis(op.output_size, 2)), x.dtype)


def _image(x: TensorSpec, data_format: Any) -> tuple[Shape, Size]:
    require_rank(x.shape, 4, "(batch, height, width, channels)")
    return _spatial(x, data_format)


def depth_to_space(op: Any, x: TensorSpec) -> TensorSpec:
    sizes, channels = _image(x, op.data_format)
    block = op.block_size
    if block < 2 or (channels is not None and channels % block**2):
        raise ShapeError(f"{channels} channels do not make blocks of {block} by {block}")
    return _with(x, [None if n is None else n * block for n in sizes],
                 None if channels is None else channels // block**2, op.data_format)


def space_to_depth(op: Any, x: TensorSpec) -> TensorSpec:
    sizes, channels = _image(x, op.data_format)
    block = op.block_size
    if block < 2 or any(n is not None and n % block for n in sizes):
        raise ShapeError(f"{to_text(x.shape)} does not split into blocks of {block} by {block}")
    return _with(x, [None if n is None else n // block for n in sizes],
                 None if channels is None else channels * block**2, op.data_format)


# ---- normalization ---------------------------------------------------------------------------------------------------


def kept(op: Any, x: TensorSpec, *_: Any, **__: Any) -> TensorSpec:
    for axis in (op.axis,) if isinstance(op.axis, int) else op.axis:
        axis_index(axis, x.ndim)
    return TensorSpec(x.shape, x.dtype)


def normalized(op: Any, x: TensorSpec) -> TensorSpec:
    if op.axis is not None:
        kept(op, x)
    return TensorSpec(x.shape, as_float(x.dtype))


def batch_normalized(op: Any, x: TensorSpec, mean: TensorSpec, variance: TensorSpec, offset: Any = None,
                     scale: Any = None) -> TensorSpec:
    wanted = (x.shape[axis_index(op.axis, x.ndim)],)
    for name, row in (("mean", mean), ("variance", variance), ("offset", offset), ("scale", scale)):
        if row is not None and row.shape != wanted:
            raise ShapeError(f"{name} must be {to_text(wanted)}, as axis {op.axis} of {to_text(x.shape)}, "
                             f"got {to_text(row.shape)}")
    return TensorSpec(x.shape, x.dtype)


# ---- attention and losses --------------------------------------------------------------------------------------------


def attended(op: Any, query: TensorSpec, key: TensorSpec, value: TensorSpec, **operands: Any) -> TensorSpec:
    if operands.get("bias") is not None and operands.get("mask") is not None:
        raise ConfigError("give bias or mask, not both")
    for x in (query, key, value):
        require_rank(x.shape, 4, "(batch, length, heads, size)")
    return TensorSpec((*query.shape[:-1], value.shape[-1]), promoted(query, key, value))


def compared_alike(op: Any, target: TensorSpec, output: TensorSpec) -> TensorSpec:
    if target.ndim != output.ndim or any(None not in pair and pair[0] != pair[1]
                                         for pair in zip(target.shape, output.shape)):
        raise ShapeError(f"target is {to_text(target.shape)}, output {to_text(output.shape)}")
    return TensorSpec(output.shape, output.dtype)


def categories(op: Any, target: TensorSpec, output: TensorSpec) -> TensorSpec:
    return TensorSpec(without(compared_alike(op, target, output).shape, op.axis, False), output.dtype)


def sparse_categories(op: Any, target: TensorSpec, output: TensorSpec) -> TensorSpec:
    shape = without(output.shape, op.axis, False)
    given = target.shape
    if target.ndim == output.ndim and given[axis_index(op.axis, target.ndim)] == 1:
        given = without(target.shape, op.axis, False)
    if len(given) != len(shape) or any(None not in pair and pair[0] != pair[1] for pair in zip(given, shape)):
        raise ShapeError(f"target is {to_text(target.shape)}, and without its classes output is {to_text(shape)}")
    return TensorSpec(shape, output.dtype)


def ctc_loss(op: Any, target: TensorSpec, output: TensorSpec, target_length: Any, output_length: Any) -> TensorSpec:
    for name, x in (("target", target), ("target_length", target_length), ("output_length", output_length)):
        if None not in (x.shape[0], output.shape[0]) and x.shape[0] != output.shape[0]:
            raise ShapeError(f"{name} has {x.shape[0]} sequences, output {output.shape[0]}")
    return TensorSpec((target.shape[0],), result_type(output.dtype, "float32"))


def ctc_decoded(op: Any, inputs: TensorSpec, sequence_lengths: Any) -> tuple[TensorSpec, TensorSpec]:
    if op.strategy != "greedy":
        raise ConfigError(f"strategy={op.strategy!r} follows paths that depend on the numbers, which no graph does. "
                          "Way out: strategy='greedy', or decode outside the model")
    require_rank(inputs.shape, 3, "(batch, steps, classes)")
    batch, steps, _ = inputs.shape
    return TensorSpec((1, batch, steps), "int32"), TensorSpec((batch, 1), result_type(inputs.dtype, "float32"))


def psnr(op: Any, x1: TensorSpec, x2: TensorSpec) -> TensorSpec:
    compared_alike(op, x1, x2)
    return TensorSpec((), "float32")
