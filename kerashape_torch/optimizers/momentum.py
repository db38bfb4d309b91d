"""Optimizers that go along the gradient, or a running mean of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.optimizers.adam import adam_update
from kerashape_torch.optimizers.base import LearningRate, Now, Number, Optimizer, Slots, is_plain


class SGD(Optimizer, aliases=("sgd",)):
    """Along the gradient; with ``momentum``, along a running sum of such steps. ``nesterov`` looks one step ahead.

    >>> SGD(0.1, momentum=0.9).slots()
    {'momentum': 0.0}
    """

    elementwise = True
    stock_slots = {"momentum": "momentum_buffer"}
    learning_rate: LearningRate = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum <= 1:
            raise ConfigError(f"SGD(momentum=...) must be between 0 and 1, got {self.momentum}")

    def slots(self) -> Slots:
        return {"momentum": 0.0} if self.momentum else {}

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        if not self.momentum:
            x.add_(gradient, alpha=-now.rate)
            return
        moved = slots["momentum"].mul_(self.momentum).add_(gradient, alpha=-now.rate)
        if self.nesterov:
            x.add_(moved, alpha=self.momentum).add_(gradient, alpha=-now.rate)
        else:
            x.add_(moved)

    def stock(self) -> tuple[str, dict[str, Any]] | None:
        if not is_plain(self):
            return None
        return "SGD", {"momentum": self.momentum, "nesterov": self.nesterov and self.momentum > 0}


class Lion(Optimizer, aliases=("lion",)):
    """Along the sign of a running mean."""

    elementwise = True
    learning_rate: LearningRate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.beta_1 <= 1:
            raise ConfigError(f"Lion(beta_1=...) must be more than 0 and at most 1, got {self.beta_1}")

    def slots(self) -> Slots:
        return {"momentum": 0.0}

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        mean = slots["momentum"]
        x.add_((mean * self.beta_1 + gradient * (1 - self.beta_1)).sign(), alpha=-now.rate)
        mean.lerp_(gradient, 1 - self.beta_2)


class Muon(Optimizer, aliases=("muon",)):
    """Matrices go along a running sum of gradients whose singular values are brought near 1; all else goes by Adam.

    Embeddings, and variables whose path has one of the patterns ``exclude_layers`` in it, go by Adam too.
    """

    learning_rate: LearningRate = 0.001
    adam_beta_1: float = 0.9
    adam_beta_2: float = 0.999
    adam_weight_decay: Number = 0.004
    epsilon: float = 1e-7
    weight_decay: Number = 0.004
    clipnorm: Number = None
    clipvalue: Number = None
    global_clipnorm: Number = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    ema_overwrite_frequency: int | None = None
    loss_scale_factor: Number = None
    gradient_accumulation_steps: int | None = None
    name: str | None = None
    exclude_layers: Sequence[str] | None = None
    exclude_embeddings: bool = True
    muon_a: float = 3.4445
    muon_b: float = -4.775
    muon_c: float = 2.0315
    adam_lr_ratio: float = 1
    momentum: float = 0.95
    ns_steps: int = 5
    nesterov: bool = True
    rms_rate: Number = 0.2

    def slots(self) -> Slots:
        return {"momentum": 0.0, "velocity": 0.0}

    def slot_shape(self, slot: str, path: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        return None if slot == "velocity" and not self._goes_by_adam(path, len(shape)) else shape

    def decay_of(self, name: str, path: str, rank: int) -> float | None:
        if not self._decays(name):
            return None
        return self.adam_weight_decay if self._goes_by_adam(path, rank) else self.weight_decay

    def _goes_by_adam(self, path: str, rank: int) -> bool:
        is_embedding = self.exclude_embeddings and "embedding" in path.lower()
        return rank != 2 or is_embedding or any(re.search(pattern, path) for pattern in self.exclude_layers or ())

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        mean = slots["momentum"]
        if self._goes_by_adam(now.path, x.ndim):
            adam_update(x, gradient, mean, slots["velocity"], now._replace(rate=now.rate * self.adam_lr_ratio),
                        self.adam_beta_1, self.adam_beta_2, self.epsilon)
            return
        mean.mul_(self.momentum).add_(gradient)
        change = self._orthogonal(gradient + self.momentum * mean if self.nesterov else mean)
        scale = 1.0 if self.rms_rate is None else max(x.shape) ** 0.5 * self.rms_rate
        x.sub_(change * (now.rate * scale))

    def _orthogonal(self, x: Any) -> Any:
        """Newton and Schulz' iteration, with coefficients that overshoot."""
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / (x.norm() + 1e-7)
        for _ in range(self.ns_steps):
            square = x @ x.T
            x = self.muon_a * x + (self.muon_b * square + self.muon_c * square @ square) @ x
        return x.T if tall else x
