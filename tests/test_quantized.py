"""Files of quantized models: the floats that their integers stand for, held against Keras' own.

Keras rounds the inputs of int8 layers as well, call by call; a module here computes in floats. So its numbers are those
of Keras' layers once their input quantizers are gone, and those of the quantized model up to what such rounding does.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import harness
import keras
import numpy as np
import pytest
import torch
from keras import layers as kl
from keras import ops
from keras.quantizers import AWQConfig, GPTQConfig, Int4QuantizationConfig, Int8QuantizationConfig, unpack_int4

import kerashape_torch
from kerashape_torch import get_keras_weights, load_model, saving
from kerashape_torch.errors import ConfigError, WeightsError
from kerashape_torch.lowering import keras_weights
from kerashape_torch.models import model_from_json
from kerashape_torch.structure import flatten

MODES: dict[str, Callable[[], dict[str, Any]]] = {
    "int8": lambda: {"mode": "int8"},
    "int8 of weights alone": lambda: {"config": Int8QuantizationConfig(activation_quantizer=None)},
    "int4": lambda: {"mode": "int4"},
    "int4 in blocks": lambda: {"config": Int4QuantizationConfig(block_size=3)},
    "int4 by outputs": lambda: {"config": Int4QuantizationConfig(block_size=-1)},
    "float8": lambda: {"mode": "float8"},
}


# ---- models ----------------------------------------------------------------------------------------------------------


def chain(*made: Any, shape: tuple[int, ...] = (5,), dtype: str = "float32") -> keras.Model:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *made])


def attention() -> keras.Model:
    query, value = keras.Input((4, 6)), keras.Input((3, 6))
    both = kl.MultiHeadAttention(2, 3, value_dim=5, use_gate=True)(query, value)
    return keras.Model([query, value], kl.GroupQueryAttention(3, 4, 2)(both, value))


def back_and_forth(tie: bool) -> keras.Model:
    x, table = keras.Input((4,), dtype="int32"), kl.ReversibleEmbedding(11, 7, tie_weights=tie)
    return keras.Model(x, table(kl.Dense(7, "tanh")(table(x)), reverse=True))


def shared() -> keras.Model:
    """A layer called twice, a nested model called twice, and an ordinary layer."""
    a, b, dense = keras.Input((4, 6)), keras.Input((4, 6)), kl.Dense(6, "tanh")
    inner = chain(kl.Dense(7), kl.Dense(6, use_bias=False), shape=(4, 6))
    mixed = kl.Add()([inner(dense(a)), inner(dense(b))])
    return keras.Model([a, b], kl.BatchNormalization()(kl.Dense(5)(mixed)))


def lora() -> keras.Model:
    x = keras.Input((4,), dtype="int32")
    wide = kl.Dense(5, lora_rank=2, lora_alpha=6, name="a")(kl.Embedding(9, 7, lora_rank=2)(x))
    return keras.Model(x, kl.EinsumDense("abc,cde->abde", (4, 2, 3), bias_axes="e", lora_rank=2, lora_alpha=3)(wide))


MODELS: dict[str, Callable[[], keras.Model]] = {
    "dense": lambda: chain(kl.Dense(7, "relu"), kl.Dense(3, use_bias=False), kl.Dense(1)),
    "einsum": lambda: chain(kl.EinsumDense("abc,cde->abde", (4, 2, 3), bias_axes="de"),
                            kl.EinsumDense("abcd,cde->abe", (4, 5), bias_axes="e"), shape=(4, 6)),
    "einsum of several sums": lambda: chain(kl.EinsumDense("abc,bcd->ad", (5,)), shape=(3, 4)),
    "einsum, outputs first": lambda: chain(kl.EinsumDense("abc,dc->abd", (4, 3), bias_axes="d"), shape=(4, 6)),
    "einsum, outputs turned": lambda: chain(kl.EinsumDense("abc,cde->abed", (4, 3, 2)), shape=(4, 6)),
    "einsum, ... on the left": lambda: chain(kl.EinsumDense("...x,xy->...y", (7,), bias_axes="y"), shape=(3, 4, 5)),
    "einsum, ... on the right": lambda: chain(kl.EinsumDense("ab...,bc->ac...", (7,)), shape=(5, 3)),
    "embedding": lambda: chain(kl.Embedding(11, 7), kl.Flatten(), kl.Dense(2), shape=(4,), dtype="int32"),
    "embedding, tied": lambda: back_and_forth(True),
    "embedding, untied": lambda: back_and_forth(False),
    "attention": attention,
    "shared": shared,
    "lora": lora,
}
"""Odd sizes, so that a byte is left half empty, and blocks that do not fill up."""

CASES = [(name, mode) for name in MODELS for mode in MODES
         if (name != "lora" if mode == "float8" else "..." not in name)]  # Keras cannot do these itself


def with_numbers(model: keras.Model) -> keras.Model:
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5 if "variance" in w.name else -1, 1, w.shape) for w in model.weights])
    return model


def inputs_of(model: keras.Model) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(1)
    return [random.integers(0, 9, (3, *x.shape[1:])).astype("int32") if x.dtype == "int32"
            else random.normal(size=(3, *x.shape[1:])).astype("float32") for x in flatten(model.inputs)]


def quantized(model: keras.Model, mode: str) -> keras.Model:
    with warnings.catch_warnings(), mock.patch("gc.collect"):  # Keras calls it after each layer, and it takes long
        warnings.simplefilter("ignore")  # what Keras does not quantize it warns of
        model.quantize(**MODES[mode]())
    return model


def run(model: Any, inputs: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    tensors = [torch.as_tensor(x) for x in inputs]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras turns a vector around, of which torch warns
        return ops.convert_to_numpy(model(tensors if len(tensors) > 1 else tensors[0]))


# ---- what Keras says of its integers ---------------------------------------------------------------------------------


def stored_floats(model: keras.Model) -> Iterator[np.ndarray[Any, Any]]:
    """Each quantized kernel and table in floats, by Keras' functions and attributes."""
    for layer in model._flatten_layers():
        if layer.quantization_mode in ("int8", "int4") and isinstance(layer, (kl.Dense, kl.EinsumDense, kl.Embedding)):
            names = ("kernel",) if hasattr(layer, "_kernel") else ("embeddings", "reverse_embeddings")
            yield from (floats(layer, name) for name in names if hasattr(layer, f"{name}_scale"))


def floats(layer: Any, name: str) -> np.ndarray[Any, Any]:
    stored = getattr(layer, f"_{name}", None)
    stored = getattr(layer, name) if stored is None else stored
    scale = getattr(layer, f"{name}_scale")
    embeds = name == "embeddings"
    if layer.quantization_mode == "int8":
        scale = layer._adjust_scale_for_dequant(scale) if isinstance(layer, kl.EinsumDense) else scale
        return ops.convert_to_numpy(ops.divide(stored, ops.expand_dims(scale, -1) if embeds else scale))
    length = (layer.output_dim if name != "kernel" else getattr(layer, "_orig_output_dim", None)
              or layer._int4_unpacked_column_size)
    integers = ops.cast(unpack_int4(stored, length, axis=0 if name == "reverse_embeddings" else -1), "float32")
    if layer._int4_block_size in (None, -1):
        found = ops.divide(integers, ops.expand_dims(scale, -1) if embeds else scale)
    else:
        found = keras.src.quantizers.quantizers.dequantize_with_sz_map(
            integers, scale, getattr(layer, f"{name}_zero"), layer.g_idx, group_axis=-1 if embeds else 0)
    return ops.convert_to_numpy(ops.reshape(found, getattr(layer, "original_kernel_shape", found.shape)))


def without_input_quantizers(model: keras.Model) -> keras.Model:
    for layer in model._flatten_layers():
        if getattr(layer, "inputs_quantizer", None) is not None:
            layer.inputs_quantizer = None
    return model


# ---- numbers ---------------------------------------------------------------------------------------------------------

ROUNDED = {"int8": 0.02, "float8": 0.2}
"""How far an output moves where Keras rounds the inputs too, and for float8 the kernel, as a part of the largest one.
Measured: 0.002 to 0.011 for int8, 0.02 to 0.16 for float8. int4 rounds no inputs."""


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_numbers_are_those_that_the_integers_stand_for(name: str, mode: str, tmp_path: Path) -> None:
    theirs = with_numbers(MODELS[name]())
    inputs = inputs_of(theirs)
    before = run(theirs, inputs)
    theirs = quantized(theirs, mode)
    theirs.save(tmp_path / "model.keras")
    module = load_model(tmp_path / "model.keras").to_torch()
    got, arrays = run(module, inputs), get_keras_weights(module)
    if name == "lora":  # Keras adds LoRA's product to the kernel when it saves, and rounds the sum anew
        theirs = keras.saving.load_model(tmp_path / "model.keras")
    largest = np.abs(got).max()
    assert np.abs(got - run(theirs, inputs)).max() <= ROUNDED.get(mode, 1e-5) * largest
    if mode == "float8":
        np.testing.assert_allclose(got, before, rtol=1e-4, atol=1e-5 * largest)  # the floats are all there
        return
    wanted = list(stored_floats(theirs))
    assert len(wanted) == len([w for w in theirs.weights if w.name.endswith("_scale")]) > 0
    for want in wanted:
        assert any(x.shape == want.shape and np.abs(x - want).max() <= 1e-6 * np.abs(want).max() for x in arrays)
    np.testing.assert_allclose(got, run(without_input_quantizers(theirs), inputs), rtol=1e-4, atol=1e-5 * largest)


@pytest.mark.parametrize(("name", "mode"), [case for case in CASES if case[1] in ("int8", "int4 in blocks", "float8")])
def test_what_is_saved_again_is_a_float_model_that_keras_loads(name: str, mode: str, tmp_path: Path) -> None:
    original = with_numbers(MODELS[name]())
    inputs, counts = inputs_of(original), original.count_params()
    quantized(original, mode).save(tmp_path / "quantized.keras")
    model = load_model(tmp_path / "quantized.keras")
    assert model.count_params() == counts
    assert "quantiz" not in model.to_json().replace('"quantization_config": null', "").lower()
    model.save(tmp_path / "floats.keras")
    theirs, module = keras.saving.load_model(tmp_path / "floats.keras"), model.to_torch()
    for got, want in zip(theirs.get_weights(), get_keras_weights(module), strict=True):
        np.testing.assert_array_equal(got, want)
    got = run(module, inputs)
    np.testing.assert_allclose(run(theirs, inputs), got, rtol=1e-4, atol=1e-5 * np.abs(got).max())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["dense", "einsum", "attention", "shared"])
def test_weights_alone(name: str, mode: str, tmp_path: Path) -> None:
    """Into what the quantized config describes, into its module, and into the float model, where no policy says how."""
    theirs = with_numbers(MODELS[name]())
    plain, inputs = theirs.to_json(), inputs_of(theirs)
    quantized(theirs, mode).save(tmp_path / "model.keras")
    theirs.save_weights(tmp_path / "model.weights.h5")
    want = run(load_model(tmp_path / "model.keras").to_torch(), inputs)
    described, compiled = model_from_json(theirs.to_json()), model_from_json(theirs.to_json()).to_torch()
    saving.load_weights(described, tmp_path / "model.weights.h5")
    saving.load_weights(compiled, tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(run(described.to_torch(), inputs), want)
    np.testing.assert_array_equal(run(compiled, inputs), want)
    saving.save_weights(compiled, tmp_path / "floats.weights.h5")
    saving.load_weights(described, tmp_path / "floats.weights.h5")
    np.testing.assert_array_equal(run(described.to_torch(), inputs), want)
    floats = model_from_json(plain)
    if name == "dense" and mode in ("int8", "int8 of weights alone", "int4 by outputs"):
        with pytest.raises(WeightsError, match=r"Dense\(units=1\): .* are quantized, as int8 or int4.*: .*dtype="):
            saving.load_weights(floats, tmp_path / "model.weights.h5")
        return
    saving.load_weights(floats, tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(run(floats.to_torch(), inputs), want)


def test_the_recorded_model() -> None:
    name = harness.DATA / "functional" / "quantized_int8_mlp"
    record = json.loads(name.with_suffix(".shapes.json").read_text())
    model = load_model(name.with_suffix(".keras"))
    assert model.count_params() == 8 * 16 + 16 + 16 * 4 + 4  # Keras adds a scale for each unit
    assert [[layer.name, list(layer.output_shape)] for layer in model.layers] == [
        [row["name"], row["output_shape"]] for row in record["layers"][1:]]
    assert load_model(name.with_suffix(".json")).output_shape == model.output_shape
    with np.load(name.with_suffix(".npz")) as arrays:
        got, want = run(model.to_torch(), [arrays["input_0"]]), arrays["output_0"]
    assert 0 < np.abs(got - want).max() <= ROUNDED["int8"] * np.abs(want).max()


@pytest.mark.parametrize("source", ["bfloat16", "mixed_bfloat16", "float64"])
def test_floats_of_other_policies(source: str, tmp_path: Path) -> None:
    theirs = with_numbers(chain(kl.Dense(7, dtype=source)))
    quantized(theirs, "int8").save(tmp_path / "model.keras")
    model = load_model(tmp_path / "model.keras")
    assert model.layers[0].compute_dtype == theirs.layers[0].compute_dtype
    assert model.get_config()["layers"][1]["config"]["dtype"]["config"] == {"name": source}
    (layer,) = theirs.layers
    want = ops.convert_to_numpy(ops.cast(layer._kernel, "float32") / ops.cast(layer.kernel_scale, "float32"))
    got = get_keras_weights(model.to_torch(dtype="float32"))[0]
    np.testing.assert_allclose(got, want, rtol=2 ** -8 if source == "bfloat16" else 1e-6)  # as the module holds it


def test_a_layer_beside_a_quantized_one(tmp_path: Path) -> None:
    theirs = with_numbers(chain(kl.Dense(7, name="a"), kl.Dense(7, name="b")))
    theirs.layers[0].quantize("int4")
    theirs.save(tmp_path / "model.keras")
    arrays = get_keras_weights(load_model(tmp_path / "model.keras").to_torch())
    np.testing.assert_array_equal(arrays[2], ops.convert_to_numpy(theirs.layers[1].kernel))
    np.testing.assert_allclose(arrays[0], next(stored_floats(theirs)), rtol=1e-6)


def test_under_time_distributed_the_scales_count(tmp_path: Path) -> None:
    """Keras' wrapper passes the scales by and takes the integers for the kernel; its layer alone does not."""
    theirs = with_numbers(chain(kl.TimeDistributed(kl.Dense(7)), shape=(4, 6)))
    x = inputs_of(theirs)
    quantized(theirs, "int8 of weights alone").save(tmp_path / "model.keras")
    got = run(load_model(tmp_path / "model.keras").to_torch(), x)
    np.testing.assert_allclose(got, run(theirs.layers[0].layer, x), rtol=1e-4, atol=1e-5)
    assert np.abs(run(theirs, x)).max() > 10 * np.abs(got).max()


# ---- policies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("default", "policy"), [("int8", "int8_from_float32"), (None, "float32")])
def test_a_map_of_policies(default: str | None, policy: str, tmp_path: Path) -> None:
    """Keras reads one and builds the parts of a layer by it, but can save none: so one is put into its config."""
    int8 = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": None}}
    config = {"default_policy": default and int8, "policy_map": {"mha/.*": int8, "mha/query": int8}}
    x = keras.Input((4, 6))
    theirs = with_numbers(keras.Model(x, kl.MultiHeadAttention(2, 3, name="mha")(x, x)))
    quantized(theirs, "int8").save(tmp_path / "model.keras")
    model = json.loads(theirs.to_json())
    model["config"]["layers"][1]["config"]["dtype"] = {"class_name": "DTypePolicyMap", "config": config}
    described = load_model(model)
    saving.load_weights(described, tmp_path / "model.keras")
    assert described.layers[1].dtype == policy
    for got, want in zip(get_keras_weights(described.to_torch()),
                         get_keras_weights(load_model(tmp_path / "model.keras").to_torch()), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_map_of_several_dtypes_is_refused() -> None:
    policies = {"class_name": "DTypePolicyMap", "config": {"default_policy": None, "policy_map": {
        "a": {"class_name": "DTypePolicy", "config": {"name": "bfloat16"}}}}}
    with pytest.raises(ConfigError, match=r"the dtypes bfloat16, float32, .*Way out"):
        kerashape_torch.layers.Dense(2, dtype=policies)


@pytest.mark.parametrize("dtype", ["int8_from_", "int3_from_float32", "int4/0_from_float32", "int4/x_from_float32",
                                   "int8_from_int8_from_float32", {"mode": "int8", "source_name": "os.system"},
                                   {"policy_map": 3}])
def test_what_is_no_policy_is_refused(dtype: Any) -> None:
    with pytest.raises(ConfigError):
        kerashape_torch.layers.Dense(2, dtype=dtype)


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [GPTQConfig, AWQConfig])
def test_gptq_and_awq_are_refused_as_keras_loses_their_zero_points(make: Any, tmp_path: Path) -> None:
    x = keras.Input((6,), dtype="int32")
    table, block = kl.Embedding(9, 4), chain(kl.Dense(5), kl.Dense(4, name="last"), shape=(6, 4))
    theirs = keras.Model(x, block(table(x)))
    config = make(list(np.ones((4, 1, 6), "int32")), lambda x: x, num_samples=4, sequence_length=6, group_size=2,
                  quantization_layer_structure={"pre_block_layers": [table], "sequential_blocks": [block]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.quantize(config.mode, config=config)
    config.quantization_layer_structure = None  # Keras cannot write it
    theirs.save(tmp_path / "model.keras")
    with pytest.raises(Exception, match="expected"):  # for Keras, the same
        keras.saving.load_model(tmp_path / "model.keras")
    with pytest.raises(WeightsError, match=rf"dense\w* = Dense.*{config.mode}/4/2, .*zero points.*Way out"):
        load_model(tmp_path / "model.keras")
    assert load_model(tmp_path / "model.keras", weights=False).output_shape == (None, 6, 4)


def damaged(path: Path, name: str, change: Callable[[Any], Any]) -> Path:
    """The file with one array of its first layer changed."""
    with zipfile.ZipFile(path) as file:
        members = {member: file.read(member) for member in file.namelist()}
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        group = file["layers/dense/vars"]
        array = change(group[name][()])
        del group[name]
        group[name] = array
    with zipfile.ZipFile(path, "w") as file:
        for member, data in {**members, "model.weights.h5": weights.getvalue()}.items():
            file.writestr(member, data)
    return path


@pytest.mark.parametrize(("name", "change", "error"), [
    ("0", lambda x: x[:, :3], r"kernel of int4/3 is \(5, 4\), and model.keras has \(5, 3\) in layers/dense/vars/0"),
    ("0", lambda x: x.astype("float32"), "kernel of int4/3 is of int8, and layers/dense/vars/0 in the file is not"),
    ("2", lambda x: x[:1], r"kernel_scale of int4/3 is \(2, 7\), and model.keras has \(1, 7\)"),
    ("4", lambda x: x + 1, "g_idx names blocks beyond the 2 that have scales"),
    ("4", lambda x: x * np.nan, "g_idx names blocks beyond the 2 that have scales"),
])
def test_damaged_files_are_refused(name: str, change: Any, error: str, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    quantized(chain(kl.Dense(7)), "int4 in blocks").save(path)
    with pytest.raises(WeightsError, match=rf"^dense\w* = Dense\(units=7\): .*{error}"):
        load_model(damaged(path, name, change)).to_torch()


def test_arrays_of_another_mode_than_the_policy_says_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    quantized(chain(kl.Dense(7)), "int8").save(path)
    text = zipfile.ZipFile(path).read("config.json").decode().replace('"mode": "int8"', '"mode": "int4"')
    model = model_from_json(text)
    with pytest.raises(WeightsError, match=r"dense\w* = Dense.*kernel of int4 is \(5, 4\), .*has \(5, 7\)"):
        saving.load_weights(model, path)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(("name", "mode"), CASES)
def test_a_whole_model_as_h5_has_the_same_floats(name: str, mode: str, tmp_path: Path) -> None:
    """Keras itself loads no quantized ``MultiHeadAttention`` from such a file. LoRA's weights lie beside the kernel
    there, and not in it as in ``.keras``."""
    theirs = quantized(with_numbers(MODELS[name]()), mode)
    for suffix in ("h5", "keras"):
        theirs.save(tmp_path / f"model.{suffix}")
    module = load_model(tmp_path / "model.h5").to_torch()
    want = get_keras_weights(load_model(tmp_path / "model.keras").to_torch())
    got = dict(zip([(spec.full_path, i) for i, spec in enumerate(keras_weights(module).specs)],
                   get_keras_weights(module), strict=True))
    if name != "lora":
        assert all(np.array_equal(x, y) for x, y in zip(got.values(), want, strict=True))
        return
    narrow = [x for (path, _), x in got.items() if "lora" in path]
    kept = [ops.convert_to_numpy(v) for v in theirs.trainable_variables if "lora" in v.path]
    assert len(narrow) == 6 and all(np.array_equal(x, y) for x, y in zip(narrow, kept, strict=True))
    tables = [x for (path, _), x in got.items() if path.rpartition("/")[2] in ("kernel", "embeddings")]
    for x, y in zip(tables, stored_floats(theirs), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)


def heads_inside() -> keras.Model:
    x = keras.Input((4, 6))
    y = kl.MultiHeadAttention(2, 3, use_bias=False)(kl.MultiHeadAttention(2, 3)(x, x), x)
    return chain(keras.Model(x, kl.MultiHeadAttention(2, 3)(y, y)), shape=(4, 6))


INSIDE: dict[str, Callable[[], keras.Model]] = {
    "normalized": lambda: chain(chain(kl.Dense(6), kl.BatchNormalization(), kl.Dense(3)), kl.Dense(2)),
    "one name": lambda: chain(keras.Sequential([
        keras.Input((5,)), keras.Sequential([keras.Input((5,)), kl.Dense(5, use_bias=False, name="a")], name="one"),
        keras.Sequential([keras.Input((5,)), kl.Dense(5, name="a")], name="two")])),
    "heads": heads_inside,
}
"""Models inside models, one list of arrays each in .h5: parts with weights that are not trained, or of one name."""


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("mode", ["int8", "int4", "int4 in blocks", "float8"])
@pytest.mark.parametrize("name", INSIDE)
def test_models_inside_a_whole_model_as_h5(name: str, mode: str, tmp_path: Path) -> None:
    theirs = quantized(with_numbers(INSIDE[name]()), mode)
    for suffix in ("h5", "keras"):
        theirs.save(tmp_path / f"model.{suffix}")
    got, want = (get_keras_weights(load_model(tmp_path / f"model.{suffix}").to_torch()) for suffix in ("h5", "keras"))
    for x, y in zip(got, want, strict=True):
        np.testing.assert_array_equal(x, y)
    if mode != "float8" and name != "heads":  # Keras itself reads those of neither
        again = keras.saving.load_model(tmp_path / "model.h5")
        kernels = sorted((x for x in got if x.ndim == 2), key=lambda x: (x.shape, *x.flat))
        for x, y in zip(kernels, sorted(stored_floats(again), key=lambda x: (x.shape, *x.flat)), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_whole_model_as_h5_with_an_array_too_many_is_refused(tmp_path: Path) -> None:
    quantized(chain(kl.Dense(7, name="a")), "int8").save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        group = file["model_weights/a"]
        names = [str(each) for each in group.attrs["weight_names"]]
        group["more"] = np.zeros(3)
        group.attrs["weight_names"] = [*names, "more"]
    with pytest.raises(WeightsError, match=r"^a = Dense.* has 2 weights, and model\.h5 has 4 for it$"):
        load_model(tmp_path / "model.h5")


def test_weights_in_shards(tmp_path: Path) -> None:
    theirs = quantized(with_numbers(chain(kl.Dense(7), kl.Dense(5))), "int4 in blocks")
    theirs.save_weights(tmp_path / "model.weights.json", max_shard_size=1e-7)
    described = model_from_json(theirs.to_json())
    saving.load_weights(described, tmp_path / "model.weights.json")
    for got, want in zip(get_keras_weights(described.to_torch())[::2], stored_floats(theirs), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
