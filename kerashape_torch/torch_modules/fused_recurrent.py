"""torch's recurrent kernels without torch's modules around them, for inference.

``torch.compile`` takes no ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` into a graph, and packing a sequence looks at its
lengths. Here the kernel's function is called directly; and where a graph is compiled, what a mask leaves out is run
over in a way that changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from kerashape_torch.torch_modules import recurrent
from kerashape_torch.torch_modules.recurrent import KeptSteps

_SHUT = 1e4
"""Added to a gate, it is 1 to the last bit, and taken off it, 0: a sigmoid of this cannot be told from either."""


class Fused(recurrent.Stock):
    """A stock recurrent module's weights, options and states, and its kernel's function."""

    def __init__(self, module: Any) -> None:
        nn.Module.__init__(self)
        self._flat_weights_names = list(module._flat_weights_names)
        self.bidirectional, self.hidden_size, self.bias = module.bidirectional, module.hidden_size, module.bias
        self.input_size, self.mode = module.input_size, module.mode
        self.states_each = module.states_each  # type: ignore[misc]
        self.kernel: Callable[..., Any] = _KERNELS[module.mode]
        self.configure(module.options, module.state_sizes)
        for name in self._flat_weights_names:
            self.register_parameter(name, module.get_parameter(name))
        for name, buffer in module.named_buffers():
            self.register_buffer(name, buffer, persistent=False)
        self.flatten_parameters()

    flatten_parameters: Any = nn.RNNBase.flatten_parameters
    """Puts the weights into one piece of memory, as cuDNN wants them: it would copy them there at every call. What is
    copied or moved has it to be done again."""
    num_layers, proj_size, batch_first = 1, 0, True

    @property
    def _flat_weights(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._flat_weights_names]

    def _apply(self, *args: Any, **kwargs: Any) -> Fused:
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.flatten_parameters()
        return self

    def _run_stock(self, sequences: Any, states: list[Tensor] | None) -> tuple[Any, Sequence[Tensor]]:
        packed = sequences if isinstance(sequences, PackedSequence) else None
        data = sequences if packed is None else packed.data
        batch = len(sequences) if packed is None else int(packed.batch_sizes[0])
        if states is None:
            empty = data.new_zeros(1 + self.bidirectional, batch, self.hidden_size)
            states = [empty] * self.states_each
        elif packed is not None and packed.sorted_indices is not None:
            states = [state.index_select(1, packed.sorted_indices) for state in states]
        given: Any = tuple(states) if self.states_each == 2 else states[0]
        options = (self.bias, 1, 0.0, False, self.bidirectional)
        if packed is None:
            outputs, *last = self._steps(data, given, *options)
            return outputs, last
        outputs, *last = self.kernel(data, packed.batch_sizes, given, self._flat_weights, *options)
        if packed.unsorted_indices is not None:
            last = [state.index_select(1, packed.unsorted_indices) for state in last]
        return PackedSequence(outputs, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices), last

    def _steps(self, x: Tensor, given: Any, *options: Any) -> Sequence[Tensor]:
        """All steps in one call. On CUDA ``torch.compile`` would write out each of them, so it gets cuDNN's kernel."""
        if not torch.compiler.is_compiling() or not _takes_cudnn(x):
            return self.kernel(x, given, self._flat_weights, *options, True)  # type: ignore[no-any-return]
        hidden, cell = given if self.states_each == 2 else (given, None)
        found = torch._cudnn_rnn(
            x, self._flat_weights, 4 if self.bias else 2, None, hidden, cell, _CUDNN_MODES[self.mode], self.hidden_size,
            0, 1, True, 0.0, False, self.bidirectional, [], None)
        return found[:1 + self.states_each]

    def _run_kept(self, sequences: Tensor, states: list[Tensor] | None, steps: KeptSteps
                  ) -> tuple[Tensor, Sequence[Tensor]]:
        if not torch.compiler.is_compiling() or not self.state_is_seen():
            return super()._run_kept(sequences, states, steps)
        together = steps.together(sequences)
        lengths = steps.mask.sum(1)
        places = torch.arange(sequences.shape[1], device=sequences.device)[None]
        backwards = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
        ways = [self._one_way(way, together, states, places, backwards, lengths)
                for way in range(1 + self.bidirectional)]
        outputs = torch.cat([output for output, _ in ways], -1)
        last = [torch.stack(each) for each in zip(*(after for _, after in ways))]
        return steps.apart(outputs, self.options.zero_output_for_mask, whole=True), last

    def _one_way(self, way: int, together: Tensor, states: list[Tensor] | None, places: Tensor, backwards: Tensor,
                 lengths: Tensor) -> tuple[Tensor, list[Tensor]]:
        """One direction over all steps, of which those behind the kept ones leave the cell's state as it is."""
        size = len(self._flat_weights_names) // (1 + self.bidirectional)
        weights = self._flat_weights[way * size:(way + 1) * size]
        first = [together.new_zeros(len(together), self.hidden_size)] * self.states_each if states is None else [
            state[way] for state in states]
        x = _picked(together, backwards) if way else together
        if self.states_each == 2:
            beyond = (places >= lengths[:, None]).to(x.dtype).unsqueeze(-1)
            x = torch.cat([x, beyond], -1)
            weights[0] = torch.cat([weights[0], self._shutting(weights[0])], 1)
        given: Any = tuple(state[None] for state in first)
        outputs, *last = self.kernel(x, given if self.states_each == 2 else given[0], weights, self.bias, 1, 0.0, False,
                                     False, True)
        final = _picked(outputs, (lengths - 1).clamp(min=0)[:, None])[:, 0]
        final = torch.where((lengths > 0)[:, None], final, first[0])
        return (_picked(outputs, backwards) if way else outputs), [final, *(state[0] for state in last[1:])]

    def _shutting(self, weight: Tensor) -> Tensor:
        """What the mark of a left-out step adds to the gates i, f, g, o: nothing comes in and all is remembered."""
        each = weight.new_tensor([-_SHUT, _SHUT, 0.0, 0.0])
        return each.repeat_interleave(self.hidden_size)[:, None]


class FusedBothWays(Fused, recurrent._BothWays):
    """The same of a bidirectional module."""


_KERNELS: dict[str, Callable[..., Any]] = {"LSTM": torch.lstm, "GRU": torch.gru, "RNN_TANH": torch.rnn_tanh,
                                           "RNN_RELU": torch.rnn_relu}
_CUDNN_MODES = {"RNN_RELU": 0, "RNN_TANH": 1, "LSTM": 2, "GRU": 3}
_HAS_CUDNN = torch.version.cuda is not None and torch.backends.cudnn.is_available()  # type: ignore[no-untyped-call]
_OF_CUDNN = (torch.float32, torch.float16, torch.float64)
_ONE_WAY = (recurrent.LSTM, recurrent.GRU, recurrent.RNN)
_BOTH_WAYS = (recurrent.BidirectionalLSTM, recurrent.BidirectionalGRU, recurrent.BidirectionalRNN)


def fused(module: nn.Module) -> Fused | None:
    """The module for inference; None for one that has no such form.

    >>> from kerashape_torch.layers import LSTM
    >>> module = LSTM(2, input_shape=(4, 3)).to_torch().lstm
    >>> x = torch.ones(1, 4, 3)
    >>> torch.equal(fused(module.eval())(x), module(x))
    True
    """
    if type(module) in _ONE_WAY:
        return Fused(module).eval()
    return FusedBothWays(module).eval() if type(module) in _BOTH_WAYS else None


def _takes_cudnn(x: Tensor) -> bool:
    return _HAS_CUDNN and x.is_cuda and x.dtype in _OF_CUDNN


def _picked(x: Tensor, places: Tensor) -> Tensor:
    """The steps of ``x`` (batch, steps, ...) at places (batch, steps)."""
    return x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
