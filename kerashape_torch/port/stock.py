"""Modules of ours that say, in this call, no more than one of torch's does: written as torch's, called as people do."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from kerashape_torch.errors import KerashapeError
from kerashape_torch.port.program import Part, Step, Value
from kerashape_torch.torch_modules import recurrent
from kerashape_torch.torch_modules.embedding import Embedding
from kerashape_torch.torch_modules.sized import Called

_RECURRENT: dict[type, type] = {
    recurrent.LSTM: nn.LSTM, recurrent.GRU: nn.GRU, recurrent.RNN: nn.RNN, recurrent.BidirectionalLSTM: nn.LSTM,
    recurrent.BidirectionalGRU: nn.GRU, recurrent.BidirectionalRNN: nn.RNN}


class Stock(NamedTuple):
    """A module of torch's with the same weights, and the steps that use it as ours is used."""

    module: nn.Module
    steps: Callable[[Part], list[Step]]


def as_stock(module: nn.Module, args: Any, kwargs: Any, results: Any, makers: dict[Value, Step]) -> Stock | None:
    """Torch's module for a call of ours, where that is the same; ``makers`` knows the steps before."""
    if type(module) is Embedding and isinstance(args[0], Value) and args[0].dtype in ("int32", "int64"):
        stock = _sharing(module, nn.Embedding(module.num_embeddings, module.embedding_dim, device="meta"))
        return Stock(stock, lambda part: [Step(part, args, kwargs, results)])
    if type(module) in _RECURRENT:
        return _recurrent(module, args, kwargs, results, makers)
    return None


def called_in_torch(module: Called, args: Any, results: Any, where: str) -> list[Step]:
    """The steps of a function that is called when a model runs.

    Raises:
        KerashapeError: torch has no such function.
    """
    steps: list[Step] = []

    def call(function: Any, *args: Any, **kwargs: Any) -> Value:
        steps.append(Step(function, args, kwargs, Value("")))
        return steps[-1].results  # type: ignore[no-any-return]

    if module.in_torch(call, *args) is None:
        name, is_random = module.function.__name__, module.function.__module__.endswith(".random")
        why = f"{name} draws random numbers" if is_random else f"{name} of sizes that are known when it runs"
        raise KerashapeError(f"{where}: {why}, for which torch has no one function. Way out: run this layer with "
                             "kerashape_torch, and port what follows it")
    steps[-1].results = results
    return steps


def _sharing(module: nn.Module, stock: nn.Module) -> nn.Module:
    for name, parameter in module.named_parameters(recurse=False):
        stock._parameters[name] = parameter
    return stock


# ---- recurrent layers ------------------------------------------------------------------------------------------------


def _recurrent(module: Any, args: Any, kwargs: Any, results: Any, makers: dict[Value, Step]) -> Stock | None:
    given = {**dict(zip(("sequences", "initial_state", "mask"), args)), **kwargs}
    options: recurrent.Options = module.options
    if given.get("mask") is not None or options.dropout or options.batch is not None:
        return None
    call = _Call(module, given, results)
    if call.given is None or not isinstance(given["sequences"], Value):
        return None
    extra = {"nonlinearity": module.nonlinearity} if isinstance(module, nn.RNN) else {}
    cls: Any = _RECURRENT[type(module)]
    stock = cls(module.input_size, module.hidden_size, bias=module.bias, batch_first=True,
                bidirectional=module.bidirectional, device="meta", **extra)
    return Stock(_sharing(module, stock), lambda part: call.steps(part, makers))


class _Call:
    """One call of a recurrent module: what it takes, and the values of the Keras layer that it makes."""

    def __init__(self, module: Any, given: dict[str, Any], results: Any) -> None:
        self.options: recurrent.Options = module.options
        self.sequences: Value = given["sequences"]
        self.initial = given.get("initial_state")
        self.directions = 1 + module.bidirectional
        self.width = module.hidden_size * self.directions
        self.names = ("h", "c")[:module.states_each]
        self.given = self._apart(results)
        self.made: list[Step] = []

    def _apart(self, results: Any) -> tuple[list[Value], list[Value]] | None:
        """The outputs, two where they are not merged, and the states, as the call gives them."""
        outputs = 2 if self.directions == 2 and self.options.merge_mode is None else 1
        states = self.directions * len(self.names) if self.options.return_state else 0
        flat = [results] if isinstance(results, Value) else results
        if len(flat) != outputs + states or not all(isinstance(value, Value) for value in flat):
            return None
        return flat[:outputs], flat[outputs:]

    def steps(self, part: Part, makers: dict[Value, Step]) -> list[Step]:
        assert self.given is not None
        outputs, states = self.given
        sequences = self.sequences
        if self.options.go_backwards and self.directions == 1:
            sequences = self._step("flip", (sequences, 1), Value(sequences.hint, sequences.shape, "backwards"))
        known = isinstance(sequences.shape, tuple) and len(sequences.shape) == 3
        whole = Value(outputs[0].hint, (*sequences.shape[:2], self.width) if known else None)
        last = [Value(outputs[0].hint, local=name) for name in self.names]
        first = self._first(makers)
        self.made.append(Step(part, (sequences, first) if first is not None else (sequences,), {},
                              [whole, last if len(last) > 1 else last[0]]))
        self._outputs(outputs, whole, last[0])
        pairs = [(i, state) for i in range(self.directions) for state in last]
        for value, (i, state) in zip(states, pairs):
            value.local = state.local
            self._step(operator.getitem, (state, i), value)
        return self.made

    def _step(self, function: Any, args: tuple[Any, ...], result: Value | None = None, **kwargs: Any) -> Value:
        result = result or Value(self.sequences.hint)
        self.made.append(Step(function, args, kwargs, result))
        return result

    def _first(self, makers: dict[Value, Step]) -> Any:
        """The first states as torch takes them: (directions, batch, units)."""
        if self.initial is None:
            return None
        states = [self.initial] if isinstance(self.initial, Value) else list(self.initial)
        count = len(self.names)
        if self.directions == 1:
            found = [_whole(state, makers) or self._step("unsqueeze", (state, 0)) for state in states]
        else:
            found = [self._step(torch.stack, (states[i::count],)) for i in range(count)]
        return tuple(found) if count > 1 else found[0]

    def _outputs(self, outputs: list[Value], whole: Value, hidden: Value) -> None:
        step = self.made[-1]
        if self.directions == 1:
            if self.options.return_sequences:
                step.results[0] = outputs[0]
            else:
                self._step(operator.getitem, (whole, (slice(None), -1)), outputs[0])
        elif self.options.return_sequences and self.options.merge_mode == "concat":
            step.results[0] = outputs[0]
        else:
            self._merge(outputs, whole, hidden)

    def _merge(self, outputs: list[Value], whole: Value, hidden: Value) -> None:
        """Both directions put together as :func:`recurrent.merged` does."""
        mode = self.options.merge_mode
        there, back = outputs if mode is None else (Value(whole.hint), Value(whole.hint))
        if self.options.return_sequences:
            there.local, back.local = "there", "back"
            self.made.append(Step("chunk", (whole, 2, -1), {}, [there, back]))
        else:
            self._step(operator.getitem, (hidden, 0), there)
            self._step(operator.getitem, (hidden, 1), back)
        if mode == "concat":
            self._step(torch.cat, ([there, back],), outputs[0], dim=-1)
        elif mode == "mul":
            self._step(operator.mul, (there, back), outputs[0])
        elif mode == "sum":
            self._step(operator.add, (there, back), outputs[0])
        elif mode == "ave":
            self._step(operator.truediv, (self._step(operator.add, (there, back)), 2), outputs[0])


def _whole(state: Any, makers: dict[Value, Step]) -> Value | None:
    """The tensor that a state is the only item of."""
    maker = makers.get(state)
    if maker is None or maker.callee is not operator.getitem or maker.args[1] != 0:
        return None
    whole: Value = maker.args[0]
    return whole if whole.local in ("h", "c") else None
