"""Arrays through a module in batches: any form of input, arrays of the full size, memory that runs out, a bar."""

from __future__ import annotations

import contextlib
import io
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness import DATA
from torch import nn

import kerashape_torch as kt
from kerashape_torch import Input, Model, Sequential, layers
from kerashape_torch.cli import main
from kerashape_torch.errors import ConfigError
from kerashape_torch.lowering import batches, run

ROUNDING = {"rtol": 1e-5, "atol": 1e-6}
"""A batch of another size may take another kernel, which adds the same products in another order."""


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def dense() -> Any:
    return Sequential([Input((3,)), layers.Dense(4, bias_initializer="ones")]).to_torch()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 32])
def test_batches_of_any_size_give_the_same(size: int) -> None:
    module, x = dense(), numbers(7, 3)
    with torch.no_grad():
        want = module(torch.as_tensor(x)).numpy()
    np.testing.assert_allclose(kt.predict(module, x, size), want, **ROUNDING)


def test_no_samples_give_no_results() -> None:
    assert kt.predict(dense(), numbers(0, 3)).shape == (0, 4)


@pytest.mark.parametrize("wrap", [
    lambda parts: iter(parts), lambda parts: ((x, "targets") for x in parts),
    lambda parts: (torch.as_tensor(x) for x in parts),
    lambda parts: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(
        torch.as_tensor(np.concatenate(parts))), batch_size=4)], ids=["arrays", "tuples", "tensors", "loader"])
def test_batches_from_an_iterable(wrap: Any) -> None:
    module, x = dense(), numbers(11, 3)
    parts = [x[:4], x[4:5], x[5:]]
    np.testing.assert_allclose(kt.predict(module, wrap(parts), batch_size=2), kt.predict(module, x), **ROUNDING)


def test_an_iterable_without_a_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="no batch"):
        kt.predict(dense(), iter([]))


def test_structures_of_inputs_and_outputs() -> None:
    a, b = Input((3,), name="a"), Input((2,), name="b")
    module = Model({"x": a, "y": b}, {"sum": layers.Dense(2)(layers.Concatenate()([a, b])), "all": [a, b]}).to_torch()
    x, y = numbers(5, 3), numbers(5, 2)
    for given in ({"x": x, "y": y}, [x, y], iter([{"x": x, "y": y}])):
        got = kt.predict(module, given, batch_size=2)
        assert set(got) == {"sum", "all"} and got["sum"].shape == (5, 2)
        np.testing.assert_array_equal(got["all"][0], x)
        np.testing.assert_array_equal(got["all"][1], y)


class Total(nn.Module):
    """One result for a whole batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum(0, keepdim=True)


class Longer(nn.Module):
    """A result whose second axis grows from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x[:, :1].expand(-1, self.calls) if self.calls < 3 else x[:, :2]


def test_results_that_are_not_one_for_each_sample_are_joined() -> None:
    x = numbers(5, 3)
    np.testing.assert_allclose(kt.predict(Total(), x, 2), np.stack([x[:2].sum(0), x[2:4].sum(0), x[4]]), **ROUNDING)


def test_results_whose_shape_changes_are_not_written_over_each_other() -> None:
    with pytest.raises(ValueError, match="dimension"):  # NumPy says that they cannot be joined
        kt.predict(Longer(), numbers(6, 3), 2)


def test_the_result_is_written_into_one_array(monkeypatch: pytest.MonkeyPatch) -> None:
    x = numbers(9, 3)
    monkeypatch.setattr(np, "concatenate", lambda *_, **__: pytest.fail("parts were joined"))
    assert kt.predict(dense(), x, 2).shape == (9, 4)


def test_half_precision_leaves_the_module_as_it_is() -> None:
    module, x = dense(), numbers(5, 3)
    got = kt.predict(module, x, dtype="bfloat16")
    assert module.dense.weight.dtype == torch.float32 and got.dtype == np.float32
    np.testing.assert_allclose(got, kt.predict(module, x), rtol=2e-2, atol=2e-2)
    assert not np.array_equal(got, kt.predict(module, x))
    assert kt.predict(module, x, dtype="float16").dtype == np.float16


def test_training_mode_comes_back() -> None:
    module = dense().train()
    kt.predict(module, numbers(2, 3))
    assert module.training
    optimized = kt.optimize_for_inference(module)
    assert kt.predict(optimized, numbers(2, 3)).shape == (2, 4) and not optimized.training


@pytest.mark.parametrize(("arguments", "message"), [
    ({"batch_size": 0}, "batch_size must be a positive integer, got 0"),
    ({"cuda_graph": True, "device": "cpu"}, "cuda_graph=True is for CUDA, and the module runs on cpu"),
    ({"device": "gpu7"}, "device must be"), ({"dtype": "int8"}, "dtype must be")])
def test_what_cannot_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kt.predict(dense(), numbers(2, 3), **arguments)


# ---- memory ----------------------------------------------------------------------------------------------------------


class Small(nn.Module):
    """Has memory for so many samples."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.sizes: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(x))
        if len(x) > self.most:
            raise torch.cuda.OutOfMemoryError("no memory")
        return x * 2


@pytest.mark.parametrize("as_batches", [False, True], ids=["array", "batches"])
def test_a_batch_that_is_too_large_is_halved(as_batches: bool) -> None:
    module, x = Small(3), numbers(20, 3)
    with pytest.warns(UserWarning) as warned:
        got = kt.predict(module, iter([x[:9], x[9:]]) if as_batches else x, batch_size=8)
    np.testing.assert_array_equal(got, x * 2)
    assert [str(w.message) for w in warned] == [
        "there is no memory for batches of 8 samples: going on with 4",
        "there is no memory for batches of 4 samples: going on with 2"]
    assert module.sizes[:3] == [8, 4, 2] and set(module.sizes[3:]) <= {1, 2}


def test_one_sample_that_is_too_large_is_an_error() -> None:
    with pytest.warns(UserWarning, match="going on with 1"), pytest.raises(torch.cuda.OutOfMemoryError):
        kt.predict(Small(0), numbers(2, 3), batch_size=2)


class Stream:
    """Does nothing, in the place of a stream of CUDA."""

    def __init__(self, device: Any = None) -> None:
        self.waited: list[Any] = []

    def record_event(self) -> int:
        return 0

    def wait_event(self, event: Any) -> None:
        self.waited.append(event)


@pytest.mark.parametrize("room", [1, 2])
def test_the_next_batch_waits_where_there_is_no_memory_for_two(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class There:
        def __init__(self, number: int) -> None:
            self.number = number

    there: weakref.WeakSet[There] = weakref.WeakSet()
    most = []

    def moved(self: Any, batch: int, pinned: bool = False) -> There:
        if len(there) == room:
            raise torch.cuda.OutOfMemoryError("no memory")
        made = There(batch)
        there.add(made)
        most.append(len(there))
        return made

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(batches.Carrier, "_moved", moved)
    seen = []
    for batch in batches.Carrier(torch.device("cuda"), None).there(iter(range(5))):
        seen.append(batch.number)
        del batch
    assert seen == [0, 1, 2, 3, 4] and max(most) == room


def test_a_batch_is_filled_up_with_its_last_sample() -> None:
    x = {"a": torch.arange(6).reshape(3, 2), "b": torch.arange(3)}
    full = batches.filled_up(x, 5)
    assert full["a"].tolist() == [[0, 1], [2, 3], [4, 5], [4, 5], [4, 5]] and full["b"].tolist() == [0, 1, 2, 2, 2]
    assert batches.filled_up(x, 3) is x


def test_a_stateful_module_is_no_graph() -> None:
    module = layers.LSTM(2, stateful=True, batch_input_shape=(2, 4, 3)).to_torch()
    with pytest.raises(kt.errors.KerashapeError, match="stateful"):
        batches.Replay(module, 2)


# ---- the bar ---------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("wanted", "long", "terminal", "shown"), [
    (None, True, True, True), (None, False, True, False), (None, True, False, False), (False, True, True, False),
    (True, False, True, True)])
def test_the_bar(wanted: bool | None, long: bool, terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
                 ) -> None:
    written = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    monkeypatch.setattr(run, "_LONG", 0.0 if long else 1e9)
    monkeypatch.setenv("TERM", "xterm")
    kt.predict(dense(), numbers(9, 3), 2, progress=wanted)
    assert ("predict" in written.getvalue()) == shown


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_command_runs_a_model_on_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = DATA / "functional" / "unet.keras", tmp_path / "out.npz"
    with np.load(file.with_suffix(".npz")) as stored:
        np.save(tmp_path / "x.npy", stored["input_0"])
        want = stored["output_0"]
    for more in ([], ["--optimize"]):
        assert main(["run", str(file), "--input", str(tmp_path / "x.npy"), "-o", str(out), "--batch", "1",
                     "--device", "cpu", *more]) == 0
        with np.load(out) as written:
            name, = written.files
            np.testing.assert_allclose(written[name], want, rtol=1e-4, atol=1e-5)
    assert f"output {name}" in capsys.readouterr().out


def test_the_command_refuses_data_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(DATA / "functional" / "unet.keras")
    np.savez(tmp_path / "x.npz", a=numbers(2, 3), b=numbers(2, 3))
    assert main(["run", file, "--input", str(tmp_path / "x.npz")]) == 2
    assert "x.npz has 2 arrays, a, b; the model takes 1" in capsys.readouterr().err
    (tmp_path / "y.npy").write_bytes(b"nothing")
    assert main(["run", file, "--input", str(tmp_path / "y.npy")]) == 2
    assert "y.npy is no file of arrays" in capsys.readouterr().err
    assert main(["run", file, "--output", "z.npz"]) == 2
    assert "give it with --input" in capsys.readouterr().err
