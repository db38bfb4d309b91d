"""Keras' optimizers as torch optimizers: what comes before and after an update, the same for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kerashape_torch.errors import KerashapeError
from kerashape_torch.lowering.weights import constraint_hook, keras_weights
from kerashape_torch.optimizers import LossScaleOptimizer, Optimizer
from kerashape_torch.optimizers.base import Now
from kerashape_torch.torch_modules.places import joined, tensor_at, to_place
from kerashape_torch.training.tensors import Tensors
from kerashape_torch.weights import WeightSpec


class Variable(NamedTuple):
    """A trainable Keras weight, and the parameters of a module that hold it."""

    spec: WeightSpec
    parameters: list[nn.Parameter]

    @property
    def is_ready(self) -> bool:
        """Whether it has a gradient."""
        return all(parameter.grad is not None for parameter in self.parameters)

    def in_keras_layout(self, tensors: Sequence[Tensor]) -> Tensor:
        """What lies in the places of the parameters, as Keras lays out the weight."""
        return joined(self.spec, {place.path: x for place, x in zip(self.spec.places, tensors)})

    def assign(self, value: Tensor) -> None:
        """Copies a value in Keras' layout to the parameters."""
        for place, parameter in zip(self.spec.places, self.parameters):
            parameter.copy_(to_place(value, place, len(self.parameters)).reshape(parameter.shape))


def variables_of(module: nn.Module) -> list[Variable]:
    """The trainable weights of a compiled module, in Keras' order."""
    return [Variable(spec, [tensor_at(module, place.path) for place in spec.places])  # type: ignore[misc]
            for spec in keras_weights(module).specs if spec.trainable]


def torch_optimizer(spec: Optimizer, module: nn.Module) -> torch.optim.Optimizer:
    """A torch optimizer of a module's trainable weights; see :meth:`Optimizer.to_torch`.

    Raises:
        KerashapeError: the module has no trainable weights, or was not made by ``to_torch``.
    """
    if isinstance(spec, LossScaleOptimizer):
        return torch_optimizer(spec.inner_optimizer, module)  # type: ignore[arg-type]
    variables = variables_of(module)
    if not variables:
        raise KerashapeError(f"{type(spec).__name__} has nothing to train: the module has no trainable weights")
    stock = spec.stock()
    made: torch.optim.Optimizer
    if stock is not None:
        name, arguments = stock
        made = getattr(torch.optim, name)([p for v in variables for p in v.parameters], lr=spec.rate_at(0), **arguments)
        made.param_groups[0]["iterations"] = 0
        made.register_step_post_hook(_count)
    else:
        made = KerasOptimizer(spec, variables)
    if any(variable.spec.constraint is not None for variable in variables):
        made.register_step_post_hook(constraint_hook(module))
    return made


def _count(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Keras counts steps in all optimizers, torch's own do not."""
    optimizer.param_groups[0]["iterations"] += 1


class KerasOptimizer(torch.optim.Optimizer):
    """The torch optimizer that a description makes; what is kept for a parameter is in ``state``, as in all of them.

    ``param_groups[0]["lr"]`` is the learning rate, which torch's schedulers may change; a schedule of Keras sets it in
    each step. ``param_groups[0]["iterations"]`` counts the steps.
    """

    def __init__(self, spec: Optimizer, variables: Sequence[Variable]) -> None:
        self.spec = spec
        self.variables = list(variables)
        super().__init__([p for variable in variables for p in variable.parameters],
                         {"lr": spec.rate_at(0), "iterations": 0, "memory": {}})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step as Keras makes it: clip the gradients, decay, update, average."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        group = self.param_groups[0]
        if callable(self.spec.learning_rate):
            group["lr"] = self.spec.rate_at(group["iterations"])
        ready = [variable for variable in self.variables if variable.is_ready]
        gradients = self._gradients(ready)
        if gradients is not None:
            gradients = self._clipped(ready, gradients)
            slots = self._slots(ready)  # before the variables change: some begin as copies of them
            self._decay(ready, float(group["lr"]))
            self._update(ready, gradients, slots)
        if self.spec.use_ema:
            self._average()
        group["iterations"] += 1
        return loss

    @property
    def _updates(self) -> int:
        """How many updates came before this step."""
        return int(self.param_groups[0]["iterations"]) // (self.spec.gradient_accumulation_steps or 1)

    # ---- gradients ---------------------------------------------------------------------------------------------------

    def _gradients(self, ready: list[Variable]) -> Tensors | None:
        """The gradients of the parameters, or their mean over some steps; None where this step only adds to them."""
        if not ready:
            return None
        parameters = [p for variable in ready for p in variable.parameters]
        gradients = Tensors([p.grad for p in parameters])  # type: ignore[misc]
        if self.spec.loss_scale_factor is not None:
            gradients = gradients / self.spec.loss_scale_factor
        steps = self.spec.gradient_accumulation_steps
        if not steps:
            return gradients
        total = self._slot(parameters, "gradient_accumulator", 0.0).add_(gradients)
        if (self.param_groups[0]["iterations"] + 1) % steps:
            return None
        mean = total / steps
        total.zero_()
        return mean

    def _clipped(self, ready: list[Variable], gradients: Tensors) -> Tensors:
        spec = self.spec
        if spec.clipnorm:
            norms = self._norms(ready, gradients)
            return gradients * Tensors([spec.clipnorm / norm.clamp(min=spec.clipnorm) for norm in norms])
        if spec.global_clipnorm:
            norm = torch.linalg.vector_norm(torch.stack(gradients.norm().list))
            return gradients.mul(spec.global_clipnorm * (1 / norm).clamp(max=1 / spec.global_clipnorm))
        if spec.clipvalue:
            return gradients.clamp_min(-spec.clipvalue).clamp_max(spec.clipvalue)
        return gradients

    @staticmethod
    def _norms(ready: list[Variable], gradients: Tensors) -> list[Tensor]:
        """The norm of each whole variable's gradient, once for each of its parameters."""
        parts = iter(gradients.norm().list)
        found: list[Tensor] = []
        for variable in ready:
            own = [next(parts) for _ in variable.parameters]
            found += [torch.linalg.vector_norm(torch.stack(own))] * len(own)
        return found

    # ---- updates -----------------------------------------------------------------------------------------------------

    def _decay(self, ready: list[Variable], rate: float) -> None:
        for variable in ready:
            decay = self.spec.decay_of(variable.spec.name, variable.spec.full_path, len(variable.spec.shape))
            if decay is not None:
                Tensors(variable.parameters).mul_(1 - decay * rate)

    def _update(self, ready: list[Variable], gradients: Tensors, slots: list[dict[str, Any]]) -> None:
        group = self.param_groups[0]
        now = Now(float(group["lr"]), self._updates + 1, group["memory"])
        if self.spec.elementwise:
            parameters = [p for variable in ready for p in variable.parameters]
            self.spec.update(Tensors(parameters), gradients, slots[0], now)
            return
        parts = iter(gradients.list)
        for variable, kept in zip(ready, slots):
            gradient = variable.in_keras_layout([next(parts) for _ in variable.parameters])
            x = variable.in_keras_layout(variable.parameters).clone()
            self.spec.update(x, gradient, kept, now._replace(path=variable.spec.full_path))
            variable.assign(x)

    # ---- what is kept ------------------------------------------------------------------------------------------------

    def _slots(self, ready: list[Variable]) -> list[dict[str, Any]]:
        """Of all variables together, as tensors in torch's layout, or of each alone in Keras'."""
        starts = self.spec.slots()
        if self.spec.elementwise:
            parameters = [p for variable in ready for p in variable.parameters]
            return [{name: self._slot(parameters, name, start) for name, start in starts.items()}]
        for variable in ready:
            state = self.state[variable.parameters[0]]
            missing = [name for name in starts if name not in state]
            if missing:
                x = variable.in_keras_layout(variable.parameters)
                state.update({name: begun(x, starts[name]) for name in missing})
        return [self.state[variable.parameters[0]] for variable in ready]

    def _slot(self, parameters: Sequence[nn.Parameter], name: str, start: float | Callable[[Any], Any]) -> Tensors:
        for parameter in parameters:
            if name not in self.state[parameter]:
                self.state[parameter][name] = begun(parameter, start)
        return Tensors([self.state[parameter][name] for parameter in parameters])

    # ---- averages ----------------------------------------------------------------------------------------------------

    def _average(self) -> None:
        parameters = [p for variable in self.variables for p in variable.parameters]
        average = self._slot(parameters, "average", 0.0)
        average.lerp_(Tensors(parameters), 1 - self.spec.ema_momentum if self._updates else 1.0)
        every = self.spec.ema_overwrite_frequency
        if every and (self._updates + 1) % every == 0:
            self.finalize_variable_values()

    @torch.no_grad()
    def finalize_variable_values(self) -> None:
        """Puts the running means in place of the variables, as Keras does after the last step, with ``use_ema``."""
        for parameter in self.param_groups[0]["params"]:
            if "average" in self.state[parameter]:
                parameter.copy_(self.state[parameter]["average"])


def begun(x: Tensor, start: float | Callable[[Any], Any]) -> Tensor:
    """What is kept for a variable before the first step."""
    made: Tensor = start(x.detach()) if callable(start) else torch.full_like(x, start)
    return made
