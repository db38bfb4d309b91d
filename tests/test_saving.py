"""Files of Keras 3: what is read from them, what is written, and what is refused.

Every recorded model is loaded, and held against the shapes, configs and numbers that Keras recorded for it; what we
write is given to Keras itself.
"""

from __future__ import annotations

import copy
import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import harness
import numpy as np
import pytest
import torch
from threats import billion_calls, deep_layers

import kerashape_torch
from kerashape_torch import Input, Model, Sequential, get_keras_weights, load_model, saving, set_keras_weights
from kerashape_torch.errors import ConfigError, KerashapeError, UnknownLayerError, UnsafeConfigError, WeightsError
from kerashape_torch.layers import LSTM, BatchNormalization, Bidirectional, Conv2D, Dense, Dropout
from kerashape_torch.models import model_from_json
from kerashape_torch.saving import archive, containers
from kerashape_torch.structure import flatten
from kerashape_torch.weight_paths import kept_weights

FILES = harness.DATA / "functional"
NAMES = sorted(path.stem for path in FILES.glob("*.keras"))

# Models that cannot be loaded: what they need, as the error says it. One that begins to work must leave this table.
NOT_LOADED = {
    "lambda_global_reference": "bytecode of a Python lambda",
    "lambda_layers": "bytecode of a Python lambda",
    "lambda_named_function": "the function 'tanh'",
}

# Keras counts and writes integers and scales, where a model here has floats: see test_quantized.
QUANTIZED = {"quantized_int8_mlp"}

# Keras computed these in half precision, of 8 or 11 bits; a compiled module runs in the dtype of its weights, float32.
HALF_PRECISION = {"bfloat16_mlp": 2e-2, "mixed_float16_cnn": 2e-3}

# Keras folds the two narrow weights of LoRA into the kernel when it saves, so they do not come back as they were.
FACTORED = {"lora_dense"}

LOADED = [name for name in NAMES if name not in NOT_LOADED and name not in QUANTIZED]


def recorded(name: str) -> dict[str, Any]:
    return json.loads((FILES / f"{name}.shapes.json").read_text())


def file_config(name: str) -> dict[str, Any]:
    with zipfile.ZipFile(FILES / f"{name}.keras") as file:
        return json.loads(file.read("config.json"))


def arranged(structure: Any, arrays: Any) -> Any:
    """Tensors in the structure in which the Keras model takes them."""
    if isinstance(structure, dict):
        return {key: arranged(value, arrays) for key, value in structure.items()}
    if isinstance(structure, list):
        return [arranged(value, arrays) for value in structure]
    return torch.as_tensor(arrays[structure])


def outputs_of(name: str, module: torch.nn.Module) -> list[np.ndarray[Any, Any]]:
    with np.load(FILES / f"{name}.npz") as arrays, torch.inference_mode():
        result = module(arranged(recorded(name)["input_structure"], arrays))
    return [x.float().numpy() if x.is_floating_point() else x.numpy() for x in flatten(result)]


def assert_as_recorded(name: str, module: torch.nn.Module) -> None:
    record = recorded(name)
    with np.load(FILES / f"{name}.npz") as arrays:
        expected = [arrays[key] for key in flatten(record["output_structure"])]
    for got, want in zip(outputs_of(name, module), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=HALF_PRECISION.get(name, 1e-5))


# ---- what Keras wrote ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOT_LOADED)
def test_what_is_not_loaded_is_refused_with_the_reason(name: str) -> None:
    for file in (f"{name}.keras", f"{name}.json"):
        with pytest.raises(KerashapeError) as caught:
            load_model(FILES / file)
        assert NOT_LOADED[name] in str(caught.value)


def test_the_tables_are_about_real_models() -> None:
    assert {*NOT_LOADED, *QUANTIZED, *HALF_PRECISION, *FACTORED} <= set(NAMES)
    assert len(LOADED) > 30


@pytest.mark.parametrize("name", LOADED)
@pytest.mark.parametrize("suffix", ["keras", "json"])
def test_shapes_and_counts(name: str, suffix: str) -> None:
    model, record = load_model(FILES / f"{name}.{suffix}"), recorded(name)
    assert harness.plain(model.input_shape) == record["input_shape"]
    assert harness.plain(model.output_shape) == record["output_shape"]
    assert model.count_params() == record["params"]
    assert model.count_params(trainable=True) == record["trainable"]
    for row in record["layers"]:
        layer = next(each for each in model.graph.layers if each.name == row["name"])
        assert harness.plain(layer.output_shape) == row["output_shape"], row["name"]
    assert [[list(w.shape), w.trainable] for w in model.weights] == [[w[1], w[3]] for w in record["weights"]]


@pytest.mark.parametrize("name", LOADED)
def test_numbers_are_those_of_the_file(name: str) -> None:
    assert_as_recorded(name, load_model(FILES / f"{name}.keras").to_torch())


@pytest.mark.parametrize("name", sorted(harness.MODEL_LAMBDAS))
def test_lambdas_run_by_functions_of_the_caller(name: str) -> None:
    model = load_model(FILES / f"{name}.keras", custom_objects=harness.MODEL_LAMBDAS[name])
    assert_as_recorded(name, model.to_torch())


def without(value: Any, *keys: str) -> Any:
    if isinstance(value, dict):
        return {key: without(item, *keys) for key, item in value.items() if key not in keys}
    return [without(item, *keys) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", LOADED)
def test_the_config_goes_round(name: str) -> None:
    """All of it but identities of Python objects, compilation, and what a layer was built for."""
    unwritten = ("build_config", "compile_config", "shared_object_id")
    model = load_model(FILES / f"{name}.keras", weights=False)
    theirs, ours = file_config(name), json.loads(model.to_json())
    assert without(ours, *unwritten) == without(theirs, *unwritten)
    for written, row in zip(ours["config"]["layers"], theirs["config"]["layers"]):
        if row.get("build_config", {}).get("input_shape") and row["class_name"] not in ("Functional", "Sequential"):
            assert written["build_config"] == row["build_config"], row["class_name"]
    again = model_from_json(model.to_json())
    assert json.loads(again.to_json()) == ours


@pytest.mark.parametrize("name", LOADED)
def test_every_weight_has_the_place_that_keras_gave_it(name: str) -> None:
    with zipfile.ZipFile(FILES / f"{name}.keras") as file:
        stored: dict[str, tuple[int, ...]] = {}
        with h5py.File(io.BytesIO(file.read("model.weights.h5"))) as weights:
            weights.visititems(lambda path, item: stored.update({path: item.shape})
                               if isinstance(item, h5py.Dataset) else None)
    kept = [place for _, places in kept_weights(load_model(FILES / f"{name}.json")) for place in places]
    assert {place.path: place.spec.shape for place in kept if place.path} == stored


def test_a_directory_a_dict_and_a_path_as_text(tmp_path: Path) -> None:
    name = "func_residual"
    with zipfile.ZipFile(FILES / f"{name}.keras") as file:
        file.extractall(tmp_path / "unzipped")
    assert_as_recorded(name, load_model(str(tmp_path / "unzipped")).to_torch())
    assert harness.plain(load_model(file_config(name)).output_shape) == recorded(name)["output_shape"]


def test_the_file_may_go_once_it_is_loaded(tmp_path: Path) -> None:
    copied = tmp_path / "model.keras"
    copied.write_bytes((FILES / "seq_mlp.keras").read_bytes())
    model = load_model(copied)
    copied.unlink()
    assert_as_recorded("seq_mlp", model.to_torch())


# ---- layers know the numbers that they came with ---------------------------------------------------------------------


def test_parts_of_a_loaded_model_keep_their_numbers() -> None:
    """A feature extractor, a model on top of a loaded one, and a layer alone."""
    model = load_model(FILES / "seq_mlp.keras")
    first = next(layer for layer in model.layers if isinstance(layer, Dense))
    kernel, bias = get_keras_weights(model.to_torch())[:2]
    x = Input(model.input_shape[1:])
    for module in (Model(x, first(x)).to_torch(), first.to_torch()):
        np.testing.assert_array_equal(get_keras_weights(module)[0], kernel)
    head = Dense(2)
    bigger = Sequential([model, head]).to_torch()
    arrays = get_keras_weights(bigger)
    np.testing.assert_array_equal(arrays[0], kernel)
    np.testing.assert_array_equal(arrays[1], bias)
    assert arrays[-2].shape == (model.output_shape[-1], 2) and np.abs(arrays[-2]).max() > 0  # the new layer's own


def test_another_input_than_the_saved_one_is_refused() -> None:
    model = load_model(FILES / "seq_mlp.keras")
    first = next(layer for layer in model.layers if isinstance(layer, Dense))
    with pytest.raises(WeightsError, match="came with a kernel of"):
        first.to_torch(input_shape=(3,))


def test_a_copy_from_the_config_starts_anew() -> None:
    model = load_model(FILES / "seq_mlp.keras")
    fresh = kerashape_torch.models.clone_model(model)
    assert all(layer.saved_weights is None for layer in fresh.layers)


def test_meta_reads_nothing_and_devices_agree() -> None:
    model = load_model(FILES / "seq_mlp.keras")
    assert all(p.is_meta for p in model.to_torch(device="meta").parameters())
    first = next(iter(model.to_torch().state_dict()))
    assert model.to_torch(dtype="float64").state_dict()[first].dtype == torch.float64


def test_a_module_of_a_loaded_model_copies_and_pickles() -> None:
    module = load_model(FILES / "seq_mlp.keras").to_torch()
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert_as_recorded("seq_mlp", twin)


# ---- what we write ---------------------------------------------------------------------------------------------------


def keras_model_of(path: Path) -> Any:
    import keras

    return keras.saving.load_model(path, compile=False)


@pytest.mark.parametrize("name", LOADED)
def test_keras_loads_what_we_write(name: str, tmp_path: Path) -> None:
    """To the same shapes, with the same weights, and with the numbers of the original."""
    import keras

    path = tmp_path / "model.keras"
    model, record = load_model(FILES / f"{name}.keras"), recorded(name)
    model.save(path)
    theirs = keras_model_of(path)
    assert harness.plain(theirs.input_shape) == record["input_shape"]
    assert harness.plain(theirs.output_shape) == record["output_shape"]
    assert theirs.count_params() == record["params"]
    original = keras_model_of(FILES / f"{name}.keras")
    for got, want in zip(theirs.get_weights(), original.get_weights(), strict=True):
        np.testing.assert_array_equal(np.asarray(got, "float32"), np.asarray(want, "float32"))
    again = keras.models.model_from_json(model.to_json())
    assert harness.plain(again.output_shape) == record["output_shape"]


@pytest.mark.parametrize("name", [name for name in LOADED if name not in FACTORED])
def test_weights_of_a_module_come_back(name: str, tmp_path: Path) -> None:
    """New numbers through .keras and .weights.h5, into a description, a module, and Keras."""
    model = load_model(FILES / f"{name}.json")
    module = model.to_torch()
    generator = np.random.default_rng(1)
    arrays = [generator.normal(size=x.shape).astype(x.dtype) for x in get_keras_weights(module)]
    set_keras_weights(module, arrays)
    arrays = get_keras_weights(module)  # as the module holds them: some are bfloat16
    saving.save_model(model, tmp_path / "model.keras", weights=module)
    saving.save_weights(module, tmp_path / "model.weights.h5")
    saving.save_weights(module, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.keras").to_torch()
    from_h5, from_tensors = model.to_torch(), model.to_torch()
    saving.load_weights(from_h5, tmp_path / "model.weights.h5")
    saving.load_weights(from_tensors, tmp_path / "model.safetensors")
    described = load_model(FILES / f"{name}.json")
    saving.load_weights(described, tmp_path / "model.weights.h5")
    for module in (loaded, from_h5, from_tensors, described.to_torch()):
        for got, want in zip(get_keras_weights(module), arrays, strict=True):
            np.testing.assert_array_equal(got, want)
    theirs = keras_model_of(FILES / f"{name}.keras")
    theirs.load_weights(tmp_path / "model.weights.h5")
    for got, want in zip(theirs.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(np.asarray(got, "float32"), want)


def test_lora_trained_here_is_folded_as_keras_does(tmp_path: Path) -> None:
    import keras

    def build(k: Any) -> Any:
        return k.Sequential([k.layers.Input((5,), dtype="int32"), k.layers.Embedding(9, 6, lora_rank=2),
                             k.layers.Dense(6, lora_rank=3, lora_alpha=6, name="a"),
                             k.layers.EinsumDense("abc,cd->abd", (None, 4), lora_rank=2, name="b")])

    model = build(kerashape_torch)
    module, theirs = model.to_torch(), build(keras)
    arrays = [np.random.default_rng(i).normal(size=x.shape).astype("float32")
              for i, x in enumerate(get_keras_weights(module))]
    set_keras_weights(module, arrays)
    x = np.arange(10, dtype="int32").reshape(2, 5) % 9
    want = module(torch.as_tensor(x)).detach().numpy()
    theirs.set_weights(arrays)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(theirs(x)), want, rtol=1e-4, atol=1e-5)
    saving.save_model(model, tmp_path / "model.keras", weights=module)
    for again in (load_model(tmp_path / "model.keras").to_torch()(torch.as_tensor(x)).detach().numpy(),
                  keras.ops.convert_to_numpy(keras_model_of(tmp_path / "model.keras")(x))):
        np.testing.assert_allclose(again, want, rtol=1e-4, atol=1e-5)


def test_a_model_that_was_never_given_numbers_is_saved_with_new_ones(tmp_path: Path) -> None:
    model = Sequential([Dense(4, kernel_initializer="ones", input_shape=(3,)), BatchNormalization()])
    model.save(tmp_path / "model.keras")
    kernel, bias, gamma, *_ = keras_model_of(tmp_path / "model.keras").get_weights()
    assert (kernel == 1).all() and (bias == 0).all() and (gamma == 1).all()


def test_a_model_without_an_input_shape(tmp_path: Path) -> None:
    model = Sequential([Dense(4), Dense(1)])
    model.save(tmp_path / "model.keras")
    assert not load_model(tmp_path / "model.keras").built
    assert load_model(tmp_path / "model.keras").to_torch()(torch.zeros(2, 3)).shape == (2, 1)
    assert keras_model_of(tmp_path / "model.keras")(np.zeros((2, 3), "float32")).shape == (2, 1)


def test_saving_a_loaded_model_over_itself_keeps_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes((FILES / "func_residual.keras").read_bytes())
    load_model(path).save(path)
    assert_as_recorded("func_residual", load_model(path).to_torch())
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_text("old")
    other = Sequential([Dense(2, input_shape=(7,))]).to_torch()
    with pytest.raises(WeightsError, match="not of this model"):
        saving.save_model(Sequential([Dense(2, input_shape=(3,))]), path, weights=other)

    def fails(beside: Path) -> None:
        beside.write_text("half")
        raise RuntimeError("full")

    with pytest.raises(RuntimeError, match="full"):
        archive.write(path, fails)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_other_extensions_are_refused(tmp_path: Path) -> None:
    model = Sequential([Dense(2, input_shape=(3,))])
    for name in ("model", "model.txt"):
        with pytest.raises(ConfigError, match=r"saved as \.keras, \.h5 or \.json"):
            model.save(tmp_path / name)
    for source, name in ((model.to_torch(), "model.pt"), (model, "model.safetensors")):
        with pytest.raises(KerashapeError, match=r"saved as \.weights\.h5, or those of a module as \.safetensors"):
            saving.save_weights(source, tmp_path / name)
    with pytest.raises(ConfigError, match="holds no weights"):
        saving.save_model(model, tmp_path / "model.json", weights=model.to_torch())


# Layers whose weights lie deeper in a file than those of others: (input shape, what Keras and we both write).
NESTED = {
    "attention": ((5, 6), lambda k, x: k.layers.MultiHeadAttention(2, 3)(x, x)),
    "grouped_attention": ((5, 6), lambda k, x: k.layers.GroupQueryAttention(4, 4, 2)(x, x)),
    "conv_lstm": ((5, 8, 6), lambda k, x: k.layers.ConvLSTM1D(4, 3)(x)),
    "conv_lstm_both_ways": ((5, 8, 6), lambda k, x: k.layers.Bidirectional(k.layers.ConvLSTM1D(4, 3))(x)),
    "wrapped_twice": ((4, 5, 6), lambda k, x: k.layers.TimeDistributed(k.layers.Bidirectional(k.layers.GRU(3)))(x)),
    "spectral": ((8, 8, 3), lambda k, x: k.layers.SpectralNormalization(k.layers.Conv2D(4, 3))(x)),
    "stacked_cells": ((4, 5), lambda k, x: k.layers.RNN([k.layers.LSTMCell(3), k.layers.LSTMCell(3),
                                                         k.layers.GRUCell(3)])(x)),
    "time_distributed_model": ((4, 5), lambda k, x: k.layers.TimeDistributed(
        k.Sequential([k.layers.Dense(3, name="b"), k.layers.Dense(3, name="a")]))(x)),
    "ops_between": ((5,), lambda k, x: k.layers.Add()([k.layers.Dense(5)(x) + x, x * 2])),
    "frozen": ((6,), lambda k, x: k.layers.BatchNormalization(trainable=False)(k.layers.Dense(4, trainable=False)(x))),
}


@pytest.mark.parametrize("name", NESTED)
def test_weights_that_lie_deep(name: str, tmp_path: Path) -> None:
    """From Keras to us and back."""
    import keras

    shape, build = NESTED[name]
    x = keras.Input(shape)
    theirs = keras.Model(x, build(keras, x))
    generator = np.random.default_rng(2)
    theirs.set_weights([generator.normal(size=w.shape).astype("float32") for w in theirs.get_weights()])
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    y = Input(shape)
    model = Model(y, build(kerashape_torch, y))
    saving.load_weights(model, tmp_path / "theirs.weights.h5")
    module = model.to_torch()
    for got, want in zip(get_keras_weights(module), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)
    saving.save_weights(module, tmp_path / "ours.weights.h5")
    before = theirs.get_weights()
    theirs.set_weights([np.zeros_like(w) for w in before])
    theirs.load_weights(tmp_path / "ours.weights.h5")
    for got, want in zip(theirs.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_layer_in_two_places_is_kept_once(tmp_path: Path) -> None:
    x = Input((5,))
    shared = Dense(5)
    inner = Sequential([shared])
    model = Model(x, Dense(2)(shared(inner(x))))
    assert [place.path for _, places in kept_weights(model) for place in places] == [
        "layers/sequential/layers/dense/vars/0", "layers/sequential/layers/dense/vars/1",
        "layers/dense_1/vars/0", "layers/dense_1/vars/1"]  # layers/dense is counted, and not asked for
    model.save(tmp_path / "model.keras")
    kernels = [w for w in keras_model_of(tmp_path / "model.keras").get_weights() if w.shape == (5, 5)]
    assert len(kernels) == 2  # a config makes two layers of it: both have the numbers
    np.testing.assert_array_equal(*kernels)
    np.testing.assert_array_equal(*[a for a in get_keras_weights(load_model(tmp_path / "model.keras").to_torch())
                                    if a.shape == (5, 5)])
    saving.save_weights(model.to_torch(), tmp_path / "shared.weights.h5")
    saving.load_weights(model, tmp_path / "shared.weights.h5")


# ---- objects ---------------------------------------------------------------------------------------------------------


def test_objects_go_round() -> None:
    layer = Bidirectional(LSTM(3, return_sequences=True))
    config = harness.plain(saving.serialize_keras_object(layer))
    again = saving.deserialize_keras_object(config)
    assert type(again) is Bidirectional and harness.plain(again.get_config()) == harness.plain(layer.get_config())
    assert saving.serialize_keras_object(None) is None and saving.deserialize_keras_object(3) == 3
    assert [type(x) for x in saving.deserialize_keras_object([config, saving.serialize_keras_object(Dropout(0.5))])] \
        == [Bidirectional, Dropout]


def test_custom_objects() -> None:
    class Twice(Dense, catalog=False):
        """A layer of the user's own."""

    config = {"module": "mine", "class_name": "Twice", "registered_name": "Pack>Twice",
              "config": {"units": 3, "name": "t"}}
    for name in ("Twice", "Pack>Twice"):
        assert type(saving.deserialize_keras_object(config, custom_objects={name: Twice})) is Twice
    with pytest.raises(UnknownLayerError, match="custom_objects"):
        saving.deserialize_keras_object(config)


def test_a_named_function_is_the_callers() -> None:
    name = "lambda_named_function"
    functions = {"by_name": torch.tanh, "op_by_name": torch.abs}
    model = load_model(FILES / f"{name}.keras", custom_objects=functions)
    assert_as_recorded(name, model.to_torch())


def test_models_load_without_torch() -> None:
    code = (f"import sys; from kerashape_torch import load_model; m = load_model({str(FILES / 'unet.keras')!r})\n"
            "assert m.count_params() and 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)
    code = ("import sys; from kerashape_torch import load_model\n"
            f"load_model({str(FILES / 'unet.keras')!r}, weights=False)\n"
            "assert not {'torch', 'numpy', 'h5py'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- what is refused -------------------------------------------------------------------------------------------------


def written(tmp_path: Path, config: Any = None, weights: bytes | None = None, name: str = "model.keras",
            compression: int = zipfile.ZIP_STORED) -> Path:
    """A .keras file with such contents; what is not given is that of a small sound model."""
    model = Sequential([Dense(2, input_shape=(3,))])
    config = json.loads(model.to_json()) if config is None else config
    if weights is None:
        saving.save_weights(model.to_torch(), tmp_path / "sound.weights.h5")
        weights = (tmp_path / "sound.weights.h5").read_bytes()
    path = tmp_path / name
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        file.writestr("model.weights.h5", weights)
    return path


def h5(fill: Any) -> bytes:
    """A weights file of the small model, with ``fill`` having its way with the group of its layer."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", data=np.ones((3, 2), "float32"))
        group.create_dataset("1", data=np.ones(2, "float32"))
        fill(file, group)
    return buffer.getvalue()


def replacing(make: Any) -> Any:
    def fill(file: Any, group: Any) -> None:
        del group["0"]
        make(file, group)

    return fill


def _external_data(file: Any, group: Any) -> None:
    group.create_dataset("0", (3, 2), "float32", external=[("/etc/hostname", 0, 24)])


def _virtual_data(file: Any, group: Any) -> None:
    layout = h5py.VirtualLayout((3, 2), "float32")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (3, 2))
    group.create_virtual_dataset("0", layout)


def _strange_filter(file: Any, group: Any) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((3, 2))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())  # zstandard, a plugin
    h5py.h5d.create(group.id, b"0", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((3, 2)), plist)


def _cycle(file: Any, group: Any) -> None:
    file["layers/dense/again"] = file["layers"]


BAD_WEIGHTS = {
    "another_shape": (replacing(lambda f, g: g.create_dataset("0", data=np.ones((2, 3), "float32"))),
                      r"kernel is \(3, 2\).*has \(2, 3\) in layers/dense/vars/0"),
    "a_huge_shape": (replacing(lambda f, g: g.create_dataset("0", (10**7, 10**7), "float32", chunks=(1, 1))),
                     r"kernel is \(3, 2\)"),
    "a_huge_chunk": (replacing(lambda f, g: g.create_dataset("0", (3, 2), "float32", maxshape=(None, None),
                                                             chunks=(2**15, 2**13), compression="gzip")), "bomb"),
    "missing": (replacing(lambda f, g: None), "the layer has 2 weights in layers/dense/vars, and model.keras has 1"),
    "too_many": (lambda f, g: g.create_dataset("2", data=np.ones(2)), "has 2 weights .* has 3"),
    "of_another_layer": (lambda f, g: f.create_dataset("layers/dense_1/vars/0", data=np.ones(2)),
                         "has weights in layers/dense_1/vars, and the model has no layer for them"),
    "soft_link": (replacing(lambda f, g: g.__setitem__("0", h5py.SoftLink("/layers/dense/vars/1"))), "is a link"),
    "external_link": (replacing(lambda f, g: g.__setitem__("0", h5py.ExternalLink("/etc/other.h5", "x"))), "is a link"),
    "linked_group": (lambda f, g: f.__setitem__("layers/more", h5py.ExternalLink("/etc/other.h5", "x")), "is a link"),
    "external_data": (replacing(_external_data), "another file"),
    "virtual_data": (replacing(_virtual_data), "another file"),
    "a_group_for_an_array": (replacing(lambda f, g: g.create_group("0")), "has 2 weights .* has 1"),
    "text": (replacing(lambda f, g: g.create_dataset("0", (3, 2), h5py.string_dtype())), "no number"),
    "a_plugin": (replacing(_strange_filter), "compressed in a way"),
    "a_cycle": (_cycle, "one group in two places"),
    "layer_by_layer": (lambda f, g: f.attrs.__setitem__("layer_names", ["dense"]), "names a layer dense"),
}


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_weights(name: str, tmp_path: Path) -> None:
    """Nothing outside the file is opened, and nothing is read before its shape is known to be right."""
    fill, message = BAD_WEIGHTS[name]
    path = written(tmp_path, weights=h5(fill))
    with pytest.raises(WeightsError, match=message):
        load_model(path)
    model = Sequential([Dense(2, input_shape=(3,))])
    module = model.to_torch()
    before = get_keras_weights(module)
    with pytest.raises(WeightsError):
        saving.load_weights(module, path)
    for got, want in zip(get_keras_weights(module), before, strict=True):
        np.testing.assert_array_equal(got, want)
    load_model(path, weights=False)  # the description itself is sound


def test_random_states_of_older_files_are_left_out(tmp_path: Path) -> None:
    def fill(file: Any, group: Any) -> None:
        file.create_dataset("layers/dense/seed_generator/vars/0", data=np.array([1, 2], "uint32"))
        file.create_dataset("optimizer/vars/0", data=np.array([1, 2], "uint32"))

    assert (get_keras_weights(load_model(written(tmp_path, weights=h5(fill))).to_torch())[0] == 1).all()


def test_bytes_that_are_no_hdf5(tmp_path: Path) -> None:
    for data in (b"", b"nothing", (FILES / "seq_mlp.keras").read_bytes()[:50], h5(lambda f, g: None)[:700]):
        with pytest.raises(WeightsError, match=r"HDF5|damaged|has no"):
            load_model(written(tmp_path, weights=data))


def test_zip_bombs_and_strange_archives(tmp_path: Path) -> None:
    zeros = written(tmp_path, weights=bytes(containers.RATIO_FLOOR + 1), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ConfigError, match="zip bomb"):
        load_model(zeros)
    large = written(tmp_path, config="[" + " " * containers.CONFIG_LIMIT + "]", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ConfigError, match="larger than 64 MiB"):
        load_model(large)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("../config.json", "{}")
    with pytest.raises(ConfigError, match=r"no \.keras file"):
        load_model(tmp_path / "other.zip")
    sound = written(tmp_path).read_bytes()
    (tmp_path / "cut.keras").write_bytes(sound[:200])
    with pytest.raises(ConfigError, match="damaged archive"):
        load_model(tmp_path / "cut.keras")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(written(tmp_path), "a") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(ConfigError, match=r"2 members named config\.json"):
        load_model(tmp_path / "model.keras")


def test_paths(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="download it first"):
        load_model("hf://keras/bert")
    with pytest.raises(ConfigError, match="there is no file"):
        load_model(tmp_path / "none.keras")
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        load_model(tmp_path)
    (tmp_path / "x.weights.h5").write_bytes(h5(lambda f, g: None))
    with pytest.raises(ConfigError, match="load_weights"):
        load_model(tmp_path / "x.weights.h5")
    (tmp_path / "x.json").write_text("no json")
    with pytest.raises(ConfigError, match=r"x\.json is not JSON"):
        load_model(tmp_path / "x.json")


BAD_CONFIGS: dict[str, tuple[Any, str]] = {
    "nested_dicts": (deep_layers(200), "nested deeper than 256 levels"),
    "a_billion_laughs": (billion_calls(12), "nodes once its models are written out"),
    "nothing": ({}, "a dict with 'class_name'"),
    "a_list": ([], "a dict with 'class_name'"),
    "no_layers": ({"class_name": "Functional", "module": "keras", "config": {}}, "'layers'"),
    "layers_of_text": ({"class_name": "Sequential", "module": "keras", "config": {"layers": "abc"}}, "cannot be read"),
    "a_layer_alone": ({"class_name": "Dense", "module": "keras.layers", "config": {"units": 3}}, "is no model"),
    "a_class_to_import": ({"class_name": "system", "module": "os", "config": {"layers": []}}, "'system' is not one of"),
    "a_function_to_import": ({"class_name": "function", "module": "os", "config": "system"}, "is no model"),
    "keras_1": ({"class_name": "Sequential", "config": [{"class_name": "SReLU", "config": {"name": "s"}}],
                 "keras_version": "1.2.2"}, "s: Keras 1's SReLU has no equivalent today. Way out: a layer of your own"),
    "keras_2": ({"class_name": "Model", "config": {"layers": [
        {"class_name": "Dense", "name": "d", "config": {}, "inbound_nodes": [[["x", 0, 0, {}]]]}],
        "input_layers": [["d", 0, 0]], "output_layers": [["d", 0, 0]]}}, "needs the layer 'x', which"),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_bad_configs(name: str, tmp_path: Path) -> None:
    """From a file, a dict, and text, all are refused by an error of ours."""
    config, message = BAD_CONFIGS[name]
    with pytest.raises(ConfigError, match=message):
        load_model(written(tmp_path, config))
    with pytest.raises(ConfigError, match=message):
        model_from_json(json.dumps(config))
    if isinstance(config, dict):
        with pytest.raises(ConfigError, match=message):
            load_model(config)


def test_json_that_would_exhaust_the_parser(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nested deeper"):
        load_model(written(tmp_path, "[" * 100_000))


UNSAFE: dict[str, dict[str, Any]] = {
    "lambda": {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "l", "function": {
        "class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}}},
    "saved_model": {"class_name": "TFSMLayer", "module": "keras.layers", "config": {"filepath": "/tmp/x"}},
    "torch_module": {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {"module": "gASVBA=="}},
    "jax": {"class_name": "JaxLayer", "module": "keras.layers", "config": {"call_fn": "x"}},
    "type": {"class_name": "Dense", "module": "keras.layers", "config": {"units": 2, "activation": {
        "class_name": "__typespec__", "spec_name": "os.system", "module": "os", "config": []}}},
}


@pytest.mark.parametrize("name", UNSAFE)
def test_code_is_never_run(name: str, tmp_path: Path) -> None:
    model = json.loads(Sequential([Dense(2, input_shape=(3,))]).to_json())
    model["config"]["layers"].append(UNSAFE[name])
    for safe_mode in (True, False):
        with pytest.raises(UnsafeConfigError):
            load_model(written(tmp_path, model), safe_mode=safe_mode)


def test_conv_weights_arrive_in_torchs_order(tmp_path: Path) -> None:
    model = Sequential([Conv2D(4, (3, 5), input_shape=(8, 8, 3))])
    module = model.to_torch()
    saving.save_weights(module, tmp_path / "x.weights.h5")
    with h5py.File(tmp_path / "x.weights.h5") as file:
        stored = file["layers/conv2d/vars/0"][()]
    assert stored.shape == (3, 5, 3, 4)
    weight = next(p for p in module.parameters() if p.dim() == 4).detach().numpy()
    np.testing.assert_array_equal(weight.transpose(2, 3, 1, 0), stored)
