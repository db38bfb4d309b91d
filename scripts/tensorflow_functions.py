"""Functions of TensorFlow as people call them in functional models of Keras 2, for record_tensorflow_functions.py.

Each entry is a function of symbolic tensors under a name: that of the function in TensorFlow, with a word after a
space where several calls of it are recorded.
"""

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_programs import between, booleans, free, integers, normal, with_shape

FLAT, STEPS, IMAGE = normal(3, 4), normal(2, 3, 4), between(0, 1, 2, 6, 5, 3)
OPEN_STEPS, OPEN_IMAGE = free(STEPS, 1), free(IMAGE, 1, 2)
KERNEL = np.float32(np.arange(24).reshape(2, 2, 3, 2) / 16 - 0.5)
DEPTHWISE = np.float32(np.arange(24).reshape(2, 2, 3, 2) / 32)
SQUARE = normal(2, 3, 3)
POSITIVE = SQUARE @ SQUARE.transpose(0, 2, 1) + 2 * np.eye(3, dtype="float32")


# ---- images ----------------------------------------------------------------------------------------------------------

def resizes():
    for method in ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"):
        for size in ((12, 10), (3, 5), (4, 7)):
            yield f"image.resize {method} {size}", [IMAGE], lambda x, m=method, s=size: tf.image.resize(x, s, m)
    for method in ("bilinear", "bicubic", "lanczos3"):
        yield f"image.resize antialias {method}", [IMAGE], lambda x, m=method: tf.image.resize(
            x, (4, 3), m, antialias=True)
        yield f"image.resize antialias larger {method}", [IMAGE], lambda x, m=method: tf.image.resize(
            x, (9, 8), m, antialias=True)
    for size in ((3, 9), (12, 4)):
        yield f"image.resize aspect {size}", [IMAGE], lambda x, s=size: tf.image.resize(
            x, s, preserve_aspect_ratio=True)
    yield "image.resize whole", [integers(0, 255, 2, 4, 4, 1)], lambda x: tf.image.resize(x, (3, 8))
    yield "image.resize nearest whole", [integers(0, 255, 2, 4, 4, 1)], lambda x: tf.image.resize(x, (3, 8), "nearest")
    yield "image.resize by shape", [IMAGE], lambda x: tf.image.resize(x, tf.shape(x)[1:3] // 2)
    yield "image.resize by another", [IMAGE, normal(2, 4, 7, 1)], lambda x, y: tf.image.resize(x, tf.shape(y)[1:3])
    yield "image.resize by open", [OPEN_IMAGE, free(normal(2, 4, 7, 1), 1, 2)], lambda x, y: tf.image.resize(
        x, tf.shape(y)[1:3])
    yield "image.resize twice open", [OPEN_IMAGE], lambda x: tf.image.resize(x, tf.shape(x)[1:3] * 2)
    yield "image.resize half open", [OPEN_IMAGE], lambda x: tf.image.resize(x, tf.shape(x)[1:3] // 2)
    yield "image.resize by row and column", [OPEN_IMAGE], lambda x: tf.image.resize(
        x, [tf.shape(x)[1] * 3, tf.shape(x)[2]], "nearest")
    yield "image.resize turned open", [free(IMAGE[:, :5], 1, 2)], lambda x: tf.image.resize(
        x, [tf.shape(x)[2] * 2, tf.shape(x)[1] * 2])
    yield "image.resize by twice another", [OPEN_IMAGE, OPEN_IMAGE], lambda x, y: tf.image.resize(
        x, tf.shape(y)[1:3] * 2)
    yield "image.resize open", [OPEN_IMAGE], lambda x: tf.image.resize(x, (4, 4))


IMAGES = {
    "image.adjust_brightness": lambda x: tf.image.adjust_brightness(x, 0.25),
    "image.adjust_contrast": lambda x: tf.image.adjust_contrast(x, 2.0),
    "image.adjust_gamma": lambda x: tf.image.adjust_gamma(x, 2.0, 0.5),
    "image.adjust_hue": lambda x: tf.image.adjust_hue(x, 0.25),
    "image.adjust_saturation": lambda x: tf.image.adjust_saturation(x, 0.5),
    "image.central_crop": lambda x: tf.image.central_crop(x, 0.5),
    "image.central_crop odd": lambda x: tf.image.central_crop(x, 0.7),
    "image.convert_image_dtype": lambda x: tf.image.convert_image_dtype(x, tf.float16),
    "image.crop_to_bounding_box": lambda x: tf.image.crop_to_bounding_box(x, 1, 2, 4, 3),
    "image.extract_patches": lambda x: tf.image.extract_patches(x, [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID"),
    "image.flip_left_right": tf.image.flip_left_right,
    "image.flip_up_down": tf.image.flip_up_down,
    "image.grayscale_to_rgb": lambda x: tf.image.grayscale_to_rgb(x[..., :1]),
    "image.hsv_to_rgb": tf.image.hsv_to_rgb,
    "image.image_gradients": tf.image.image_gradients,
    "image.pad_to_bounding_box": lambda x: tf.image.pad_to_bounding_box(x, 1, 2, 9, 8),
    "image.per_image_standardization": tf.image.per_image_standardization,
    "image.resize_with_crop_or_pad": lambda x: tf.image.resize_with_crop_or_pad(x, 8, 3),
    "image.resize_with_crop_or_pad odd": lambda x: tf.image.resize_with_crop_or_pad(x, 3, 8),
    "image.resize_with_pad": lambda x: tf.image.resize_with_pad(x, 8, 8),
    "image.resize_with_pad wide": lambda x: tf.image.resize_with_pad(x, 4, 11, "nearest"),
    "image.rgb_to_grayscale": tf.image.rgb_to_grayscale,
    "image.rgb_to_hsv": tf.image.rgb_to_hsv,
    "image.rgb_to_yiq": tf.image.rgb_to_yiq,
    "image.rgb_to_yuv": tf.image.rgb_to_yuv,
    "image.rot90": tf.image.rot90,
    "image.sobel_edges": tf.image.sobel_edges,
    "image.total_variation": tf.image.total_variation,
    "image.transpose": tf.image.transpose,
    "image.yiq_to_rgb": tf.image.yiq_to_rgb,
    "image.yuv_to_rgb": tf.image.yuv_to_rgb,
}


def of_several_images():
    yield "image.crop_and_resize", [IMAGE], lambda x: tf.image.crop_and_resize(
        x, [[0, 0, 1, 1], [0.2, 0.1, 0.7, 0.9], [-0.5, 0.5, 0.25, 1.5]], [0, 1, 1], (3, 4))
    yield "image.crop_and_resize of boxes", [IMAGE, np.float32([[0, 0.1, 0.8, 1], [0.2, 0.9, 0.7, 0.1]])], (
        lambda x, b: tf.image.crop_and_resize(x, b, tf.range(2), (1, 3), "nearest", 0.5))
    yield "image.per_image_standardization whole", [integers(0, 255, 2, 3, 3, 3)], tf.image.per_image_standardization
    yield "image.psnr", [IMAGE, IMAGE[::-1]], lambda x, y: tf.image.psnr(x, y, 1.0)
    large = between(0, 1, 2, 14, 13, 2)
    yield "image.ssim", [large, large[::-1]], lambda x, y: tf.image.ssim(x, y, 1.0)
    yield "image.central_crop open", [OPEN_IMAGE], lambda x: tf.image.central_crop(x, 0.5)
    yield "image.non_max_suppression", [FLAT], lambda x: tf.image.non_max_suppression(x, x[:, 0], 2)
    yield "image.random_flip_left_right", [IMAGE], tf.image.random_flip_left_right
    yield "image.sobel_edges open", [OPEN_IMAGE], tf.image.sobel_edges


# ---- windows ---------------------------------------------------------------------------------------------------------

WINDOWS = {
    "nn.atrous_conv2d": lambda x: tf.nn.atrous_conv2d(x, KERNEL, 2, "VALID"),
    "nn.atrous_conv2d same": lambda x: tf.nn.atrous_conv2d(x, KERNEL, 2, "SAME"),
    "nn.avg_pool2d": lambda x: tf.nn.avg_pool2d(x, 2, 2, "SAME"),
    "nn.conv2d": lambda x: tf.nn.conv2d(x, KERNEL, 2, "SAME"),
    "nn.conv2d dilated": lambda x: tf.nn.conv2d(x, KERNEL, 1, "SAME", dilations=[1, 2, 2, 1]),
    "nn.conv2d explicit": lambda x: tf.nn.conv2d(x, KERNEL, 1, [[0, 0], [1, 0], [0, 2], [0, 0]]),
    "nn.conv2d_transpose": lambda x: tf.nn.conv2d_transpose(x, KERNEL.transpose(0, 1, 3, 2), with_shape(
        x, "0", 12, 10, 2), 2),
    "nn.conv2d_transpose odd": lambda x: tf.nn.conv2d_transpose(x, KERNEL.transpose(0, 1, 3, 2), with_shape(
        x, "0", 11, 9, 2), [1, 2, 2, 1]),
    "nn.conv2d_transpose valid": lambda x: tf.nn.conv2d_transpose(x, KERNEL.transpose(0, 1, 3, 2), with_shape(
        x, "0", 7, 6, 2), 1, "VALID"),
    "nn.conv2d_transpose far": lambda x: tf.nn.conv2d_transpose(x, KERNEL.transpose(0, 1, 3, 2), with_shape(
        x, "0", 18, 14, 2), 3, "VALID"),
    "nn.convolution": lambda x: tf.nn.convolution(x, KERNEL, padding="SAME", dilations=2),
    "nn.convolution strided": lambda x: tf.nn.convolution(x, KERNEL, strides=[2, 1], padding="VALID"),
    "nn.depth_to_space": lambda x: tf.nn.depth_to_space(tf.concat([x, x, x, x], -1), 2),
    "nn.depthwise_conv2d": lambda x: tf.nn.depthwise_conv2d(x, DEPTHWISE, [1, 1, 1, 1], "SAME"),
    "nn.depthwise_conv2d dilated": lambda x: tf.nn.depthwise_conv2d(
        x, DEPTHWISE, [1, 1, 1, 1], "VALID", dilations=[2, 2]),
    "nn.dilation2d": lambda x: tf.nn.dilation2d(x, np.ones((2, 2, 3), "float32"), [1] * 4, "VALID", "NHWC", [1] * 4),
    "nn.erosion2d": lambda x: tf.nn.erosion2d(x, KERNEL[..., 0], [1, 1, 1, 1], "SAME", "NHWC", [1, 1, 1, 1]),
    "nn.local_response_normalization": lambda x: tf.nn.local_response_normalization(x, 1, 1.0, 0.5, 0.75),
    "nn.max_pool2d": lambda x: tf.nn.max_pool2d(x, [3, 2], 2, "VALID"),
    "nn.max_pool_with_argmax": lambda x: tf.nn.max_pool_with_argmax(x, 2, 2, "SAME"),
    "nn.pool": lambda x: tf.nn.pool(x, [2, 2], "AVG", strides=[2, 2], padding="SAME"),
    "nn.separable_conv2d": lambda x: tf.nn.separable_conv2d(x, DEPTHWISE, np.ones((
        1, 1, 6, 2), "float32"), [1, 1, 1, 1], "VALID"),
    "nn.separable_conv2d dilated": lambda x: tf.nn.separable_conv2d(x, DEPTHWISE, np.ones((
        1, 1, 6, 2), "float32"), [1, 1, 1, 1], "SAME", dilations=[2, 2]),
    "nn.space_to_depth": lambda x: tf.nn.space_to_depth(x[:, :, :4], 2),
    "space_to_batch": lambda x: tf.space_to_batch(x[:, :, :4], [2, 2], [[0, 0], [0, 0]]),
    "space_to_batch and back": lambda x: tf.batch_to_space(tf.space_to_batch(
        x, [2, 3], [[0, 2], [1, 0]]), [2, 3], [[0, 2], [1, 0]]),
}


def of_other_ranks():
    yield "nn.conv1d_transpose", [STEPS], lambda x: tf.nn.conv1d_transpose(
        x, np.ones((3, 2, 4), "float32"), with_shape(x, "0", 6, 2), 2)
    yield "nn.conv3d_transpose", [normal(1, 2, 3, 2, 2)], lambda x: tf.nn.conv3d_transpose(
        x, np.ones((2, 2, 2, 1, 2), "float32"), with_shape(x, "0", 4, 6, 4, 1), 2)
    yield "nn.conv1d dilated", [STEPS], lambda x: tf.nn.conv1d(
        x, np.ones((2, 4, 2), "float32"), 1, "VALID", dilations=2)
    yield "nn.conv2d_transpose open", [OPEN_IMAGE], lambda x: tf.nn.conv2d_transpose(
        x, KERNEL.transpose(0, 1, 3, 2), [tf.shape(x)[0], tf.shape(x)[1] * 2, tf.shape(x)[2] * 2, 2], 2)
    for rank, x in ((1, STEPS), (2, IMAGE)):
        for name, function in (("max", tf.nn.max_pool), ("avg", tf.nn.avg_pool)):
            yield f"nn.{name}_pool{rank}d whole", [x], lambda x, f=function, r=rank: f(x, [2] * r, [1] * r, "SAME")
    yield "nn.max_pool1d", [STEPS], lambda x: tf.nn.max_pool1d(x, 2, 1, "VALID")
    yield "nn.avg_pool1d", [STEPS], lambda x: tf.nn.avg_pool1d(x, 2, 1, "VALID")
    yield "nn.conv_transpose", [IMAGE], lambda x: tf.nn.conv_transpose(
        x, KERNEL.transpose(0, 1, 3, 2), with_shape(x, "0", 12, 10, 2), [2, 2])
    yield "nn.pool max", [STEPS], lambda x: tf.nn.pool(x, [2], "MAX")


# ---- making tensors --------------------------------------------------------------------------------------------------

MADE = {
    "ones": lambda x: tf.concat([x, tf.ones(with_shape(x, "0", 3, 2))], -1),
    "ones whole": lambda x: x * tf.cast(tf.ones(with_shape(x, "0", 1, 1), tf.int32), tf.float32),
    "zeros": lambda x: tf.concat([x, tf.zeros([tf.shape(x)[0], tf.shape(x)[1], 1])], -1),
    "zeros of shape": lambda x: tf.zeros(tf.shape(x)) + x,
    "fill": lambda x: x + tf.fill(tf.shape(x), 3.0),
    "fill row": lambda x: x + tf.fill(with_shape(x, "0", 1, 4), 0.5),
    "eye": lambda x: x @ tf.eye(4, batch_shape=[tf.shape(x)[0]]),
    "eye by shape": lambda x: x @ tf.eye(tf.shape(x)[2]),
    "range": lambda x: x + tf.cast(tf.range(tf.shape(x)[2]), tf.float32),
    "range from": lambda x: x * tf.range(1.0, tf.cast(tf.shape(x)[2], tf.float32) + 1.0, 1.0),
    "range of batch": lambda x: x + tf.cast(tf.range(tf.shape(x)[0]), tf.float32)[:, None, None],
    "linspace": lambda x: x * tf.linspace(0.0, 1.0, tf.shape(x)[2]),
    "rank": lambda x: x / tf.cast(tf.rank(x), tf.float32),
    "size": lambda x: x / tf.cast(tf.size(x[0]), tf.float32),
    "meshgrid": lambda x: tf.meshgrid(x[0, 0], x[1, 1]),
    "embedded positions": lambda x: x + keras.layers.Embedding(3, 4, embeddings_initializer="ones")(tf.range(
        0, tf.shape(x)[1], 1)),
}
MADE_OF_OPEN = {
    "range open": lambda x: x + tf.cast(tf.range(tf.shape(x)[1]), tf.float32)[:, None],
    "range open from": lambda x: x + tf.cast(tf.range(0, tf.shape(x)[1], 1), tf.float32)[None, :, None],
    "sequence_mask open": lambda x: x * tf.sequence_mask([1, 2], tf.shape(x)[1], dtype=tf.float32)[..., None],
    "causal": lambda x: x[:, :, :1] + tf.linalg.band_part(tf.ones([tf.shape(x)[1], tf.shape(x)[1]]), -1, 0),
    "zeros open": lambda x: tf.concat([x, tf.zeros([tf.shape(x)[0], tf.shape(x)[1], 1])], -1),
    "causal by positions": lambda x: x[:, :, :1] + tf.cast(tf.range(tf.shape(x)[1])[:, None] >= tf.range(tf.shape(
        x)[1]), tf.float32),
}


# ---- element by element ----------------------------------------------------------------------------------------------

ELEMENTWISE = {name: getattr(tf.math, name) for name in (
    "abs", "bessel_i0", "bessel_i0e", "bessel_i1", "bessel_i1e", "cumsum", "digamma", "erf",
    "is_non_decreasing", "is_strictly_increasing", "lgamma", "log_sigmoid", "lbeta", "ndtri", "reciprocal_no_nan",
    "reduce_euclidean_norm", "sigmoid", "softplus", "zero_fraction", "erfcinv", "l2_normalize")}
POSITIVE_ONLY = {"digamma", "lbeta", "ndtri", "erfcinv"}
PAIRS = {name: getattr(tf.math, name) for name in (
    "igamma", "igammac", "nextafter", "xlog1py", "xdivy", "xlogy", "zeta", "squared_difference",
    "multiply_no_nan", "divide_no_nan", "floormod", "atan2", "maximum", "logaddexp") if hasattr(tf.math, name)}
FUNCTIONS = {
    "math.add_n": lambda x: tf.add_n([x, x * 2, x]),
    "math.argmax": lambda x: tf.argmax(x, -1),
    "math.argmin whole": lambda x: tf.argmin(x, 1, output_type=tf.int32),
    "math.count_nonzero": lambda x: tf.math.count_nonzero(x, 1),
    "math.cumprod": lambda x: tf.math.cumprod(x, 1),
    "math.cumsum": lambda x: tf.cumsum(x, 1, exclusive=True, reverse=True),
    "math.cumulative_logsumexp": lambda x: tf.math.cumulative_logsumexp(x, 1),
    "math.cumulative_logsumexp back": lambda x: tf.math.cumulative_logsumexp(x, -1, reverse=True),
    "math.polyval": lambda x: tf.math.polyval([1.0, -2.0, 0.5], x),
    "math.reduce_std": lambda x: tf.math.reduce_std(x, 1),
    "math.reduce_logsumexp": lambda x: tf.reduce_logsumexp(x, -1),
    "math.top_k": lambda x: tf.math.top_k(x, 2),
    "math.reduce_variance": lambda x: tf.math.reduce_variance(x, [1, 2], keepdims=True),
    "math.approx_max_k": lambda x: tf.math.approx_max_k(x, 2),
    "clip_by_value": lambda x: tf.clip_by_value(x, -1, 1),
    "clip_by_norm": lambda x: tf.clip_by_norm(x, 1.5, -1),
    "clip_by_global_norm": lambda x: tf.clip_by_global_norm([x, 2 * x], 1.5),
    "dtypes.complex": lambda x: tf.abs(tf.complex(x, 2 * x)),
    "histogram_fixed_width_bins": lambda x: tf.histogram_fixed_width_bins(x, [-2.0, 2.0], 4),
    "searchsorted": lambda x: tf.searchsorted([-1.0, 0.0, 1.0], tf.reshape(x, [-1])),
    "searchsorted right": lambda x: tf.searchsorted([-1.0, 0.0, 1.0], tf.reshape(x, [-1]), side="right"),
    "repeat": lambda x: tf.repeat(x, [1, 2, 1], axis=1),
    "roll": lambda x: tf.roll(x, [1, -1], [1, 2]),
    "reverse": lambda x: tf.reverse(x, [1, -1]),
    "reverse_sequence": lambda x: tf.reverse_sequence(x, [1, 3], seq_axis=1),
    "sort": lambda x: tf.sort(x, -1, "DESCENDING"),
    "argsort": lambda x: tf.argsort(x, 1),
    "math.polygamma order": lambda x: tf.math.polygamma(2.0, tf.abs(x) + 1),
    "unique": lambda x: tf.unique(tf.reshape(x, [-1])),
    "boolean_mask": lambda x: tf.boolean_mask(x, x > 0),
    "boolean_mask fixed": lambda x: tf.boolean_mask(x, [True, False, True], axis=1),
    "dynamic_partition": lambda x: tf.dynamic_partition(x, tf.cast(x[:, 0, 0] > 0, tf.int32), 2),
    "where alone": lambda x: tf.where(x > 0),
    "where": lambda x: tf.where(x > 0, x, tf.zeros_like(x)),
    "one_hot": lambda x: tf.one_hot(tf.cast(x, tf.int32), 4, on_value=2.0, off_value=-1.0),
    "print": lambda x: tf.identity(x),
    "strings.as_string": lambda x: tf.strings.length(tf.strings.as_string(x)),
    "py_function": lambda x: tf.py_function(abs, [x], tf.float32),
    "ragged": lambda x: tf.RaggedTensor.from_tensor(x).to_tensor(),
    "equal": lambda x: x == 1.0,
    "equal named": lambda x: tf.equal(x, 1.0),
    "random.normal": lambda x: x + tf.random.normal(tf.shape(x)),
    "random.stateless_normal": lambda x: x + tf.random.stateless_normal(tf.shape(x), [1, 2]),
    "nn.dropout": lambda x: tf.nn.dropout(x, 0.5),
    "reshape of tensors": lambda x: tf.reshape(x, [-1, tf.shape(x)[1] * tf.shape(x)[2]]),
    "transpose": lambda x: tf.transpose(x, [0, 2, 1]),
    "tensordot": lambda x: tf.tensordot(x, np.ones((4, 2), "float32"), 1),
    "method": lambda x: x[..., 0:2] ** 2,
    "unstack": lambda x: tf.unstack(x, axis=1)[1],
    "squeeze": lambda x: tf.squeeze(x[:, :1], 1),
    "strided": lambda x: x[:, ::-1, tf.newaxis, ..., 1],
    "einsum": lambda x: tf.einsum("bij,bkj->bik", x, x),
    "slice": lambda x: tf.slice(x, [0, 1, 0], [-1, 2, 3]),
    "unravel_index": lambda x: tf.unravel_index(tf.argmax(tf.reshape(x, [-1])), [6, 4]),
    "no gradient": tf.stop_gradient,
    "expand": lambda x: tf.expand_dims(x, -1),
    "pad": lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 0]], constant_values=1.0),
    "tile": lambda x: tf.tile(x, [1, 2, 1]),
}


# ---- picking and putting ---------------------------------------------------------------------------------------------

def picked():
    x, rows = normal(2, 4, 3), integers(0, 4, 2, 2)
    yield "gather", [x], lambda x: tf.gather(x, [2, 0], axis=1)
    yield "gather batch_dims", [x, rows], lambda x, i: tf.gather(x, i, batch_dims=1)
    yield "gather batch_dims axis", [x, integers(0, 3, 2, 2)], lambda x, i: tf.gather(x, i, axis=2, batch_dims=1)
    yield "gather batch_dims all", [x, integers(0, 3, 2, 4)], lambda x, i: tf.gather(x, i, axis=2, batch_dims=2)
    yield "gather batch_dims one", [x, integers(0, 4, 2)], lambda x, i: tf.gather(x, i, axis=1, batch_dims=1)
    yield "gather batch_dims wide", [x, integers(0, 4, 2, 3, 2)], lambda x, i: tf.gather(x, i, axis=1, batch_dims=1)
    yield "gather from a table", [rows], lambda i: tf.gather(np.arange(12, dtype="float32").reshape(4, 3), i)
    yield "gather_nd", [x], lambda x: tf.gather_nd(x, [[0, 1], [1, 2]])
    yield "gather_nd whole", [x], lambda x: tf.gather_nd(x, [[[0, 1, 2]], [[1, 2, 0]]])
    yield "gather_nd batch_dims", [x, integers(0, 3, 2, 5, 2)], lambda x, i: tf.gather_nd(x, i, batch_dims=1)
    yield "gather_nd batch_dims rows", [x, integers(0, 4, 2, 5, 1)], lambda x, i: tf.gather_nd(x, i, batch_dims=1)
    yield "nn.embedding_lookup", [rows], lambda i: tf.nn.embedding_lookup(np.eye(4, dtype="float32"), i)
    yield "scatter_nd", [integers(0, 4, 3, 1), FLAT], lambda i, u: tf.scatter_nd(i, u, [4, 4])
    for name in ("add", "sub", "max", "min", "update"):
        function = getattr(tf, f"tensor_scatter_nd_{name}")
        yield f"tensor_scatter_nd_{name}", [np.float32(normal(4, 3)), np.int32([[1], [3]]), normal(2, 3)], function
    for name in ("sum", "prod", "max", "min", "mean", "sqrt_n"):
        function = getattr(tf.math, f"unsorted_segment_{name}")
        yield f"math.unsorted_segment_{name}", [normal(5, 3), np.int32([0, 2, 0, 2, 2])], lambda x, i, f=function: f(
            x, tf.reshape(i, [-1]), 4)
    yield "math.segment_sum", [normal(5, 3), np.int32([0, 0, 1, 1, 2])], lambda x, i: tf.math.segment_sum(
        x, tf.reshape(i, [-1]))
    lengths = integers(0, 4, 3)
    yield "sequence_mask", [lengths], lambda n: tf.sequence_mask(n, 4)
    yield "sequence_mask float", [integers(0, 4, 3, 2)], lambda n: tf.sequence_mask(n, 4, tf.float32)
    yield "sequence_mask by shape", [lengths, normal(3, 5)], lambda n, x: tf.sequence_mask(n, tf.shape(x)[1], x.dtype)
    yield "sequence_mask by open", [lengths, free(normal(3, 5), 1)], lambda n, x: tf.sequence_mask(
        n, tf.shape(x)[1], x.dtype)
    yield "sequence_mask longest", [lengths], tf.sequence_mask
    yield "dynamic_stitch", [FLAT], lambda x: tf.dynamic_stitch([[0, 2], [1]], [x[:2], x[2:]])
    yield "tensor_scatter of a constant", [normal(3, 4)], lambda u: tf.tensor_scatter_nd_update(
        np.zeros((5, 4), "float32"), [[1], [3], [4]], u)


# ---- neural ----------------------------------------------------------------------------------------------------------

def neural():
    yield "nn.moments", [IMAGE], lambda x: tf.nn.moments(x, [1, 2], keepdims=True)
    yield "nn.weighted_moments", [STEPS], lambda x: tf.nn.weighted_moments(x, [1], tf.abs(x) + 1)
    yield "nn.batch_normalization", [IMAGE], lambda x: tf.nn.batch_normalization(
        x, *tf.nn.moments(x, [1, 2], keepdims=True), np.float32([1, 2, 3]), np.float32([3, 1, 2]), 1e-3)
    yield "nn.bias_add", [IMAGE], lambda x: tf.nn.bias_add(x, np.float32([1, 2, 3]))
    yield "nn.bias_add front", [IMAGE.transpose(0, 3, 1, 2).copy()], lambda x: tf.nn.bias_add(
        x, np.float32([1, 2, 3]), "NCHW")
    yield "nn.l2_normalize", [STEPS], lambda x: tf.nn.l2_normalize(x, [1, 2])
    yield "math.l2_normalize", [STEPS], lambda x: tf.math.l2_normalize(x, -1, epsilon=0.5)
    for name in ("elu", "gelu", "leaky_relu", "relu", "relu6", "selu", "silu", "softsign", "swish", "crelu", "tanh",
                 "log_softmax", "softmax", "softplus", "sigmoid", "l2_loss", "zero_fraction"):
        yield f"nn.{name}", [STEPS], getattr(tf.nn, name)
    labels, logits = between(0, 1, 3, 4), FLAT
    for name in ("sigmoid", "softmax"):
        function = getattr(tf.nn, f"{name}_cross_entropy_with_logits")
        yield f"nn.{name}_cross_entropy_with_logits", [labels, logits], lambda y, x, f=function: f(y, x)
    yield "nn.sparse_softmax_cross_entropy_with_logits", [integers(0, 4, 3), logits], lambda y, x: (
        tf.nn.sparse_softmax_cross_entropy_with_logits(y, x))
    yield "nn.weighted_cross_entropy_with_logits", [labels, logits], lambda y, x: (
        tf.nn.weighted_cross_entropy_with_logits(y, x, 2.0))
    yield "nn.log_poisson_loss", [labels, logits], tf.nn.log_poisson_loss
    yield "nn.log_poisson_loss full", [labels, logits], lambda y, x: tf.nn.log_poisson_loss(y, x, True)
    yield "nn.in_top_k", [integers(0, 4, 3), logits], lambda y, x: tf.math.in_top_k(y, x, 2)
    yield "nn.compute_average_loss", [logits], lambda x: tf.nn.compute_average_loss(x, global_batch_size=3)
    yield "math.confusion_matrix", [integers(0, 4, 5), integers(0, 4, 5)], (
        lambda x, y: tf.math.confusion_matrix(x, y, 4))
    yield "nn.ctc_loss", [integers(1, 4, 2, 2), normal(2, 5, 4)], lambda y, x: tf.nn.ctc_loss(
        y, x, [2, 2], [5, 5], False, blank_index=0)


# ---- linear algebra and signals --------------------------------------------------------------------------------------

LINALG = {
    "signal.fft2d": lambda x: tf.abs(tf.signal.fft2d(tf.cast(x, tf.complex64))),
    "signal.ifft2d": lambda x: tf.math.real(tf.signal.ifft2d(tf.cast(x, tf.complex64))),
    "linalg.adjoint": tf.linalg.adjoint,
    "linalg.band_part": lambda x: tf.linalg.band_part(x, -1, 0),
    "linalg.det": tf.linalg.det,
    "linalg.diag": lambda x: tf.linalg.diag(x[:, 0]),
    "linalg.diag off": lambda x: tf.linalg.diag(x[:, 0], k=1),
    "linalg.diag_part": tf.linalg.diag_part,
    "linalg.eigvals": lambda x: tf.abs(tf.linalg.eigvals(x)),
    "linalg.expm": tf.linalg.expm,
    "linalg.inv": tf.linalg.inv,
    "linalg.logdet": lambda x: tf.linalg.logdet(x),
    "linalg.lstsq": lambda x: tf.linalg.lstsq(x, x[..., :1]),
    "linalg.matmul": lambda x: tf.linalg.matmul(x, x, transpose_b=True),
    "linalg.matvec": lambda x: tf.linalg.matvec(x, x[:, 0]),
    "linalg.matrix_rank": tf.linalg.matrix_rank,
    "linalg.matrix_transpose": tf.linalg.matrix_transpose,
    "linalg.norm": lambda x: tf.linalg.norm(x, axis=-1),
    "linalg.norm 1": lambda x: tf.norm(x, 1, axis=1),
    "linalg.norm inf": lambda x: tf.norm(x, np.inf, axis=-1, keepdims=True),
    "linalg.norm p": lambda x: tf.norm(x, 3, axis=-1),
    "linalg.norm matrix": lambda x: tf.norm(x, "fro", axis=[1, 2]),
    "linalg.normalize": lambda x: tf.linalg.normalize(x, axis=-1),
    "linalg.normalize one": lambda x: tf.linalg.normalize(x, 1, axis=1)[0],
    "linalg.pinv": tf.linalg.pinv,
    "linalg.cholesky": tf.linalg.cholesky,
    "linalg.cholesky_solve": lambda x: tf.linalg.cholesky_solve(tf.linalg.cholesky(x), x[..., :2]),
    "linalg.eigh": lambda x: tf.linalg.eigh(x)[0],
    "linalg.eigvalsh": tf.linalg.eigvalsh,
    "linalg.qr": lambda x: tf.abs(tf.linalg.qr(x)[1]),
    "linalg.set_diag": lambda x: tf.linalg.set_diag(x, x[:, 0]),
    "linalg.solve": lambda x: tf.linalg.solve(x, x[..., :1]),
    "linalg.sqrtm": tf.linalg.sqrtm,
    "linalg.svd": lambda x: tf.linalg.svd(x, compute_uv=False),
    "linalg.svd whole": lambda x: tf.abs(tf.linalg.svd(x)[1]),
    "linalg.tensor_diag": lambda x: tf.linalg.tensor_diag(x[0, 0]),
    "linalg.tensordot": lambda x: tf.tensordot(x, np.ones((3, 2), "float32"), [[2], [0]]),
    "linalg.trace": tf.linalg.trace,
    "linalg.global_norm": lambda x: tf.linalg.global_norm([x, 2 * x]),
    "linalg.lu": lambda x: tf.linalg.lu(x)[0],
    "linalg.triangular_solve": lambda x: tf.linalg.triangular_solve(x, x[..., :1]),
    "linalg.tensor_diag_part": lambda x: tf.linalg.tensor_diag_part(x[0]),
    "linalg.cross": lambda x: tf.linalg.cross(x, x[:, ::-1]),
}
LONG = between(-1, 1, 2, 20)
SIGNALS = {
    "signal.dct": tf.signal.dct,
    "signal.dct ortho": lambda x: tf.signal.dct(x, norm="ortho"),
    "signal.idct": lambda x: tf.signal.idct(x, norm="ortho"),
    "signal.dct 3": lambda x: tf.signal.dct(x, 3),
    "signal.fft": lambda x: tf.abs(tf.signal.fft(tf.cast(x, tf.complex64))),
    "signal.ifft": lambda x: tf.math.real(tf.signal.ifft(tf.cast(x, tf.complex64))),
    "signal.fftshift": lambda x: tf.signal.fftshift(x, axes=-1),
    "signal.ifftshift": lambda x: tf.signal.ifftshift(x, [1]),
    "signal.frame": lambda x: tf.signal.frame(x, 6, 3),
    "signal.frame padded": lambda x: tf.signal.frame(x, 6, 4, pad_end=True, pad_value=0.5),
    "signal.overlap_and_add": lambda x: tf.signal.overlap_and_add(tf.signal.frame(x, 6, 3), 3),
    "signal.stft": lambda x: tf.abs(tf.signal.stft(x, 8, 4)),
    "signal.stft padded": lambda x: tf.abs(tf.signal.stft(x, 6, 3, fft_length=8, pad_end=True)),
    "signal.stft of words": lambda x: tf.math.real(tf.signal.stft(x, 8, 4, window_fn=None)),
    "signal.inverse_stft": lambda x: tf.signal.inverse_stft(tf.signal.stft(x, 8, 4), 8, 4),
    "signal.inverse_stft windowed": lambda x: tf.signal.inverse_stft(tf.signal.stft(
        x, 8, 4), 8, 4, window_fn=tf.signal.inverse_stft_window_fn(4)),
    "signal.stft hamming": lambda x: tf.abs(tf.signal.stft(x, 8, 4, window_fn=tf.signal.hamming_window)),
    "signal.mfccs_from_log_mel_spectrograms": lambda x: tf.signal.mfccs_from_log_mel_spectrograms(x),
    "signal.mel": lambda x: tf.tensordot(tf.abs(tf.signal.stft(x, 8, 4)), tf.signal.linear_to_mel_weight_matrix(
        3, 5, 8000), 1),
    "signal.mdct": lambda x: tf.signal.mdct(x, 8),
}


# ---- sizes that are open, and arguments by name ----------------------------------------------------------------------

OPEN = {
    "open length": lambda x: tf.reduce_sum(x, 1) / tf.cast(tf.shape(x)[1], tf.float32),
    "open length whole": lambda x: x * tf.math.sqrt(tf.cast(tf.shape(x)[1] * 2 + 1, tf.float32)),
    "open number": lambda x: tf.reduce_sum(x) / tf.cast(tf.size(x), tf.float32),
    "open roll": lambda x: tf.roll(x, 1, 1), "open slice": lambda x: x[:, :tf.shape(x)[1] - 1],
    "open tile": lambda x: tf.tile(tf.reduce_mean(x, 1, keepdims=True), [1, tf.shape(x)[1], 1]),
    "open shape of another": lambda x: tf.reshape(tf.reshape(x, [-1, 2]), tf.shape(x)),
    "open attention": lambda x: tf.matmul(x, x, transpose_b=True) + (1 - tf.linalg.band_part(
        tf.ones((tf.shape(x)[1], tf.shape(x)[1])), -1, 0)) * -1e9,
    "open length to a layer": lambda x: x * keras.layers.Activation("relu")(tf.cast(tf.shape(x)[1], tf.float32)),
}
BY_NAME = {
    "sines": lambda x: x + tf.sin(tf.cast(tf.range(tf.shape(x)[1]), tf.float32)[:, None] / tf.pow(
        10000.0, tf.cast(tf.range(4), tf.float32) / 4)[None]),
    "relative positions": lambda x: x[:, :, :3] + tf.cast(
        tf.range(tf.shape(x)[1])[None, :] - tf.range(tf.shape(x)[1])[:, None], tf.float32),
    "zeros to a layer": lambda x: keras.layers.Concatenate()([x, tf.zeros([tf.shape(x)[0], 3, 1])]),
    "by name concat": lambda x: tf.concat(values=[x, x], axis=1),
    "by name gather": lambda x: tf.gather(params=x, indices=[1, 0], axis=1),
    "by name mean": lambda x: tf.reduce_mean(input_tensor=x, axis=[1]),
    "by name matmul": lambda x: tf.matmul(a=x, b=x, transpose_b=True),
    "by name pad": lambda x: tf.pad(tensor=x, paddings=[[0, 0], [1, 1], [0, 0]]),
    "by name split": lambda x: tf.split(value=x, num_or_size_splits=2, axis=-1),
    "by name stack": lambda x: tf.stack(values=[x, tf.stack([x[:, 0]] * 3, 1)], axis=1),
    "by name where": lambda x: tf.where(condition=x > 0, x=x, y=-x),
    "a constant first": lambda x: tf.matmul(np.ones((2, 3), "float32"), 1.0 - tf.maximum(0.5, x)) + 2.0 ** x[:, :2],
}


def further():
    lengths = integers(0, 3, 2)
    yield "last steps", [OPEN_STEPS, lengths], lambda x, i: tf.gather(x, i, axis=1, batch_dims=1)
    yield "last steps by gather_nd", [OPEN_STEPS, lengths], lambda x, i: tf.gather_nd(
        x, tf.stack([tf.range(tf.shape(x)[0]), i], 1))
    yield "one_hot by shape", [lengths, STEPS], lambda i, x: tf.one_hot(i, depth=tf.shape(x)[1])
    small = free(between(0, 1, 2, 3, 3, 3), 1, 2)
    yield "skip", [OPEN_IMAGE, small], lambda x, y: keras.layers.Add()([x, tf.image.resize(y, tf.shape(x)[1:3])])
    yield "skip of old", [OPEN_IMAGE, small], lambda x, y: tf.compat.v1.image.resize_bilinear(
        y, tf.shape(x)[1:3], half_pixel_centers=True)
    yield "resize of old", [IMAGE], lambda x: tf.compat.v1.image.resize_images(x, (3, 3))
    yield "open image in a row", [OPEN_IMAGE], lambda x: tf.reshape(
        x, [tf.shape(x)[0], tf.shape(x)[1] * tf.shape(x)[2], 3])


def functions():
    """Each with its name and inputs."""
    yield from further()
    yield from resizes()
    yield from of_several_images()
    yield from of_other_ranks()
    positive = between(0.0625, 0.9375, 2, 3, 4)
    yield from picked()
    yield from neural()
    for x, rooms in ((IMAGE, (IMAGES, WINDOWS)), (STEPS, (MADE, FUNCTIONS, BY_NAME)),
                     (OPEN_STEPS, (MADE_OF_OPEN, OPEN)), (POSITIVE, (LINALG,)), (LONG, (SIGNALS,))):
        for room in rooms:
            for name, build in room.items():
                yield name, [x], build
    for name, build in ELEMENTWISE.items():
        yield f"math.{name}", [positive if name in POSITIVE_ONLY else STEPS], build
    for name, build in PAIRS.items():
        yield f"math.{name}", [positive + 1, positive], build
    truths = [booleans(2, 3), booleans(2, 3)]
    yield "math.logical_and", truths, lambda x, y: tf.logical_and(x, tf.logical_not(y))
    yield "math.logical_xor", truths, tf.math.logical_xor
    yield "math.scalar_mul", [STEPS], lambda x: tf.scalar_mul(2.0, x)
    yield "math.conj", [STEPS, STEPS[::-1]], lambda x, y: tf.math.imag(tf.math.conj(tf.complex(x, y)))
    yield "math.angle", [STEPS, STEPS[::-1]], lambda x, y: tf.math.angle(tf.complex(x, y))
