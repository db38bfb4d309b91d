"""Layers that read strings: TensorFlow's numbers, how strings are passed, vocabularies, and what is refused."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness import DATA, Case, as_input

import kerashape_torch as kt
from kerashape_torch import Input, Model, Sequential, layers
from kerashape_torch.config import deserialize
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError, UnsafeConfigError
from kerashape_torch.layer import Layer
from kerashape_torch.layers import (
    Concatenate,
    Dense,
    Discretization,
    Embedding,
    Hashing,
    IntegerLookup,
    StringLookup,
    TextVectorization,
)
from kerashape_torch.reports.trial import trial
from kerashape_torch.torch_modules.hashing import hash_bins

with gzip.open(DATA / "string_layers.jsonl.gz", "rt", encoding="utf-8") as lines:
    RECORDED: list[Case] = [json.loads(line) for line in lines]
"""Random arguments and inputs, as Keras 3.15.1 answered under TensorFlow 2.21, which alone runs these layers."""


def recorded_layer(case: Case) -> Layer:
    arguments = {name: tuple(value) if name == "ngrams" and isinstance(value, list) else value
                 for name, value in case["arguments"].items()}
    layer = getattr(layers, case["class_name"])(**arguments)
    if "adapt" in case:
        layer.adapt(np.array(case["adapt"]))
        assert layer.get_vocabulary() == case["vocabulary"]
    return layer  # type: ignore[no-any-return]


def run_recorded(case: Case) -> tuple[Any, Any]:
    """The symbolic output and the real one."""
    arrays = [np.array(x, dtype=str if dtype == "string" else dtype)
              for x, dtype in zip(case["inputs"], case["dtypes"], strict=True)]
    tensors = [Input(batch_shape=(None, *x.shape[1:]), dtype=dtype) for x, dtype in zip(arrays, case["dtypes"])]
    output = recorded_layer(case)(tensors if len(tensors) > 1 else tensors[0])
    return output, Model(tensors, output).to_torch()(*map(as_input, arrays))


@pytest.mark.parametrize("case", RECORDED, ids=[f"{case['class_name']}_{i}" for i, case in enumerate(RECORDED)])
def test_what_tensorflow_gives(case: Case) -> None:
    if case.get("refused"):
        with pytest.raises(KerashapeError):
            run_recorded(case)
        return
    symbolic, got = run_recorded(case)
    want = np.array(case["output"]).reshape(case["shape"])
    assert all(size in (None, real) for size, real in zip(symbolic.shape[1:], want.shape[1:], strict=True))
    if isinstance(got, torch.Tensor):
        assert str(got.dtype) == f"torch.{symbolic.dtype}"
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-6, strict=False)
    else:
        assert got.tolist() == want.tolist()


LENGTHS = (0, 1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300)
FARMHASH = (1936946117179621455, 550085751958558782, 50737162503519588, 74291032824012392, 3398365883158499592,
            3403648104430010920, 3575310498258597009, 663651183927826904, 3125010364355856015, 2801713092741292786,
            3992320350721670009, 3233698670931835597, 1203207000702784873, 1859692024977922284, 444801980686921533,
            1314699078308480876, 2003798058489048521, 455335815384283847, 3886849482814154722)
SIPHASH = (2051919569566566300, 4259087911290002399, 1068860506263131490, 3208845004769913240, 4368524015724919660,
           3706049833301132293, 674308019851013215, 1873371054842671849, 1290675691925119051, 341724171758819625,
           2726413154699144787, 1041560299409324262, 2546801866751844305, 1419838868230963772, 1917047528087805955,
           1975986445402393058, 404999669289950107, 831835293611014382, 4364293818249607794)


@pytest.mark.parametrize(("salt", "expected"), [(None, FARMHASH), ((5, 11), SIPHASH)])
def test_hashes_of_every_kind_of_length(salt: Any, expected: tuple[int, ...]) -> None:
    strings = [bytes((7 * i + n) % 256 for i in range(n)) for n in LENGTHS]
    assert tuple(hash_bins(strings, 1 << 62, salt)) == expected


# ---- how strings are passed ------------------------------------------------------------------------------------------


def two_texts() -> Any:
    first, second = Input((1,), dtype="string", name="first"), Input((1,), dtype="string", name="second")
    parts = [Hashing(3, output_mode="one_hot")(first), StringLookup(vocabulary=["x"], output_mode="one_hot")(second)]
    return Model([first, second], Concatenate()(parts)).to_torch()


@pytest.mark.parametrize("call", [
    lambda module: module([["a"], ["b"]], [["x"], ["y"]]),
    lambda module: module(["a", "b"], ["x", "y"]),
    lambda module: module(np.array([["a"], ["b"]]), np.array(["x", b"y"], dtype=object)),
    lambda module: module([np.array(["a", "b"]), np.array(["x", "y"])]),
    lambda module: module({"first": ["a", "b"], "second": ["x", "y"]}),
    lambda module: module(second=["x", "y"], first=["a", "b"]),
    lambda module: torch.as_tensor(kt.predict(module, [np.array(["a", "b"]), np.array(["x", "y"])], batch_size=1)),
])
def test_ways_to_pass_strings(call: Any) -> None:
    assert call(two_texts()).tolist() == [[1, 0, 0, 0, 1], [0, 1, 0, 1, 0]]


def test_a_list_is_the_only_input_or_all_of_them() -> None:
    module = StringLookup(vocabulary=["a"], input_shape=(1,)).to_torch()
    assert module(["a", "b"]).tolist() == [[1], [0]]
    assert module([np.array(["a", "b"])]).tolist() == [[1], [0]]
    assert torch.as_tensor(kt.predict(module, ["a", "b"])).tolist() == [[1], [0]]


@pytest.mark.parametrize(("given", "message"), [
    ([1, 2], "takes 1 tensors"),
    (torch.ones(2), "reads strings, got Tensor"),
    (3, r"takes strings, in an array or a list of shape \(None, 1\), got int"),
    ([["a", "b"]], "axis 1 is 2, not 1"),
    ([["a"], ["b", "c"]], "strings are expected, got"),
    (np.array(["a", 1], dtype=object), "strings are expected, got 1"),
])
def test_what_is_no_string(given: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        StringLookup(vocabulary=["a"], input_shape=(1,)).to_torch()(given)


def test_a_module_without_an_input_shape() -> None:
    module = Sequential([TextVectorization(vocabulary=["a", "b"], output_sequence_length=3), Embedding(6, 2),
                         Dense(1)]).to_torch()
    assert list(module.state_dict()) == ["embedding.weight", "dense.weight", "dense.bias"]
    assert module(["a b", "b"]).shape == (2, 3, 1)
    assert module(["a"]).shape == (1, 3, 1)


def test_only_some_layers_take_strings() -> None:
    text = Input((1,), dtype="string")
    with pytest.raises(KerashapeError, match="takes numbers, and its input holds strings"):
        Model(text, Dense(2)(text)).to_torch()


def test_strings_in_reports() -> None:
    model = Sequential([TextVectorization(vocabulary=["a"], output_mode="count", input_shape=()), Dense(1)])
    ran = trial(model, batch=4, device="cpu", repeat=1)
    assert (ran.inputs[0].dtype, ran.inputs[0].real_shape, ran.outputs[0].real_shape) == ("string", (4,), (4, 1))


def test_the_float_dtype_is_the_modules() -> None:
    text = Input((1,), dtype="string")
    model = Model(text, Dense(2)(StringLookup(vocabulary=["x"], output_mode="one_hot")(text)))
    assert model.to_torch(dtype="bfloat16")(["x"]).dtype == torch.bfloat16


# ---- vocabularies ----------------------------------------------------------------------------------------------------


def test_a_lookup_inside_uses_up_a_number() -> None:
    text = Input((1,), dtype="string")
    outputs = [TextVectorization(vocabulary=["a"], output_mode="count")(text), StringLookup(vocabulary=["a"])(text)]
    assert [layer.name for layer in Model(text, outputs).layers[1:]] == ["text_vectorization", "string_lookup_1"]


@pytest.mark.parametrize("layer", [StringLookup(output_mode="tf_idf"), StringLookup(mask_token="m"),
                                   TextVectorization(output_mode="tf_idf"), TextVectorization(ngrams=2)])
def test_what_adapt_found_is_in_the_config(layer: Any) -> None:
    layer.adapt(np.array(["a", "b", "a", "m"]))
    again = deserialize(json.loads(json.dumps(layer.serialize())))
    assert again.get_vocabulary() == layer.get_vocabulary()
    x = np.array(["a", "z", "m"])
    assert torch.equal(again.to_torch(input_shape=(None,))(x), layer.to_torch(input_shape=(None,))(x))
    assert again.get_config() == layer.get_config()


def test_adapt_takes_batches() -> None:
    layer = IntegerLookup()
    layer.adapt((np.array([5, 6, 5]) for _ in range(9)), steps=2)
    assert layer.get_vocabulary() == [-1, 5, 6]
    layer.adapt(torch.tensor([[7, 7], [8, 9]]))
    assert layer.get_vocabulary() == [-1, 7, 9, 8]


@pytest.mark.parametrize(("make", "message"), [
    (lambda: StringLookup().to_torch(input_shape=(1,)), "has no vocabulary"),
    (lambda: TextVectorization().to_torch(input_shape=(1,)), "has no vocabulary"),
    (lambda: TextVectorization(vocabulary=["a"], ragged=True).to_torch(input_shape=(1,)), "ragged"),
    (lambda: StringLookup(vocabulary=["a", "a"]), "holds some tokens twice"),
    (lambda: StringLookup(vocabulary=[]), "is empty"),
    (lambda: StringLookup(vocabulary=[1]), "tokens are of type str"),
    (lambda: IntegerLookup(vocabulary=["a"]), "tokens are of type int"),
    (lambda: StringLookup(vocabulary=["a", "m"], mask_token="m"), "'m', which is reserved"),
    (lambda: StringLookup(vocabulary=["a"]).adapt(["b"]), "was given its vocabulary"),
    (lambda: StringLookup().adapt("text"), "got str"),
    (lambda: StringLookup(output_mode="count", vocabulary_size=3).set_vocabulary(["a"]), "comes to 2, and was 3"),
    (lambda: IntegerLookup(salt=1), "farmhash"),
    (lambda: StringLookup(vocabulary=["a"], oov_token=None, invert=True).to_torch(input_shape=(1,)), "oov_token"),
])
def test_vocabularies_that_cannot_be(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("cls", [StringLookup, IntegerLookup, TextVectorization])
def test_no_file_is_opened_for_a_vocabulary(cls: Any) -> None:
    with pytest.raises(UnsafeConfigError, match="Read it yourself and give the list"):
        cls(vocabulary="/etc/passwd")
    with pytest.raises(UnsafeConfigError):
        deserialize({"module": "keras.layers", "class_name": cls.__name__, "config": {"vocabulary": "words.txt"}})


def test_a_stranger_without_an_index() -> None:
    with pytest.raises(KerashapeError, match=r"got \['z'\]"):
        StringLookup(vocabulary=["a"], num_oov_indices=0).to_torch()(["a", "z"])


# ---- files -----------------------------------------------------------------------------------------------------------


def adapted_model() -> Any:
    text, number = Input((1,), dtype="string"), Input((1,), dtype="int64")
    weighed, indexed = TextVectorization(output_mode="tf_idf"), TextVectorization(output_sequence_length=3)
    looked_up = IntegerLookup(mask_token=0, num_oov_indices=2)
    for layer in (weighed, indexed):
        layer.adapt(["foo bar", "bar baz", "baz bada boom"])
    looked_up.adapt(np.array([[5], [6], [5]]))
    inner_text = Input((1,), dtype="string")
    inner = Model(inner_text, indexed(inner_text))
    return Model([text, number], [Dense(2)(weighed(text)), looked_up(number), inner(text)])


GIVEN = (["foo baz", "bada"], torch.tensor([[5], [77]]))


def as_keras_keeps_it(path: Path, there: Path, change: Any = None) -> None:
    """The file with its vocabularies beside the config instead of in it."""
    assets = {}
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(there, "w") as new:
        config = json.loads(old.read("config.json"))
        for group, owner in (("layers", config), ("layers/functional/layers", config["config"]["layers"][-1])):
            for layer in owner["config"]["layers"]:
                inner = layer["config"]
                if inner.get("vocabulary"):
                    name, special = (("integer_lookup", [0, -1, -1]) if layer["class_name"] == "IntegerLookup"
                                     else ("text_vectorization", ["", "[UNK]"]))
                    tokens = [*(special if inner["output_mode"] == "int" else ()), *inner["vocabulary"]]
                    assets[f"assets/{group}/{name}/vocabulary.txt"] = "\n".join(map(str, tokens)).encode()
                    inner.update(vocabulary=None, idf_weights=None)
        assert len(assets) == 3
        new.writestr("config.json", json.dumps(config))
        new.writestr("model.weights.h5", old.read("model.weights.h5"))
        for name, data in assets.items():
            new.writestr(name, data if change is None else change(name, data))


def test_vocabularies_come_with_a_file(tmp_path: Path) -> None:
    model = adapted_model()
    model.save(tmp_path / "ours.keras")
    as_keras_keeps_it(tmp_path / "ours.keras", tmp_path / "theirs.keras")
    with zipfile.ZipFile(tmp_path / "theirs.keras") as archive:
        archive.extractall(tmp_path / "unzipped")
    module = kt.load_model(tmp_path / "ours.keras").to_torch()
    for name in ("theirs.keras", "unzipped"):
        again = kt.load_model(tmp_path / name).to_torch()
        for got, want in zip(again(*GIVEN), module(*GIVEN), strict=True):
            assert torch.equal(got, want)


@pytest.mark.parametrize(("change", "message"), [
    (lambda name, data: data + b"\nx" if "integer" in name else data, "should hold an integer in each line"),
    (lambda name, data: b"\xff\xff", "is not UTF-8"),
    (lambda name, data: data + b"\n" + data.split(b"\n")[-1], "some tokens twice"),
    (lambda name, data: data + b"\nmore" if "layers/text" in name else data, "comes to 7, and was 6"),
])
def test_vocabularies_that_do_not_fit_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    adapted_model().save(tmp_path / "ours.keras")
    as_keras_keeps_it(tmp_path / "ours.keras", tmp_path / "bad.keras", change)
    with pytest.raises(ConfigError, match=message):
        kt.load_model(tmp_path / "bad.keras")


# ---- layers of other frameworks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["JaxLayer", "FlaxLayer", "TFSMLayer", "TorchModuleWrapper"])
def test_layers_of_other_frameworks_are_refused(name: str) -> None:
    with pytest.raises(UnsafeConfigError, match=f"^{name} ") as in_code:
        getattr(layers, name)("anything", call_endpoint="serve")
    config = {"module": "keras.layers", "class_name": name, "config": {"name": "x"}, "registered_name": None}
    with pytest.raises(UnsafeConfigError) as in_config:
        deserialize(config)
    assert str(in_code.value) == str(in_config.value)


def test_a_stand_in_for_a_layer_of_another_framework() -> None:
    config = {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"rate": 0.5}, "registered_name": None}
    made = kt.saving.deserialize_keras_object(config, custom_objects={"TFSMLayer": layers.Dropout})
    assert isinstance(made, layers.Dropout)


def test_wrapper_is_a_base() -> None:
    assert issubclass(layers.TimeDistributed, layers.Wrapper)
    assert issubclass(layers.SpectralNormalization, layers.Wrapper)
    with pytest.raises(ConfigError, match="takes a layer or a model, got 3"):
        layers.Wrapper(3)


def test_constants_of_lazy_modules_stay() -> None:
    assert Discretization([0.0, 1.0]).to_torch()(torch.tensor([[-1.0, 0.0, 2.0]])).tolist() == [[0, 1, 2]]
    scaled = layers.Rescaling([1.0, 2.0]).to_torch()
    assert scaled(torch.ones(1, 2)).tolist() == [[1.0, 2.0]]
    assert list(layers.Rescaling([1.0, 2.0]).to_torch().state_dict()) == []
