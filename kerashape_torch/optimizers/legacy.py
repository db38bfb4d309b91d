"""Optimizers of Keras 1 and 2 whose arithmetic is not that of Keras 3: what files of theirs mean.

They are those of Keras before 2.11, and of ``keras.optimizers.legacy`` after it. Adam, Adamax, Adadelta, Ftrl and SGD
compute what they compute today. A config of Keras 3 cannot say the difference, so they are written as today's.
"""

from __future__ import annotations

from typing import Any

from kerashape_torch.optimizers import adam, adaptive


class RMSprop(adaptive.RMSprop, catalog=False):
    """Without momentum, epsilon is added to the root and not below it.

    >>> RMSprop(0.01).get_config()["learning_rate"]
    0.01
    """

    def _root(self, size: Any) -> Any:
        return super()._root(size) if self.momentum > 0 else size.sqrt() + self.epsilon


class Adagrad(adaptive.Adagrad, catalog=False):
    """Epsilon is added to the root and not below it."""

    def _root(self, total: Any) -> Any:
        return total.sqrt() + self.epsilon


class Nadam(adam.Nadam, catalog=False):
    """``decay`` says how slowly the momentum warms up: today's Nadam warms up as with 1, that of Keras 2 with 0.004."""

    unwritten = ("decay",)
    decay: float = 0.004

    @property
    def _warming(self) -> float:  # type: ignore[override]
        return self.decay


BY_NAME: dict[str, type[RMSprop | Adagrad | Nadam]] = {"RMSprop": RMSprop, "Adagrad": Adagrad, "Nadam": Nadam}
