"""Records tests/data/legacy_layers.* from tf_keras: layers that Keras 3 has dropped, and what they answer.

    pip install tensorflow-cpu tf_keras numpy     (2.21.0 when this was last run; in an environment of its own)
    python scripts/record_legacy_layers.py

Each case is a layer's config, an input, its weights as ``get_weights()`` gives them, and its output at training=False.
The cuDNN layers run on no CPU. tf_keras itself turns their weights into those of LSTM and GRU when a file is loaded on
one; the outputs are those of these layers.
"""

import inspect
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tf_keras as keras
from tf_keras.src.layers.rnn.cudnn_gru import CuDNNGRU
from tf_keras.src.layers.rnn.cudnn_lstm import CuDNNLSTM
from tf_keras.src.saving.legacy.hdf5_format import preprocess_weights_for_loading

TARGET = Path(__file__).resolve().parent.parent / "tests" / "data"
layers = keras.layers
random = np.random.default_rng(7)


def locally_connected():
    """Every implementation with what it accepts; sizes that strides do not divide, windows of even size."""
    for implementation in (1, 2, 3):
        for padding in ("valid", "same")[:1 if implementation == 1 else 2]:
            for order in ("channels_last", "channels_first"):
                common = {"padding": padding, "data_format": order, "implementation": implementation}
                steps, image = ((7, 3), (5, 6, 2)) if order == "channels_last" else ((3, 7), (2, 5, 6))
                yield layers.LocallyConnected1D(4, 3, **common), steps
                yield layers.LocallyConnected1D(2, 2, strides=2, activation="relu", **common), steps
                yield layers.LocallyConnected1D(2, 4, strides=3, use_bias=False, **common), steps
                yield layers.LocallyConnected2D(3, 2, **common), image
                yield layers.LocallyConnected2D(2, (3, 2), strides=(2, 1), activation="tanh", **common), image
    yield layers.LocallyConnected2D(2, 3, activation="softmax", kernel_regularizer="l2", bias_constraint="non_neg",
                                    name="named"), (4, 4, 1)
    yield layers.LocallyConnected1D(2, 5, implementation=3, padding="same"), (2, 3)


def others():
    yield layers.ThresholdedReLU(), (5,)
    yield layers.ThresholdedReLU(theta=0.25), (4, 3)
    yield layers.experimental.SyncBatchNormalization(), (4, 3)
    yield layers.experimental.SyncBatchNormalization(axis=1, scale=False, epsilon=0.01), (4, 3)
    yield layers.experimental.RandomFourierFeatures(6), (4,)
    yield layers.experimental.RandomFourierFeatures(6, "laplacian"), (4,)
    yield layers.experimental.RandomFourierFeatures(5, keras.initializers.RandomNormal(), scale=2.5), (3,)
    yield layers.RandomHeight(0.3), (6, 5, 3)
    yield layers.RandomWidth((-0.2, 0.5), interpolation="nearest"), (6, 5, 3)


def cudnn():
    for kind, plain, own in ((CuDNNLSTM, layers.LSTM, {}), (CuDNNGRU, layers.GRU, {"reset_after": True})):
        for options in ({}, {"return_sequences": True}, {"return_sequences": True, "return_state": True},
                        {"go_backwards": True, "return_sequences": True}):
            yield kind(4, **options), plain(4, **own, **options), (5, 3)
    yield (CuDNNLSTM(3, unit_forget_bias=False, kernel_regularizer="l1", bias_initializer="ones"), layers.LSTM(3),
           (4, 6))


def weights_for(layer):
    """Random ones; variances are positive."""
    return [(abs(array) + 0.5 if "variance" in w.name or "scale" in w.name else array).astype("float32")
            for w in layer.weights for array in [random.normal(size=w.shape)]]


def record(layer, shape, runner=None):
    """The case, and its arrays by short names."""
    config = keras.saving.serialize_keras_object(layer)
    layer.build((None, *shape))
    weights = weights_for(layer)
    layer.set_weights(weights)
    x = random.normal(size=(2, *shape)).astype("float32")
    run = layer
    if runner is not None:
        runner.build((None, *shape))
        runner.set_weights(preprocess_weights_for_loading(runner, weights))
        run = runner
    outputs = run(x, **({"training": False} if "training" in inspect.signature(run.call).parameters else {}))
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    symbolic = layer.compute_output_shape((None, *shape))
    shapes = [list(s) for s in symbolic] if isinstance(symbolic, list) else list(symbolic)
    case = {"class_name": config["class_name"], "config": config["config"], "input_shape": [None, *shape],
            "output_shape": shapes, "n_outputs": len(outputs),
            "weights": [[w.name.split("/")[-1].split(":")[0], list(w.shape)] for w in layer.weights],
            "trainable": int(sum(np.prod(w.shape) for w in layer.trainable_weights)), "total": layer.count_params()}
    arrays = {"input": x, **{f"weight_{i}": w for i, w in enumerate(weights)},
              **{f"output_{i}": np.asarray(y) for i, y in enumerate(outputs)}}
    return case, arrays


def main():
    found = [*((layer, shape, None) for make in (locally_connected, others) for layer, shape in make()),
             *((layer, shape, runner) for layer, runner, shape in cudnn())]
    cases, stored = [], {}
    for number, (layer, shape, runner) in enumerate(found):
        case, arrays = record(layer, shape, runner)
        case = {"id": f"{case['class_name']}_{number:03}", **case}
        cases.append(case)
        stored.update((f"{case['id']}/{name}", array) for name, array in arrays.items())
    np.savez_compressed(TARGET / "legacy_layers.npz", **stored)
    text = json.dumps({"tf_keras": keras.__version__, "cases": cases}, indent=1)
    (TARGET / "legacy_layers.json").write_text(text + "\n")
    print(f"{len(cases)} cases, {(TARGET / 'legacy_layers.npz').stat().st_size} bytes")


if __name__ == "__main__":
    main()
