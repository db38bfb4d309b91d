"""``torch.compile(fullgraph=True)`` of every model here that is optimized for inference, and of all others but those
with torch's own recurrent modules, which torch.compile refuses by itself."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import legacy_models
import numpy as np
import pytest
import torch
from harness import DATA, own_generator
from test_applications import DATA as APPLICATIONS
from test_applications import NAMES, read
from torch import nn

import kerashape_torch as kt
from kerashape_torch import Input, Model, layers
from kerashape_torch.reports.trial import made_up_inputs
from kerashape_torch.structure import flatten

FUNCTIONAL = sorted(path for path in (DATA / "functional").glob("*.keras") if not path.stem.startswith("lambda_"))
LEGACY = sorted((DATA / "legacy").glob("*.keras"))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    with own_generator():
        yield
    torch._dynamo.reset()


def compiled(module: nn.Module, *inputs: Any, backend: str = "eager") -> Any:
    """What a module gives as one compiled graph; a graph break is an error."""
    with torch.no_grad():
        return torch.compile(module, fullgraph=True, backend=backend)(*inputs)


def agree(module: nn.Module, *inputs: Any, backend: str = "eager") -> None:
    with torch.no_grad():
        want = module(*inputs)
    for a, b in zip(flatten(compiled(module, *inputs, backend=backend)), flatten(want), strict=True):
        half = b.dtype in (torch.float16, torch.bfloat16)
        torch.testing.assert_close(a, b, **({"rtol": 2e-2, "atol": 2e-2} if half else {"rtol": 1e-4, "atol": 1e-5}))


def load(path: Path) -> Model:
    return kt.load_model(path, custom_objects=legacy_models.FUNCTIONS.get(path.stem, {}))  # type: ignore[return-value]


def is_recurrent(module: nn.Module) -> bool:
    return any(isinstance(part, nn.RNNBase) for part in module.modules())


@pytest.mark.parametrize("path", [*FUNCTIONAL, *LEGACY], ids=lambda path: path.stem)
def test_files_are_one_graph(path: Path) -> None:
    model = load(path)
    module, inputs = model.to_torch(), made_up_inputs(model, 2)
    agree(kt.optimize_for_inference(module), *inputs)
    if not is_recurrent(module):
        torch._dynamo.reset()
        agree(module, *inputs)


def one_of_each_kind() -> list[str]:
    """The smallest application for each set of classes of layers; a variant with a part left out is in the whole."""
    found: dict[frozenset[bytes], tuple[int, str]] = {}
    for name in NAMES:
        if name.split("__")[0] not in NAMES or "__" not in name:
            text = gzip.decompress((APPLICATIONS / f"{name}.json.gz").read_bytes())
            classes = frozenset(re.findall(rb'"class_name": ?"(\w+)"', text))
            found[classes] = min(found.get(classes, (len(text), name)), (len(text), name))
    return [name for _, name in found.values()]


@pytest.mark.parametrize("name", one_of_each_kind())
def test_applications_are_one_graph(name: str) -> None:
    """Without memory: only the graph is looked at."""
    model = kt.load_model(read(f"{name}.json.gz"))
    shape = (299, 299, 3) if None in model.input_shape[1:] else None
    inputs = [x.to("meta") for x in made_up_inputs(model, 2, shape=shape and [(None, *shape)])]
    assert compiled(model.to_torch(device="meta", optimize="inference"), *inputs) is not None


@pytest.mark.parametrize("name", ["unet", "text_cnn", "mask_embedding_lstm_dense", "mask_bidirectional_timedistributed",
                                  "seq2seq_lstm_states"])
def test_the_graphs_behind_it(name: str) -> None:
    """Through AOTAutograd, as every backend that makes kernels takes it."""
    model = load(DATA / "functional" / f"{name}.keras")
    agree(model.to_torch(optimize="inference"), *made_up_inputs(model, 2), backend="aot_eager")


@pytest.mark.parametrize("layer", [layers.LSTM, layers.GRU, layers.SimpleRNN])
@pytest.mark.parametrize("options", [
    {}, {"return_sequences": True}, {"return_state": True}, {"return_sequences": True, "return_state": True},
    {"go_backwards": True, "return_state": True}, {"zero_output_for_mask": True, "return_sequences": True,
                                                   "return_state": True}], ids=str)
@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
def test_masks_with_holes_in_one_graph(layer: Any, options: dict[str, Any], both: bool) -> None:
    x = Input((6, 3))
    if both and "go_backwards" in options:
        options = {"return_state": True, "return_sequences": True}  # Bidirectional says itself who goes backwards
    own = layer(4, **options)
    y = (layers.Bidirectional(own) if both else own)(layers.Masking()(x))
    module = Model(x, y).to_torch()
    given = torch.randn(5, 6, 3)
    given[0, 2:4] = 0
    given[1, :3] = 0
    given[2, 3:] = 0
    given[3] = 0
    optimized = kt.optimize_for_inference(module)
    with torch.no_grad():
        want = flatten(module(given))
        for a, b, c in zip(flatten(optimized(given)), flatten(compiled(optimized, given)), want, strict=True):
            torch.testing.assert_close(a, c, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(b, c, rtol=1e-5, atol=1e-6)


def test_states_given_and_kept_in_one_graph() -> None:
    x = Input(batch_shape=(2, 4, 3))
    module = Model(x, layers.LSTM(4, stateful=True, return_state=True)(layers.Masking()(x))).to_torch()
    optimized = kt.optimize_for_inference(module)
    given = torch.randn(2, 4, 3)
    given[0, 1] = 0
    once = torch.compile(optimized, fullgraph=True, backend="eager")
    with torch.no_grad():
        for _ in range(3):
            for a, b in zip(once(given), module(given), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert np.abs(module(given)[0].detach().numpy()).max() > 0
