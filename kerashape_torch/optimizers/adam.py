"""Adam and those that came of it: a running mean of the gradient, divided by the size that gradients have had.

Keras adds ``epsilon`` to the root before the correction for the first steps, where torch adds it after.
"""

from __future__ import annotations

import math
from typing import Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.optimizers.base import LearningRate, Now, Number, Optimizer, Slots


def adam_update(x: Any, gradient: Any, mean: Any, square: Any, now: Now, beta_1: float, beta_2: float, epsilon: float,
                largest: Any = None) -> None:
    """One step of Adam; with ``largest``, of its AMSGrad variant."""
    mean.lerp_(gradient, 1 - beta_1)
    square.lerp_(gradient * gradient, 1 - beta_2)
    if largest is not None:
        square = largest.copy_(largest.maximum(square))
    rate = now.rate * math.sqrt(1 - beta_2**now.step) / (1 - beta_1**now.step)
    x.sub_(mean * rate / (square.sqrt() + epsilon))


class Adam(Optimizer, aliases=("adam",)):
    """A running mean of the gradient over the root of a running mean of its square."""

    elementwise = True
    learning_rate: LearningRate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False
    apart = ("velocity_hat",)

    def slots(self) -> Slots:
        return {"momentum": 0.0, "velocity": 0.0, **({"velocity_hat": 0.0} if self.amsgrad else {})}

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        adam_update(x, gradient, slots["momentum"], slots["velocity"], now, self.beta_1, self.beta_2, self.epsilon,
                    slots.get("velocity_hat"))


class AdamW(Adam, aliases=("adamw",)):
    """Adam, and ``weight_decay`` times the learning rate of each variable is taken off."""

    learning_rate: LearningRate = 0.001
    weight_decay: Number = 0.004
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight_decay is None:
            raise ConfigError("AdamW(weight_decay=...) must be a number, got None. Adam goes without")


class _Adaptive(Optimizer, catalog=False):
    learning_rate: LearningRate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def slots(self) -> Slots:
        return {"momentum": 0.0, "velocity": 0.0}


class Adamax(_Adaptive, aliases=("adamax",)):
    """Adam with the largest of the gradients so far in place of their mean square."""

    elementwise = True

    def slots(self) -> Slots:
        return {"momentum": 0.0, "norm": 0.0}

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        mean, largest = slots["momentum"], slots["norm"]
        mean.lerp_(gradient, 1 - self.beta_1)
        largest.copy_((largest * self.beta_2).maximum(gradient.abs()))
        x.sub_(mean * (now.rate / (1 - self.beta_1**now.step)) / (largest + self.epsilon))


class Nadam(_Adaptive, aliases=("nadam",)):
    """Adam that looks one step ahead, as Nesterov's momentum does."""

    elementwise = True
    numbers = ("u_product",)
    _warming = 1.0

    def number_after(self, name: str, steps: int) -> float:
        return math.prod(map(self._at, range(1, steps + 1)))

    def _at(self, step: int) -> float:
        return float(self.beta_1 * (1 - 0.5 * 0.96 ** (self._warming * step)))

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        this, following = self._at(now.step), self._at(now.step + 1)
        if "u_product" not in now.memory:
            now.memory["u_product"] = self.number_after("u_product", now.step - 1)
        product = now.memory["u_product"] = now.memory["u_product"] * this
        mean = slots["momentum"].lerp_(gradient, 1 - self.beta_1)
        square = slots["velocity"].lerp_(gradient * gradient, 1 - self.beta_2)
        ahead = mean * (following / (1 - product * following)) + gradient * ((1 - this) / (1 - product))
        x.sub_(ahead * now.rate / ((square / (1 - self.beta_2**now.step)).sqrt() + self.epsilon))


class Lamb(_Adaptive, aliases=("lamb",)):
    """Adam, each variable's step as large as the variable, times the learning rate."""

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        mean = slots["momentum"].lerp_(gradient, 1 - self.beta_1)
        square = slots["velocity"].lerp_(gradient * gradient, 1 - self.beta_2)
        root = (square / (1 - self.beta_2**now.step)).sqrt() + self.epsilon
        change = mean / (1 - self.beta_1**now.step) / root
        size, step = x.norm(), change.norm()
        ratio = (size / step).where((size > 0) & (step > 0), size.new_ones(()))
        x.sub_(change * (ratio * now.rate))


class ScheduleFreeAdamW(_Adaptive, aliases=("schedulefreeadamw",)):
    """Adam between a fast variable and the mean of where it has been, instead of a schedule."""

    elementwise = True
    learning_rate: LearningRate = 0.0025
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    warmup_steps: float = 0

    def slots(self) -> Slots:
        return {"momentum": lambda x: x.clone(), "velocity": 0.0}

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        rate = now.rate * min(now.step / self.warmup_steps, 1) if self.warmup_steps > 0 else now.rate
        fast = slots["momentum"]
        mean = (x - fast * (1 - self.beta_1)) / self.beta_1
        square = slots["velocity"].lerp_(gradient * gradient, 1 - self.beta_2)
        fast.sub_(gradient * rate / ((square / (1 - self.beta_2**now.step)).sqrt() + self.epsilon))
        mean.lerp_(fast, 1 / now.step)
        x.copy_(fast * (1 - self.beta_1) + mean * self.beta_1)
