"""Weights as Keras 1 and 2 lay them out: layer by layer, in arrays of other shapes and orders than today's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import harness
import numpy as np
import pytest
import torch

from kerashape_torch import Input, Model, Sequential, get_keras_weights, layers, load_model, saving
from kerashape_torch.errors import ConfigError, WeightsError
from kerashape_torch.layers import LSTM, BatchNormalization, Conv2D, Dense, Dropout, Flatten

CASES = json.loads((harness.DATA / "legacy" / "old_weights.json").read_text())

Layers = Sequence[tuple[str, Sequence[Any]]]


def write(path: Path, given: Layers, version: str | None = "2.2.4", backend: str | None = "tensorflow",
          chunked: bool = False) -> Path:
    """A file of weights: for each layer its name and arrays."""

    def texts(group: Any, name: str, values: Sequence[str]) -> None:
        data = [value.encode() for value in values]
        for i, part in enumerate([data[:1], data[1:]] if chunked else []):
            group.attrs[f"{name}{i}"] = part
        if not chunked:
            group.attrs[name] = data

    with h5py.File(path, "w") as file:
        texts(file, "layer_names", [name for name, _ in given])
        file.attrs.update({key: value for key, value in (("keras_version", version), ("backend", backend)) if value})
        for name, arrays in given:
            group = file.create_group(name)
            texts(group, "weight_names", [f"{name}/w_{i}:0" for i in range(len(arrays))])
            for i, array in enumerate(arrays):
                group[f"{name}/w_{i}:0"] = array
    return path


def numbers(*shapes: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(3)
    return [generator.normal(size=shape).astype("float32") for shape in shapes]


def assert_gives(model: Model, path: Path, expected: Sequence[Any], **options: Any) -> None:
    """The file gives these weights to a module and, the other way, to a description."""
    module = model.to_torch()
    saving.load_weights(module, path, **options)
    model.load_weights(path, **options)
    for found in (get_keras_weights(module), get_keras_weights(model.to_torch())):
        assert len(found) == len(expected)
        for got, want in zip(found, expected):
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


# ---- arrays of old shapes and orders ---------------------------------------------------------------------------------


def made(nested: Sequence[tuple[str, dict[str, Any]]]) -> Any:
    (name, arguments), *inner = nested
    return getattr(layers, name)(*map(made, [inner] if inner else []), **arguments)


@pytest.mark.parametrize("name", CASES)
def test_old_arrays_become_those_that_tf_keras_makes_of_them(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    with np.load(harness.DATA / "legacy" / "old_weights.npz") as stored:
        arrays = [stored[f"{name}/array_{i}"] for i in range(case["arrays"])]
        expected = [stored[f"{name}/weight_{i}"] for i in range(case["weights"])]
    model = Sequential([Input(case["input_shape"]), made(case["layers"])])
    assert_gives(model, write(tmp_path / "old.h5", [("layer", arrays)], case["version"], None), expected)


@pytest.mark.parametrize("version", ["1.2.2", "2.0.8"])
def test_kernels_of_theano_are_turned_around(version: str, tmp_path: Path) -> None:
    kernel, bias, dense, other = numbers((2, 4, 3, 5), (5,), (175, 2), (2,))
    model = Sequential([Conv2D(5, (2, 4), input_shape=(8, 8, 3)), Flatten(), Dense(2)])
    path = write(tmp_path / "old.h5", [("a", [kernel, bias]), ("b", []), ("c", [dense, other])], version, "theano")
    assert_gives(model, path, [kernel[::-1, ::-1], bias, dense, other])


def test_channels_first_kernels_of_theano(tmp_path: Path) -> None:
    """Both: filters in front, and turned around."""
    kernel, bias = numbers((5, 3, 2, 4), (5,))
    model = Sequential([Conv2D(5, (2, 4), data_format="channels_first", input_shape=(3, 8, 8))])
    path = write(tmp_path / "old.h5", [("a", [kernel, bias])], "1.2.2", "theano")
    assert_gives(model, path, [kernel[:, :, ::-1, ::-1].transpose(2, 3, 1, 0), bias])


def test_conv_lstm_of_keras_1_with_channels_first(tmp_path: Path) -> None:
    """Its gates are joined once their axes are right, which tf_keras does the other way round, and fails."""
    shapes = [(4, 3, 2, 5), (4, 4, 2, 5), (4,)]
    arrays = numbers(*shapes * 4)
    layer = layers.ConvLSTM2D(4, (2, 5), data_format="channels_first", input_shape=(2, 3, 8, 8))
    gates = [arrays[3 * gate:3 * gate + 3] for gate in (0, 2, 1, 3)]
    expected = [np.concatenate([gate[i].transpose(2, 3, 1, 0) for gate in gates], -1) for i in range(2)]
    path = write(tmp_path / "old.h5", [("a", arrays)], None, None)
    assert_gives(Sequential([layer]), path, [*expected, np.concatenate([gate[2] for gate in gates])])


def test_a_nested_model_of_keras_1(tmp_path: Path) -> None:
    """Either as one list, or its layers one by one, as Keras 1 wrote a Sequential in a Sequential."""
    gate = [(3, 4), (4, 4), (4,)]
    lstm, dense, out = numbers(*gate * 4), numbers((4, 2), (2,)), numbers((2, 1), (1,))
    kernel, recurrent, bias = (np.concatenate([lstm[3 * g + i] for g in (0, 2, 1, 3)], -1) for i in range(3))
    for i, given in enumerate(([("inner", [*lstm, *dense]), ("out", out)],
                               [("lstm", lstm), ("dense", dense), ("out", out)])):
        model = Sequential([Sequential([LSTM(4, input_shape=(5, 3)), Dense(2)]), Dense(1)])
        path = write(tmp_path / f"{i}.h5", given, None, None)
        assert_gives(model, path, [kernel, recurrent, bias, *dense, *out])


def test_the_first_layout_of_all(tmp_path: Path) -> None:
    kernel, bias, last, other = numbers((3, 4), (4,), (4, 2), (2,))
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["nb_layers"] = 3
        for i, arrays in enumerate(([kernel, bias], [], [last, other])):
            group = file.create_group(f"layer_{i}")
            group.attrs["nb_params"] = len(arrays)
            for j, array in enumerate(arrays):
                group[f"param_{j}"] = array
    model = Sequential([Dense(4, input_shape=(3,)), Dropout(0.5), Dense(2)])
    assert_gives(model, tmp_path / "old.h5", [kernel, bias, last, other])


def test_a_gru_that_does_not_reset_after_takes_no_other_bias(tmp_path: Path) -> None:
    path = write(tmp_path / "old.h5", [("gru", numbers((3, 12), (4, 12), (12,)))])
    with pytest.raises(WeightsError, match=r"gru_cell/bias is \(2, 12\), and old\.h5 has \(12\)"):
        saving.load_weights(Sequential([layers.GRU(4, input_shape=(5, 3))]), path)


# ---- layer by layer --------------------------------------------------------------------------------------------------


def test_a_nested_model_is_one_list_trainable_first(tmp_path: Path) -> None:
    gamma, beta, mean, variance, kernel, bias, last, other = numbers(*[(3,)] * 4, (3, 3), (3,), (3, 1), (1,))
    model = Sequential([Sequential([Input((3,)), BatchNormalization(), Dense(3)]), Dense(1)])
    path = write(tmp_path / "w.h5", [("inner", [gamma, beta, kernel, bias, mean, variance]), ("out", [last, other])])
    assert_gives(model, path, [gamma, beta, mean, variance, kernel, bias, last, other])


def test_a_frozen_layer_counts_as_not_trainable(tmp_path: Path) -> None:
    kernel, bias, second, other = numbers((3, 3), (3,), (3, 3), (3,))
    inner = Sequential([Input((3,)), Dense(3, trainable=False), Dense(3)])
    path = write(tmp_path / "w.h5", [("inner", [second, other, kernel, bias])])
    assert_gives(Sequential([inner]), path, [kernel, bias, second, other])


def test_a_layer_in_two_models_is_there_twice(tmp_path: Path) -> None:
    kernel, bias = numbers((3, 3), (3,))
    shared = Dense(3)
    x = Input((3,))
    model = Model(x, shared(Sequential([Input((3,)), shared])(x)))
    path = write(tmp_path / "w.h5", [("inner", [kernel, bias]), ("dense", [kernel, bias])])
    assert_gives(model, path, [kernel, bias])


def test_attributes_in_parts(tmp_path: Path) -> None:
    kernel, bias, last, other = numbers((3, 4), (4,), (4, 2), (2,))
    path = write(tmp_path / "w.h5", [("a", [kernel, bias]), ("b", [last, other])], chunked=True)
    assert_gives(Sequential([Dense(4, input_shape=(3,)), Dense(2)]), path, [kernel, bias, last, other])


def test_names_that_fill_several_attributes(tmp_path: Path) -> None:
    """What we write for a thousand layers of long names is in parts that Keras reads."""
    import keras

    x = Input((1,))
    model = Model(x, [Dense(1, name=f"{i:0100}")(x) for i in range(700)])
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert {"layer_names0", "layer_names1"} <= set(file["model_weights"].attrs)
    theirs = keras.saving.load_model(tmp_path / "m.h5", compile=False)
    ours = get_keras_weights(load_model(tmp_path / "m.h5").to_torch())
    for got, want in zip(ours, theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)


def by_name_cases(path: Path) -> list[np.ndarray[Any, Any]]:
    arrays = numbers((3, 4), (4,), (9, 9), (9,))
    write(path, [("dense", arrays[:2]), ("gone", arrays[2:])])
    return arrays


def test_by_name(tmp_path: Path) -> None:
    """Only the layers whose names are in the file; the others keep what they have."""
    kernel, bias, *_ = by_name_cases(tmp_path / "w.h5")
    model = Sequential([Dense(4, name="dense", input_shape=(3,)), Dense(2, name="new", kernel_initializer="ones")])
    assert_gives(model, tmp_path / "w.h5", [kernel, bias, np.ones((4, 2)), np.zeros(2)], by_name=True)
    with pytest.raises(WeightsError, match=r"kernel is \(9, 4\), and w\.h5 has \(3, 4\)"):
        Sequential([Dense(4, name="dense", input_shape=(9,))]).load_weights(tmp_path / "w.h5", by_name=True)


@pytest.mark.parametrize("options", [{}, {"by_name": True}])
def test_skip_mismatch(options: dict[str, Any], tmp_path: Path) -> None:
    """As in Keras, weight by weight, with a warning for each."""
    arrays = numbers((3, 4), (4,))
    path = write(tmp_path / "w.h5", [("dense", arrays)])
    model = Sequential([Dense(4, name="dense", input_shape=(9,), kernel_initializer="ones")])
    with pytest.warns(UserWarning, match=r"skipped: dense = .*kernel is \(9, 4\), and w\.h5 has \(3, 4\)"):
        model.load_weights(path, skip_mismatch=True, **options)
    kernel, bias = get_keras_weights(model.to_torch())
    assert (kernel == 1).all()
    np.testing.assert_array_equal(bias, arrays[1])


def test_skip_mismatch_of_another_number_of_weights(tmp_path: Path) -> None:
    path = write(tmp_path / "w.h5", [("dense", numbers((3, 4), (4,)))])
    model = Sequential([Dense(4, use_bias=False, name="dense", input_shape=(3,), kernel_initializer="ones")])
    with pytest.raises(WeightsError, match=r"has 1 weights, and w\.h5 has 2 for it"):
        model.load_weights(path, skip_mismatch=True)
    with pytest.warns(UserWarning, match="has 1 weights"):
        model.load_weights(path, skip_mismatch=True, by_name=True)
    assert (get_keras_weights(model.to_torch())[0] == 1).all()


def test_weights_of_several_files(tmp_path: Path) -> None:
    """A second file by name leaves what the first one gave."""
    arrays = numbers((3, 4), (4,), (4, 2), (2,))
    model = Sequential([Dense(4, name="a", input_shape=(3,)), Dense(2, name="b")])
    model.load_weights(write(tmp_path / "1.h5", [("a", arrays[:2])]), by_name=True)
    model.load_weights(write(tmp_path / "2.h5", [("b", arrays[2:])]), by_name=True)
    for got, want in zip(get_keras_weights(model.to_torch()), arrays):
        np.testing.assert_array_equal(got, want)


BAD: dict[str, tuple[Callable[[Any], object], str]] = {
    "no_group": (lambda f: f.__delitem__("dense"), "names a layer dense, and has no group"),
    "no_array": (lambda f: f["dense/dense"].__delitem__("w_0:0"), "names an array dense/w_0:0 of dense"),
    "linked_group": (lambda f: [f.__delitem__("dense"), f.__setitem__("dense", h5py.ExternalLink("/etc/x.h5", "d"))],
                     "is a link"),
    "linked_array": (lambda f: [f["dense/dense"].__delitem__("w_0:0"),
                                f["dense/dense"].__setitem__("w_0:0", h5py.SoftLink("/dense/dense/w_1:0"))], "a link"),
    "external_array": (lambda f: [f["dense/dense"].__delitem__("w_0:0"), f["dense/dense"].create_dataset(
        "w_0:0", (3, 4), "float32", external=[("/etc/hostname", 0, 48)])], "another file"),
    "bomb": (lambda f: [f["dense/dense"].__delitem__("w_0:0"), f["dense/dense"].create_dataset(
        "w_0:0", (3, 4), "float32", maxshape=(None, None), chunks=(2**15, 2**13), compression="gzip")], "bomb"),
    "more_layers": (lambda f: [f.attrs.__setitem__("layer_names", [b"dense", b"dense"])], "weights for 2 layers"),
    "own_weights_of_the_model": (lambda f: [
        f.create_group("top_level_model_weights").attrs.__setitem__("weight_names", [b"x"]),
        f["top_level_model_weights"].create_dataset("x", data=np.ones(2))], "weights for 2 layers"),
    "names_that_are_no_texts": (lambda f: f.attrs.__setitem__("layer_names", 3.5), "layer_names is no text"),
    "names_that_are_lists": (lambda f: f.attrs.create("layer_names", [np.arange(3), np.arange(2)],
                                                      dtype=h5py.vlen_dtype("i4")), "layer_names is no text"),
    "names_of_arrays_upwards": (lambda f: f["dense"].attrs.__setitem__("weight_names", [b"../dense/dense/w_0:0", b"x"]),
                                "has none there"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, tmp_path: Path) -> None:
    change, message = BAD[name]
    path = write(tmp_path / "w.h5", [("dense", numbers((3, 4), (4,)))])
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(WeightsError, match=message):
        Sequential([Dense(4, name="dense", input_shape=(3,))]).load_weights(path)


def test_another_number_of_layers_names_them(tmp_path: Path) -> None:
    path = write(tmp_path / "w.h5", [("a", numbers((3, 4), (4,))), ("b", numbers((4, 2), (2,)))])
    with pytest.raises(WeightsError, match=r"weights for 2 layers, a, b; the model has 1: dense\. by_name=True"):
        Sequential([Dense(4, input_shape=(3,))]).load_weights(path)
    with pytest.raises(ConfigError, match=r"w\.h5 holds weights only"):
        load_model(path)


class Encoder(Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.zed, self.blocks = Dense(3), [Dense(4), Dense(4)]

    def call(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.zed(x)


class Net(Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.encoder, self._private, self.dec, self.mlp = Encoder(), Dense(2), Dense(6), Dense(3)
        self.heads = {"u": Dense(3)}

    def call(self, x: Any) -> Any:
        return self.dec(self._private(self.mlp(self.heads["u"](self.encoder(x)))))


def test_a_class_with_a_call_of_its_own_as_tf_keras_keeps_it(tmp_path: Path) -> None:
    """tf_keras 2.21 wrote these paths: it meets ``mlp`` and ``zed`` by name, and all others among ``layers``."""
    paths = {"layers/encoder/layers/dense": (4, 4), "layers/encoder/layers/dense_1": (4, 4),
             "layers/encoder/zed": (4, 3), "layers/dense": (3, 2), "layers/dense_1": (2, 6), "mlp": (3, 3),
             "layers/dense_2": (3, 3)}
    kernels = dict(zip(paths, numbers(*paths.values())))
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        for path, kernel in kernels.items():
            file[f"{path}/vars/0"], file[f"{path}/vars/1"] = kernel, np.zeros(kernel.shape[1], "float32")
    net = Net()
    net.build((None, 4))
    net.load_weights(tmp_path / "w.weights.h5")
    x = np.ones((2, 4), "float32")
    expected = x
    for path in ("layers/encoder/layers/dense", "layers/encoder/layers/dense_1", "layers/encoder/zed",
                 "layers/dense_2", "mlp", "layers/dense", "layers/dense_1"):
        expected = expected @ kernels[path]
    np.testing.assert_allclose(net.to_torch()(torch.tensor(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    net.save_weights(tmp_path / "ours.weights.h5")  # as Keras 3 does it
    with h5py.File(tmp_path / "ours.weights.h5") as file:
        assert {"dec", "encoder", "heads", "layers"} == set(file) - {"vars"}


def test_layers_of_a_loss_alone_are_passed_over(tmp_path: Path) -> None:
    """Keras 2 keeps what leads to the tensor of ``model.add_loss(tensor)``: its layers are in the file."""
    def node(name: str) -> list[Any]:
        return [[[name, 0, 0, {}]]]

    config = {"class_name": "Functional", "config": {
        "name": "vae", "input_layers": [["x", 0, 0]], "output_layers": [["mean", 0, 0]], "layers": [
            {"class_name": "InputLayer", "name": "x", "inbound_nodes": [],
             "config": {"batch_input_shape": [None, 3], "dtype": "float32", "name": "x"}},
            *({"class_name": "Dense", "name": name, "config": {"name": name, "units": 2}, "inbound_nodes": node("x")}
              for name in ("variance", "mean")),
            {"class_name": "AddLoss", "name": "add_loss", "config": {"name": "add_loss", "unconditional": False},
             "inbound_nodes": node("variance")}]}}
    arrays = numbers((3, 2), (2,), (3, 2), (2,))
    path = write(tmp_path / "weights.h5", [("variance", arrays[:2]), ("mean", arrays[2:])])
    with h5py.File(tmp_path / "m.h5", "w") as file, h5py.File(path) as weights:
        weights.copy(weights, file, "model_weights")
        file.attrs.update({"model_config": json.dumps(config), "keras_version": "2.15.0", "backend": "tensorflow"})
    module = load_model(tmp_path / "m.h5").to_torch()
    for got, want in zip(get_keras_weights(module), arrays[2:], strict=True):
        np.testing.assert_array_equal(got, want)
