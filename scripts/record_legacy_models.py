"""Records tests/data/legacy/tf_keras.* from tf_keras: whole models of Keras 2 in every form of their configs.

    pip install tensorflow-cpu tf_keras numpy h5py     (2.21.0 when this was last run; in an environment of its own)
    python scripts/record_legacy_models.py

For each model: its config as ``to_json()``, ``.h5`` and ``.keras`` have it, its shapes, and its outputs at
training=False on random weights. tests/data/legacy/models.* is of the same form, from models made for other purposes.
"""

import gzip
import json
import os
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import h5py
import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import Input, Model, Sequential, initializers, regularizers
from tf_keras import backend as K
from tf_keras import layers as L
from tf_keras.src.layers.rnn.gru_v1 import GRU as GRUOfTF1
from tf_keras.src.layers.rnn.lstm_v1 import LSTM as LSTMOfTF1

TARGET = Path(__file__).resolve().parent.parent / "tests" / "data" / "legacy"
random = np.random.default_rng(11)
MODELS = {}


def model(make):
    MODELS[make.__name__] = make
    return make


def on(name, shape, *layers, dtype=None):
    """A model with an output for each of some layers, all on one input; layers are made when it is."""
    def make():
        x = Input(shape, dtype=dtype)
        return Model(x, [layer()(x) for layer in layers])

    MODELS[name] = make


# ---- layers ----------------------------------------------------------------------------------------------------------

on("convolutions_1d", (9, 4), lambda: L.Conv1D(4, 3, strides=2, padding="causal", activation="hard_sigmoid"),
   lambda: L.Conv1DTranspose(3, 4, strides=2, padding="same"),
   lambda: L.DepthwiseConv1D(3, depth_multiplier=2, strides=2),
   lambda: L.SeparableConv1D(4, 3, padding="same"), lambda: L.LocallyConnected1D(3, 2),
   lambda: L.Conv1D(4, 3, groups=2, dilation_rate=2))
on("convolutions_2d", (7, 7, 4), lambda: L.Conv2D(4, 3, groups=2, dilation_rate=2, padding="same", activation="swish"),
   lambda: L.Conv2DTranspose(3, 3, strides=2, output_padding=1), lambda: L.DepthwiseConv2D(3, depth_multiplier=2),
   lambda: L.SeparableConv2D(4, 3, strides=2, depth_multiplier=2, activation="elu"),
   lambda: L.LocallyConnected2D(2, 2, implementation=2))
on("convolutions_3d", (4, 4, 4, 2), lambda: L.Conv3D(2, 2, padding="same", strides=2),
   lambda: L.Conv3DTranspose(2, 2, strides=2))
for _rank in (1, 2, 3):
    on(f"pooling_{_rank}d", (5,) * _rank + (2,), *(
        lambda kind=kind, options=options, rank=_rank: getattr(L, f"{kind}{rank}D")(**options)
        for kind, options in (("MaxPooling", {"padding": "same"}), ("AveragePooling", {"strides": 1}),
                              ("GlobalMaxPooling", {}), ("GlobalAveragePooling", {"keepdims": True}))),
       *(lambda kind=kind, rank=_rank: getattr(L, f"{kind}{rank}D")() for kind in ("ZeroPadding", "Cropping",
                                                                                "UpSampling")))
on("reshaping", (4, 6), lambda: L.Reshape((-1, 2)), lambda: L.Permute((2, 1)), lambda: L.Flatten(),
   lambda: L.EinsumDense("abc,cd->abd", (4, 3), bias_axes="d"), lambda: L.Flatten(data_format="channels_first"))
on("activations", (4,), *(lambda name=name: L.Activation(name) for name in (
    "elu", "selu", "softplus", "softsign", "relu", "tanh", "sigmoid", "exponential", "linear", "gelu", "mish",
    "hard_sigmoid", "softmax", "swish")), *(lambda function=function: L.Dense(2, activation=function) for function in (
        tf.nn.softmax, tf.nn.relu, tf.nn.relu6, tf.nn.leaky_relu, tf.nn.log_softmax)),
   lambda: L.Dense(2, activation=L.LeakyReLU(0.1)), lambda: L.LeakyReLU(0.2), lambda: L.LeakyReLU(),
   lambda: L.ELU(0.7), lambda: L.ReLU(3.0, 0.1, 0.2), lambda: L.ThresholdedReLU(0.3))
on("along_axes", (4, 3), lambda: L.PReLU(shared_axes=[1]), lambda: L.Softmax(axis=1), lambda: L.Softmax(axis=[1, 2]),
   lambda: L.BatchNormalization(axis=1, epsilon=0.01), lambda: L.BatchNormalization(synchronized=True),
   lambda: L.LayerNormalization(axis=[1, 2]), lambda: L.UnitNormalization(), lambda: L.GroupNormalization(3),
   lambda: L.Masking(0.5), lambda: L.Identity())
on("regularization", (4, 3), lambda: L.Dropout(0.5, noise_shape=(None, 1, 3), seed=1), lambda: L.SpatialDropout1D(0.5),
   lambda: L.AlphaDropout(0.3), lambda: L.GaussianDropout(0.3), lambda: L.GaussianNoise(0.3),
   lambda: L.ActivityRegularization(0.1, 0.2))
on("recurrent", (4, 2), lambda: L.LSTM(3, return_sequences=True, recurrent_activation="hard_sigmoid"),
   lambda: L.GRU(3, reset_after=False), lambda: L.GRU(3, go_backwards=True), lambda: L.SimpleRNN(3, unroll=True),
   lambda: LSTMOfTF1(3), lambda: GRUOfTF1(3), lambda: L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True),
   lambda: L.RNN(L.StackedRNNCells([L.SimpleRNNCell(3), L.SimpleRNNCell(2)])),
   lambda: L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode="sum"),
   lambda: L.Bidirectional(L.LSTM(3), backward_layer=L.LSTM(3, go_backwards=True, activation="relu"), merge_mode="ave"))
on("convolutional_recurrent", (3, 4, 4, 2), lambda: L.ConvLSTM2D(2, 2, padding="same"),
   lambda: L.ConvLSTM2D(1, 2, recurrent_activation="sigmoid", return_sequences=True))
on("time_distributed", (3, 4), lambda: L.TimeDistributed(L.Dense(2, activation="hard_sigmoid")),
   lambda: L.TimeDistributed(Sequential([L.Dense(3, input_shape=(4,)), L.Dense(2)])))
on("images", (6, 6, 3), lambda: L.Rescaling(1 / 255.0, 0.5), lambda: L.Resizing(3, 5),
   lambda: L.Resizing(3, 5, interpolation="nearest", crop_to_aspect_ratio=True), lambda: L.CenterCrop(3, 4),
   lambda: L.RandomFlip(), lambda: L.RandomRotation(0.1), lambda: L.RandomZoom(0.1),
   lambda: L.RandomTranslation(0.1, 0.1), lambda: L.RandomContrast(0.1), lambda: L.RandomCrop(3, 4),
   lambda: L.RandomBrightness(0.1), lambda: L.RandomHeight(0.1), lambda: L.RandomWidth(0.1),
   lambda: L.UpSampling2D((2, 3), interpolation="bilinear"))
on("features", (3,), lambda: L.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0]), lambda: L.Normalization(),
   lambda: L.Discretization([0.0, 1.0, 2.0]), lambda: L.experimental.RandomFourierFeatures(5))
on("words", (5,), lambda: L.Embedding(8, 4, mask_zero=True), lambda: L.CategoryEncoding(8, output_mode="multi_hot"),
   dtype="int32")


@model
def arguments():
    constraints = keras.constraints
    return Sequential([
        L.Dense(3, input_shape=(4,), kernel_constraint=constraints.MaxNorm(2, axis=0), bias_constraint="non_neg",
                kernel_regularizer=regularizers.L1L2(0.1, 0.2), activity_regularizer=regularizers.l1(0.1),
                bias_regularizer=regularizers.L2(0.1), bias_initializer=initializers.Constant(0.5),
                kernel_initializer=initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")),
        L.Dense(2, kernel_initializer=initializers.Orthogonal(2.0, seed=3), kernel_constraint=constraints.MinMaxNorm(),
                bias_initializer=initializers.RandomUniform(seed=1)),
        L.Dense(2, kernel_constraint=constraints.UnitNorm(), kernel_initializer="he_normal", trainable=False)])


@model
def mixed_precision():
    policy = keras.mixed_precision.Policy("mixed_bfloat16")
    return Sequential([L.Dense(4, dtype=policy, input_shape=(3,)), L.Dense(2, dtype="float32")])


# ---- graphs ----------------------------------------------------------------------------------------------------------


@model
def merging():
    a, b = Input((3, 4)), Input((3, 4))
    kinds = (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum)
    return Model([a, b], [*(kind()([a, b]) for kind in kinds), L.Concatenate(1)([a, b]),
                          L.Dot(axes=2, normalize=True)([a, b]), L.Dot(axes=(1, 1))([a, b])])


@model
def shared_layers_and_dicts():
    a, b, dense = Input((4,), name="a"), Input((4,), name="b"), L.Dense(3)
    return Model({"a": a, "b": b}, {"x": dense(a), "y": L.add([dense(a), dense(b)])})


@model
def models_in_models():
    i = Input((4,))
    base = Model(i, [L.Dense(3)(i), L.Dense(2)(i)], name="base")
    known = Sequential([L.Dense(3, input_shape=(4,)), L.BatchNormalization()], name="known")
    unknown = Sequential([L.Dense(3)], name="unknown")
    x, y = Input((4,)), Input((4,))
    p, q = base(x)
    r, t = base(y)
    return Model([x, y], [L.concatenate([p, t]), known(x), L.add([known(y), unknown(x)]), unknown(y), q, r])


@model
def nested_outputs():
    i, x = Input((4,)), Input((4,))
    base = Model(i, L.Dense(3)(i), name="base")
    return Model(x, [base(x), base(L.Dense(4)(x))])


@model
def models_in_models_in_models():
    i, j, x = Input((4,)), Input((4,)), Input((4,))
    inner = Model(i, L.Dense(4)(i))
    outer = Model(j, inner(inner(j)))
    return Model(x, Sequential([outer, L.Dense(2)])(L.Dense(4)(x)))


@model
def sequential_that_was_built_late():
    made = Sequential([L.Dense(3), L.Dense(2)])
    made.build((None, 4))
    return made


@model
def names_with_slashes():
    return Sequential([L.Dense(3, input_shape=(4,), name="block/a"), L.Dense(2, name="block/b")])


@model
def states():
    x, h, c = Input((5, 3)), Input((4,)), Input((4,))
    o, first, second = L.LSTM(4, return_state=True, return_sequences=True)(x, initial_state=[h, c])
    both = L.Bidirectional(L.LSTM(2))(x, initial_state=[L.Dense(2)(h) for _ in range(4)])
    return Model([x, h, c], [o, first, second, L.GRU(4)(o, initial_state=first), both])


@model
def masks():
    x, mask = Input((6, 3)), Input((6,), dtype="bool")
    masked = L.Masking(0.0)(x)
    return Model([x, mask], [L.GRU(3)(x, mask=mask), L.LSTM(3)(masked), L.Bidirectional(L.GRU(2))(masked),
                             L.GlobalAveragePooling1D()(masked)])


@model
def attention():
    q, v = Input((5, 4)), Input((6, 4))
    o, scores = L.MultiHeadAttention(2, 3, output_shape=5)(q, v, return_attention_scores=True)
    return Model([q, v], [o, scores, L.MultiHeadAttention(2, 3)(q, q, use_causal_mask=True), L.Attention(
        use_scale=True, score_mode="concat")([q, v]), L.AdditiveAttention()([q, v]), L.Attention()(
            [q, q], use_causal_mask=True)])


@model
def training_in_calls():
    x = Input((4,))
    return Model(x, L.BatchNormalization()(L.Dropout(0.5)(x, training=False), training=False))


@model
def losses_and_metrics():
    x = Input((4,))
    made = Model(x, L.Dense(2)(x))
    made.add_loss(tf.reduce_mean(made.output))
    made.add_metric(tf.reduce_sum(made.output), name="total")
    return made


@model
def lambdas():
    x = Input((4,))
    return Model(x, [L.Lambda(lambda t: t * 2)(x), L.Lambda(lambda t, k: t * k, arguments={"k": 3}, name="times")(x)])


@model
def batch_of_two():
    x = Input(batch_shape=(2, 5, 3))
    return Model(x, L.LSTM(3, stateful=True)(x))


# ---- functions of TensorFlow -----------------------------------------------------------------------------------------


def number(x):
    return tf.cast(x, tf.float32)


@model
def operators():
    x, y = Input((4,)), Input((4,))
    return Model([x, y], [x + y, x - y, x * y, x / y, x ** 2, 2 - x, 1 / (x * x + 1.0), -x, abs(x), x // 2.0, x % 2.0,
                          2 ** x, x + np.arange(4, dtype="float32"), tf.constant([1.0, 2, 3, 4]) * x, number(x > y),
                          number(x <= 0), number((x > 0) & (y > 0)), number((x > 0) | (y > 0)), number(~(x > 0)),
                          number(tf.not_equal(x, y)), tf.where(x > 0, x, 0.0), tf.where(x > y, x, y),
                          tf.maximum(x, y), tf.minimum(x, 0.5), tf.math.squared_difference(x, y),
                          tf.add_n([x, y, x]), tf.math.divide_no_nan(x, y), tf.math.atan2(x, y),
                          tf.math.xlogy(tf.abs(x), tf.abs(y)), tf.math.multiply_no_nan(x, y),
                          tf.math.scalar_mul(3.0, x)])


@model
def comparisons():
    x, y = Input((4,)), Input((4,))
    return Model([x, y], number(x == y))


@model
def elementwise():
    x = Input((4,))
    names = ("abs", "exp", "square", "sign", "floor", "sin", "cos", "tanh", "sigmoid", "erf", "softplus", "expm1",
             "atan", "sinh", "round", "ceil", "negative", "asinh", "log_sigmoid")
    nn = tf.nn
    return Model(x, [*(getattr(tf.math, name)(x) for name in names), tf.math.log1p(x * x), tf.math.rsqrt(x * x + 1.0),
                     tf.identity(x), tf.stop_gradient(x), tf.zeros_like(x), tf.ones_like(x), nn.relu(x), nn.relu6(x),
                     nn.elu(x), nn.selu(x), nn.leaky_relu(x), nn.leaky_relu(x, alpha=0.3), nn.softmax(x),
                     nn.log_softmax(x), nn.gelu(x), nn.gelu(x, approximate=True), nn.silu(x), nn.softsign(x),
                     nn.crelu(x), keras.activations.hard_sigmoid(x), keras.activations.relu(x, max_value=2.0),
                     nn.bias_add(x, tf.constant([1.0, 2, 3, 4])), tf.clip_by_value(x, -1.0, 1.0),
                     tf.clip_by_norm(x, 1.0, axes=[1]), tf.ensure_shape(x, (None, 4)), tf.convert_to_tensor(x)])


@model
def reductions():
    x = Input((4, 3))
    return Model(x, [tf.reduce_mean(x, axis=[1, 2]), tf.reduce_sum(x, -1, keepdims=True), tf.reduce_max(x, 1),
                     tf.reduce_min(x, axis=2), tf.reduce_prod(x, 2), tf.math.reduce_std(x, 1),
                     tf.math.reduce_variance(x, 1), tf.reduce_logsumexp(x, 2), number(tf.reduce_any(x > 0, 1)),
                     number(tf.reduce_all(x > 0, 1)), tf.norm(x, axis=-1), tf.argmax(x, 1),
                     tf.argmin(x, axis=2, output_type=tf.int32), tf.cumsum(x, 1), tf.cumsum(x, axis=1, reverse=True),
                     tf.sort(x, axis=1, direction="DESCENDING"), tf.argsort(x, axis=1), tf.math.l2_normalize(x, 1),
                     tf.math.count_nonzero(x > 0, axis=1), *tf.math.top_k(x, 2), *tf.nn.moments(x, [1])])


@model
def shapes():
    x = Input((4, 6))
    return Model(x, [tf.reshape(x, [-1, 24]), tf.expand_dims(x, -1), tf.squeeze(tf.expand_dims(x, 1), 1),
                     tf.transpose(x, [0, 2, 1]), tf.concat([x, x], axis=-1), tf.stack([x, x], axis=2),
                     *tf.unstack(x, axis=1), *tf.split(x, 2, axis=2), *tf.split(x, [1, 2, 3], -1),
                     tf.tile(x, [1, 1, 2]), tf.repeat(x, 2, axis=1), tf.pad(x, [[0, 0], [1, 2], [0, 0]]),
                     tf.pad(x, [[0, 0], [1, 1], [1, 1]], mode="REFLECT"),
                     tf.pad(x, [[0, 0], [1, 0], [0, 0]], constant_values=3.0), tf.reverse(x, axis=[1]),
                     tf.roll(x, 1, axis=1), tf.gather(x, [0, 2], axis=1), tf.slice(x, [0, 1, 2], [-1, 2, 3]),
                     tf.one_hot(tf.argmax(x, -1), 6), tf.broadcast_to(x[:1], [3, 4, 6])])


@model
def sizes():
    x = Input((4, 6))
    size = tf.shape(x)
    return Model(x, [tf.reshape(x, [tf.shape(x)[0], 24]), tf.reshape(x, [size[0], size[1], 3, 2]),
                     tf.reshape(x, [size[0] * size[1], 6]), tf.reshape(x, tf.stack([size[0], 8, 3])),
                     tf.reshape(x, tf.concat([size[:2], [2, 3]], 0))])


@model
def slices():
    x = Input((6, 5, 4))
    return Model(x, [x[:, 0], x[:, -1, :], x[:, ::2, 1:], x[:, None, 0], x[:, 1:4, 2, ::-1], x[0], x[:, tf.newaxis]])


@model
def slices_with_ellipsis():
    x = Input((6, 5, 4))
    return Model(x, [x[..., 1:3], x[..., 0], x[:, 1, ...]])


@model
def products():
    x, y = Input((3, 4)), Input((4, 5))
    return Model([x, y], [x @ y, tf.matmul(x, x, transpose_b=True), tf.matmul(y, x, transpose_a=True, transpose_b=True),
                          tf.linalg.matvec(x, x[:, 0]), tf.tensordot(x, tf.ones((4, 2)), 1), K.batch_dot(x, y),
                          tf.tensordot(x, tf.ones((4, 2)), [[2], [0]]), K.dot(x, K.constant(np.ones((4, 2)))),
                          tf.linalg.band_part(x, -1, 0), tf.linalg.trace(x), tf.linalg.matrix_transpose(x)])


@model
def windows():
    x, nn, image = Input((6, 8, 3)), tf.nn, tf.image
    return Model(x, [image.resize(x, (3, 4)), image.resize(x, [12, 16], method="nearest"), image.flip_left_right(x),
                     image.flip_up_down(x), image.rgb_to_grayscale(x), image.adjust_brightness(x, 0.1),
                     image.adjust_contrast(x, 2.0), image.crop_to_bounding_box(x, 1, 2, 3, 4),
                     nn.max_pool2d(x, 2, 2, "SAME"), nn.avg_pool2d(x, [2, 2], [2, 2], "VALID"),
                     nn.space_to_depth(x, 2), nn.depth_to_space(tf.concat([x] * 4, -1), 2),
                     nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "VALID"),
                     nn.conv2d(x, tf.ones((2, 2, 3, 2)), 1, "SAME"),
                     nn.depthwise_conv2d(x, tf.ones((2, 2, 3, 1)), [1, 1, 1, 1], "VALID"),
                     image.grayscale_to_rgb(x[:, :, :, :1]), image.transpose(x),
                     image.extract_patches(x, [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID")])


# ---- recording -------------------------------------------------------------------------------------------------------


def numbers_for(variable):
    array = random.normal(size=variable.shape) * 0.5
    return (abs(array) + 0.5 if "variance" in variable.name else array).astype("float32")


def inputs_for(made):
    for tensor in made.inputs:
        shape = [2 if size is None else size for size in tensor.shape]
        if tensor.dtype == "bool":
            yield random.random(shape) > 0.3
        elif tensor.dtype == "int32":
            yield random.integers(0, 8, shape).astype("int32")
        else:
            yield random.normal(size=shape).astype("float32")


def forms(made):
    """The config in each form in which the model can be saved."""
    found = {"json": {"config": json.loads(made.to_json())}}
    with tempfile.TemporaryDirectory() as folder:
        for form in ("h5", "keras"):
            path = Path(folder) / f"model.{form}"
            try:
                made.save(path)
            except (TypeError, ValueError) as error:
                print(f"  no .{form}: {str(error)[:80]!r}")
                continue
            if form == "h5":
                with h5py.File(path) as file:
                    found[form] = {"config": json.loads(file.attrs["model_config"]), "backend": file.attrs["backend"],
                                   "version": file.attrs["keras_version"]}
            else:
                with zipfile.ZipFile(path) as archive:
                    found[form] = {"config": json.loads(archive.read("config.json")),
                                   "version": json.loads(archive.read("metadata.json"))["keras_version"]}
    return found


def plain(shape):
    return json.loads(json.dumps(shape))


def flat(shapes):
    """A dict of shapes as the list of them in Keras' order."""
    return [shapes[key] for key in sorted(shapes)] if isinstance(shapes, dict) else shapes


def record(name, make):
    keras.backend.clear_session()
    made = make()
    for layer in made.layers:
        if layer.weights:
            layer.set_weights([numbers_for(variable) for variable in layer.weights])
    inputs = list(inputs_for(made))
    given = dict(zip(sorted(made.input), inputs)) if isinstance(made.input, dict) else inputs
    outputs = [tf.cast(y, tf.float32) if y.dtype == tf.bfloat16 else y for y in tf.nest.flatten(
        made(given if len(inputs) > 1 else inputs[0], training=False))]
    layers = [{"name": layer.name, "class": type(layer).__name__, "output_shape": plain(layer.output_shape),
               "params": layer.count_params()} for layer in made.layers]
    trainable = int(sum(np.prod(variable.shape) for variable in made.trainable_weights))
    stored = {**{f"input_{i}": x for i, x in enumerate(inputs)},
              **{f"output_{i}": y.numpy() for i, y in enumerate(outputs)},
              **{f"weight_{i}_{j}": array for i, layer in enumerate(made.layers)
                 for j, array in enumerate(layer.get_weights())}}
    shapes = {"input_shape": plain(flat(made.input_shape)), "output_shape": plain(flat(made.output_shape)),
              "params": made.count_params(), "trainable": trainable, "layers": layers}
    weights = [[layer.name, [variable.name for variable in layer.weights]] for layer in made.layers]
    return {"shapes": shapes, "forms": forms(made), "weights": weights, "numbers": True}, stored


def main():
    records, stored = {}, {}
    for name, make in MODELS.items():
        print(name)
        records[name], arrays = record(name, make)
        stored.update((f"{name}/{key}", array) for key, array in arrays.items())
    np.savez_compressed(TARGET / "tf_keras.npz", **stored)
    with gzip.GzipFile(TARGET / "tf_keras.json.gz", "wb", mtime=0) as file:
        file.write(json.dumps(records).encode())
    print(len(records), "models", [(TARGET / f"tf_keras.{end}").stat().st_size for end in ("npz", "json.gz")])


if __name__ == "__main__":
    main()
