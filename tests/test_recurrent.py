"""Recurrent layers where the recorded cases are silent: gradients, dropout, states between calls, stacks, names."""

from __future__ import annotations

import inspect
import unittest.mock
import warnings
from typing import Any

import harness
import keras
import numpy as np
import pytest
import torch

import kerashape_torch as kt
from kerashape_torch import layers, lowering
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.structure import flatten

LAYERS: dict[str, Any] = {
    "lstm": lambda k: k.LSTM(4, return_sequences=True),
    "lstm_backwards": lambda k: k.LSTM(4, return_sequences=True, return_state=True, go_backwards=True),
    "lstm_without_bias": lambda k: k.LSTM(4, use_bias=False),
    "lstm_unit_forget_bias": lambda k: k.LSTM(4, unit_forget_bias=False),
    "lstm_hard_sigmoid": lambda k: k.LSTM(4, recurrent_activation="hard_sigmoid", return_state=True),
    "lstm_linear": lambda k: k.LSTM(4, activation=None, return_sequences=True, go_backwards=True),
    "lstm_implementation_1": lambda k: k.LSTM(4, implementation=1),
    "lstm_recurrent_dropout": lambda k: k.LSTM(4, recurrent_dropout=0.3, return_sequences=True),
    "lstm_activation_layer": lambda k: k.LSTM(4, activation=k.Softmax()),
    "gru": lambda k: k.GRU(4, return_sequences=True, return_state=True),
    "gru_without_bias": lambda k: k.GRU(4, use_bias=False),
    "gru_reset_before": lambda k: k.GRU(4, reset_after=False, return_sequences=True),
    "gru_reset_before_without_bias": lambda k: k.GRU(4, reset_after=False, use_bias=False, go_backwards=True),
    "gru_relu": lambda k: k.GRU(4, activation="relu", recurrent_activation="softmax", return_sequences=True),
    "gru_relu_without_bias": lambda k: k.GRU(4, activation="relu", use_bias=False),
    "gru_recurrent_dropout": lambda k: k.GRU(4, recurrent_dropout=0.3, reset_after=False),
    "simple_rnn": lambda k: k.SimpleRNN(4, return_sequences=True),
    "simple_rnn_relu": lambda k: k.SimpleRNN(4, activation="relu"),
    "simple_rnn_selu": lambda k: k.SimpleRNN(4, activation="selu", return_state=True, go_backwards=True),
    "rnn": lambda k: k.RNN(k.GRUCell(4, reset_after=False), return_state=True, go_backwards=True),
    "rnn_stack": lambda k: k.RNN([k.LSTMCell(4), k.GRUCell(2, activation="relu"), k.SimpleRNNCell(3)],
                                 return_sequences=True, return_state=True, go_backwards=True),
    "rnn_stack_of_one": lambda k: k.RNN([k.LSTMCell(4)], return_state=True),
    "bidirectional_lstm": lambda k: k.Bidirectional(k.LSTM(4, return_sequences=True, return_state=True)),
    "bidirectional_gru": lambda k: k.Bidirectional(k.GRU(4), merge_mode="mul"),
    "bidirectional_relu": lambda k: k.Bidirectional(k.SimpleRNN(4, activation="relu", return_sequences=True),
                                                    merge_mode=None),
    "bidirectional_average": lambda k: k.Bidirectional(k.LSTM(4, return_state=True), merge_mode="ave"),
    "bidirectional_loops": lambda k: k.Bidirectional(k.GRU(4, reset_after=False, return_sequences=True),
                                                     merge_mode="sum"),
    "bidirectional_other_units": lambda k: k.Bidirectional(
        k.LSTM(4, return_sequences=True), backward_layer=k.LSTM(2, return_sequences=True, go_backwards=True)),
    "bidirectional_other_activation": lambda k: k.Bidirectional(
        k.SimpleRNN(4), backward_layer=k.SimpleRNN(4, activation="relu", go_backwards=True)),
    "bidirectional_reversed": lambda k: k.Bidirectional(
        k.GRU(4, go_backwards=True, return_sequences=True), backward_layer=k.GRU(4, return_sequences=True)),
    "bidirectional_stack": lambda k: k.Bidirectional(k.RNN([k.LSTMCell(4), k.GRUCell(2)], return_state=True)),
}


def pair(make: Any, x: np.ndarray) -> tuple[Any, Any]:
    """A layer of Keras and one of ours, compiled, with the same random weights."""
    theirs, ours = make(keras.layers), make(layers)
    theirs(x)
    module = ours.to_torch((None, None, x.shape[-1]))
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=w.shape).astype("float32") for w in theirs.weights]
    theirs.set_weights(weights)
    kt.set_keras_weights(module, weights)
    return theirs, module


def batch(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=shape).astype("float32")


@pytest.mark.parametrize("name", LAYERS)
def test_numbers_and_gradients(name: str) -> None:
    """Outputs, and the gradient of each weight in Keras' layout, at two lengths."""
    theirs, module = pair(LAYERS[name], batch(3, 5, 3))
    for x in (batch(3, 5, 3), batch(2, 7, 3)):
        theirs.zero_grad()
        module.zero_grad()
        want, got = flatten(theirs(torch.as_tensor(x))), flatten(module(torch.as_tensor(x)))
        assert [tuple(a.shape) for a in got] == [tuple(a.shape) for a in want]
        for a, b in zip(got, want):
            np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-4, atol=1e-5)
        for outputs in (want, got):
            sum((i + 1) * (out * out).sum() for i, out in enumerate(outputs)).backward()
        for variable, spec in zip(theirs.trainable_variables, lowering.keras_weights(module).specs, strict=True):
            np.testing.assert_allclose(_gradient(module, spec), variable.value.grad, rtol=1e-3, atol=1e-4)


def _gradient(module: Any, spec: Any) -> Any:
    parts = [lowering.weights.from_place(lowering.weights.tensor_at(module, place.path).grad, place)
             for place in spec.places]
    return torch.stack(parts) if len(parts) > 1 else parts[0]


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_weights_and_configs(name: str) -> None:
    keras.utils.clear_session(free_memory=False)
    theirs, ours = LAYERS[name](keras.layers), LAYERS[name](layers)
    assert harness.plain(ours.get_config()) == harness.plain(theirs.get_config())
    again = type(ours).from_config(ours.get_config())
    assert harness.plain(again.get_config()) == harness.plain(theirs.get_config())
    theirs(keras.Input((None, 3)))
    again(kt.Input((None, 3)))
    ours_found = [(f"{again.name}/{w.full_path}", w.shape) for w in again.weights]
    assert ours_found == [(w.path, w.shape) for w in theirs.weights]


def test_torch_runs_what_torch_has() -> None:
    plain = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU, "SimpleRNN": torch.nn.RNN}
    for name, stock in plain.items():
        module = getattr(layers, name)(4).to_torch((5, 3))
        assert isinstance(next(module.children()), stock)
        both = next(layers.Bidirectional(getattr(layers, name)(4)).to_torch((5, 3)).children())
        assert isinstance(both, stock) and both.bidirectional
    stack = layers.RNN([layers.LSTMCell(4), layers.GRUCell(2)]).to_torch((5, 3))
    assert isinstance(stack.rnn.cells[0], torch.nn.LSTM) and isinstance(stack.rnn.cells[1], torch.nn.GRU)


def test_the_second_bias_of_torch_stays_zero() -> None:
    module = layers.Bidirectional(layers.LSTM(4)).to_torch((5, 3))
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.randn(2, 5, 3)).square().sum().backward()
        optimizer.step()
    held = {name: p for name, p in module.named_parameters() if "bias_hh" in name}
    assert sorted(held) == ["bidirectional.bias_hh_l0", "bidirectional.bias_hh_l0_reverse"]
    assert all(not p.requires_grad and not p.any() for p in held.values())


def test_bias_of_the_forget_gate_begins_at_one() -> None:
    bias = layers.LSTM(2, bias_initializer="zeros").to_torch((5, 3)).lstm.bias_ih_l0
    assert bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert not layers.LSTM(2, unit_forget_bias=False).to_torch((5, 3)).lstm.bias_ih_l0.any()


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU", "RNN", "SimpleRNNCell", "LSTMCell", "GRUCell",
                                  "StackedRNNCells", "TimeDistributed"])
def test_arguments_are_in_keras_order(name: str) -> None:
    theirs = list(inspect.signature(getattr(keras.layers, name)).parameters)[:-1]  # the last one is **kwargs
    assert list(getattr(layers, name)._positional[:len(theirs)]) == theirs


# ---- states ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "sizes"), [
    (lambda k: k.LSTM(4, return_sequences=True), [4, 4]),
    (lambda k: k.LSTM(4, activation="relu", go_backwards=True), [4, 4]),
    (lambda k: k.GRU(4, reset_after=False), [4]),
    (lambda k: k.RNN(k.SimpleRNNCell(4), return_state=True), [4]),
    (lambda k: k.RNN([k.LSTMCell(4), k.GRUCell(2)], return_state=True), [[4, 4], 2]),
    (lambda k: k.Bidirectional(k.LSTM(4)), [4, 4, 4, 4]),
    (lambda k: k.Bidirectional(k.GRU(4, reset_after=False, return_state=True)), [4, 4]),
])
def test_initial_state(make: Any, sizes: Any) -> None:
    x = batch(2, 5, 3)
    theirs, ours = make(keras.layers), make(layers)
    states = kt.structure.map_structure(lambda size: batch(2, size), sizes)
    want = flatten(theirs(x, initial_state=kt.structure.map_structure(torch.as_tensor, states)))
    symbols = kt.structure.map_structure(lambda size: kt.Input((size,)), sizes)
    inputs = kt.Input((5, 3))
    module = kt.Model([inputs, *flatten(symbols)], ours(inputs, initial_state=symbols)).to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    got = flatten(module(torch.as_tensor(x), *map(torch.as_tensor, flatten(states))))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-4, atol=1e-5)


def test_one_state_need_not_be_a_list() -> None:
    x, state = kt.Input((5, 3)), kt.Input((4,))
    module = kt.Model([x, state], layers.GRU(4)(x, initial_state=state)).to_torch()
    assert module(torch.zeros(2, 5, 3), torch.ones(2, 4)).shape == (2, 4)


def test_states_that_do_not_fit_are_refused() -> None:
    x = kt.Input((5, 3))
    with pytest.raises(ShapeError, match=r"takes 2, \[\(None, 4\), \(None, 4\)\], got 1"):
        layers.LSTM(4)(x, initial_state=[kt.Input((4,))])
    with pytest.raises(ShapeError, match=r"each is \(None, 4\), got \(None, 3\)"):
        layers.LSTM(4)(x, initial_state=[kt.Input((4,)), kt.Input((3,))])
    with pytest.raises(ShapeError, match="initial_state="):
        layers.LSTM(4)([x, kt.Input((4,)), kt.Input((4,))])


@pytest.mark.parametrize("make", [
    lambda k: k.LSTM(4, stateful=True, return_sequences=True),
    lambda k: k.GRU(4, stateful=True, reset_after=False, go_backwards=True),
    lambda k: k.RNN([k.LSTMCell(4), k.GRUCell(2)], stateful=True, return_state=True),
    lambda k: k.Bidirectional(k.LSTM(4, stateful=True, return_sequences=True)),
])
def test_a_stateful_layer_goes_on_where_it_stopped(make: Any) -> None:
    theirs, ours = make(keras.layers), make(layers)
    theirs(keras.Input((5, 3), batch_size=2))
    module = ours.to_torch((2, 5, 3))
    kt.set_keras_weights(module, theirs.get_weights())
    for seed in range(3):
        x = torch.as_tensor(np.random.default_rng(seed).normal(size=(2, 5, 3)).astype("float32"))
        for a, b in zip(flatten(module(x)), flatten(theirs(x)), strict=True):
            np.testing.assert_allclose(a.detach(), b.detach(), rtol=1e-4, atol=1e-5)
    first = module(x)
    for part in module.modules():
        if hasattr(part, "reset_state"):
            part.reset_state()
    assert not torch.equal(flatten(module(x))[0], flatten(first)[0])
    assert not any("state_" in name for name in module.state_dict())


def test_a_stateful_layer_can_be_trained() -> None:
    module = layers.LSTM(4, stateful=True).to_torch((2, 5, 3)).train()
    for _ in range(2):
        module(torch.randn(2, 5, 3)).sum().backward()


# ---- dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda: layers.LSTM(4, dropout=0.5),
    lambda: layers.GRU(4, dropout=0.5),
    lambda: layers.SimpleRNN(4, dropout=0.5, activation="relu"),
    lambda: layers.LSTM(4, dropout=0.5, implementation=1),
    lambda: layers.LSTM(4, recurrent_dropout=0.5),
    lambda: layers.GRU(4, recurrent_dropout=0.5, dropout=0.5),
    lambda: layers.GRU(4, recurrent_dropout=0.5, reset_after=False),
    lambda: layers.SimpleRNN(4, recurrent_dropout=0.5),
    lambda: layers.RNN([layers.LSTMCell(4, dropout=0.5), layers.GRUCell(4, recurrent_dropout=0.5)]),
    lambda: layers.Bidirectional(layers.LSTM(4, dropout=0.5)),
])
def test_dropout_acts_in_training_alone(make: Any) -> None:
    x = torch.ones(8, 5, 16)
    with harness.own_generator():
        module = make().to_torch((None, 5, 16))
        assert torch.equal(module(x), module(x))
        module.train()
        first, second = module(x), module(x)
    assert first.shape == second.shape and not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    first.sum().backward()


def test_dropout_drops_the_same_elements_at_each_step() -> None:
    """With an identity for a kernel and nothing recurrent, the outputs of a linear layer are the masked inputs."""
    module = layers.SimpleRNN(6, activation=None, dropout=0.5, return_sequences=True).to_torch((None, 4, 6))
    kt.set_keras_weights(module, [np.eye(6), np.zeros((6, 6)), np.zeros(6)])
    with harness.own_generator():
        out = module.train()(torch.ones(3, 4, 6))
    assert torch.equal(out, out[:, :1].expand(-1, 4, -1))
    assert set(out.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize(("cell", "gates"), [(layers.LSTMCell, 4), (layers.GRUCell, 3)])
def test_each_gate_may_drop_elements_of_its_own(cell: Any, gates: int) -> None:
    """Keras' implementation 1, which recurrent dropout asks for, has a mask for each gate; the other one has one."""
    from kerashape_torch.torch_modules.recurrent import Options

    for implementation, masks in ((1, gates), (2, 1)):
        loop = cell(8, activation="relu", dropout=0.5, implementation=implementation).sequence_module(8, Options())
        with torch.no_grad(), harness.own_generator():
            loop.weight_ih_l0.copy_(torch.eye(8).repeat(gates, 1))
            loop.bias_ih_l0.zero_()
            steps = unittest.mock.Mock(side_effect=lambda inputs, states, mask: states)
            loop.step = steps
            loop.train().run(torch.ones(50, 2, 8), None)
        first, second = (call.args[0] for call in steps.call_args_list)
        parts = torch.stack(first.chunk(gates, -1))
        assert torch.equal(first, second)
        assert len({tuple(part.flatten().tolist()) for part in parts}) == masks


# ---- what users do with a module -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lstm_backwards", "gru", "gru_reset_before", "rnn_stack", "bidirectional_lstm"])
def test_export_with_a_dynamic_batch(name: str) -> None:
    module = LAYERS[name](layers).to_torch((None, 5, 3))
    x = torch.randn(2, 5, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch speaks of the list of weights inside nn.LSTM
        exported = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False)
    x = torch.randn(7, 5, 3)
    for a, b in zip(flatten(exported.module()(x)), flatten(module(x)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", ["lstm_hard_sigmoid", "gru_reset_before"])
def test_loops_compile_without_graph_breaks(name: str) -> None:
    module = LAYERS[name](layers).to_torch((None, 5, 3))
    compiled = torch.compile(module, fullgraph=True, backend="eager", dynamic=True)
    for size in (2, 3):
        x = torch.randn(size, 5, 3)
        for a, b in zip(flatten(compiled(x)), flatten(module(x)), strict=True):
            torch.testing.assert_close(a, b)


def test_stock_modules_run_under_torch_compile() -> None:
    """torch leaves nn.LSTM out of its graphs on purpose, so that it stays one cuDNN call."""
    module = LAYERS["lstm_backwards"](layers).to_torch((None, 5, 3))
    compiled = torch.compile(module, backend="eager")
    x = torch.randn(2, 5, 3)
    with torch.inference_mode():
        for a, b in zip(flatten(compiled(x)), flatten(module(x)), strict=True):
            torch.testing.assert_close(a, b)


def test_lazy_modules_take_any_length() -> None:
    module = layers.LSTM(7).to_torch()
    assert module(torch.zeros(2, 5, 3)).shape == (2, 7)
    assert module(torch.zeros(4, 9, 3)).shape == (4, 7)


def test_input_dim_counts_features() -> None:
    assert layers.LSTM(7, input_dim=3).input_shape == (None, None, 3)
    assert layers.LSTM(7, input_dim=3, input_length=5).input_shape == (None, 5, 3)
    assert "input_length" not in layers.LSTM(7, input_length=5, input_dim=3).get_config()


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="takes a cell such as"):
        layers.RNN(layers.Dense(3))
    with pytest.raises(ConfigError, match="takes a cell such as"):
        layers.StackedRNNCells([layers.Dense(3)])
    with pytest.raises(ConfigError, match="must be 'auto', True or False"):
        layers.LSTM(3, use_cudnn=3)
    with pytest.raises(ConfigError, match="no argument 'time_major'"):
        layers.GRU(3, time_major=True)
    assert layers.LSTM(3, dropout=1.5).get_config()["dropout"] == 1.0


def test_a_stateful_layer_says_what_to_do() -> None:
    with pytest.raises(ShapeError, match="batch_size="):
        layers.LSTM(3, stateful=True)(kt.Input((5, 3)))


def test_a_cell_called_on_a_sequence_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"RNN\(cell\) takes"):
        layers.LSTMCell(4)(kt.Input((5, 3)), [kt.Input((4,)), kt.Input((4,))])
    with pytest.raises(ShapeError, match="states: takes 2"):
        layers.LSTMCell(4)(kt.Input((3,)))


def test_a_stack_called_twice_shares_its_weights() -> None:
    stack = layers.RNN([layers.LSTMCell(4), layers.LSTMCell(2)], return_sequences=True)
    first = stack(kt.Input((5, 3)))
    stack(kt.Input((7, 3)))
    assert first.shape == (None, 5, 2)
    assert [w.full_path for w in stack.weights][::3] == ["stacked_rnn_cells/lstm_cell/kernel",
                                                         "stacked_rnn_cells/lstm_cell_1/kernel"]
