"""Optimizers that divide the gradient by the size that gradients have had. Keras adds ``epsilon`` below the root."""

from __future__ import annotations

from typing import Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.optimizers.base import LearningRate, Now, Number, Optimizer, Slots, is_plain


class RMSprop(Optimizer, aliases=("rmsprop",)):
    """The gradient over the root of a running mean of its square; ``centered`` takes its variance instead."""

    elementwise = True
    learning_rate: LearningRate = 0.001
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False
    apart = ("velocity", "momentum", "average_gradient")

    def slots(self) -> Slots:
        return {"velocity": 0.0, **({"momentum": 0.0} if self.momentum > 0 else {}),
                **({"average_gradient": 0.0} if self.centered else {})}

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        size = slots["velocity"].lerp_(gradient * gradient, 1 - self.rho)
        if self.centered:
            mean = slots["average_gradient"].lerp_(gradient, 1 - self.rho)
            size = size - mean * mean
        change = gradient * now.rate / self._root(size)
        x.sub_(slots["momentum"].mul_(self.momentum).add_(change) if self.momentum > 0 else change)

    def _root(self, size: Any) -> Any:
        return (size + self.epsilon).sqrt()


class Adagrad(Optimizer, aliases=("adagrad",)):
    """The gradient over the root of the sum of all squares so far."""

    elementwise = True
    learning_rate: LearningRate = 0.001
    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def slots(self) -> Slots:
        return {"accumulator": self.initial_accumulator_value}

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        total = slots["accumulator"].add_(gradient * gradient)
        x.sub_(gradient * now.rate / self._root(total))

    def _root(self, total: Any) -> Any:
        return (total + self.epsilon).sqrt()


class Adadelta(Optimizer, aliases=("adadelta",)):
    """The gradient, brought from the size of past gradients to that of past steps."""

    elementwise = True
    stock_slots = {"accumulated_grad": "square_avg", "accumulated_delta_var": "acc_delta"}
    learning_rate: LearningRate = 0.001
    rho: float = 0.95
    epsilon: float = 1e-7

    def slots(self) -> Slots:
        return {"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        steps = slots["accumulated_delta_var"]
        total = slots["accumulated_grad"].lerp_(gradient * gradient, 1 - self.rho)
        change = gradient * (steps + self.epsilon).sqrt() / (total + self.epsilon).sqrt()
        steps.lerp_(change * change, 1 - self.rho)
        x.add_(change, alpha=-now.rate)

    def stock(self) -> tuple[str, dict[str, Any]] | None:
        return ("Adadelta", {"rho": self.rho, "eps": self.epsilon}) if is_plain(self) else None


class Adafactor(Optimizer, aliases=("adafactor",)):
    """Of a matrix's squared gradients only the means of rows and of columns are kept; steps go with the variable."""

    learning_rate: LearningRate = 0.001
    beta_2_decay: float = -0.8
    epsilon_1: float = 1e-30
    epsilon_2: float = 1e-3
    clip_threshold: float = 1.0
    relative_step: bool = True

    def slots(self) -> Slots:
        return {"rows": lambda x: x[..., :1] * 0, "columns": lambda x: x[..., :1, :] * 0 if x.ndim > 1 else x[:0],
                "velocity": 0.0}

    def slot_shape(self, slot: str, path: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        if slot == "velocity":
            return shape
        if len(shape) < 2:  # Keras has a number there, which it never uses
            return ()
        return shape[:-1] if slot == "rows" else (*shape[:-2], shape[-1])

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        rate = min(now.rate, now.step**-0.5)
        weight = now.step**self.beta_2_decay
        square = gradient * gradient + self.epsilon_1
        size = slots["velocity"]
        if x.ndim >= 2:
            rows = slots["rows"].lerp_(square.mean(-1, keepdim=True), weight)
            columns = slots["columns"].lerp_(square.mean(-2, keepdim=True), weight)
            size.copy_(rows / rows.mean(-2, keepdim=True) * columns)
        else:
            size.lerp_(square, weight)
        change = gradient / size.sqrt()
        limit = (_root_mean_square(change) / self.clip_threshold).clamp(min=1)
        x.sub_(change / limit * (_root_mean_square(x).clamp(min=self.epsilon_2) * rate))


def _root_mean_square(x: Any) -> Any:
    return x.square().mean().sqrt()


class Ftrl(Optimizer, aliases=("ftrl",)):
    """Follow the regularized leader: the variable is solved for anew in each step, which makes it sparse."""

    elementwise = True
    learning_rate: LearningRate = 0.001
    learning_rate_power: float = -0.5
    initial_accumulator_value: float = 0.1
    l1_regularization_strength: float = 0.0
    l2_regularization_strength: float = 0.0
    l2_shrinkage_regularization_strength: float = 0.0
    beta: Number = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("initial_accumulator_value", "l1_regularization_strength", "l2_regularization_strength",
                     "l2_shrinkage_regularization_strength"):
            if getattr(self, name) < 0:
                raise ConfigError(f"Ftrl({name}=...) must be 0 or more, got {getattr(self, name)}")
        if self.learning_rate_power > 0:
            raise ConfigError(f"Ftrl(learning_rate_power=...) must be 0 or less, got {self.learning_rate_power}")

    def slots(self) -> Slots:
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        total, linear, power = slots["accumulator"], slots["linear"], -self.learning_rate_power
        before = total.pow(power)
        after = total.add_(gradient * gradient).pow(power)
        shrunk = gradient + x * (2 * self.l2_shrinkage_regularization_strength)
        linear.add_(shrunk - (after - before) / now.rate * x)
        l2 = self.l2_regularization_strength + (self.beta or 0.0) / (2 * now.rate)
        limit = self.l1_regularization_strength
        x.copy_((linear.clamp_min(-limit).clamp_max(limit) - linear) / (after / now.rate + 2 * l2))
