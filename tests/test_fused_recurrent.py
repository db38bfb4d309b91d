"""Recurrent kernels called directly, as CUDA wants them; no CUDA is needed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kerashape_torch import layers
from kerashape_torch.structure import flatten
from kerashape_torch.torch_modules import fused_recurrent


def _cudnn(x: Any, weights: Any, each: int, buffer: None, hidden: Any, cell: Any, mode: int, units: int,
           projection: int, stacked: int, batch_first: bool, dropout: float, training: bool, both_ways: bool,
           sizes: Any, state: None) -> Any:
    """cuDNN's function as torch declares it, by torch's others."""
    assert (buffer, units, projection, stacked, list(sizes), state) == (None, hidden.shape[-1], 0, 1, [], None)
    assert len(weights) == each * (1 + both_ways) and hidden.is_contiguous()
    function = [torch.rnn_relu, torch.rnn_tanh, torch.lstm, torch.gru][mode]
    given = hidden if cell is None else (hidden, cell)
    found = function(x, given, weights, each == 4, stacked, dropout, training, both_ways, batch_first)
    return *found, *[torch.empty(0)] * (5 - len(found))


@pytest.mark.parametrize("layer", [
    layers.LSTM(4, return_state=True), layers.GRU(4, return_sequences=True), layers.SimpleRNN(4, activation="relu"),
    layers.SimpleRNN(4, use_bias=False), layers.Bidirectional(layers.LSTM(3, use_bias=False)),
    layers.Bidirectional(layers.GRU(3, return_sequences=True))], ids=repr)
def test_compiled_on_cuda_it_is_cudnns_kernel(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = layer.to_torch((5, 3), optimize="inference"), torch.randn(2, 5, 3)
    want = flatten(module(x))
    called = []
    monkeypatch.setattr(torch, "_cudnn_rnn", lambda *given: called.append(given) or _cudnn(*given))
    monkeypatch.setattr(fused_recurrent, "_takes_cudnn", lambda x: True)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for a, b in zip(flatten(module(x)), want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    assert len(called) == 1


def test_weights_lie_side_by_side_again_after_each_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else cuDNN copies them at every call, and torch warns."""
    done = []
    monkeypatch.setattr(fused_recurrent.Fused, "flatten_parameters", lambda self: done.append(len(self._flat_weights)))
    module = layers.Bidirectional(layers.LSTM(3)).to_torch((5, 3), optimize="inference")
    assert done == [8]
    module.to(torch.float64)
    assert done == [8, 8]
