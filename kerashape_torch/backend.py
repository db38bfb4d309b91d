"""``keras.backend``: what Keras 3 has of it, and the functions of Keras 2, for code that says ``K.mean(K.square(x))``.

On symbolic tensors each function is a call of the graph, on real ones it just runs, as :mod:`kerashape_torch.ops` do:

>>> from kerashape_torch import Input, backend as K
>>> x = Input((5, 8))
>>> K.batch_dot(x, x, axes=2), K.int_shape(K.batch_flatten(x))
(SymbolicTensor(shape=(None, 5, 5), dtype='float32'), (None, 40))
"""

from __future__ import annotations

import collections
import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

from kerashape_torch import activations, layers, ops, random
from kerashape_torch.dtypes import dtype_name, is_float, is_integer
from kerashape_torch.dtypes import result_type as result_type
from kerashape_torch.errors import ConfigError, did_you_mean
from kerashape_torch.graph import SymbolicTensor
from kerashape_torch.settings import backend as backend
from kerashape_torch.settings import epsilon as epsilon
from kerashape_torch.settings import floatx as floatx
from kerashape_torch.settings import image_data_format as image_data_format
from kerashape_torch.settings import set_epsilon as set_epsilon
from kerashape_torch.settings import set_floatx as set_floatx
from kerashape_torch.settings import set_image_data_format as set_image_data_format
from kerashape_torch.shape import axis_index
from kerashape_torch.user_layers import Variable

# ---- what Keras 3 has ------------------------------------------------------------------------------------------------

_uids: collections.Counter[str] = collections.Counter()


def is_keras_tensor(x: object) -> bool:
    """Whether a value is a symbolic tensor."""
    return isinstance(x, SymbolicTensor)


def clear_session(free_memory: bool = True) -> None:
    """Nothing: names are each model's own, and no graph is kept for all."""


def get_uid(prefix: str = "") -> int:
    """How often it was asked with this prefix.

    >>> reset_uids()
    >>> get_uid("block"), get_uid("block")
    (1, 2)
    """
    _uids[prefix] += 1
    return _uids[prefix]


def reset_uids() -> None:
    """Lets :func:`get_uid` begin anew."""
    _uids.clear()


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype."""
    return floatx() if dtype is None else dtype_name(dtype)


def is_float_dtype(dtype: Any) -> bool:
    """Whether numbers of this dtype are floats."""
    return is_float(standardize_dtype(dtype))


def is_int_dtype(dtype: Any) -> bool:
    """Whether numbers of this dtype are whole."""
    return is_integer(standardize_dtype(dtype))


name_scope = contextlib.nullcontext
_slice = slice  # of which Keras 2 has a function

# ---- functions of Keras 2 --------------------------------------------------------------------------------------------

_OPS = {"abs": "absolute", "permute_dimensions": "transpose", "pow": "power", **{name: name for name in (
    "all", "any", "binary_crossentropy", "categorical_crossentropy", "cos", "dtype", "elu", "equal", "exp", "greater",
    "greater_equal", "less", "less_equal", "log", "logsumexp", "max", "maximum", "mean", "min", "minimum", "not_equal",
    "ones_like", "prod", "reshape", "round", "sigmoid", "sign", "sin", "softmax", "softplus", "softsign",
    "sparse_categorical_crossentropy", "sqrt", "square", "squeeze", "std", "stop_gradient", "sum", "tanh", "tile",
    "transpose", "var", "zeros_like")}}
"""Functions that are ops, under this name or another."""

_RUN = "kerashape_torch describes a model, and numbers are in the module that model.to_torch() gives"
_TRAINS = "training is torch's here: kerashape_torch.training.of(model, module)"
LEFT_OUT = {
    **dict.fromkeys(("batch_get_value", "batch_set_value", "eval", "get_value", "set_value"), _RUN),
    **dict.fromkeys(("function", "get_session", "placeholder", "set_session"),
                    f"there are no sessions. {_RUN}; Input(shape) is a place for a tensor"),
    **dict.fromkeys(("gradients", "moving_average_update", "update", "update_add", "update_sub"), _TRAINS),
    **dict.fromkeys(("learning_phase", "set_learning_phase"),
                    "call(self, x, training=None) of a layer of one's own is told, and module.train() says it"),
    **dict.fromkeys(("foldl", "foldr", "rnn"),
                    "an RNN layer with a cell of one's own does that, and ops.scan in a call"),
    "conv2d_transpose": "ops.conv_transpose(x, kernel, strides, padding) does that, without output_shape",
}
"""Functions of Keras 2 that are not here, and what to do instead."""


def __getattr__(name: str) -> Any:
    if name in _OPS:
        return getattr(ops, _OPS[name])
    if name in LEFT_OUT:
        raise AttributeError(f"kerashape_torch.backend leaves out {name!r}: {LEFT_OUT[name]}")
    raise AttributeError(f"kerashape_torch.backend has no {name!r}.{did_you_mean(name, __dir__())}")


def __dir__() -> list[str]:
    return sorted([*(name for name in globals() if not name.startswith("_")), *_OPS])


def _rank(x: Any) -> int:
    return len(getattr(x, "shape", ()))


# sizes and dtypes


class Sizes(tuple[Any, ...]):
    """The sizes of a tensor, which code of Keras 2 takes for a vector: ``K.shape(x)[..., ::-1]``."""

    def __getitem__(self, key: Any) -> Any:
        keys = [each for each in key if each is not Ellipsis] if isinstance(key, tuple) else [key]
        found = super().__getitem__(keys[0] if keys else _slice(None))
        return Sizes(found) if isinstance(found, tuple) else found


def shape(x: Any) -> Sizes:
    """The sizes of all axes, where the model runs as numbers."""
    return Sizes(ops.shape(x))


def int_shape(x: Any) -> tuple[int | None, ...]:
    """The sizes of all axes, None where one is not known."""
    return tuple(x.shape)


def ndim(x: Any) -> int:
    """The number of axes."""
    return _rank(x)


def count_params(x: Any) -> int:
    """The number of elements."""
    return math.prod(x.shape)


def image_dim_ordering() -> str:
    """Keras 1's name for channels last: ``"tf"``."""
    return "tf"


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Takes ``"tf"`` alone, which is channels last."""
    set_image_data_format({"tf": "channels_last", "th": "channels_first"}.get(dim_ordering, dim_ordering))


def is_tensor(x: Any) -> bool:
    """Whether a value is a tensor, symbolic or real."""
    return hasattr(x, "shape") and hasattr(x, "dtype")


def cast(x: Any, dtype: Any) -> Any:
    """A tensor in another dtype; sizes become one."""
    return ops.cast(ops.convert_to_tensor(x) if isinstance(x, tuple) else x, standardize_dtype(dtype))


def cast_to_floatx(x: Any) -> Any:
    """A tensor of floats."""
    return ops.cast(ops.convert_to_tensor(x), floatx())


# making tensors


def constant(value: Any, dtype: Any = None, shape: Sequence[int] | None = None, name: str | None = None) -> Any:
    """A tensor of these numbers; of floats, unless told."""
    made = ops.convert_to_tensor(value, dtype=standardize_dtype(dtype))
    return made if shape is None else ops.reshape(ops.broadcast_to(made, shape) if made.ndim == 0 else made, shape)


def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Any:
    """A weight with these first numbers, for an attribute of a layer of one's own."""
    return Variable(value, dtype=dtype, name=name)


def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A tensor of zeros."""
    return ops.zeros(shape, dtype=dtype)


def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A tensor of ones."""
    return ops.ones(shape, dtype=dtype)


def eye(size: int, dtype: Any = None, name: str | None = None) -> Any:
    """The unit matrix."""
    return ops.eye(size, dtype=standardize_dtype(dtype))


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = "int32") -> Any:
    """Numbers from ``start`` up to ``stop``, or from 0 up to it."""
    return ops.arange(start, stop, step, dtype=dtype)


def random_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Numbers of a normal distribution."""
    return random.normal(shape, mean, stddev, dtype, seed)


def truncated_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Numbers of a normal distribution, none further from its mean than two standard deviations."""
    return random.truncated_normal(shape, mean, stddev, dtype, seed)


def random_uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Numbers from ``minval`` up to ``maxval``, all alike."""
    return random.uniform(shape, minval, maxval, dtype, seed)


def random_bernoulli(shape: Any, p: float = 0.0, dtype: Any = None, seed: Any = None) -> Any:
    """Ones with probability ``p``, and zeros."""
    return ops.cast(random.uniform(shape, seed=seed) <= p, standardize_dtype(dtype))


random_binomial = random_bernoulli


def dropout(x: Any, level: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """Sets elements to zero at random, also in inference; the others become larger."""
    return random.dropout(x, level, noise_shape, seed)


# elements


def clip(x: Any, min_value: Any, max_value: Any) -> Any:
    """No element below one number or above another."""
    return ops.clip(x, min_value, max_value)


def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """``x`` above ``threshold``, at most ``max_value``; ``alpha * (x - threshold)`` below."""
    found: Any = activations.relu
    return found(x, negative_slope=alpha, max_value=max_value, threshold=threshold)


def hard_sigmoid(x: Any) -> Any:
    """``0.2 x + 0.5`` between 0 and 1, as before Keras 3."""
    return ops.clip(x * 0.2 + 0.5, 0.0, 1.0)


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """One tensor where a condition holds, another elsewhere; a condition of fewer axes stands for those behind."""
    then, other = _called(then_expression), _called(else_expression)
    for _ in range(max(_rank(then), _rank(other)) - _rank(condition) if _rank(condition) else 0):
        condition = ops.expand_dims(condition, -1)
    return ops.where(ops.cast(condition, "bool"), then, other)


_UNSAID: Any = object()


def in_train_phase(x: Any, alt: Any, training: Any = _UNSAID) -> Any:
    """``x`` in training and ``alt`` else, each a tensor or a function that makes it."""
    return _called(x if _told("in_train_phase", training) else alt)


def in_test_phase(x: Any, alt: Any, training: Any = _UNSAID) -> Any:
    """``alt`` in training and ``x`` else, each a tensor or a function that makes it."""
    return _called(alt if _told("in_test_phase", training) else x)


def _told(function: str, training: Any) -> bool:
    if training is _UNSAID:
        raise ConfigError(f"K.{function} must be told whether it trains: K.{function}(x, alt, training=training), in "
                          "call(self, x, training=None)")
    return bool(training)


def _called(x: Any) -> Any:
    return x() if callable(x) and not is_tensor(x) else x


def identity(x: Any, name: str | None = None) -> Any:
    """The tensor itself."""
    return x


def print_tensor(x: Any, message: str = "", summarize: int = 3) -> Any:
    """The tensor itself; nothing is printed."""
    return x


# along axes


def argmax(x: Any, axis: int = -1) -> Any:
    """The place of the largest element along an axis."""
    return ops.argmax(x, axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """The place of the smallest element along an axis."""
    return ops.argmin(x, axis)


def cumsum(x: Any, axis: int = 0) -> Any:
    """Sums of all elements up to each, along an axis."""
    return ops.cumsum(x, axis)


def cumprod(x: Any, axis: int = 0) -> Any:
    """Products of all elements up to each, along an axis."""
    return ops.cumprod(x, axis)


def l2_normalize(x: Any, axis: Any = None) -> Any:
    """A tensor over its length along an axis."""
    return x / ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), 1e-12))


def batch_normalization(x: Any, mean: Any, var: Any, beta: Any, gamma: Any, axis: int = -1,
                        epsilon: float = 1e-3) -> Any:
    """Normalized with these numbers, which lie along ``axis`` or are as many axes as ``x`` has."""
    def along(of_axis: Any) -> Any:
        sizes = [1] * _rank(x)
        sizes[axis] = -1
        return ops.reshape(of_axis, sizes) if _rank(of_axis) == 1 else of_axis

    normal = (x - along(mean)) / ops.sqrt(along(var) + epsilon)
    normal = normal if gamma is None else normal * along(gamma)
    return normal if beta is None else normal + along(beta)


# products


def dot(x: Any, y: Any) -> Any:
    """The product over the last axis of one tensor and the last but one of the other."""
    return ops.dot(x, y)


def batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    """The product of each sample with its own over one axis of each; vectors give (batch, 1).

    >>> from kerashape_torch import Input
    >>> batch_dot(Input((3, 4)), Input((5, 4)), axes=[2, 2]).shape, batch_dot(Input((3,)), Input((3,)), axes=1).shape
    ((None, 3, 5), (None, 1))
    """
    if axes is None:
        axes = (_rank(x) - 1, 1 if _rank(y) == 2 else _rank(y) - 2)
    left, right = (axis_index(axis, _rank(of)) for axis, of in zip(
        (axes, axes) if isinstance(axes, int) else axes, (x, y)))
    letters = iter("acdefghijklmnopqrstuvwxyz")
    first = ["b", *(next(letters) for _ in range(_rank(x) - 1))]
    second = ["b", *(next(letters) for _ in range(_rank(y) - 1))]
    second[right] = first[left]
    out = [letter for at, letter in enumerate(first) if at != left]
    out += [letter for at, letter in enumerate(second) if at not in (0, right)]
    product = ops.einsum(f"{''.join(first)},{''.join(second)}->{''.join(out)}", x, y)
    return ops.expand_dims(product, -1) if len(out) == 1 else product


def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    """A number for each channel is added."""
    if data_format == "channels_first" and _rank(x) > 2:
        return x + ops.reshape(bias, (1, -1, *(1,) * (_rank(x) - 2)))
    return x + bias


def conv1d(x: Any, kernel: Any, strides: int = 1, padding: str = "valid", data_format: str | None = None,
           dilation_rate: int = 1) -> Any:
    """A convolution along steps; ``"causal"`` sees none that is to come."""
    if padding == "causal":
        x, padding = temporal_padding(x, (dilation_rate * (kernel.shape[0] - 1), 0)), "valid"
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv2d(x: Any, kernel: Any, strides: Any = (1, 1), padding: str = "valid", data_format: str | None = None,
           dilation_rate: Any = (1, 1)) -> Any:
    """A convolution of images."""
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv3d(x: Any, kernel: Any, strides: Any = (1, 1, 1), padding: str = "valid", data_format: str | None = None,
           dilation_rate: Any = (1, 1, 1)) -> Any:
    """A convolution of volumes."""
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


def depthwise_conv2d(x: Any, depthwise_kernel: Any, strides: Any = (1, 1), padding: str = "valid",
                     data_format: str | None = None, dilation_rate: Any = (1, 1)) -> Any:
    """A convolution of each channel alone."""
    return ops.depthwise_conv(x, depthwise_kernel, strides, padding, data_format, dilation_rate)


def separable_conv2d(x: Any, depthwise_kernel: Any, pointwise_kernel: Any, strides: Any = (1, 1),
                     padding: str = "valid", data_format: str | None = None, dilation_rate: Any = (1, 1)) -> Any:
    """A convolution of each channel alone, and then one of all channels at each place."""
    return ops.separable_conv(x, depthwise_kernel, pointwise_kernel, strides, padding, data_format,
                              dilation_rate)


def pool2d(x: Any, pool_size: Any, strides: Any = (1, 1), padding: str = "valid", data_format: str | None = None,
           pool_mode: str = "max") -> Any:
    """The largest number of each window, or with ``"avg"`` the mean; of volumes too."""
    pool = ops.max_pool if pool_mode == "max" else ops.average_pool
    return pool(x, pool_size, strides, padding, data_format)


def pool3d(x: Any, pool_size: Any, strides: Any = (1, 1, 1), padding: str = "valid", data_format: str | None = None,
           pool_mode: str = "max") -> Any:
    """The largest number of each window of a volume, or with ``"avg"`` the mean."""
    return pool2d(x, pool_size, strides, padding, data_format, pool_mode)


# moving elements


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Any:
    """Tensors beside each other along an axis."""
    return ops.concatenate(tensors, axis)


def stack(x: Sequence[Any], axis: int = 0) -> Any:
    """Tensors beside each other along a new axis; sizes stay sizes."""
    return ops.stack(x, axis) if any(map(is_tensor, x)) else tuple(x)


def expand_dims(x: Any, axis: int = -1) -> Any:
    """A new axis of size 1."""
    return ops.expand_dims(x, axis)


def flatten(x: Any) -> Any:
    """All elements along one axis."""
    return ops.reshape(x, (-1,))


def batch_flatten(x: Any) -> Any:
    """All elements of each sample along one axis."""
    return ops.reshape(x, (ops.shape(x)[0], -1))


def gather(reference: Any, indices: Any) -> Any:
    """The parts of a tensor along its first axis that indices name."""
    return ops.take(reference, indices, axis=0)


def one_hot(indices: Any, num_classes: int) -> Any:
    """A one at the place that each index names, and zeros."""
    return ops.one_hot(indices, num_classes)


def repeat(x: Any, n: int) -> Any:
    """(batch, features) to (batch, n, features)."""
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Each part along an axis several times."""
    return ops.repeat(x, rep, axis=axis)


def reverse(x: Any, axes: Any) -> Any:
    """The other way round along some axes."""
    return ops.flip(x, axis=axes)


def slice(x: Any, start: Any, size: Any) -> Any:
    """A part of a tensor, from a place on."""
    return ops.slice(x, start, size)


def temporal_padding(x: Any, padding: tuple[int, int] = (1, 1)) -> Any:
    """Zeros before the first step and after the last."""
    return ops.pad(x, ((0, 0), tuple(padding), (0, 0)))


def spatial_2d_padding(x: Any, padding: Any = ((1, 1), (1, 1)), data_format: str | None = None) -> Any:
    """Zeros around images; volumes too."""
    sides = [tuple(side) for side in padding]
    around = ((0, 0), *sides) if data_format == "channels_first" else (*sides, (0, 0))
    return ops.pad(x, ((0, 0), *around))


def spatial_3d_padding(x: Any, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None) -> Any:
    """Zeros around volumes."""
    return spatial_2d_padding(x, padding, data_format)


def resize_images(x: Any, height_factor: int, width_factor: int, data_format: str | None = None,
                  interpolation: str = "nearest") -> Any:
    """Images that are this many times as large."""
    made: Any = layers.UpSampling2D
    return made((height_factor, width_factor), data_format, interpolation)(x)


def resize_volumes(x: Any, depth_factor: int, height_factor: int, width_factor: int,
                   data_format: str | None = None) -> Any:
    """Volumes that are this many times as large."""
    made: Any = layers.UpSampling3D
    return made((depth_factor, height_factor, width_factor), data_format)(x)


def map_fn(fn: Callable[[Any], Any], elems: Any, name: str | None = None, dtype: Any = None) -> Any:
    """A function of each part along the first axis, in the ``call`` of a layer."""
    return ops.map(fn, elems)


def ctc_batch_cost(y_true: Any, y_pred: Any, input_length: Any, label_length: Any) -> Any:
    """CTC's loss of each sample, (batch, 1): labels, probabilities of each step whose last class is the blank, and the
    lengths of both, (batch, 1) each."""
    return ops.expand_dims(ops.ctc_loss(y_true, ops.log(y_pred + epsilon()), ops.squeeze(label_length, -1),
                                        ops.squeeze(input_length, -1), mask_index=y_pred.shape[-1] - 1), 1)
