"""An optimizer around another one, for losses too small for 16 bits."""

from __future__ import annotations

from typing import Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.optimizers.base import Optimizer
from kerashape_torch.optimizers.identifiers import OptimizerLike


class LossScaleOptimizer(Optimizer, aliases=("lossscaleoptimizer",)):
    """The loss is multiplied by a scale, and gradients divided by it; a step with a gradient that is not finite is left
    out and halves the scale, and ``dynamic_growth_steps`` good ones double it. In torch this is a ``GradScaler``.

    >>> from kerashape_torch.optimizers import SGD
    >>> LossScaleOptimizer(SGD(0.1)).get_config()["initial_scale"]
    32768.0
    """

    inner_optimizer: OptimizerLike  # type: ignore[misc]  # no default, after those of the base class
    initial_scale: float = 2.0**15
    dynamic_growth_steps: int = 2000
    name: str | None = None

    def __post_init__(self) -> None:
        own = ("inner_optimizer", "initial_scale", "dynamic_growth_steps", "name")
        others = [name for name in self.given() if name not in own]
        if others:
            raise ConfigError(f"LossScaleOptimizer does not take {', '.join(others)}: give it to the inner optimizer")

    def get_config(self) -> dict[str, Any]:
        written = super().get_config()
        return {name: written[name] for name in ("name", "inner_optimizer", "initial_scale", "dynamic_growth_steps")}
