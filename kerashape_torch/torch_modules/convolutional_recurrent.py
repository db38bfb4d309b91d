"""The convolutional LSTM: channels first inside, the input convolved for all steps at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kerashape_torch.torch_modules.recurrent import Function, Options, Recurrent, States, dropout_mask


class ConvLSTM(Recurrent):
    """An LSTM whose states are images, with the gates i, f, g, o side by side in the channels of each convolution.

    Args:
        input_conv, recurrent_conv: what the inputs and the state go through, with four gates of channels each.
        spatial: the sizes of a state.
        activation, recurrent_activation: torch functions or modules, None for linear.
        recurrent_dropout: of the state; the same elements at each step, others for each gate.
        steps_axis: 1 for (batch, steps, channels, ...), 2 where the channels come first.
    """

    def __init__(self, input_conv: nn.Module, recurrent_conv: nn.Module, spatial: Sequence[Any], options: Options,
                 activation: Function | None, recurrent_activation: Function | None, recurrent_dropout: float = 0.0,
                 steps_axis: int = 1) -> None:
        super().__init__()
        self.spatial = tuple(spatial)
        self.input_conv = input_conv
        self.recurrent_conv = recurrent_conv
        self.activation = activation or nn.Identity()
        self.recurrent_activation = recurrent_activation or nn.Identity()
        self.recurrent_dropout = recurrent_dropout
        self.steps_axis = steps_axis
        self.filters: int = recurrent_conv.in_channels  # type: ignore[assignment]
        self.configure(options, [self.filters] * 2, spatial if options.batch is not None else ())

    def run(self, sequences: Tensor, states: States | None, mask: Tensor | None = None) -> tuple[Tensor, States]:
        sequences = sequences.movedim(self.steps_axis, 1)
        batch, steps, *one = sequences.shape
        masks = dropout_mask(self, self.options.dropout, sequences, (4, batch, 1, *one))
        if masks is not None:
            masks = masks.expand(4, batch, steps, *one).flatten(1, 2)
        convolved = by_gate(self.input_conv, sequences.flatten(0, 1), masks)
        convolved = convolved.reshape(batch, steps, *convolved.shape[1:])
        states = states or [convolved.new_zeros(batch, self.filters, *convolved.shape[3:])] * 2
        masks = dropout_mask(self, self.recurrent_dropout, states[0], (4, *states[0].shape))

        def step(inputs: Tensor, states: States) -> tuple[Tensor, States]:
            after = self.step(inputs, states, masks)
            return after[0], after

        outputs, states = self.over_steps(step, convolved, states, mask)
        return outputs.movedim(1, self.steps_axis), states

    def step(self, inputs: Tensor, states: States, masks: Tensor | None) -> States:
        """The next hidden state and carry; ``inputs`` are convolved already."""
        i, f, g, o = (inputs + by_gate(self.recurrent_conv, states[0], masks)).chunk(4, 1)
        carry = self.recurrent_activation(f) * states[1] + self.recurrent_activation(i) * self.activation(g)
        return [self.recurrent_activation(o) * self.activation(carry), carry]


def by_gate(convolution: nn.Module, x: Tensor, masks: Tensor | None) -> Tensor:
    """A convolution with four gates of output channels; with masks, each gate sees only its own part of ``x``."""
    if masks is None:
        return convolution(x)  # type: ignore[no-any-return]
    parts = {name: parameter.chunk(4) for name, parameter in convolution.named_parameters()}
    gates = ({name: chunks[i] for name, chunks in parts.items()} for i in range(4))
    return torch.cat([functional_call(convolution, gate, (x * mask,)) for gate, mask in zip(gates, masks)], 1)
