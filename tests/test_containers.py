"""Every way in which Keras keeps a model or its weights: told by content, read when needed, refused when unsound."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from test_saving import FILES, LOADED, assert_as_recorded, keras_model_of

from kerashape_torch import Input, Model, Sequential, get_keras_weights, load_model, saving
from kerashape_torch.errors import ConfigError, WeightsError
from kerashape_torch.layers import LSTM, BatchNormalization, Bidirectional, Conv2D, Dense, Embedding, MultiHeadAttention
from kerashape_torch.saving import containers
from kerashape_torch.saving.reading import read


def small() -> Model:
    x = Input((4, 6))
    return Model(x, Dense(2)(Bidirectional(LSTM(3))(MultiHeadAttention(2, 3)(x, x))))


def arrays_of(model: Model) -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(5)
    return [generator.normal(size=spec.shape).astype("float32") for spec in model.weights]


def saved(tmp_path: Path, name: str = "m.keras") -> tuple[Path, list[np.ndarray[Any, Any]]]:
    """A model's file, and its numbers."""
    from kerashape_torch import set_keras_weights

    model = small()
    module, arrays = model.to_torch(), arrays_of(model)
    set_keras_weights(module, arrays)
    model.save_weights(tmp_path / name, module) if name.endswith(".weights.h5") else model.save(tmp_path / name, module)
    return tmp_path / name, arrays


def assert_numbers(model: Model, arrays: list[np.ndarray[Any, Any]]) -> None:
    for got, want in zip(get_keras_weights(model.to_torch()), arrays, strict=True):
        np.testing.assert_array_equal(got, want)


def repacked(path: Path, target: Path, change: Callable[[str, bytes], dict[str, bytes]],
             compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(target, "w", compression) as after:
        for name in before.namelist():
            for new, data in change(name, before.read(name)).items():
                after.writestr(new, data)
    return target


# ---- read when needed ------------------------------------------------------------------------------------------------


@pytest.fixture()
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all reads."""
    found: list[int] = []
    original = containers.Stretch.read_at

    def counted(self: Any, at: int, buffer: Any) -> int:
        read = original(self, at, buffer)
        found.append(read)
        return read

    monkeypatch.setattr(containers.Stretch, "read_at", counted)
    return found


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_arrays_are_read_when_they_are_needed_and_in_pieces(name: str, tmp_path: Path, reads: list[int]) -> None:
    model = Sequential([Dense(3000, input_shape=(3000,), use_bias=False, kernel_initializer="zeros")])
    model.save(tmp_path / name)
    size = (tmp_path / name).stat().st_size
    reads.clear()
    loaded = load_model(tmp_path / name)
    assert loaded.layers[0].saved_weights[0].shape == (3000, 3000)
    loaded.to_torch(device="meta")
    assert sum(reads) < size / 100
    reads.clear()
    loaded.to_torch()
    assert max(reads) <= 5 << 20 and sum(reads) <= (2.1 if name == "m.keras" else 1.1) * size  # .keras: a checksum too


def test_nothing_is_initialised_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kerashape_torch import initializers

    path, arrays = saved(tmp_path)
    model = load_model(path)
    monkeypatch.setattr(initializers.Initializer, "__call__", lambda *_, **__: pytest.fail("numbers were drawn"))
    assert_numbers(model, arrays)


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    for name in ("m.keras", "m.h5"):
        path, _ = saved(tmp_path, name)
        model = load_model(path)
        with path.open("r+b") as file:
            file.write(file.read(1) * 2)
        os.utime(path, (1, 1))
        with pytest.raises(WeightsError, match=f"{name} has changed since it was loaded"):
            model.to_torch()


def test_a_file_that_is_replaced_or_gone_is_still_there_for_the_model(tmp_path: Path) -> None:
    path, arrays = saved(tmp_path)
    model = load_model(path)
    small().save(path)
    assert_numbers(model, arrays)
    path.unlink()
    assert_numbers(model, arrays)


def test_a_damaged_member_is_noticed_by_its_checksum(tmp_path: Path) -> None:
    path, arrays = saved(tmp_path)
    data = bytearray(path.read_bytes())
    at = data.index(arrays[0].tobytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged: its contents do not have the checksum"):
        load_model(path).to_torch()


def test_copies_and_pickles_have_the_numbers(tmp_path: Path) -> None:
    path, arrays = saved(tmp_path)
    held = load_model(path).layers[-1].saved_weights
    for twin in (copy.deepcopy(held), pickle.loads(pickle.dumps(held))):
        for got, want in zip(twin, arrays[-2:], strict=True):
            np.testing.assert_array_equal(np.asarray(got), want)
    path.unlink()


def test_a_module_in_another_dtype_has_the_numbers_of_the_file(tmp_path: Path) -> None:
    path, arrays = saved(tmp_path)
    module = load_model(path).to_torch(dtype="bfloat16")
    assert {p.dtype for p in module.parameters()} == {torch.bfloat16}
    np.testing.assert_array_equal(get_keras_weights(module)[-2], torch.as_tensor(arrays[-2]).bfloat16().float().numpy())


# ---- .keras and its kin ----------------------------------------------------------------------------------------------


def test_names_in_the_archive_that_are_no_text(tmp_path: Path) -> None:
    """The archive says that they are UTF-8."""
    path, _ = saved(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("\u00e9\u00e9", b"")
    path.write_bytes(path.read_bytes().replace("\u00e9\u00e9".encode(), b"\xad\xad\xad\xad"))
    with pytest.raises(ConfigError, match="damaged archive"):
        load_model(path)


def test_compressed_members(tmp_path: Path) -> None:
    path, arrays = saved(tmp_path)
    again = repacked(path, tmp_path / "c.keras", lambda name, data: {name: data}, zipfile.ZIP_DEFLATED)
    assert_numbers(load_model(again), arrays)


def rewritten(path: Path, target: Path, rename: Callable[[str], str]) -> Path:
    """The same model with its weights at other paths."""

    def change(name: str, data: bytes) -> dict[str, bytes]:
        if name != "model.weights.h5":
            return {name: data}
        buffer = io.BytesIO()
        with h5py.File(io.BytesIO(data)) as before, h5py.File(buffer, "w") as after:
            def one(path: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    group, _, last = path.rpartition("/")
                    after.require_group(rename(group))[last] = item[()]

            before.visititems(one)
        return {name: buffer.getvalue()}

    return repacked(path, target, change)


SLIPS = {
    "underscores_of_tf_keras": lambda path: path.replace("query_", "_query_").replace("key_", "_key_"),
    "keras_2_13": lambda path: path.replace("layers", "_layer_checkpoint_dependencies"),
    "windows": lambda path: path.replace("/", "\\"),
}


@pytest.mark.parametrize("name", SLIPS)
def test_paths_as_tf_keras_has_slipped(name: str, tmp_path: Path) -> None:
    path, arrays = saved(tmp_path)
    assert_numbers(load_model(rewritten(path, tmp_path / "slip.keras", SLIPS[name])), arrays)


def test_paths_that_mean_two_things_are_refused(tmp_path: Path) -> None:
    path, arrays = saved(tmp_path)
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        for name in ("layers/_dense/vars", "_layers/dense/vars"):
            file[f"{name}/0"], file[f"{name}/1"] = arrays[-2:]
    with pytest.raises(WeightsError, match="two ways to layers/dense/vars"):
        Sequential([Dense(2, input_shape=(6,))]).load_weights(tmp_path / "w.weights.h5")
    assert path.exists()


def test_windows_names_in_the_archive(tmp_path: Path) -> None:
    name = "seq_mlp"
    again = repacked(FILES / f"{name}.keras", tmp_path / "w.keras", lambda n, data: {n.replace("/", "\\"): data})
    assert_as_recorded(name, load_model(again).to_torch())


def test_saved_models_are_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"SavedModel of TensorFlow.*Way out"):
        load_model(tmp_path)


def test_the_extension_says_nothing(tmp_path: Path) -> None:
    for name, other in (("m.keras", "m.h5"), ("m.h5", "m.keras"), ("m.weights.h5", "m.txt")):
        (tmp_path / name).mkdir()
        path, arrays = saved(tmp_path / name, name)
        moved = path.rename(tmp_path / f"moved_{other}")
        if name != "m.weights.h5":
            assert_numbers(load_model(moved), arrays)
        model = small()
        model.load_weights(moved)
        assert_numbers(model, arrays)


def test_skip_mismatch_in_keras_3s_layout(tmp_path: Path) -> None:
    """What Keras takes of a layer that does not fit: all that came before the first misfit."""
    import keras

    def build(k: Any) -> Any:
        return k.Sequential([k.layers.Input((3,)), k.layers.Dense(4, name="a"), k.layers.Dense(2, name="b")])

    first = build(keras)
    first.save_weights(tmp_path / "w.weights.h5")

    def other(k: Any) -> Any:
        return k.Sequential([k.layers.Input((3,)), k.layers.Dense(4, name="a"),
                             k.layers.Dense(3, name="b", kernel_initializer="ones")])

    theirs, ours = other(keras), other(__import__("kerashape_torch"))
    with pytest.raises(WeightsError, match=r"b = .*kernel is \(4, 3\)"):
        ours.load_weights(tmp_path / "w.weights.h5")
    with pytest.warns(UserWarning, match="could not be loaded"):
        theirs.load_weights(tmp_path / "w.weights.h5", skip_mismatch=True)
    with pytest.warns(UserWarning, match="1 objects could not be loaded and were skipped: b"):
        ours.load_weights(tmp_path / "w.weights.h5", skip_mismatch=True)
    assert_numbers(ours, theirs.get_weights())
    with pytest.raises(WeightsError, match="by_name=True is for files that"):
        ours.load_weights(tmp_path / "w.weights.h5", by_name=True)


# ---- .h5 -------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", LOADED)
def test_h5_there_and_back(name: str, tmp_path: Path) -> None:
    """Keras loads what we write as .h5, and we read what Keras writes; the numbers are those of the original."""
    original = keras_model_of(FILES / f"{name}.keras")
    load_model(FILES / f"{name}.keras").save(tmp_path / "ours.h5")
    theirs = keras_model_of(tmp_path / "ours.h5")
    weights = [np.asarray(x, "float32") for x in original.get_weights()]
    for got, want in zip(theirs.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(np.asarray(got, "float32"), want)
    if name == "preprocessing_then_cnn":
        return  # Keras cannot save it as .h5
    original.save(tmp_path / "theirs.h5")
    module = load_model(FILES / f"{name}.json").to_torch()
    saving.load_weights(module, tmp_path / "theirs.h5")
    for got, want in zip(get_keras_weights(module), weights, strict=True):
        np.testing.assert_array_equal(got, want)


def test_h5_of_keras_with_compilation(tmp_path: Path) -> None:
    import keras

    theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    theirs.compile("sgd", "mse")
    theirs.save(tmp_path / "m.h5")
    contents = read(tmp_path / "m.h5")
    assert contents.compile_config["loss"] == "mse" and contents.version == keras.__version__
    assert_numbers(load_model(tmp_path / "m.h5"), theirs.get_weights())
    theirs.save(tmp_path / "m.keras")
    assert read(tmp_path / "m.keras").compile_config["loss"] == "mse"


# ---- shards, npz, TensorFlow.js --------------------------------------------------------------------------------------


@pytest.fixture()
def shards(tmp_path: Path) -> tuple[Path, list[Any]]:
    import keras

    theirs = keras.Sequential([keras.Input((64,)), *[keras.layers.Dense(64) for _ in range(4)],
                               keras.layers.BatchNormalization()])
    theirs.save_weights(tmp_path / "w.weights.json", max_shard_size=20_000 / 2**30)
    return tmp_path / "w.weights.json", theirs.get_weights()


def sharded_twin() -> Model:
    return Sequential([Input((64,)), *[Dense(64) for _ in range(4)], BatchNormalization()])


def test_shards(shards: tuple[Path, list[Any]], tmp_path: Path) -> None:
    path, arrays = shards
    assert len(list(tmp_path.glob("*.h5"))) > 3
    model = sharded_twin()
    model.load_weights(path)
    assert_numbers(model, arrays)
    with pytest.raises(ConfigError, match="holds weights only"):
        load_model(path)
    # the same beside a config, as a directory and as an archive
    (tmp_path / "config.json").write_text(sharded_twin().to_json())
    path.rename(tmp_path / "model.weights.json")
    assert_numbers(load_model(tmp_path), arrays)
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for member in ("config.json", "model.weights.json", *(p.name for p in tmp_path.glob("*.h5"))):
            archive.write(tmp_path / member, member)
    assert_numbers(load_model(tmp_path / "m.keras"), arrays)


@pytest.mark.parametrize("name", ["../w_00001.weights.h5", "/etc/hostname", "gone.h5", 3, "a\\b.h5"])
def test_shards_that_lie_elsewhere(shards: tuple[Path, list[Any]], name: Any) -> None:
    path, _ = shards
    found = json.loads(path.read_text())
    found["weight_map"]["/layers/dense/vars"] = name
    path.write_text(json.dumps(found))
    with pytest.raises(WeightsError, match="there is no such file beside it"):
        sharded_twin().load_weights(path)


def test_npz(tmp_path: Path) -> None:
    path, arrays = saved(tmp_path)
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        held: dict[str, Any] = {}
        file.visititems(lambda name, item: held.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        config = archive.read("config.json")

    def written(name: str, arrays: dict[str, Any], save: Any = np.savez) -> Path:
        save(tmp_path / "model.weights.npz", **arrays)
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("config.json", config)
            archive.write(tmp_path / "model.weights.npz", "model.weights.npz")
        return tmp_path / name

    assert_numbers(load_model(written("n.keras", held)), arrays)
    assert_numbers(load_model(written("c.keras", held, np.savez_compressed)), arrays)
    by_columns = {name: np.asfortranarray(array) for name, array in held.items()}
    assert_numbers(load_model(written("f.keras", by_columns)), arrays)
    with pytest.raises(WeightsError, match="is a pickled object, which is never read"):
        load_model(written("p.keras", {"layers/dense": np.array({"0": 1}, dtype=object)}))
    with pytest.raises(WeightsError, match=r"kernel is \(6, 2\), and s\.keras has \(9, 9\)"):
        load_model(written("s.keras", {**held, "layers/dense/vars/0": np.zeros((9, 9))}))


class Tfjs:
    """A model.json with its weights, of which each test changes what it is about."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = Sequential([Embedding(5, 4, input_shape=(3,)), Bidirectional(LSTM(3)), Dense(2)])
        self.arrays = arrays_of(self.model)
        names = ["embedding/embeddings", *(f"bidirectional/{way}_lstm/lstm_cell_{i}/{weight}"
                 for i, way in enumerate(("forward", "backward")) for weight in ("kernel", "recurrent_kernel", "bias")),
                 "dense/kernel", "dense/bias"]
        self.weights: list[dict[str, Any]] = [{"name": name, "shape": list(array.shape), "dtype": "float32"}
                                              for name, array in zip(names, self.arrays, strict=True)]
        self.data = b"".join(array.tobytes() for array in self.arrays)
        self.paths = ["group1-shard1of2.bin", "group1-shard2of2.bin"]
        self.topology: Any = {"keras_version": "3.0.0", "backend": "tensorflow",
                              "model_config": json.loads(self.model.to_json())}

    def written(self) -> Path:
        middle = len(self.data) // 2 + 1
        for path, data in zip(self.paths, (self.data[:middle], self.data[middle:])):
            if "/" not in path:
                (self.folder / path).write_bytes(data)
        (self.folder / "model.json").write_text(json.dumps({
            "format": "layers-model", "modelTopology": self.topology,
            "weightsManifest": [{"paths": self.paths, "weights": self.weights}]}))
        return self.folder / "model.json"


def test_tfjs(tmp_path: Path) -> None:
    """Arrays cross the ends of files; names have more in the middle than ours."""
    tfjs = Tfjs(tmp_path)
    path = tfjs.written()
    assert_numbers(load_model(path), tfjs.arrays)
    tfjs.topology = tfjs.topology["model_config"]  # as TensorFlow.js itself writes it
    assert_numbers(load_model(tfjs.written()), tfjs.arrays)
    tfjs.model.load_weights(path)
    assert_numbers(tfjs.model, tfjs.arrays)


@pytest.mark.parametrize(("held", "steps"), [("uint8", 255), ("uint16", 65535), ("float16", None)])
def test_tfjs_quantization(held: str, steps: int | None, tmp_path: Path) -> None:
    """Small integers are evenly spaced numbers: ``value * scale + min``."""
    tfjs = Tfjs(tmp_path)
    expected, data = [], b""
    for entry, array in zip(tfjs.weights, tfjs.arrays):
        entry["quantization"] = {"dtype": held}
        stored = array.astype(held)
        expected.append(stored.astype("float32"))
        if steps:
            least, scale = float(array.min()), float((array.max() - array.min()) / steps)
            entry["quantization"] |= {"min": least, "scale": scale}
            stored = np.round((array - least) / scale).astype(held)
            expected[-1] = (stored.astype("float64") * scale + least).astype("float32")
        data += stored.tobytes()
    tfjs.data = data
    assert_numbers(load_model(tfjs.written()), expected)


TFJS_BAD: dict[str, tuple[Callable[[Tfjs], object], str]] = {
    "elsewhere": (lambda t: t.paths.__setitem__(0, "../x.bin"), "no such file beside it"),
    "gone": (lambda t: t.paths.append("gone.bin"), "no such file beside it"),
    "too_short": (lambda t: setattr(t, "data", t.data[:-4]), "bytes of weights, and the files beside it have"),
    "negative": (lambda t: t.weights[0].update(shape=[-1, 4]), "has the shape"),
    "text": (lambda t: t.weights[0].update(dtype="string"), "no weight of a Keras model"),
    "missing": (lambda t: t.weights.pop(), "has no weight dense/bias"),
    "twice": (lambda t: t.weights[-1].update(name="dense/kernel"), "two weights named dense/kernel"),
    "misfit": (lambda t: t.weights[0].update(shape=[4, 5]), r"embeddings is \(5, 4\), and model\.json has \(4, 5\)"),
    "more": (lambda t: [t.weights.append({"name": "x/y", "shape": [1], "dtype": "float32"}),
                        setattr(t, "data", t.data + bytes(4))], "has weights x/y, and the model has no layer"),
    "nonsense": (lambda t: t.weights.append({}), "cannot be read: KeyError"),
}


@pytest.mark.parametrize("name", TFJS_BAD)
def test_bad_tfjs(name: str, tmp_path: Path) -> None:
    change, message = TFJS_BAD[name]
    tfjs = Tfjs(tmp_path)
    change(tfjs)
    path = tfjs.written()
    with pytest.raises(WeightsError, match=message):
        load_model(path)
    load_model(path, weights=False)


def test_graphs_of_tfjs_are_refused(tmp_path: Path) -> None:
    tfjs = Tfjs(tmp_path)
    tfjs.topology = {"node": [], "library": {}}
    with pytest.raises(ConfigError, match=r"graph of TensorFlow and no Keras model.*Way out"):
        load_model(tfjs.written())


def test_conv_kernels_read_in_pieces_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kerashape_torch.saving import h5

    monkeypatch.setattr(h5, "_BLOCK", 1 << 10)
    model = Sequential([Conv2D(40, (3, 5), input_shape=(8, 8, 3)), Dense(300)])
    module = model.to_torch()
    model.save(tmp_path / "m.h5", module)
    assert_numbers(load_model(tmp_path / "m.h5"), get_keras_weights(module))


def test_numbers_of_another_byte_order(tmp_path: Path) -> None:
    path, arrays = saved(tmp_path, "m.weights.h5")
    with h5py.File(path, "r+") as file:
        del file["layers/dense/vars/1"]
        file["layers/dense/vars/1"] = arrays[-1].astype(">f8")
    model = small()
    model.load_weights(path)
    assert_numbers(model, arrays)


def test_texts_that_hdf5_would_read_for_ever(tmp_path: Path) -> None:
    """A heap whose free space has the length 0; and half a character, which no name may have."""
    path, _ = saved(tmp_path, "m.h5")
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL")
    size = int.from_bytes(data[heap + 8:heap + 16], "little")
    assert heap + size <= len(data)
    data[heap + 16:heap + 32] = bytes(16)
    (tmp_path / "bad.h5").write_bytes(data)
    with pytest.raises(WeightsError, match="heap of texts is not sound"):
        load_model(tmp_path / "bad.h5")
    config = json.loads(small().to_json())
    config["config"]["name"] = "a\ud800"
    (tmp_path / "m.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="is not JSON"):
        load_model(tmp_path / "m.json")


@pytest.mark.parametrize("name", ["w", "w.index", "w.data-00000-of-00001", "."])
def test_checkpoints_are_refused_with_advice(name: str, tmp_path: Path) -> None:
    for part in ("w.index", "w.data-00000-of-00001"):
        (tmp_path / part).write_bytes(b"\0\0\6\10\1")
    for load in (load_model, small().load_weights):
        with pytest.raises(ConfigError, match=r"checkpoint of TensorFlow.*Way out.*save_weights\('w.h5'\)"):
            load(tmp_path / name)


@pytest.mark.parametrize("name", ["saved_model.pb", "keras_metadata.pb"])
def test_parts_of_saved_models_are_refused_with_advice(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\x08\x01\xc4")
    with pytest.raises(ConfigError, match=r"SavedModel of TensorFlow.*Way out"):
        load_model(tmp_path / name)
