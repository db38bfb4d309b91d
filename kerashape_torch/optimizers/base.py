"""What all optimizers of Keras 3 have in common: their arguments, and what each states of its own arithmetic."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from kerashape_torch import config
from kerashape_torch.config import Record
from kerashape_torch.errors import ConfigError
from kerashape_torch.graph import snake_case
from kerashape_torch.kinds import Kind
from kerashape_torch.optimizers import schedules
from kerashape_torch.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    import torch
    from torch import nn


class _Number(Kind):
    """A number, or None."""

    def read(self, value: Any, where: str) -> Any:
        if value is None:
            return None
        number = float(value) if hasattr(value, "__float__") else math.nan
        if math.isnan(number):
            raise ConfigError(f"{where} must be a number or None, got {value!r}")
        return number


class _Rate(Kind):
    """A number, a schedule or its config, or a function without arguments."""

    def read(self, value: Any, where: str) -> Any:
        if isinstance(value, Mapping):
            return schedules.deserialize(value)
        if isinstance(value, LearningRateSchedule) or callable(value):
            return value
        if value is None or isinstance(value, str):
            raise ConfigError(f"{where} must be a number, a LearningRateSchedule or a function, got {value!r}")
        return _Number().read(value, where)


Number = Annotated[float | None, _Number()]
LearningRate = Annotated[float | LearningRateSchedule | Callable[[], float] | Mapping[str, Any], _Rate()]


Slots = dict[str, float | Callable[[Any], Any]]


class Now(NamedTuple):
    """What an update may need to know.

    Attributes:
        rate: the learning rate.
        step: how many updates there are with this one: 1 in the first.
        memory: numbers that an optimizer keeps from step to step.
        path: of the variable, as Keras names it, where each is updated alone.
    """

    rate: float
    step: int
    memory: dict[str, float]
    path: str = ""


class Optimizer(Record, family=True):
    """Base of all optimizers: the arguments that each of them takes.

    Your own is a subclass that states :meth:`slots`, what is kept for each variable, and :meth:`update`.

    >>> class SignDescent(Optimizer, catalog=False):
    ...     def update(self, x, gradient, slots, now):
    ...         x.sub_(now.rate * gradient.sign())
    >>> SignDescent(0.1, clipnorm=1.0)
    SignDescent(learning_rate=0.1, clipnorm=1.0)
    """

    keras_module = "keras.optimizers"
    elementwise: ClassVar[bool] = False
    """Whether each number is updated by itself. Then many variables are updated at once, in torch's order of axes; else
    each alone, in Keras'."""
    apart: ClassVar[tuple[str, ...]] = ()
    """Slots that files list for all variables, one after the other; the rest is listed variable by variable."""
    numbers: ClassVar[tuple[str, ...]] = ()
    """What is kept in ``now.memory``, and in files."""
    stock_slots: ClassVar[dict[str, str]] = {}
    """What torch's own optimizer of :meth:`stock` calls the slots."""

    learning_rate: LearningRate = 0.001
    weight_decay: Number = None
    clipnorm: Number = None
    clipvalue: Number = None
    global_clipnorm: Number = None
    use_ema: bool = False
    ema_momentum: float = 0.99
    ema_overwrite_frequency: int | None = None
    loss_scale_factor: Number = None
    gradient_accumulation_steps: int | None = None
    name: str | None = None

    _not_decayed: Sequence[str] = ()

    def __post_init__(self) -> None:
        clips = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(clips) > 1:
            raise ConfigError(f"{type(self).__name__} takes one of clipnorm, clipvalue and global_clipnorm, "
                              f"got {' and '.join(clips)}")
        if self.use_ema and not 0 <= self.ema_momentum <= 1:
            raise ConfigError(f"{type(self).__name__}(ema_momentum=...) must be between 0 and 1, "
                              f"got {self.ema_momentum}")
        if self.gradient_accumulation_steps is not None and self.gradient_accumulation_steps < 2:
            raise ConfigError(f"{type(self).__name__}(gradient_accumulation_steps=...) must be 2 or more, "
                              f"got {self.gradient_accumulation_steps}")

    # ---- what each optimizer states ----------------------------------------------------------------------------------

    def slots(self) -> Slots:
        """What is kept for each variable, and what it begins with: a number, or a function of the variable."""
        return {}

    def update(self, x: Any, gradient: Any, slots: dict[str, Any], now: Now) -> None:
        """Changes the variable ``x`` and its ``slots`` in place."""
        raise NotImplementedError(f"{type(self).__name__} must implement update(x, gradient, slots, now)")

    def stock(self) -> tuple[str, dict[str, Any]] | None:
        """The class of ``torch.optim`` that does the same, with its arguments, if there is one."""
        return None

    def slot_shape(self, slot: str, path: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape that a file has for a slot of a variable; None where it has none."""
        return shape

    def number_after(self, name: str, steps: int) -> float:
        """What one of :attr:`numbers` is after so many steps, where a file does not say."""
        return 1.0

    # ---- what follows ------------------------------------------------------------------------------------------------

    def rate_at(self, iteration: int) -> float:
        """The learning rate of a step; the first is 0.

        >>> from kerashape_torch.optimizers import SGD
        >>> SGD(schedules.InverseTimeDecay(0.1, 1, 1.0)).rate_at(1)
        0.05
        """
        if isinstance(self.learning_rate, LearningRateSchedule):
            return float(self.learning_rate(iteration))
        return float(self.learning_rate() if callable(self.learning_rate) else self.learning_rate)  # type: ignore[arg-type]

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Sequence[str] | None = None) -> None:
        """Variables whose name has one of these patterns in it, as ``["bias"]``, do not decay."""
        if var_list is not None:
            raise ConfigError("exclude_from_weight_decay takes var_names: a description has no variables")
        self._not_decayed = tuple(var_names or ())

    def decay_of(self, name: str, path: str, rank: int) -> float | None:
        """The weight decay of a variable: this much of it, times the learning rate, is taken off in each step."""
        return self.weight_decay if self._decays(name) else None

    def _decays(self, name: str) -> bool:
        return not any(re.search(pattern, name) for pattern in self._not_decayed)

    def to_torch(self, module: nn.Module) -> torch.optim.Optimizer:
        """A torch optimizer of the trainable weights of a compiled module, with Keras' arithmetic.

        It is torch's own where that computes the same. Constraints of weights hold after each step.

        >>> from kerashape_torch.layers import Dense
        >>> from kerashape_torch.optimizers import SGD
        >>> type(SGD(momentum=0.9).to_torch(Dense(2, input_shape=(3,)).to_torch()))
        <class 'torch.optim.sgd.SGD'>
        """
        from kerashape_torch.training.optimizers import torch_optimizer

        return torch_optimizer(self, module)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "name": self.name or snake_case(type(self).__name__)}


def is_plain(optimizer: Optimizer) -> bool:
    """Whether it has a fixed learning rate and nothing that comes before or after an update."""
    options = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor",
               "gradient_accumulation_steps")
    return (isinstance(optimizer.learning_rate, float) and not optimizer.use_ema
            and all(getattr(optimizer, name) is None for name in options))


config.register_family(Optimizer.keras_module, Optimizer)
