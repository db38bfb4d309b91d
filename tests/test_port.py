"""What is ported runs without this package and gives the compiled module's numbers to the last bit."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pytest
import torch
from harness import DATA, MODEL_LAMBDAS

import kerashape_torch as kt
from kerashape_torch import Input, Model, Sequential, layers, ops
from kerashape_torch.cli import main
from kerashape_torch.config import custom_object_scope
from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.port import FILES
from kerashape_torch.port import write as writing
from kerashape_torch.saving import port
from kerashape_torch.shape_table import shape_table
from kerashape_torch.structure import flatten

FUNCTIONAL = sorted(path.stem for path in (DATA / "functional").glob("*.keras"))

REFUSED_MODELS = {
    "lambda_global_reference": "Python of your own",
}
REFUSED_LAYERS = {
    "Hashing": "computes with numpy", "HashedCrossing": "computes with numpy", "StringLookup": "computes with numpy",
    "IntegerLookup": "computes with numpy", "TextVectorization": "computes with numpy",
    "MelSpectrogram": "too many to be written", "Lambda": "Python of your own",
}
"""Layers of which some case or all cannot be written as source, and why."""

_numbers = itertools.count()


def module_of(where: Path) -> Any:
    """The ported file as a module, in an interpreter that has no kerashape_torch to import."""
    name = f"ported_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, where / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    hidden = {key: value for key, value in sys.modules.items() if key.split(".")[0] == "kerashape_torch"}
    for key in hidden:
        sys.modules[key] = None  # type: ignore[assignment]
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules.update(hidden)
        del sys.modules[name]
    return module


def ported(model: Any, where: Path, **options: Any) -> Any:
    return module_of(port(model, where, **options))


def text_of(model: Any, where: Path, **options: Any) -> str:
    return (port(model, where, **options) / "model.py").read_text()


def assert_same(model: Model, module: Any, compiled: torch.nn.Module, inputs: list[torch.Tensor]) -> None:
    with torch.no_grad():
        expected, found = flatten(compiled(*inputs)), flatten(module(*inputs))
    assert len(expected) == len(found)
    for one, other in zip(expected, found):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_every_recorded_model_to_the_last_bit(name: str, tmp_path: Path) -> None:
    with custom_object_scope(MODEL_LAMBDAS.get(name)):
        path = DATA / "functional" / f"{name}.keras"
        if name in REFUSED_MODELS:
            with pytest.raises(KerashapeError, match=REFUSED_MODELS[name]):
                port(kt.load_model(path), tmp_path / "out")
            return
        model = kt.load_model(path)
    where = port(model, tmp_path / "out")
    assert sorted(x.name for x in where.iterdir()) == sorted(FILES)
    assert (where / "shapes.txt").read_text() == f"{shape_table(model)}\n"
    assert module_of(where).check() == 0


@pytest.mark.parametrize("name", sorted({case["class_name"] for case in harness.numeric_cases()}))
def test_every_layer_to_the_last_bit(name: str, tmp_path: Path) -> None:
    """Up to four recorded cases of each class."""
    refusals = 0
    cases = [case for case in harness.numeric_cases() if case["class_name"] == name][:4]
    for case in cases:
        model = model_of(case)
        try:
            where = port(model, tmp_path / case["id"])
        except KerashapeError as error:
            assert REFUSED_LAYERS.get(name, "nothing is refused here") in str(error) or "adapt" in str(error), error
            refusals += 1
        else:
            assert module_of(where).check() == 0
    assert refusals == 0 or name in REFUSED_LAYERS


def model_of(case: harness.Case) -> Model:
    """The model of a recorded call."""
    layer, stored = harness.make(case), harness.arrays(case)
    inputs = [*(stored[f"input_{i}"] for i in range(case["n_inputs"])),
              *(stored[f"kwarg_{i}"] for i in range(case["n_kwargs"]))]
    dtypes = [*case["input_dtypes"], *(mark["dtype"] for mark in harness.tensor_marks(case))]
    batch = 2 if harness.is_stateful(case) else None
    tensors = [Input(batch_shape=(batch, *x.shape[1:]), dtype=dtype) for x, dtype in zip(inputs, dtypes)]
    args, kwargs = harness.arguments(case, tensors)
    return Model(tensors, layer(*args, **kwargs))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes(dtype: str, tmp_path: Path) -> None:
    model = Sequential([Input((6, 6, 3)), layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(),
                        layers.Flatten(), layers.Dense(2)])
    where = port(model, tmp_path / "out", dtype=dtype)
    module = module_of(where)
    loaded = module.load()
    assert {p.dtype for p in loaded.parameters()} == {getattr(torch, dtype)}
    assert module.check() == 0


def test_weights_of_several_dtypes(tmp_path: Path) -> None:
    x = Input((3,))
    model = Model(x, layers.Dense(2, dtype="float64")(layers.Dense(4, dtype="float16")(x)))
    module = ported(model, tmp_path / "out")
    assert [p.dtype for p in module.load().parameters()] == [torch.float16] * 2 + [torch.float64] * 2
    assert module.check() == 0


def test_channels_first_outside_too(tmp_path: Path) -> None:
    model = Sequential([Input((8, 8, 3)), layers.Conv2D(4, 3), layers.MaxPooling2D()])
    module = ported(model, tmp_path / "out", layout="torch")
    assert module.load()(torch.zeros(2, 3, 8, 8)).shape == (2, 4, 3, 3)
    assert module.check() == 0 and "permute" not in (tmp_path / "out" / "model.py").read_text()


def test_free_axes_stay_free(tmp_path: Path) -> None:
    model = Sequential([Input((None, None, 3)), layers.Conv2D(4, 3, padding="same", strides=2)])
    compiled = model.to_torch()
    module = ported(model, tmp_path / "out", input_shape=(11, 12, 3))
    assert module.check() == 0
    loaded = module.load()
    loaded.load_state_dict(compiled.state_dict())
    assert_same(model, loaded, compiled, [torch.rand(1, 7, 5, 3)])


# ---- structure -------------------------------------------------------------------------------------------------------


def test_inputs_and_outputs_in_a_dict(tmp_path: Path) -> None:
    inputs = {"b": Input((3,), name="b"), "a": Input((2,), name="a")}
    joined = layers.Concatenate()([inputs["a"], inputs["b"]])
    model = Model(inputs, {"sum": ops.sum(joined, axis=1), "dense": layers.Dense(2)(joined)})
    module = ported(model, tmp_path / "out")
    found = module.load()(a=torch.zeros(4, 2), b=torch.zeros(4, 3))
    assert {key: tuple(x.shape) for key, x in found.items()} == {"sum": (4,), "dense": (4, 2)}
    assert module.check() == 0


def test_one_layer_called_twice_is_one_module(tmp_path: Path) -> None:
    shared = layers.Dense(3, name="shared")
    x = Input((3,))
    text = text_of(Model(x, shared(layers.ReLU()(shared(x)))), tmp_path / "out")
    assert text.count("nn.Linear(") == 1 and text.count("self.shared(") == 2
    assert module_of(tmp_path / "out").check() == 0


def test_a_model_in_a_model_is_a_class(tmp_path: Path) -> None:
    inner = Sequential([Input((4,)), layers.Dense(3, activation="tanh"), layers.Dense(2)], name="tower")
    a, b = Input((4,), name="left"), Input((4,), name="right")
    text = text_of(Model([a, b], layers.Add()([inner(a), inner(b)]), name="twins"), tmp_path / "out")
    assert text.count("class Tower(nn.Module)") == 1 and text.count("= Tower()") == 1
    assert "def forward(self, left, right):" in text and text.count("self.tower(") == 2
    assert module_of(tmp_path / "out").check() == 0


def test_models_alike_share_a_class_with_arguments(tmp_path: Path) -> None:
    def tower(name: str, units: int) -> Model:
        return Sequential([Input((4,)), layers.Dense(units, activation="relu", name="first"),
                           layers.Dense(units, name="second")], name=name)

    x = Input((4,))
    text = text_of(Model(x, layers.Concatenate()([tower("small", 2)(x), tower("large", 5)(x)])), tmp_path / "out")
    assert "self.small = Small(2)" in text and "self.large = Small(5)" in text
    assert "# (None, units)" not in text and "# (None, features)" in text
    assert module_of(tmp_path / "out").check() == 0


def test_state_lives_from_call_to_call(tmp_path: Path) -> None:
    model = Sequential([Input(batch_shape=(2, 4, 3)), layers.LSTM(5, stateful=True)])
    compiled = model.to_torch()
    loaded = ported(model, tmp_path / "out").load()
    loaded.load_state_dict(compiled.state_dict())
    for _ in range(2):
        assert_same(model, loaded, compiled, [torch.ones(2, 4, 3)])


def residual_model(names: bool) -> Model:
    def block(x: Any, filters: int, stride: int, stage: int, i: int) -> Any:
        name = (lambda part: f"stage{stage}_block{i}_{part}") if names else (lambda part: None)
        shortcut = x
        if stride > 1 or x.shape[-1] != filters:
            shortcut = layers.Conv2D(filters, 1, strides=stride, name=name("0_conv"))(x)
        y = layers.Conv2D(filters, 1, strides=stride, name=name("1_conv"))(x)
        y = layers.BatchNormalization(name=name("1_bn"))(y)
        y = layers.Activation("relu", name=name("1_relu"))(y)
        y = layers.Conv2D(filters, 3, padding="same", name=name("2_conv"))(y)
        y = layers.BatchNormalization(name=name("2_bn"))(y)
        return layers.Activation("relu", name=name("out"))(layers.Add(name=name("add"))([shortcut, y]))

    x = image = Input((16, 16, 3))
    for stage, filters in enumerate((8, 16, 32), start=1):
        for i in range(1, 4):
            x = block(x, filters, 2 if stage > 1 and i == 1 else 1, stage, i)
    return Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)), name="resnet")


@pytest.mark.parametrize("names", [True, False])
def test_residual_blocks_become_a_class_used_many_times(names: bool, tmp_path: Path) -> None:
    text = text_of(residual_model(names), tmp_path / "out")
    assert text.count("class ResidualBlock(nn.Module)") == 1 and "class ProjectionBlock(nn.Module)" in text
    assert text.count("nn.Conv2d(") == 5, "each convolution of a block is written once"
    if names:
        assert "self.stage2 = nn.Sequential(ProjectionBlock(8, 16, stride=2), ResidualBlock(16)," in text
        assert "self.bn1 = BatchNorm2d(channels, eps=0.001, momentum=0.01)" in text
    assert module_of(tmp_path / "out").check() == 0


def test_transformer_blocks_are_made_in_a_loop(tmp_path: Path) -> None:
    x = tokens = Input((12,), dtype="int32", name="tokens")
    x = layers.Embedding(50, 16)(x)
    for _ in range(3):
        y = layers.MultiHeadAttention(2, 8)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, y]))
        y = layers.Dense(16)(layers.Dense(32, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, y]))
    text = text_of(Model(tokens, x), tmp_path / "out")
    assert "nn.Sequential(*(TransformerBlock() for _ in range(3)))" in text
    assert "self.embedding = nn.Embedding(50, 16)" in text and "y = F.gelu(self.dense1(x))  # (None, 12, 32)" in text
    assert module_of(tmp_path / "out").check() == 0


def test_recurrent_layers_are_torch_own(tmp_path: Path) -> None:
    text = text_of(kt.load_model(DATA / "functional" / "seq2seq_lstm_states.keras"), tmp_path / "out")
    assert "x, (h, c) = self.dec(dec_in, (h, c))" in text and "what torch lacks" not in text


def test_no_more_of_the_package_than_is_needed(tmp_path: Path) -> None:
    text = text_of(Sequential([Input((3,)), layers.Dense(2)]), tmp_path / "out")
    assert "what torch lacks" not in text and len(text.splitlines()) < 80
    assert "from __future__" not in text


# ---- training --------------------------------------------------------------------------------------------------------


def test_it_trains_as_the_compiled_module_does(tmp_path: Path) -> None:
    model = residual_model(True)
    compiled = model.to_torch(dtype="float64").train()
    loaded = ported(model, tmp_path / "out", dtype="float64").load().train()
    loaded.load_state_dict(dict(zip(loaded.state_dict(), by_layers(loaded, compiled))))
    x = torch.rand(4, 16, 16, 3, dtype=torch.float64)
    for module in (compiled, loaded):
        optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.1)
        module(x).square().mean().backward()
        optimizer.step()
    compiled.eval(), loaded.eval()
    torch.testing.assert_close(loaded(x), compiled(x), rtol=1e-12, atol=1e-12)


def by_layers(loaded: torch.nn.Module, compiled: torch.nn.Module) -> list[torch.Tensor]:
    """The compiled module's state in the order of the ported one: both list a block's layers under its name."""
    state = compiled.state_dict()

    def key(name: str) -> str:
        stage, block, *rest = name.split(".")
        if not stage.startswith("stage"):
            return name
        layer, number = rest[0][:-1], rest[0][-1]
        return f"{stage}_block{int(block) + 1}_{number}_{layer}.{rest[1]}"

    return [state[key(name)] for name in loaded.state_dict()]


def test_frozen_layers_stay_frozen(tmp_path: Path) -> None:
    base = Sequential([Input((4,)), layers.Dense(3), layers.BatchNormalization()], name="base")
    base.trainable = False
    x = Input((4,))
    model = Model(x, layers.Dense(2, name="head")(base(x, training=False)))
    text = text_of(model, tmp_path / "out")
    assert "self.base.requires_grad_(False)" in text and "self.base.train(False)" in text
    loaded = module_of(tmp_path / "out").load().train()
    assert {name for name, p in loaded.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}
    assert loaded.training and loaded.head.training and not loaded.base.batch_normalization.training


# ---- the file itself -------------------------------------------------------------------------------------------------


def test_check_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["port", str(DATA / "functional" / "unet.keras"), "-o", str(out)]) == 0
    assert "model.safetensors" in capsys.readouterr().out
    block = "import sys; sys.modules['kerashape_torch'] = None; import runpy; sys.argv = ['model.py', '--check']; " \
            f"runpy.run_path({str(out / 'model.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "largest difference from the recorded output: 0\n"), done.stderr
    assert main(["port", str(DATA / "functional" / "unet.keras"), "-o", str(out)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["port", str(DATA / "functional" / "unet.keras"), "-o", str(out), "--force"]) == 0


def test_check_finds_other_weights(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    where = port(Sequential([Input((3,)), layers.Dense(2)]), tmp_path / "out")
    state = load_file(where / "model.safetensors")
    save_file({key: x + 1 for key, x in state.items()}, where / "model.safetensors")
    assert module_of(where).check() > 0.5


def test_ruff_has_nothing_to_say(tmp_path: Path) -> None:
    for name in ("unet", "stacked_rnn_cells", "ops_nn_activations", "ops_conv_pool", "preprocessing_then_cnn",
                 "wavenet", "masking_layer_gru", "lora_dense"):
        port(DATA / "functional" / f"{name}.keras", tmp_path / name)
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "120",
                           "--extend-select", "E501,I,F,E,W", str(tmp_path)], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["unet", "seq2seq_lstm_states", "func_residual"])
def test_each_line_of_forward_has_its_shape(name: str, tmp_path: Path) -> None:
    text = text_of(DATA / "functional" / f"{name}.keras", tmp_path / "out").partition("# ---- what torch")[0]
    lines = text.splitlines()
    bodies = [node.body for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)
              and node.name == "forward"]
    computed = [lines[line.end_lineno - 1] for body in bodies for line in body
                if not isinstance(line, ast.Return) or isinstance(line.value, (ast.Call, ast.BinOp))]
    assert len(computed) > 3 and all("# (None" in line or "# channels" in line for line in computed)


def test_the_metadata_of_the_weights(tmp_path: Path) -> None:
    from safetensors import safe_open

    port(Sequential([Input((3,)), layers.Dense(2, name="head")]), tmp_path / "out")
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"} and set(file.keys()) == {"head.weight", "head.bias"}


HOSTILE = ['"""\nimport os\nos.system("true")\n"""', "x\nraise SystemExit(1)", "class", "print", "self", "forward",
           "\u202eevil", "__class__", "torch", "nn", "a" * 500, "#{}", "\\", "'; raise SystemExit", "train", "0",
           "\u0438\u043c\u044f", "load", "check", "super", "x y", "_", "lambda", "\x00\x1b[31m"]


def test_hostile_names_are_only_names(tmp_path: Path) -> None:
    x = tensors = [Input((3,), name=name) for name in HOSTILE]
    outputs = {name: layers.Dense(2, name=f"{name}.")(layers.Dense(3, name=f"{name}!")(x))
               for name, x in zip(HOSTILE, tensors)}
    where = port(Model(x, outputs, name='"""\nraise SystemExit(2)\n"""'), tmp_path / "out")
    text = (where / "model.py").read_text()
    assert text.isascii() and text.isprintable() is False and "\x1b" not in text and "\x00" not in text
    raised = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Raise)]
    assert len(raised) == 1, "the one at the end of --check"
    module = module_of(where)
    assert module.check() == 0
    assert set(module.load()(*[torch.zeros(1, 3)] * len(HOSTILE))) == set(HOSTILE)


def test_hostile_model_and_block_names(tmp_path: Path) -> None:
    for i, name in enumerate(["", "Module", "nn", "42", "Tensor", "load", "None", "BatchNorm1d", "\n", "Path", "str"]):
        inner = Sequential([Input((3,)), layers.Dense(3), layers.BatchNormalization()], name=name or "model")
        model = Sequential([Input((3,)), inner, layers.Dense(2)], name=name or "model")
        assert ported(model, tmp_path / str(i)).check() == 0


def body_of(model: Any, where: Path) -> str:
    """The class of the model, after a check of its numbers."""
    assert ported(model, where).check() == 0
    return (where / "model.py").read_text().split("# ---- what torch lacks")[0]


def test_functions_are_written_as_a_person_would(tmp_path: Path) -> None:
    x = Input((4, 6))
    y = ops.cast(ops.argmax(ops.reshape(x, (-1, 6, 4)), axis=-1), "float32") + ops.array([0.1] * 6, dtype="float32")
    text = body_of(Model(x, y), tmp_path / "out")
    assert ".to(torch.float32)" in text and ".reshape(-1, 6, 4)" in text and "[0.1, 0.1, 0.1, 0.1, 0.1, 0.1]" in text


def test_slices_of_tensorflow_are_slices(tmp_path: Path) -> None:
    """The key of such a file is a list, and the parts of `top_k` are a list too."""
    def key(start: Any, stop: Any, step: Any) -> dict[str, Any]:
        return {"start": start, "stop": stop, "step": step}

    spec = [key(None, None, None), {"class_name": "__ellipsis__", "config": {}}, key(1, -1, 2)]
    model = kt.load_model({"class_name": "Functional", "keras_version": "2.15.0", "config": {
        "name": "m", "input_layers": [["x", 0, 0]], "output_layers": [["top", 0, 0]], "layers": [
            {"class_name": "InputLayer", "name": "x", "inbound_nodes": [],
             "config": {"batch_input_shape": [None, 3, 9], "dtype": "float32", "name": "x"}},
            {"class_name": "SlicingOpLambda", "name": "cut", "inbound_nodes": [["x", 0, 0, {"slice_spec": spec}]],
             "config": {"name": "cut", "function": "__operators__.getitem"}},
            {"class_name": "TFOpLambda", "name": "top", "inbound_nodes": [["cut", 0, 0, {"k": 2}]],
             "config": {"name": "top", "function": "math.top_k"}}]}})
    text = body_of(model, tmp_path / "out")
    assert "[:, ..., 1:-1:2]" in text and "][0]" not in text and "slice(" not in text


@pytest.mark.parametrize("implementation", [1, 2, 3])
def test_locally_connected(implementation: int, tmp_path: Path) -> None:
    layer = layers.LocallyConnected2D(2, 3, strides=(1, 2), implementation=implementation)
    assert ported(Sequential([Input((6, 7, 2)), layer]), tmp_path / "out").check() == 0


def test_a_lambda_of_operators_and_ops_is_a_class_of_its_name(tmp_path: Path) -> None:
    a, b = Input((8,)), Input((8,))
    scaled = layers.Lambda(lambda x, by: x / by - 1, arguments={"by": 127.5}, name="rescale")(a)
    both = layers.Lambda(lambda pair: ops.sum(pair[0] * pair[1], axis=-1, keepdims=True), name="dot")([scaled, b])
    text = body_of(Model([a, b], both), tmp_path / "out")
    assert "class Rescale(" in text and "class Dot(" in text and "x / 127.5" in text


# ---- refusals and files ----------------------------------------------------------------------------------------------


def test_a_function_of_ones_own_is_refused(tmp_path: Path) -> None:
    model = Sequential([Input((3,)), layers.Lambda(lambda x: x.mul(2), name="twice")])
    with pytest.raises(KerashapeError, match=r"twice runs Python of your own.*Way out"):
        port(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_activation_of_ones_own_is_refused(tmp_path: Path) -> None:
    def mish2(x: Any) -> Any:
        return x * torch.tanh(x)

    for layer in (layers.Dense(2, activation=mish2, name="d"), layers.LSTM(2, activation=mish2, name="d")):
        with pytest.raises(KerashapeError, match=r"^d runs 'mish2', a function of your own.*Way out"):
            port(Sequential([Input((3, 3)), layer]), tmp_path / "out")


def test_strings_are_refused(tmp_path: Path) -> None:
    model = Sequential([Input((1,), dtype="string"), layers.StringLookup(vocabulary=["a", "b"], name="words")])
    with pytest.raises(KerashapeError, match=r"words: StringTable computes with numpy.*Way out"):
        port(model, tmp_path / "out")


def test_a_model_without_a_shape_asks_for_one(tmp_path: Path) -> None:
    model = Sequential([layers.Dense(2)])
    with pytest.raises(ConfigError, match=r"no input shape yet.*--input-shape"):
        port(model, tmp_path / "out")
    assert ported(model, tmp_path / "out", input_shape=(3,)).check() == 0


def test_nothing_is_left_of_what_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Sequential([Input((3,)), layers.Dense(2)])
    where = port(model, tmp_path / "out")
    before = (where / "model.py").read_bytes()

    def fails(*_: Any, **__: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(writing, "save_file", fails)
    for target in ("out", "other"):
        with pytest.raises(OSError, match="disk is full"):
            port(model, tmp_path / target, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (where / "model.py").read_bytes() == before and sorted(p.name for p in where.iterdir()) == sorted(FILES)


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"is not empty.*overwrite=True \(--force\)"):
        port(Sequential([Input((3,)), layers.Dense(2)]), tmp_path)
    with pytest.raises(ConfigError, match="is a file"):
        port(Sequential([Input((3,)), layers.Dense(2)]), tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_random_state_is_left_alone(tmp_path: Path) -> None:
    model = Sequential([Input((3,)), layers.Dense(2)])
    model.to_torch()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with contextlib.suppress(KerashapeError):
        from kerashape_torch.port.construct import made

        made(torch.nn.Linear(2, 2, device="meta"), "linear", lambda child: child)
    assert torch.equal(torch.rand(2), expected)


def test_parity_holds_what_was_run(tmp_path: Path) -> None:
    model = kt.load_model(DATA / "functional" / "func_residual.keras")
    where = port(model, tmp_path / "out")
    with np.load(where / "parity.npz") as case, torch.no_grad():
        expected = model.to_torch()(torch.tensor(case["input_0"]))
        assert case["input_0"].shape == (2, 16, 16, 3) and np.array_equal(case["output_0"], expected.numpy())
