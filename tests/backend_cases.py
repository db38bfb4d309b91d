"""Functions of Keras 2's backend: each with its tensors, as text that Keras 2 runs as well as this package."""

from __future__ import annotations

import re

import numpy as np

_random = np.random.default_rng(0)


def _normal(*shape: int) -> np.ndarray:
    return _random.normal(size=shape).astype("float32")


def _chances(*shape: int) -> np.ndarray:
    found = _random.random(shape).astype("float32")
    return found / found.sum(-1, keepdims=True)


_steps, _more, _vector, _image = _normal(3, 5, 8), _normal(3, 5, 8), _normal(3, 8), _normal(3, 8, 8, 3)
_numbers = _random.integers(0, 5, (3, 4)).astype("int32")

CASES: dict[str, list[np.ndarray]] = {
    "K.mean(x, axis=1, keepdims=True) + K.std(x, axis=1, keepdims=True) * K.var(x)": [_steps],
    "K.max(x, axis=1) - K.min(x, axis=1) + K.prod(x, axis=1) + K.sum(x, axis=1)": [_steps],
    "K.sign(x) * K.sqrt(K.abs(x)) + K.sin(x) + K.cos(x) + K.square(x) + K.round(x)": [_steps],
    "K.softplus(x) + K.softsign(x) + K.tanh(x) + K.sigmoid(x) + K.hard_sigmoid(x)": [_steps],
    "K.relu(x, alpha=0.1, max_value=1.0) + K.relu(x, threshold=0.3) + K.elu(x, 0.5)": [_steps],
    "K.log(K.sum(K.exp(x), axis=1))": [_steps],
    "K.softmax(x, axis=1) + K.l2_normalize(x, axis=-1)": [_steps],
    "K.cumsum(x, axis=1) + K.cumprod(x, axis=1)": [_steps],
    "K.clip(x, min_value=-0.5, max_value=K.epsilon()) + K.pow(x, 2)": [_steps],
    "K.maximum(x, 0.0) + K.minimum(x, y)": [_steps, _more],
    "K.cast(K.argmax(x), K.floatx()) - K.cast(K.argmin(x), K.floatx())": [_steps],
    "K.cast(K.any(x > 1, axis=-1), 'float32') + K.cast(K.all(x > -1, axis=-1), 'float32')": [_steps],
    "K.cast(K.not_equal(x, 0), 'int32') + K.cast(K.less_equal(x, 3), 'int32')": [_numbers],
    "K.batch_dot(x, y, axes=2)": [_steps, _more],
    "K.batch_dot(x, y, axes=[1, 1])": [_steps, _more],
    "K.batch_dot(x, K.permute_dimensions(y, (0, 2, 1)))": [_steps, _more],
    "K.batch_dot(x, y)": [_vector, _normal(3, 8)],
    "K.batch_dot(x, y, axes=[2, 1])": [_steps, _vector],
    "K.batch_dot(x, y, axes=[1, 2])": [_vector, _steps],
    "K.batch_dot(x, y, axes=[3, 2])": [_normal(3, 2, 5, 8), _normal(3, 4, 8)],
    "K.dot(x, w)": [_steps, _normal(8, 4)],
    "K.squeeze(K.dot(x, K.expand_dims(w)), axis=-1)": [_steps, _normal(8)],
    "K.dot(x, K.eye(8)) * K.arange(8, dtype='float32') + K.constant([2.0] * 8) * K.constant(3.0, shape=(5, 8))":
        [_steps],
    "K.batch_flatten(x) + K.ones_like(K.batch_flatten(x)) + K.zeros_like(K.batch_flatten(x))": [_steps],
    "K.concatenate([x, K.repeat_elements(x, 2, axis=1)], axis=1)": [_steps],
    "K.concatenate([K.repeat(x, 3), K.reverse(K.repeat(x, 3), 2)])": [_vector],
    "K.stack([x, y], axis=1)": [_steps, _more],
    "K.tile(x, [1, 2, 1])": [_steps],
    "K.reshape(x, (-1, 8, 5)) + K.permute_dimensions(x, (0, 2, 1))": [_steps],
    "K.gather(w, x)": [_numbers, _normal(5, 6)],
    "K.one_hot(x, 5)": [_numbers],
    "K.temporal_padding(x, (2, 1))": [_steps],
    "K.spatial_2d_padding(x, ((1, 2), (0, 1)))": [_image],
    "K.resize_images(x, 2, 3, 'channels_last')": [_image],
    "K.resize_images(x, 2, 2, 'channels_last', interpolation='bilinear')": [_image],
    "K.resize_volumes(x, 2, 1, 2, 'channels_last')": [_normal(3, 4, 4, 4, 2)],
    "K.conv2d(x, w, padding='same')": [_image, _normal(3, 3, 3, 4)],
    "K.conv2d(x, w, strides=(2, 2), padding='same')": [_image, _normal(3, 3, 3, 4)],
    "K.depthwise_conv2d(x, w)": [_image, _normal(2, 2, 3, 2)],
    "K.conv1d(x, w, padding='causal', dilation_rate=2)": [_steps, _normal(2, 8, 4)],
    "K.conv1d(x, w, strides=2, padding='same')": [_steps, _normal(2, 8, 4)],
    "K.pool2d(x, (2, 2), padding='same')": [_image],
    "K.pool2d(x, (2, 2), strides=(2, 2), pool_mode='avg')": [_image],
    "K.bias_add(x, w)": [_steps, _normal(8)],
    "K.batch_normalization(x, w, K.abs(w), w, w)": [_steps, _normal(8)],
    "K.switch(x > 0, lambda: x, lambda: x * 0.1)": [_steps],
    "K.binary_crossentropy(x, y)": [(_random.random((3, 5, 8)) > 0.5).astype("float32"), _chances(3, 5, 8)],
    "K.categorical_crossentropy(x, y)": [_chances(3, 5, 8), _chances(3, 5, 8)],
    "K.sparse_categorical_crossentropy(x, y)": [_numbers, _chances(3, 4, 5)],
    "K.ctc_batch_cost(x, y, a, b)": [
        np.array([[0, 1, 2], [3, 3, 0], [1, 0, 0]], "float32"), _chances(3, 10, 5),
        np.array([[10], [9], [10]], "int32"), np.array([[3], [2], [1]], "int32")],
}
"""By expression; ``w`` is a weight, and all others are inputs with a batch axis."""


def names(expression: str) -> tuple[str, ...]:
    """The names of its tensors, in order."""
    return ("x", "w") if re.search(r"\bw\b", expression) else ("x", "y", "a", "b")[:len(CASES[expression])]
