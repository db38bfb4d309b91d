"""A layer of the user's own as a torch module: its weights are parameters, its ``forward`` is run on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from kerashape_torch.torch_modules.recurrent import Options, Recurrent, States
from kerashape_torch.user_layers import argument_names, empty, torch_function
from kerashape_torch.weights import WeightSpec


class UserLayer(nn.Module):
    """Runs the layer's function with the weights, and ``training``, as attributes of a copy of the layer.

    Args:
        layer: what ``build`` left, so that other things that it computed are there too.
        built: these things, which tell two shapes apart.
    """

    def __init__(self, layer: Any, specs: Sequence[WeightSpec], built: dict[str, Any]) -> None:
        super().__init__()
        self._layer = layer
        self._built = built
        function = torch_function(layer)
        assert function is not None
        self._function = function
        self._takes_training = "training" in argument_names(function, shaped=False)
        for spec in specs:
            tensor = empty(spec, "float32")
            name = spec.places[0].path
            if tensor.is_floating_point():
                self.register_parameter(name, nn.Parameter(tensor, requires_grad=spec.trainable))
            else:
                self.register_buffer(name, tensor)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        layer = self._layer.copy(training=self.training, **self._parameters, **self._buffers)
        if self._takes_training:
            kwargs["training"] = self.training
        return self._function(layer, *args, **kwargs)

    def _get_name(self) -> str:
        return type(self._layer).__name__

    def extra_repr(self) -> str:
        given = {**self._layer.given(), **self._built}
        return ", ".join(f"{name}={value!r}" for name, value in given.items() if name != "name")


class UserCell(Recurrent):
    """A cell of the user's own, step by step."""

    def __init__(self, cell: UserLayer, state_sizes: list[Any], options: Options) -> None:
        super().__init__()
        self.cell = cell
        self.configure(options, state_sizes)

    def run(self, sequences: Tensor, states: States | None, mask: Tensor | None = None) -> tuple[Tensor, States]:
        if states is None:
            states = self._zeros(sequences)
        return self.over_steps(self._step, sequences, states, mask)

    def _step(self, inputs: Tensor, states: States) -> tuple[Tensor, States]:
        output, after = self.cell(inputs, states)
        return output, [after] if isinstance(after, Tensor) else list(after)

    def _zeros(self, sequences: Tensor) -> States:
        """The first states: the cell's own, if it says some."""
        batch, layer = sequences.shape[0], self.cell._layer
        if hasattr(layer, "get_initial_state"):
            given = layer.get_initial_state(batch_size=batch)
            given = [given] if isinstance(given, Tensor) else list(given)
            return [state.to(sequences) for state in given]
        return [sequences.new_zeros(batch, size) for size in self.state_sizes]
