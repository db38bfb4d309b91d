"""Files that try to have something run, read, fetched, written or allocated: one maker for each way that is known.

``python tests/threats.py FOLDER`` writes them all, for whoever wants to try them on another reader. None of them does
harm: what they would run or read is not there, or harmless.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

Json = dict[str, Any]


class Threat(NamedTuple):
    """A crafted file.

    Attributes:
        make: writes it into a folder and gives its path.
        says: what the error says.
        about: the hole in Keras that it is about, where it has a number.
    """

    make: Callable[[Path], Path]
    says: str
    about: str = ""


MARK = "kerashape_was_here"
"""What any code of the corpus would leave behind: a file of this name in the working folder."""
CODE = base64.b64encode(b"c\x00\x00\x00\x00 no code at all, but what marshal.loads would be given").decode()
SECRET = "/etc/hostname"


# ---- pieces ----------------------------------------------------------------------------------------------------------


def layer(class_name: str, module: str = "keras.layers", **config: Any) -> Json:
    return {"class_name": class_name, "module": module, "config": config, "registered_name": None}


def named(name: str, module: str = "builtins") -> Json:
    return {"class_name": "function", "module": module, "config": name, "registered_name": name}


BYTECODE = {"class_name": "__lambda__", "config": {"code": CODE, "defaults": None, "closure": None}}


def sequential(*layers: Json, **more: Any) -> Json:
    entries = [layer("InputLayer", batch_shape=[None, 3], name="x", dtype="float32"), *layers]
    return {"class_name": "Sequential", "module": "keras", "registered_name": None,
            "config": {"name": "s", "layers": entries}, **more}


DENSE = layer("Dense", units=2, name="dense")


def sound_weights(fill: Callable[[Any, Any], None] = lambda file, group: None) -> bytes:
    """The weights of ``sequential(DENSE)``, once ``fill`` had its way with the file and the group of the layer."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group("layers/dense/vars")
        group["0"], group["1"] = np.ones((3, 2), "float32"), np.ones(2, "float32")
        fill(file, group)
    return buffer.getvalue()


def keras_file(config: Any, weights: bytes | None = None, compression: int = zipfile.ZIP_STORED,
               more: dict[str, bytes] | None = None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        members = {"metadata.json": b'{"keras_version": "3.15.1"}',
                   "config.json": config if isinstance(config, bytes) else json.dumps(config).encode(),
                   "model.weights.h5": sound_weights() if weights is None else weights, **(more or {})}
        with zipfile.ZipFile(folder / "model.keras", "w", compression) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return folder / "model.keras"

    return make


def json_file(config: Any, name: str = "model.json") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(config if isinstance(config, str) else json.dumps(config))
        return folder / name

    return make


def h5_file(config: Any, **attributes: Any) -> Callable[[Path], Path]:
    """A whole model as Keras 2 wrote it, weights layer by layer."""

    def make(folder: Path) -> Path:
        with h5py.File(folder / "model.h5", "w") as file:
            file.attrs.update({"model_config": json.dumps(config), "keras_version": "2.4.0", "backend": "tensorflow",
                               **attributes})
            group = file.create_group("model_weights")
            group.attrs["layer_names"] = [b"dense"]
            inner = group.create_group("dense")
            inner.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
            inner["dense/kernel:0"], inner["dense/bias:0"] = np.ones((3, 2), "float32"), np.ones(2, "float32")
        return folder / "model.h5"

    return make


def changed(fill: Callable[[Any, Any], None]) -> Callable[[Path], Path]:
    """A sound ``.keras`` file but for its kernel, which is gone and made anew."""

    def replaced(file: Any, group: Any) -> None:
        del group["0"]
        fill(file, group)

    return keras_file(sequential(DENSE), sound_weights(replaced))


def _lookup(vocabulary: Any, name: str = "lookup") -> Json:
    given = layer("InputLayer", batch_shape=[None, 1], name="x", dtype="string")
    return {**sequential(), "config": {"name": "s", "layers": [given, layer(
        "StringLookup", name=name, vocabulary=vocabulary, max_tokens=None, num_oov_indices=1, output_mode="int")]}}


# ---- code ------------------------------------------------------------------------------------------------------------


def _old_lambda(function: Any = (CODE, None, None), kind: str = "lambda") -> Json:
    return {"class_name": "Sequential", "keras_version": "2.4.0", "backend": "tensorflow", "config": {
        "name": "s", "layers": [{"class_name": "Lambda", "config": {
            "name": "l", "batch_input_shape": [None, 3], "function": function, "function_type": kind,
            "module": "os", "output_shape": None, "output_shape_type": "raw", "arguments": {}}}]}}


def _yaml(text: str) -> Callable[[Path], Path]:
    return json_file(text, "model.yaml")


CODE_IN_FILES: dict[str, Threat] = {
    "lambda_bytecode_in_keras": Threat(keras_file(sequential(layer("Lambda", name="l", function=BYTECODE))),
                                       "bytecode of a Python lambda, which is never", "CVE-2024-3660"),
    "lambda_bytecode_in_h5": Threat(h5_file(_old_lambda()), "bytecode of a Python lambda", "CVE-2025-9905"),
    "lambda_bytecode_in_json": Threat(json_file(_old_lambda()), "bytecode of a Python lambda", "CVE-2024-3660"),
    "lambda_bytecode_as_output_shape": Threat(json_file(sequential(layer(
        "Lambda", name="l", function=named("system", "os"), output_shape=BYTECODE))), "never imported or run"),
    "lambda_bytecode_in_a_wrapper": Threat(json_file(sequential(layer("TimeDistributed", layer=layer(
        "Lambda", name="l", function=BYTECODE)))), "bytecode of a Python lambda"),
    "lambda_bytecode_as_activation": Threat(json_file(sequential(layer("Dense", units=2, activation=BYTECODE))),
                                            "bytecode of a Python lambda"),
    "lambda_by_name": Threat(json_file(_old_lambda("system", "function")), "names the function 'system'"),
    "a_function_of_any_module": Threat(json_file(sequential(layer(
        "Dense", units=2, activation=named("system", "os")))), "system", "CVE-2025-1550"),
    "a_class_of_any_module": Threat(json_file(sequential(layer("Popen", "subprocess", args=f"touch {MARK}"))),
                                    "'Popen' is not one of", "CVE-2025-1550"),
    "a_dotted_class": Threat(json_file(sequential(layer("os.system", "", command=f"touch {MARK}"))),
                             "is not one of", "CVE-2025-1550"),
    "a_function_of_keras_itself": Threat(json_file(sequential(layer(
        "Lambda", name="l", function=named("get_file", "keras.utils"), arguments={
            "fname": MARK, "origin": "http://127.0.0.1:9/x"}))), "never imported or run", "CVE-2025-8747"),
    "unsafe_mode_switched_on_by_the_file": Threat(json_file(sequential(
        layer("Lambda", name="a", function=named("enable_unsafe_deserialization", "keras.config")),
        layer("Lambda", name="b", function=BYTECODE))), "2 layers of this model need", "CVE-2025-9906"),
    "pickled_torch_module": Threat(json_file(sequential(layer(
        "TorchModuleWrapper", module=base64.b64encode(b"cos\nsystem\n(S'x'\ntR.").decode()))), "TorchModuleWrapper",
        "CVE-2025-49655"),
    "a_saved_model": Threat(json_file(sequential(layer("TFSMLayer", filepath="/tmp/x"))), "TFSMLayer",
                            "CVE-2026-1462"),
    "a_type_to_import": Threat(json_file(sequential(layer("Dense", units={
        "class_name": "__typespec__", "module": "os", "spec_name": "system", "config": ["x"]}))), "names a class"),
    "yaml_that_builds_objects": Threat(_yaml(f"!!python/object/apply:os.system ['touch {MARK}']"), "yaml|YAML|JSON"),
    "optimizer_of_any_module": Threat(json_file(sequential(DENSE, compile_config={
        "optimizer": {"class_name": "system", "module": "os", "config": {"command": f"touch {MARK}"}}})), ""),
}

# ---- other files and other machines ----------------------------------------------------------------------------------


def _shard_map(folder: Path) -> Path:
    (folder / "config.json").write_text(json.dumps(sequential(DENSE)))
    (folder / "metadata.json").write_text('{"keras_version": "3.15.1"}')
    (folder / "model.weights.json").write_text(json.dumps({"weight_map": {"/layers/dense/vars": f"../../..{SECRET}"}}))
    return folder


def _tfjs(folder: Path) -> Path:
    old = {"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "Dense", "config": {
        "units": 2, "name": "dense", "batch_input_shape": [None, 3]}}]}}
    (folder / "model.json").write_text(json.dumps({
        "format": "layers-model", "modelTopology": {"model_config": old, "keras_version": "2.4.0"},
        "weightsManifest": [{"paths": [f"../../../../../../..{SECRET}"], "weights": [
            {"name": "dense/kernel", "shape": [3, 2], "dtype": "float32"},
            {"name": "dense/bias", "shape": [2], "dtype": "float32"}]}]}))
    return folder / "model.json"


def _linked_member(folder: Path) -> Path:
    """A directory whose weights are a link to another file."""
    (folder / "config.json").write_text(json.dumps(sequential(DENSE)))
    (folder / "metadata.json").write_text('{"keras_version": "3.15.1"}')
    (folder / "model.weights.h5").symlink_to(SECRET)
    return folder


def _linked_assets(folder: Path) -> Path:
    """A vocabulary that is a link to another file."""
    (folder / "config.json").write_text(json.dumps(_lookup(None)))
    (folder / "metadata.json").write_text('{"keras_version": "3.15.1"}')
    (folder / "assets" / "layers" / "string_lookup").mkdir(parents=True)
    (folder / "assets" / "layers" / "string_lookup" / "vocabulary.txt").symlink_to(SECRET)
    return folder


def _virtual(file: Any, group: Any) -> None:
    layout = h5py.VirtualLayout((3, 2), "float32")
    layout[...] = h5py.VirtualSource(SECRET, "x", (3, 2))
    group.create_virtual_dataset("0", layout)


OTHER_FILES: dict[str, Threat] = {
    "vocabulary_of_a_path": Threat(json_file(_lookup(SECRET)), "vocabulary", "CVE-2025-12058"),
    "vocabulary_of_an_address": Threat(json_file(_lookup("http://127.0.0.1:9/x")), "vocabulary", "CVE-2025-12058"),
    "vocabulary_beside_the_archive": Threat(keras_file(_lookup(None, "../../evil"), sound_weights(
        lambda file, group: file.pop("layers")), more={"assets/../../evil/vocabulary.txt": b"a\n"}),
        "without '/'", "CVE-2026-12479"),
    "external_data": Threat(changed(lambda file, group: group.create_dataset(
        "0", (3, 2), "float32", external=[(SECRET, 0, 24)])), "another file", "CVE-2026-1669"),
    "external_link": Threat(changed(lambda file, group: group.__setitem__("0", h5py.ExternalLink(SECRET, "/x"))),
                            "is a link", "CVE-2026-1669"),
    "external_group": Threat(keras_file(sequential(DENSE), sound_weights(
        lambda file, group: file.__setitem__("layers/other", h5py.ExternalLink(SECRET, "/x")))), "is a link",
        "CVE-2026-1669"),
    "soft_link": Threat(changed(lambda file, group: group.__setitem__("0", h5py.SoftLink("/layers/dense/vars/1"))),
                        "is a link"),
    "virtual_data": Threat(changed(_virtual), "another file", "CVE-2026-1669"),
    "shards_elsewhere": Threat(_shard_map, "shard|directory|name"),
    "tfjs_shards_elsewhere": Threat(_tfjs, "no such file beside it"),
    "linked_weights": Threat(_linked_member, "leads out of it"),
    "linked_assets": Threat(_linked_assets, "leads out of it", "#22896"),
    "an_address_as_path": Threat(lambda folder: Path("hf://someone/model"), "download it first|no file"),
}

# ---- sizes -----------------------------------------------------------------------------------------------------------


def deep_layers(levels: int) -> Json:
    config: Any = DENSE
    for _ in range(levels):
        config = layer("TimeDistributed", layer=config)
    return sequential(config)


def billion_calls(levels: int) -> Json:
    """Each model calls the next one ten times."""
    config: Any = sequential(layer("Dense", units=3))
    for i in range(levels):
        tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None, 3], "dtype": "float32",
                                                                "keras_history": ["x", 0, 0]}}
        layers = [{**layer("InputLayer", batch_shape=[None, 3], name="x"), "name": "x", "inbound_nodes": []},
                  {**config, "name": "inner", "inbound_nodes": [{"args": [tensor], "kwargs": {}}] * 10}]
        config = {"class_name": "Functional", "module": "keras", "config": {
            "name": f"m{i}", "layers": layers, "input_layers": ["x", 0, 0], "output_layers": ["inner", 1, 0]}}
    return config  # type: ignore[no-any-return]


def _circle() -> Json:
    def call(of: str) -> list[Json]:
        return [{"args": [{"class_name": "__keras_tensor__", "config": {
            "shape": [None, 2], "dtype": "float32", "keras_history": [of, 0, 0]}}], "kwargs": {}}]

    layers = [{**layer("InputLayer", batch_shape=[None, 2], name="x"), "name": "x", "inbound_nodes": []},
              {**layer("Dense", units=2, name="a"), "name": "a", "inbound_nodes": call("b")},
              {**layer("Dense", units=2, name="b"), "name": "b", "inbound_nodes": call("a")}]
    return {"class_name": "Functional", "module": "keras", "config": {
        "name": "m", "layers": layers, "input_layers": ["x", 0, 0], "output_layers": ["b", 0, 0]}}


def _npz(folder: Path) -> Path:
    """Weights in an ``.npz`` that would have to be unpickled."""
    buffer = io.BytesIO()
    np.savez(buffer, **{"layers/dense": np.array({"0": np.ones((3, 2))}, dtype=object)})
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(sequential(DENSE)))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.npz", buffer.getvalue())
    return folder / "model.keras"


def _npz_bomb(folder: Path) -> Path:
    """An array of 8 TiB by its header, in a few bytes."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }"
    data = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("layers/dense.npy", data)
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(sequential(DENSE)))
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.npz", inner.getvalue())
    return folder / "model.keras"


def _twice(folder: Path) -> Path:
    path = keras_file(sequential(DENSE))(folder)
    with zipfile.ZipFile(path, "a") as archive:
        archive.NameToInfo.pop("config.json")  # else it warns
        archive.writestr("config.json", json.dumps(sequential(layer("Dense", units=9))))
    return path


def _long_text(libver: str) -> Callable[[Path], Path]:
    """A whole model in HDF5 whose config says that it has 3.75 GiB."""
    def make(folder: Path) -> Path:
        text, path = json.dumps(sequential(DENSE)), folder / "model.h5"
        with h5py.File(path, "w", libver=libver) as file:
            file.attrs["model_config"] = text
            file.attrs["keras_version"] = "3.15.1"
        data = bytearray(path.read_bytes())
        where = data.index(len(text).to_bytes(4, "little"), data.index(b"model_config"))
        data[where:where + 4] = (0xF0000000).to_bytes(4, "little")
        path.write_bytes(data)
        return path

    return make


def _one_text_many_times(folder: Path) -> Path:
    """An attribute of 4000 texts, which are all the same text of 1 MB."""
    with h5py.File(folder / "model.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(sequential(DENSE))
        group = file.create_group("model_weights")
        group.attrs["keras_version"] = "3.15.1"
        group.attrs.create("layer_names", ["x" * 1_000_000] + ["y"] * 3_999, dtype=h5py.string_dtype())
    data = bytearray((folder / "model.h5").read_bytes())
    first = data.index((1_000_000).to_bytes(4, "little"), data.index(b"layer_names"))
    data[first:first + 16 * 4_000] = data[first:first + 16] * 4_000
    (folder / "model.h5").write_bytes(data)
    return folder / "model.h5"


SIZES: dict[str, Threat] = {
    "a_text_of_3_gib": Threat(_long_text("earliest"), "model_config is larger than 64 MiB"),
    "a_text_of_3_gib_in_a_new_file": Threat(_long_text("latest"), "metadata checksum|larger than 64 MiB"),
    "one_text_many_times": Threat(_one_text_many_times, "layer_names is larger than 64 MiB"),
    "shape_bomb": Threat(changed(lambda file, group: group.create_dataset("0", (1 << 40, 1 << 20), "float32",
                                                                          chunks=(1, 64))),
                         r"kernel is \(3, 2\)", "CVE-2026-0897"),
    "chunk_bomb": Threat(changed(lambda file, group: group.create_dataset(
        "0", (3, 2), "float32", maxshape=(None, None), chunks=(1 << 15, 1 << 13), compression="gzip")), "bomb",
        "CVE-2026-0897"),
    "zip_bomb": Threat(keras_file(sequential(DENSE), bytes(100 << 20), zipfile.ZIP_DEFLATED), "zip bomb", "#23010"),
    "config_bomb": Threat(keras_file(b"[" + b" " * (65 << 20) + b"]", None, zipfile.ZIP_DEFLATED),
                          "larger than 64 MiB"),
    "npz_bomb": Threat(_npz_bomb, r"\(1099511627776\)|bomb|not sound|damaged|kernel", "#23016"),
    "pickled_npz": Threat(_npz, "pickle|object|number|not sound|damaged"),
    "deep_json": Threat(json_file("[" * 100_000), "nested deeper"),
    "deep_layers": Threat(json_file(deep_layers(300)), "nested deeper"),
    "a_billion_calls": Threat(json_file(billion_calls(12)), "nodes once its models are written out"),
    "yaml_of_a_billion_aliases": Threat(_yaml("a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}, *{chr(97 + i)}, *{chr(97 + i)}]\n"
        for i in range(20))), "alias|nodes|config"),
    "a_circle_of_layers": Threat(json_file(_circle()), "form a loop"),
    "two_layers_of_one_name": Threat(json_file(sequential(layer("Dense", units=2, name="d"),
                                                          layer("Dense", units=2, name="d"))), "named 'd'"),
    "two_configs": Threat(_twice, r"2 members named config\.json"),
}

THREATS: dict[str, Threat] = {**CODE_IN_FILES, **OTHER_FILES, **SIZES}


def write_all(folder: Path) -> None:
    """Every file, in a folder of its own."""
    for name, threat in THREATS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        print(f"{name:40s} {threat.about:16s} {threat.make(folder / name)}")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
