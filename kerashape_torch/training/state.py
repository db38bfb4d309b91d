"""The state of a torch optimizer from a list that Keras keeps in files, and as such a list again."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kerashape_torch.lowering.weights import to_numpy
from kerashape_torch.optimizers import LossScaleOptimizer, Optimizer
from kerashape_torch.optimizers.state import Entry, SavedState, entries, entries_of
from kerashape_torch.torch_modules.places import to_place
from kerashape_torch.training.optimizers import KerasOptimizer, Variable, begun

_IN_TORCHS_LAYOUT = ("average", "gradient_accumulator")


class State:
    """What an optimizer keeps, each array by its slot and variable, in Keras' layout.

    Args:
        spec: the description of the optimizer.
        optimizer: the torch optimizer that it made.
        variables: the trainable weights of the module.
        scaler: of the loss, where there is one.
    """

    def __init__(self, spec: Optimizer, optimizer: torch.optim.Optimizer, variables: Sequence[Variable],
                 scaler: Any = None) -> None:
        self.listed, self.optimizer, self.variables, self.scaler = spec, optimizer, variables, scaler
        self.spec: Any = spec.inner_optimizer if isinstance(spec, LossScaleOptimizer) else spec
        self._shapes = [(variable.spec.full_path, variable.spec.shape) for variable in variables]

    @torch.no_grad()
    def read(self, saved: SavedState) -> None:
        """Takes over the list of a file; like Keras, it warns of a list that is not this optimizer's."""
        found = entries_of(saved, self.listed, self._shapes)
        if found is None:
            warnings.warn(f"training begins afresh: the file has {len(saved.arrays)} arrays of an optimizer, and "
                          f"{self.listed!r} keeps others for {len(self.variables)} trainable weights", stacklevel=4)
            return
        values = {(entry.slot, entry.variable): np.asarray(array) for entry, array in zip(found, saved.arrays)
                  if entry.slot}
        self._read_numbers({slot: float(array) for (slot, variable), array in values.items() if variable is None})
        for (slot, variable), array in values.items():
            if variable is not None:
                self._put(self.variables[variable], slot, torch.as_tensor(array))

    def write(self) -> list[tuple[str, Any]]:
        """The list as Keras 3 writes it: each array with a name."""
        found = [(entry, self._number(entry) if entry.variable is None else self._array(entry))
                 for entry in entries(self.listed, self._shapes)]
        paths = [path.replace("/", "_") for path, _ in self._shapes]
        return [(f"{entry.slot}" if entry.variable is None else f"{paths[entry.variable]}_{entry.slot}", value)
                for entry, value in found]

    # ---- numbers -----------------------------------------------------------------------------------------------------

    def _read_numbers(self, values: dict[str, float]) -> None:
        group = self.optimizer.param_groups[0]
        group["iterations"] = int(values.get("iteration", 0))
        group["lr"] = values.get("learning_rate", group["lr"])
        group.setdefault("memory", {}).update({name: values[name] for name in self.spec.numbers if name in values})
        if self.scaler is not None and "dynamic_scale" in values:
            self.scaler.load_state_dict({**self.scaler.state_dict(), "scale": values["dynamic_scale"],
                                         "_growth_tracker": int(values["step_counter"])})

    def _number(self, entry: Entry) -> Any:
        group = self.optimizer.param_groups[0]
        if entry.slot == "iteration":
            return np.array(group["iterations"], "int32")
        if entry.slot == "step_counter":
            return np.array(self.scaler.state_dict()["_growth_tracker"], "int32")
        if entry.slot == "dynamic_scale":
            return np.array(self.scaler.get_scale(), "float32")
        if entry.slot == "learning_rate":
            return np.array(group["lr"], "float32")
        known = group.get("memory", {})
        return np.array(known.get(entry.slot, self.spec.number_after(entry.slot, group["iterations"]))
                        if entry.slot else 0.0, "float32")

    # ---- arrays ------------------------------------------------------------------------------------------------------

    def _is_laid_out_as_in_torch(self, slot: str) -> bool:
        return not isinstance(self.optimizer, KerasOptimizer) or self.spec.elementwise or slot in _IN_TORCHS_LAYOUT

    def _put(self, variable: Variable, slot: str, value: Tensor) -> None:
        first, state = variable.parameters[0], self.optimizer.state
        if not self._is_laid_out_as_in_torch(slot):
            start = begun(variable.in_keras_layout(variable.parameters), self.spec.slots()[slot])
            if start.numel() == value.numel():
                state[first][slot] = value.to(first).reshape(start.shape)
            return
        for place, parameter in zip(variable.spec.places, variable.parameters):
            laid = to_place(value, place, len(variable.parameters)).reshape(parameter.shape)
            name, factor = self._as_kept(slot)
            state[parameter][name] = (laid.to(parameter) / factor).clone()
            if name != slot and name != "momentum_buffer":
                state[parameter]["step"] = torch.tensor(float(self.optimizer.param_groups[0]["iterations"]))

    def _array(self, entry: Entry) -> Any:
        assert entry.variable is not None
        variable, state = self.variables[entry.variable], self.optimizer.state
        name, factor = self._as_kept(entry.slot)
        if self._is_laid_out_as_in_torch(entry.slot):
            held = [state[p].get(name) for p in variable.parameters]
            found = None if any(x is None for x in held) else variable.in_keras_layout(held) * factor
        else:
            found = state[variable.parameters[0]].get(entry.slot)
        if found is None:
            x = variable.in_keras_layout(variable.parameters)
            found = begun(x, self.spec.slots().get(entry.slot, 0.0))
        array = to_numpy(found)
        return array.reshape(entry.shape) if array.size == np.prod(entry.shape) else np.zeros(entry.shape, array.dtype)

    def _as_kept(self, slot: str) -> tuple[str, float]:
        """What the torch optimizer calls a slot, and what its numbers are to be multiplied with.

        Keras' momentum is a running sum of steps, torch's one of gradients.
        """
        if isinstance(self.optimizer, KerasOptimizer):
            return slot, 1.0
        name = self.spec.stock_slots[slot]
        return name, -float(self.optimizer.param_groups[0]["lr"]) if name == "momentum_buffer" else 1.0
