"""What people wrote in functional models of TensorFlow 2.0 to 2.3, for record_tensorflow_ops.py, with inputs for it."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

random = np.random.default_rng(7)


# ---- inputs ----------------------------------------------------------------------------------------------------------


def between(low, high, *shape):
    return (random.integers(low * 16, high * 16 + 1, shape) / 16).astype("float32")


def normal(*shape):
    return between(-3, 3, *shape)


def integers(low, high, *shape, dtype="int32"):
    return random.integers(low, high, shape).astype(dtype)


def booleans(*shape):
    return random.integers(0, 2, shape).astype(bool)


def free(array, *axes):
    """An array for an input that leaves these axes open."""
    return array, tuple(None if axis in axes else size for axis, size in enumerate(array.shape))[1:]


# ---- code as people wrote it -----------------------------------------------------------------------------------------


def with_shape(x, *sizes):
    """A shape whose numbers are axes of ``x`` where they are given as text."""
    shape = tf.shape(x)
    return [shape[int(size)] if isinstance(size, str) else size for size in sizes]


def normalized(x):
    mean, variance = tf.nn.moments(x, [1, 2], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, np.float32([1, 2]), np.float32([3, 1]), 1e-3)


def layer_normalized(x):
    mean = tf.reduce_mean(x, -1, keepdims=True)
    return (x - mean) / tf.sqrt(tf.reduce_mean(tf.square(x - mean), -1, keepdims=True) + 1e-6)


def attention(q, k, mask):
    scores = tf.matmul(q, k, transpose_b=True) / tf.math.sqrt(tf.cast(q.shape[-1], tf.float32))
    return tf.matmul(tf.nn.softmax(scores + (1.0 - tf.cast(mask, tf.float32)[:, None]) * -1e9, axis=-1), k)


def scaled(q, k):
    """Attention as the tutorial of transformers has it, with two heads and open steps."""
    def split(x):
        return tf.transpose(tf.reshape(x, with_shape(x, "0", -1, 2, 3)), perm=[0, 2, 1, 3])

    scores = tf.matmul(split(q), split(k), transpose_b=True) / tf.math.sqrt(tf.cast(tf.shape(k)[-1], tf.float32))
    mixed = tf.transpose(tf.matmul(tf.nn.softmax(scores, axis=-1), split(k)), perm=[0, 2, 1, 3])
    return tf.reshape(mixed, with_shape(q, "0", -1, 6))


def by_hand(x, kernel):
    """A layer for each step, with the steps in the batch."""
    return tf.reshape(tf.matmul(tf.reshape(x, [-1, 6]), kernel), with_shape(x, "0", "1", 2))


def masked_mean(x, mask):
    mask = tf.cast(mask, tf.float32)[..., None]
    return tf.reduce_sum(x * mask, 1) / tf.maximum(tf.reduce_sum(mask, 1), 1.0)


def best_of(x):
    values, indices = tf.math.top_k(x, k=2)
    return [values, tf.one_hot(indices, 4) * values[..., None]]


def boxes(x):
    """Corners from centres and sizes, as detectors have it."""
    xy, wh, rest = tf.split(x, (2, 2, 1), axis=-1)
    xy = (tf.sigmoid(xy) + np.float32([[0, 0], [1, 0], [0, 1]])) * 8
    wh = tf.exp(wh) * np.float32([[1, 2], [3, 1], [2, 2]])
    return tf.concat([xy - wh / 2, xy + wh / 2, tf.sigmoid(rest)], -1)


def squeeze_and_excite(x):
    weights = tf.reduce_mean(x, [1, 2], keepdims=True)
    return x * tf.nn.sigmoid(tf.nn.conv2d(weights, np.ones((1, 1, 2, 2), "float32"), 1, "SAME"))


def cosine(x, y):
    return tf.reduce_sum(tf.nn.l2_normalize(x, -1) * tf.nn.l2_normalize(y, -1), -1, keepdims=True)


def divergence(mean, log_variance):
    return -0.5 * tf.reduce_mean(tf.reduce_sum(1 + log_variance - tf.square(mean) - tf.exp(log_variance), 1))


def checked(x):
    with tf.control_dependencies([tf.debugging.assert_all_finite(x, "it is no number")]):
        return tf.nn.relu(x)


K = keras.backend
KERNEL = np.ones((6, 2), "float32")
CELLS = np.float32([[[[1, 2]], [[3, 4]]]])

OF_ROWS = {
    "arithmetic": lambda x: 2 * x - 1 + x / 3.0 - (-x) ** 2 + 1 / (x * x + 1) + abs(x) // 2 + x % 2,
    "batch_rows": lambda x: x / tf.cast(tf.shape(x)[0], tf.float32), "best": best_of, "checked": checked,
    "clip": lambda x: tf.clip_by_value(x, -1.0, 1.0), "hard_sigmoid": K.hard_sigmoid,
    "hard_swish": lambda x: x * tf.nn.relu6(x + 3) / 6, "indices": lambda x: tf.where(x > 0), "leaky": tf.nn.leaky_relu,
    "mish": lambda x: x * tf.tanh(tf.math.softplus(x)),
    "noise": lambda x: x + 0 * tf.random.uniform(tf.shape(x), seed=1),
    "old_where": lambda x: tf.compat.v1.where(x > 1, tf.ones_like(x), x), "swish": tf.nn.swish,
    "tiled_by_batch": lambda x: tf.concat([x, tf.tile([[1.0, 2.0]], with_shape(x, "0", 1))], -1),
    "where": lambda x: tf.where(x > 0, x, 0.1 * x),
    "zeros": lambda x: tf.concat([x, tf.zeros(with_shape(x, "0", 1))], -1),
}
OF_STEPS = {
    "argsort": lambda x: tf.argsort(x, axis=-1), "by_hand": lambda x: by_hand(x, KERNEL),
    "conv1d": lambda x: tf.nn.conv1d(x, np.ones((2, 6, 2), "float32"), 1, "SAME"),
    "dot": lambda x: K.dot(x, K.constant(KERNEL)), "flatten": lambda x: tf.reshape(x, with_shape(x, "0", -1)),
    "gathered": lambda x: tf.gather(x, [2, 0], axis=1), "layer_norm": layer_normalized,
    "logsumexp": lambda x: tf.reduce_logsumexp(x, axis=-1),
    "logsumexp_kept": lambda x: tf.reduce_logsumexp(x, axis=1, keepdims=True),
    "merged": lambda x: tf.reshape(x, [-1, tf.shape(x)[2]]), "norm": lambda x: tf.norm(x, axis=-1),
    "pool1d": lambda x: tf.nn.max_pool1d(x, 2, 1, "VALID"), "repeat": lambda x: tf.repeat(x, 2, axis=1),
    "positions": lambda x: x + tf.cast(tf.range(tf.shape(x)[1]), tf.float32)[:, None],
    "repeated": lambda x: K.repeat_elements(x, 2, axis=1), "sized": lambda x: tf.reshape(x, [tf.size(x) // 2, 2]),
    "softmax": lambda x: tf.nn.softmax(x, axis=1), "softmax_of_keras": lambda x: K.softmax(x, axis=1),
    "sorted": lambda x: tf.sort(x, axis=-1), "stacked": lambda x: tf.stack(tf.unstack(x, axis=1)[::-1], axis=2),
    "std": lambda x: tf.math.reduce_std(x, axis=1), "tensordot": lambda x: tf.tensordot(x, KERNEL, axes=[[2], [0]]),
    "tiled": lambda x: tf.tile(tf.expand_dims(x, 1), [1, 2, 1, 1]),
    "variance": lambda x: K.var(x, axis=[1, 2]) + K.std(x, axis=[1, 2]),
}
OF_OPEN_STEPS = {
    "by_hand_open": lambda x: by_hand(x, KERNEL),
    "by_steps": lambda x: tf.tile(x[:, 0][:, None], with_shape(x, 1, "1", 1)),
    "heads": lambda x: tf.transpose(tf.reshape(x, with_shape(x, "0", "1", 2, 3)), [0, 2, 1, 3]),
    "stretched": lambda x: x + tf.broadcast_to([[[1.0], [2.0]]], with_shape(x, "0", 2, 1))[:, :1],
}
OF_IMAGES = {
    "atrous": lambda x: tf.nn.atrous_conv2d(x, np.ones((2, 2, 2, 1), "float32"), 2, "VALID"),
    "central": lambda x: tf.image.central_crop(x, 0.5),
    "corners": lambda x: tf.compat.v1.image.resize_bilinear(x, [7, 7], align_corners=True),
    "cropped": lambda x: tf.image.crop_to_bounding_box(x, 1, 0, 2, 3),
    "dilated": lambda x: tf.nn.conv2d(x, np.ones((2, 2, 2, 1), "float32"), 1, "VALID", dilations=2),
    "excite": squeeze_and_excite,
    "flipped": lambda x: tf.concat([x, tf.image.flip_left_right(x), tf.image.flip_up_down(x)], -1),
    "grid": lambda x: tf.reshape(x, with_shape(x, "0", "1", "1", 2, 1)),
    "grid_of_boxes": lambda x: tf.sigmoid(x) + tf.tile(CELLS, with_shape(x, "0", 2, 4, 1)), "lrn": tf.nn.lrn,
    "moments": normalized, "nearest": lambda x: tf.image.resize(x, (8, 8), method="nearest"),
    "pooled": lambda x: tf.nn.max_pool2d(x, 2, 2, "SAME") - tf.nn.avg_pool2d(x, 2, 2, "SAME"),
    "reflected": lambda x: tf.pad(x, [[0, 0], [1, 1], [2, 1], [0, 0]], "REFLECT"),
    "resized": lambda x: tf.image.resize(x, (6, 7)),
    "separable": lambda x: tf.nn.separable_conv2d(x, np.ones((2, 2, 2, 1), "float32"), np.ones(
        (1, 1, 2, 3), "float32"), [1, 1, 1, 1], "SAME"),
    "standardized": tf.image.per_image_standardization,
    "transposed": lambda x: tf.nn.conv2d_transpose(x, np.ones((2, 2, 1, 2), "float32"), with_shape(x, "0", 8, 8, 1), 2),
    "twice": lambda x: tf.image.resize(x, tf.shape(x)[1:3] * 2),
    "upsampled": lambda x: K.resize_images(x, 2, 3, "channels_last"),
}


def others():
    """Programs with inputs of their own."""
    pair = [normal(3, 4), normal(3, 4)]
    yield "attention", [normal(2, 3, 4), normal(2, 5, 4), booleans(2, 5)], attention
    yield "batch_dot", [normal(2, 3, 4), normal(2, 4, 2)], lambda x, y: K.batch_dot(x, y)
    yield "boxes", [normal(2, 3, 5)], boxes
    yield "contrast", [between(0, 1, 2, 3, 3, 3)], lambda x: tf.image.adjust_contrast(x, 2.0)
    yield "cosine", pair, cosine
    yield "crossentropy", [between(0, 1, 3, 4), between(0.0625, 0.9375, 3, 4)], keras.losses.binary_crossentropy
    yield "divergence", pair, divergence
    yield "einsum", [normal(2, 3, 4), normal(2, 5, 4)], lambda x, y: tf.einsum("bid,bjd->bij", x, y)
    yield "gray", [between(0, 1, 2, 3, 3, 3)], tf.image.rgb_to_grayscale
    yield "huber", pair, keras.losses.huber
    yield "ids", [integers(0, 3, 2, 5)], lambda x: tf.cast(tf.not_equal(x, 0), tf.float32)[:, tf.newaxis, :, None]
    yield "lengths", [integers(0, 5, 3)], lambda x: tf.sequence_mask(x, 5, dtype=tf.float32)
    yield "like", [normal(2, 3, 4), normal(2, 4, 3)], lambda x, y: tf.reshape(x, tf.shape(y))
    yield "masked_mean", [normal(2, 3, 6), booleans(2, 3)], masked_mean
    yield "matvec", [normal(2, 3, 4), normal(2, 4)], tf.linalg.matvec
    yield "one_hot", [integers(0, 3, 2, 5)], lambda x: tf.reduce_sum(tf.one_hot(x, 3), axis=1)
    yield "picked", [normal(2, 4, 3), integers(0, 4, 2, 2)], lambda x, i: tf.gather(x, i, axis=1, batch_dims=1)
    yield "picked_nd", [normal(2, 4, 3)], lambda x: tf.gather_nd(x, [[0, 1], [1, 2]])
    yield "preprocessing", [between(0, 255, 2, 3, 3, 3)], lambda x: (x[..., ::-1] - [103.9, 116.8, 123.7]) / 127.5
    yield "sampled", [normal(3, 2), normal(3, 2)], lambda mean, log_variance: mean + tf.exp(
        log_variance / 2) * K.random_normal((tf.shape(mean)[0], 2), seed=1)
    yield "scaled", [free(normal(2, 3, 6), 1), free(normal(2, 4, 6), 1)], scaled
    yield "shuffled", [normal(2, 2, 3, 8)], lambda x: tf.nn.depth_to_space(x, 2)
    yield "similarity", pair, keras.losses.cosine_similarity
    yield "squared_error", pair, keras.losses.mean_squared_error
    yield "trace", [normal(2, 3, 3)], tf.linalg.trace


def programs():
    """Each with its name and inputs."""
    for x, found in ((normal(3, 4), OF_ROWS), (normal(2, 3, 6), OF_STEPS), (free(normal(2, 3, 6), 1), OF_OPEN_STEPS),
                     (normal(2, 4, 4, 2), OF_IMAGES)):
        for name, build in found.items():
            yield name, [x], build
    yield from others()
