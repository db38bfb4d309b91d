"""The learning-rate schedules of Keras 3: a rate for each step, counted from 0. They are plain arithmetic.

>>> decay = ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)
>>> decay(0), decay(10)
(0.1, 0.05)
>>> deserialize(serialize(decay))
ExponentialDecay(initial_learning_rate=0.1, decay_steps=10, decay_rate=0.5)
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kerashape_torch import config as configs
from kerashape_torch.config import Record
from kerashape_torch.errors import ConfigError


class LearningRateSchedule(Record, family=True):
    """Base of all schedules. Your own overrides ``__call__(step)``, as in Keras."""

    keras_module = "keras.optimizers.schedules"

    def __call__(self, step: int) -> float:
        """The learning rate at a step."""
        raise NotImplementedError(f"{type(self).__name__} must implement __call__(step)")

    def _needs_steps(self, name: str = "decay_steps") -> None:
        if getattr(self, name) <= 0:
            raise ConfigError(f"{type(self).__name__}({name}=...) must be more than 0, got {getattr(self, name)}")


class _Decay(LearningRateSchedule, catalog=False):
    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False
    name: str | None = ""

    def __post_init__(self) -> None:
        self._needs_steps()

    def _periods(self, step: int) -> float:
        return math.floor(step / self.decay_steps) if self.staircase else step / self.decay_steps


class ExponentialDecay(_Decay):
    """``rate * decay_rate ** (step / decay_steps)``; ``staircase`` takes whole periods only."""

    name = "ExponentialDecay"

    def __call__(self, step: int) -> float:
        return float(self.initial_learning_rate * self.decay_rate ** self._periods(step))


class InverseTimeDecay(_Decay):
    """``rate / (1 + decay_rate * step / decay_steps)``; ``staircase`` takes whole periods only."""

    name = "InverseTimeDecay"

    def __call__(self, step: int) -> float:
        return self.initial_learning_rate / (1 + self.decay_rate * self._periods(step))


class PiecewiseConstantDecay(LearningRateSchedule):
    """The first of ``values`` up to and including the first of ``boundaries``, the second up to the second, and so on.

    >>> rate = PiecewiseConstantDecay([10], [0.1, 0.01])
    >>> rate(10), rate(11)
    (0.1, 0.01)
    """

    boundaries: Sequence[float]
    values: Sequence[float]
    name: str | None = "PiecewiseConstant"

    def __post_init__(self) -> None:
        if len(self.boundaries) != len(self.values) - 1:
            raise ConfigError("PiecewiseConstantDecay needs one boundary between two values, got "
                              f"{len(self.boundaries)} boundaries and {len(self.values)} values")

    def __call__(self, step: int) -> float:
        return self.values[bisect.bisect_left(self.boundaries, step)]


class PolynomialDecay(LearningRateSchedule):
    """From one rate to another in ``decay_steps``, along a power of the way left; ``cycle`` stretches it instead of
    staying there."""

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False
    name: str | None = "PolynomialDecay"

    def __post_init__(self) -> None:
        self._needs_steps()

    def __call__(self, step: int) -> float:
        cycles = max(math.ceil(step / self.decay_steps), 1) if self.cycle else 1
        done = min(step / (self.decay_steps * cycles), 1)
        way = (1 - done) ** self.power
        return float((self.initial_learning_rate - self.end_learning_rate) * way + self.end_learning_rate)


class CosineDecay(LearningRateSchedule):
    """Along half a cosine down to ``alpha`` of the rate; before that, with a ``warmup_target``, on a line up to it."""

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    name: str | None = "CosineDecay"
    warmup_target: float | None = None
    warmup_steps: float = 0

    def __post_init__(self) -> None:
        self._needs_steps()

    def __call__(self, step: int) -> float:
        top, past = self.initial_learning_rate, float(step)
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return top + (self.warmup_target - top) * step / self.warmup_steps
            top, past = self.warmup_target, step - self.warmup_steps
        cosine = _half_cosine(min(past / self.decay_steps, 1))
        return top * ((1 - self.alpha) * cosine + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines one after another, each ``t_mul`` times as long and ``m_mul`` times as high as the one before."""

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0
    name: str | None = "SGDRDecay"

    def __post_init__(self) -> None:
        self._needs_steps("first_decay_steps")

    def __call__(self, step: int) -> float:
        past = step / self.first_decay_steps
        if self.t_mul == 1:
            restarts = math.floor(past)
            past -= restarts
        else:
            restarts = math.floor(math.log(1 - past * (1 - self.t_mul)) / math.log(self.t_mul))
            past = (past - (1 - self.t_mul**restarts) / (1 - self.t_mul)) / self.t_mul**restarts
        cosine = self.m_mul**restarts * _half_cosine(past)
        return self.initial_learning_rate * ((1 - self.alpha) * cosine + self.alpha)


def _half_cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """The Keras 3 config of a schedule."""
    return configs.serialize(learning_rate_schedule)


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The schedule that :func:`serialize` wrote; ``custom_objects`` are names of your own classes.

    Raises:
        ConfigError: it describes no schedule.
    """
    with configs.custom_object_scope(custom_objects):
        found = configs.deserialize({**config, "module": LearningRateSchedule.keras_module})
    if not callable(found):
        raise ConfigError(f"{config.get('class_name')!r} is no learning-rate schedule")
    return found


configs.register_family(LearningRateSchedule.keras_module, LearningRateSchedule)
