"""Recurrent modules that give what Keras gives: torch's own with Keras' options around them, and loops for the rest.

Every module here that runs over time holds its weights under the names of ``nn.LSTM``: ``weight_ih_l0``,
``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, with the gates in torch's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from kerashape_torch.errors import KerashapeError
from kerashape_torch.structure import flatten, map_structure
from kerashape_torch.torch_modules.activity import Listener
from kerashape_torch.torch_modules.watched import is_watched

States = list[Any]
"""One tensor (batch, units) for each state of a cell; for stacked cells a tensor or a list for each cell."""
Step = Callable[[Tensor, States], tuple[Tensor, States]]
"""The input of one step and the states, to the output and the next states."""


class Options(NamedTuple):
    """What a Keras recurrent layer is asked to take and to give.

    Attributes:
        batch: the fixed batch size of a stateful layer, None for one that begins anew with each call.
        dropout: of the inputs; the same elements of a sample are dropped at each step.
        merge_mode: how the two directions of a bidirectional module are put together.
        zero_output_for_mask: masked steps give zeros; else they give again what came out before them.
    """

    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    batch: int | None = None
    dropout: float = 0.0
    merge_mode: str | None = "concat"
    zero_output_for_mask: bool = False

    def zeroed(self, outputs: Tensor, mask: Tensor | None) -> Tensor:
        """The outputs of all steps, (batch, steps, ...), without those of masked steps where that is asked for."""
        return outputs if mask is None or not self.zero_output_for_mask else without_masked(outputs, mask)

    def collect(self, output: Any, states: States) -> Any:
        """The output alone, or a flat list of it and the last states. Two outputs come as a tuple."""
        outputs = list(output) if isinstance(output, tuple) else [output]
        if self.return_state:
            outputs += states
        return outputs if len(outputs) > 1 else outputs[0]


class Recurrent(nn.Module):
    """What is alike in all recurrent modules: direction, what is given back, and states that live from call to call."""

    options: Options
    state_sizes: list[Any]
    steps_axis = 1
    rehearsals: int | None = None
    """How often :meth:`rehearse` runs the first step, where activity regularizers hear it."""

    def configure(self, options: Options, state_sizes: list[Any], spatial: Sequence[int] = ()) -> None:
        self.options = options
        self.state_sizes = state_sizes
        self.activity: Listener | None = None
        if options.batch is not None:
            for i, size in enumerate(flatten(state_sizes)):
                self.register_buffer(f"state_{i}", torch.zeros(options.batch, size, *spatial), persistent=False)

    def run(self, sequences: Tensor, states: States | None, mask: Tensor | None = None) -> tuple[Tensor, States]:
        """The outputs of all steps and the last states. Masked steps (batch, steps) change no state."""
        raise NotImplementedError

    def over_steps(self, step: Step, inputs: Tensor, states: States, mask: Tensor | None) -> tuple[Tensor, States]:
        """What :meth:`run` gives, by a loop: ``inputs`` are (batch, steps, ...)."""
        outputs: list[Tensor] = []
        for each, kept in zip(inputs.unbind(1), by_step(mask, inputs.shape[1])):
            output, after = step(each, states)
            if self.activity is not None:
                self.activity(output, after)
            outputs.append(shown(kept, output, outputs))
            states = where_kept(kept, after, states)
        return self.options.zeroed(torch.stack(outputs, 1), mask), states

    def forward(self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        if mask is not None:
            mask = mask.to(torch.bool).flip(1) if self.options.go_backwards else mask.to(torch.bool)
        states = self.first_states(initial_state, sequences.dtype)
        if self.rehearsals is not None:
            self.rehearse(sequences[:, :1], states)
        outputs, states = self.run(self.turned(sequences), states, mask)
        self.keep(states)
        if not self.options.return_sequences:
            outputs = outputs.select(self.steps_axis, -1)
        return self.options.collect(outputs, states)

    def rehearse(self, first: Tensor, states: States | None) -> None:
        """What Keras runs on the first step before all steps, for no numbers: activity regularizers hear it."""
        for _ in range(self.rehearsals or 0):
            self.run(first, states)

    def turned(self, sequences: Tensor) -> Tensor:
        # Keras leaves what comes out in the order in which it was made: the last step first.
        return sequences.flip(self.steps_axis) if self.options.go_backwards else sequences

    def first_states(self, initial_state: Any, dtype: torch.dtype) -> States | None:
        if initial_state is not None:
            return [initial_state] if isinstance(initial_state, Tensor) else list(initial_state)
        if self.options.batch is None:
            return None
        kept = iter(self._kept())
        states: States = map_structure(lambda _: next(kept).to(dtype, copy=True), self.state_sizes)
        return states

    def _kept(self) -> list[Tensor]:
        return [self.get_buffer(f"state_{i}") for i in range(len(flatten(self.state_sizes)))]

    def keep(self, states: States) -> None:
        """Remembers the last states, where the layer is stateful. No gradient flows from one call to the next."""
        if self.options.batch is not None:
            for kept, state in zip(self._kept(), flatten(states)):
                kept.copy_(state.detach())

    def reset_state(self) -> None:
        """A stateful module begins anew."""
        if self.options.batch is not None:
            for kept in self._kept():
                kept.zero_()


def dropout_mask(module: nn.Module, rate: float, like: Tensor, shape: Sequence[Any]) -> Tensor | None:
    """What to multiply with, in training: zeros, and ``1 / (1 - rate)`` elsewhere."""
    return functional.dropout(like.new_ones(shape), rate) if module.training and rate else None


class KeptSteps:
    """The steps that a mask (batch, steps) keeps, moved to the front of each sample and back.

    So torch's kernels, which know no holes, see nothing but kept steps, whatever the mask's pattern.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask
        self.lengths: list[int] | None = None  # where they are known without waiting for a device
        is_in_front = False
        if mask.device.type == "cpu" and not is_watched(mask):
            kept, steps = mask.detach().numpy().tobytes(), mask.shape[1]  # bytes are counted in a fraction of the time
            samples = range(0, len(kept), max(steps, 1))
            self.lengths = [kept.count(1, i, i + steps) for i in samples]
            is_in_front = all(kept.find(b"\0\1", i, i + steps) < 0 for i in samples)  # as it mostly is
        self.order = None if is_in_front else mask.logical_not().to(torch.int8).argsort(dim=1, stable=True)

    def alike(self) -> int | None:
        """How many steps each sample keeps, if those are the same for all, none after a masked one, and known."""
        if self.order is not None or not self.lengths:
            return None
        return self.lengths[0] or None if min(self.lengths) == max(self.lengths) else None

    def together(self, sequences: Tensor, steps: int | None = None) -> Tensor:
        """The kept steps first, in their order, then the others; no more of them than asked for."""
        return sequences[:, :steps] if self.order is None else _steps_of(sequences, self.order[:, :steps])

    def longest(self) -> int | None:
        """How many steps any sample keeps, at least one, where that is known."""
        return max(1, *self.lengths) if self.lengths else None

    def packed(self, together: Tensor) -> PackedSequence:
        """The kept steps alone; of a sample that keeps none, one step, since torch wants some."""
        lengths = self.mask.sum(1).cpu() if self.lengths is None else torch.tensor(self.lengths)
        return pack_padded_sequence(together, lengths.clamp(min=1), batch_first=True, enforce_sorted=False)

    def apart(self, outputs: Tensor, zeros: bool, whole: bool) -> Tensor:
        """Each output at the step that made it; a masked step has zeros, or the output before it, if there is one. The
        last step alone, unless the ``whole`` counts."""
        mask = self.mask if whole else self.mask[:, -1:]
        # for each step, the place of the last kept one up to it; -1 before the first
        latest = (self.mask.cumsum(1) if whole else self.mask.sum(1, keepdim=True)) - 1
        shown = _steps_of(outputs, latest.clamp(min=0))
        return torch.where((mask if zeros else latest >= 0).unsqueeze(-1), shown, 0)

    def prolonged(self, outputs: Tensor, zeros: bool, whole: bool) -> Tensor:
        """The same for outputs of the steps that are :meth:`alike`; the last one alone, unless the ``whole`` counts."""
        missing = self.mask.shape[1] - outputs.shape[1]
        last = outputs[:, -1:]
        after = torch.zeros_like(last) if zeros and missing else last
        if not whole:
            return after
        return torch.cat([outputs, after.expand(-1, missing, -1)], 1) if missing else outputs


def _steps_of(sequences: Tensor, places: Tensor) -> Tensor:
    """The steps at these places (batch, places) of each sample. Whole rows are copied, several times as fast as
    ``gather``, which copies numbers."""
    batch, steps, size = sequences.shape
    sample = torch.arange(batch, device=places.device).unsqueeze(1)
    if sequences.is_contiguous():
        rows, places = sequences, sample * steps + places
    else:  # torch's kernels give all samples of a step side by side
        rows, places = sequences.transpose(0, 1), places * batch + sample
    return rows.flatten(0, 1).index_select(0, places.flatten()).view(*places.shape, size)


# ---- torch's own -----------------------------------------------------------------------------------------------------


class Stock(Recurrent):
    """Keras' options around one of torch's recurrent modules; one state or two (h, c) for each direction."""

    stock: ClassVar[Any]
    states_each: ClassVar[int] = 1
    bidirectional: bool

    def __init__(self, input_size: int, hidden_size: int, bias: bool, options: Options, bidirectional: bool = False,
                 **arguments: Any) -> None:
        super().__init__(input_size, hidden_size, bias=bias, batch_first=True, bidirectional=bidirectional, **arguments)
        self.configure(options, [hidden_size] * self.states_each)

    def hold_recurrent_bias(self) -> None:
        """Keras has one bias where torch adds two: the second stays zero and is not trained."""
        for name, parameter in self.named_parameters():
            if name.startswith("bias_hh"):
                nn.init.zeros_(parameter.requires_grad_(False))

    def run(self, sequences: Tensor, states: States | None, mask: Tensor | None = None) -> tuple[Tensor, States]:
        n = self.states_each
        dropped = dropout_mask(self, self.options.dropout, sequences, (sequences.shape[0], 1, sequences.shape[2]))
        sequences = sequences if dropped is None else sequences * dropped
        given = None if states is None else [torch.stack(states[i::n]) for i in range(n)]
        if mask is None:
            outputs, last = self._run_stock(sequences, given)
        else:
            outputs, last = self._run_kept(sequences, given, KeptSteps(mask))
        last = [state.flatten(0, -3) for state in last]  # torch before 2.13 exports them with an axis too many
        return outputs, [state[i] for i in range(1 + self.bidirectional) for state in last]

    def _run_kept(self, sequences: Tensor, states: list[Tensor] | None, steps: KeptSteps
                  ) -> tuple[Tensor, Sequence[Tensor]]:
        """The steps that a mask keeps, side by side, through torch's fused kernel in one go."""
        alike = steps.alike()
        whole = self.bidirectional or self.options.return_sequences
        if alike is not None:
            outputs, last = self._run_stock(sequences[:, :alike], states)
            return steps.prolonged(outputs, self.options.zero_output_for_mask, whole), last
        if steps.mask.is_meta or not self.state_is_seen():  # what follows the kept steps may run on
            outputs, last = self._run_stock(steps.together(sequences, steps.longest()), states)
        else:
            packed, last = self._run_stock(steps.packed(steps.together(sequences)), states)
            outputs, _ = pad_packed_sequence(packed, batch_first=True, total_length=sequences.shape[1])
            first = states if states is not None else [torch.zeros_like(state) for state in last]
            last = [torch.where(steps.mask.any(1)[None, :, None], b, a) for a, b in zip(first, last)]
        return steps.apart(outputs, self.options.zero_output_for_mask, whole), last

    def state_is_seen(self) -> bool:
        """Whether the last states come out, in which a masked step must not count."""
        return bool(self.bidirectional or self.options.return_state or self.options.batch is not None)

    def _run_stock(self, sequences: Any, states: list[Tensor] | None) -> tuple[Any, Sequence[Tensor]]:
        outputs, last = self.stock.forward(self, sequences, None if states is None else states[0])
        return outputs, (last,)


class LSTM(Stock, nn.LSTM):  # type: ignore[misc]  # it takes a Keras call, not torch's
    """``nn.LSTM`` as Keras' LSTM. The gates i, f, g, o are Keras' i, f, c, o."""

    stock = nn.LSTM
    states_each = 2

    def __init__(self, input_size: int, hidden_size: int, bias: bool, options: Options, bidirectional: bool = False
                 ) -> None:
        super().__init__(input_size, hidden_size, bias, options, bidirectional)
        self.hold_recurrent_bias()

    def _run_stock(self, sequences: Any, states: list[Tensor] | None) -> tuple[Any, Sequence[Tensor]]:
        outputs, last = self.stock.forward(self, sequences, None if states is None else (states[0], states[1]))
        return outputs, last


class GRU(Stock, nn.GRU):  # type: ignore[misc]
    """``nn.GRU`` as Keras' GRU with ``reset_after=True``, whose two biases are torch's two."""

    stock = nn.GRU

    def __init__(self, input_size: int, hidden_size: int, bias: bool, options: Options, bidirectional: bool = False
                 ) -> None:
        super().__init__(input_size, hidden_size, bias, options, bidirectional)


class RNN(Stock, nn.RNN):  # type: ignore[misc]
    """``nn.RNN`` as Keras' SimpleRNN with tanh or relu."""

    stock = nn.RNN

    def __init__(self, input_size: int, hidden_size: int, bias: bool, options: Options, bidirectional: bool = False,
                 nonlinearity: str = "tanh") -> None:
        super().__init__(input_size, hidden_size, bias, options, bidirectional, nonlinearity=nonlinearity)
        self.hold_recurrent_bias()


# ---- loops -----------------------------------------------------------------------------------------------------------


Function = Callable[[Tensor], Tensor]


def _same(x: Tensor) -> Tensor:
    return x


class Loop(Recurrent):
    """A cell that torch lacks, step by step. The inputs of all steps are weighed at once, before the first one.

    Args:
        biases: whether the inputs and the recurrent part have one.
        activation, recurrent_activation: torch functions or modules, None for linear.
        recurrent_dropout: of the state, the same elements at each step.
        mask_per_gate: whether each gate drops elements of its own.
    """

    gates: ClassVar[int] = 1
    states_each: ClassVar[int] = 1

    def __init__(self, inputs: int, units: int, biases: tuple[bool, bool], options: Options,
                 activation: Function | None, recurrent_activation: Function | None = None,
                 recurrent_dropout: float = 0.0, mask_per_gate: bool = False) -> None:
        super().__init__()
        self.inputs, self.units, self.biases = inputs, units, biases
        self.activation = activation or _same
        self.recurrent_activation = recurrent_activation or _same
        self.recurrent_dropout = recurrent_dropout
        self.mask_per_gate = mask_per_gate
        rows = self.gates * units
        self.weight_ih_l0 = nn.Parameter(torch.empty(rows, inputs))
        self.weight_hh_l0 = nn.Parameter(torch.empty(rows, units))
        self.bias_ih_l0 = nn.Parameter(torch.empty(rows)) if biases[0] else None
        self.bias_hh_l0 = nn.Parameter(torch.empty(rows)) if biases[1] else None
        self.configure(options, [units] * self.states_each)

    def extra_repr(self) -> str:
        return f"{self.inputs}, {self.units}, bias={self.bias_ih_l0 is not None}"

    def run(self, sequences: Tensor, states: States | None, mask: Tensor | None = None) -> tuple[Tensor, States]:
        batch = sequences.shape[0]
        per_gate = (self.gates,) if self.mask_per_gate else ()
        dropped = dropout_mask(self, self.options.dropout, sequences, (batch, 1, *per_gate, self.inputs))
        weighed = weigh(sequences, self.weight_ih_l0, self.bias_ih_l0, dropped)
        dropped = dropout_mask(self, self.recurrent_dropout, sequences, (batch, *per_gate, self.units))
        if states is None:
            states = [weighed.new_zeros(batch, self.units) for _ in range(self.states_each)]

        def step(inputs: Tensor, states: States) -> tuple[Tensor, States]:
            after = self.step(inputs, states, dropped)
            return after[0], after

        return self.over_steps(step, weighed, states, mask)

    def step(self, inputs: Tensor, states: States, mask: Tensor | None) -> States:
        """The next states, of which the first is the output; ``inputs`` are weighed already."""
        return [self.activation(inputs + self.recurrent(states[0], mask))]

    def recurrent(self, state: Tensor, mask: Tensor | None) -> Tensor:
        return weigh(state, self.weight_hh_l0, self.bias_hh_l0, mask)


def by_step(mask: Tensor | None, steps: int) -> Sequence[Tensor | None]:
    """A mask (batch, steps) as one (batch,) for each step; None where there is none."""
    return [None] * steps if mask is None else mask.unbind(1)


def where_kept(kept: Tensor | None, new: States, old: States) -> States:
    """The new tensors of the samples that a step's mask keeps, the old ones of the others."""
    if kept is None:
        return new
    return [torch.where(kept.reshape(-1, *[1] * (a.dim() - 1)), a, b) for a, b in zip(new, old)]


def shown(kept: Tensor | None, output: Tensor, before: list[Tensor]) -> Tensor:
    """What a step gives out: a masked one gives again what came before it, the first one zeros."""
    return output if kept is None else where_kept(kept, [output], before[-1:] or [torch.zeros_like(output)])[0]


def without_masked(outputs: Tensor, mask: Tensor) -> Tensor:
    """Zeros where a mask of the first axes keeps nothing."""
    return torch.where(mask.reshape(*mask.shape, *[1] * (outputs.dim() - mask.dim())), outputs, 0)


def weigh(x: Tensor, weight: Tensor, bias: Tensor | None, mask: Tensor | None) -> Tensor:
    """``x @ weight.T + bias`` with elements of ``x`` dropped: the same for all gates, or others for each gate."""
    if mask is None:
        return functional.linear(x, weight, bias)
    if mask.dim() == x.dim():
        return functional.linear(x * mask, weight, bias)
    gates = weight.reshape(mask.shape[-2], -1, x.shape[-1])
    weighed = torch.einsum("...gi,goi->...go", x.unsqueeze(-2) * mask, gates).flatten(-2)
    return weighed if bias is None else weighed + bias


class LSTMLoop(Loop):
    """An LSTM with other activations or with recurrent dropout."""

    gates = 4
    states_each = 2

    def step(self, inputs: Tensor, states: States, mask: Tensor | None) -> States:
        i, f, g, o = (inputs + self.recurrent(states[0], mask)).chunk(4, -1)
        carry = self.recurrent_activation(f) * states[1] + self.recurrent_activation(i) * self.activation(g)
        return [self.recurrent_activation(o) * self.activation(carry), carry]


class GRULoop(Loop):
    """A GRU with other activations or with recurrent dropout, or whose reset gate acts before the weights.

    The gates are in torch's order: r, z, n.
    """

    gates = 3

    def __init__(self, *arguments: Any, reset_after: bool, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.reset_after = reset_after

    def step(self, inputs: Tensor, states: States, mask: Tensor | None) -> States:
        state = states[0]
        candidate = inputs[..., 2 * self.units:]
        if self.reset_after:
            recurrent = self.recurrent(state, mask)
            reset, update = self._reset_and_update(inputs, recurrent)
            candidate = self.activation(candidate + reset * recurrent[..., 2 * self.units:])
        else:
            both, last = self.weight_hh_l0[:2 * self.units], self.weight_hh_l0[2 * self.units:]
            for_both, for_last = (None, None) if mask is None else self._masks(mask)
            reset, update = self._reset_and_update(inputs, weigh(state, both, None, for_both))
            candidate = self.activation(candidate + weigh(reset * state, last, None, for_last))
        return [update * state + (1 - update) * candidate]

    def _reset_and_update(self, inputs: Tensor, recurrent: Tensor) -> tuple[Tensor, ...]:
        both = slice(0, 2 * self.units)
        gates = (inputs[..., both] + recurrent[..., both]).chunk(2, -1)
        return tuple(self.recurrent_activation(gate) for gate in gates)  # each by itself: it may be a softmax

    def _masks(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        return (mask[:, :2], mask[:, 2]) if self.mask_per_gate else (mask, mask)


class Stack(Recurrent):
    """Cells on top of each other: each runs over all steps before the next one, which is the same and faster."""

    def __init__(self, cells: Sequence[Recurrent], state_sizes: list[Any], options: Options) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)
        self.configure(options, state_sizes)

    def run(self, sequences: Tensor, states: States | None, mask: Tensor | None = None) -> tuple[Tensor, States]:
        if mask is not None and self.rehearsals is not None:
            raise KerashapeError("stacked cells with activity regularizers take no mask here: in Keras the upper cells "
                                 "see what the lower ones give at masked steps. Run each cell by an RNN of its own")
        last: States = []
        for i, cell in enumerate(self.cells):
            sequences, after = cell.run(sequences, self._states_of(i, states), mask)  # type: ignore[operator]
            last.append(after if isinstance(self.state_sizes[i], list) else after[0])
        return self.options.zeroed(sequences, mask), last

    def rehearse(self, first: Tensor, states: States | None) -> None:
        super().rehearse(first, states)
        for i, cell in enumerate(self.cells):
            cell.rehearse(first, self._states_of(i, states))  # type: ignore[operator]
            first, _ = cell.run(first, self._states_of(i, states))  # type: ignore[operator]

    @staticmethod
    def _states_of(i: int, states: States | None) -> States | None:
        return None if states is None else [states[i]] if isinstance(states[i], Tensor) else list(states[i])


class OneStep(nn.Module):
    """A cell called by itself: one step of what runs over many."""

    def __init__(self, steps: Recurrent) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, inputs: Tensor, states: Any) -> Any:
        given = [states] if isinstance(states, Tensor) else list(states)
        outputs, last = self.steps.run(inputs.unsqueeze(1), given)
        parts = iter(flatten(last))
        after = map_structure(lambda _: next(parts), states)
        if isinstance(self.steps, Stack) and len(self.steps.cells) == 1:
            after = after[0]  # as Keras does
        return [outputs[:, 0], after]


# ---- both directions -------------------------------------------------------------------------------------------------


def merged(forward: Tensor, backward: Tensor, mode: str | None, axis: int = -1) -> Any:
    """Two directions as one tensor, or as a pair."""
    if mode == "concat":
        return torch.cat([forward, backward], axis)
    if mode is None:
        return forward, backward
    if mode == "mul":
        return forward * backward
    return forward + backward if mode == "sum" else (forward + backward) / 2


class _BothWays(Stock):
    """One of torch's bidirectional modules."""

    def configure(self, options: Options, state_sizes: list[Any], spatial: Sequence[int] = ()) -> None:
        super().configure(options, state_sizes, spatial)
        self.activity_back: Listener | None = None

    def forward(self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        mask = None if mask is None else mask.to(torch.bool)
        outputs, states = self.run(sequences, self.first_states(initial_state, sequences.dtype), mask)
        if not self.options.return_sequences:
            there, back = states[0], states[self.states_each]
            if mask is not None and initial_state is not None:  # without steps the output is 0, not the state
                there, back = without_masked(there, mask.any(1)), without_masked(back, mask.any(1))
        else:
            there, back = outputs.chunk(2, -1)
        if self.activity is not None:
            self.activity(self.options.collect(there, states[:self.states_each]))
        if self.activity_back is not None:
            turned = back.flip(1) if self.options.return_sequences else back
            self.activity_back(self.options.collect(turned, states[self.states_each:]))
        is_merged = self.options.return_sequences and self.options.merge_mode == "concat"
        return self.options.collect(outputs if is_merged else merged(there, back, self.options.merge_mode), states)


class BidirectionalLSTM(_BothWays, LSTM):  # type: ignore[misc]
    """``nn.LSTM(bidirectional=True)`` as Keras' Bidirectional."""


class BidirectionalGRU(_BothWays, GRU):  # type: ignore[misc]
    """``nn.GRU(bidirectional=True)`` as Keras' Bidirectional."""


class BidirectionalRNN(_BothWays, RNN):  # type: ignore[misc]
    """``nn.RNN(bidirectional=True)`` as Keras' Bidirectional."""


class Bidirectional(nn.Module):
    """Two recurrent modules of any sort, the second of which runs from the last step to the first."""

    def __init__(self, forward_layer: nn.Module, backward_layer: nn.Module, options: Options,
                 channels_first: bool = False) -> None:
        super().__init__()
        self.forward_layer = forward_layer
        self.backward_layer = backward_layer
        self.options = options
        self.channels_first = channels_first
        self.steps_axis, self.merge_axis = (2, 1) if channels_first else (1, -1)

    def forward(self, sequences: Tensor, initial_state: Any = None, mask: Tensor | None = None) -> Any:
        halves: list[dict[str, Any]] = [{} if mask is None else {"mask": mask} for _ in range(2)]
        if initial_state is not None:
            half = len(initial_state) // 2
            halves[0]["initial_state"], halves[1]["initial_state"] = initial_state[:half], initial_state[half:]
        there, back = self.forward_layer(sequences, **halves[0]), self.backward_layer(sequences, **halves[1])
        states: States = []
        if self.options.return_state:
            states = [*there[1:], *back[1:]]
            there, back = there[0], back[0]
        if self.options.return_sequences:
            back = back.flip(self.steps_axis)
        return self.options.collect(merged(there, back, self.options.merge_mode, self.merge_axis), states)


# ---- every step by itself --------------------------------------------------------------------------------------------


class TimeDistributed(nn.Module):
    """The same module for each step: the steps are put beside the samples, so that it runs once.

    Args:
        layer: the module of one step.
        stepwise: run it step by step in training, since it gathers statistics of a batch and Keras gives it the samples
            of one step at a time.
        stateful: run it step by step always, since it remembers.
    """

    def __init__(self, layer: nn.Module, stepwise: bool = False, stateful: bool = False) -> None:
        super().__init__()
        self.layer = layer
        self.stepwise = stepwise
        self.stateful = stateful

    def forward(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if self.stateful or (self.stepwise and self.training):
            masks: Any = [{}] * inputs.shape[1] if mask is None else [{"mask": m} for m in mask.unbind(1)]
            return torch.stack([self.layer(step, **kept) for step, kept in zip(inputs.unbind(1), masks)], 1)
        outputs: Tensor = self.layer(inputs.flatten(0, 1), **({} if mask is None else {"mask": mask.flatten(0, 1)}))
        return outputs.reshape(-1, inputs.shape[1], *outputs.shape[1:])
