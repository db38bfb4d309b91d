"""What ``model.compile`` says: optimizer, losses and metrics, kept as descriptions and written as Keras writes them.

``kerashape_torch.training`` makes torch objects of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from kerashape_torch import losses, metrics, optimizers
from kerashape_torch.config import Record
from kerashape_torch.errors import ConfigError
from kerashape_torch.kinds import Kind
from kerashape_torch.losses import LossLike
from kerashape_torch.metrics import MetricLike
from kerashape_torch.optimizers import OptimizerLike, legacy, schedules

BY_SHAPE = {"loss": ("crossentropy", "ce"), "metrics": ("accuracy", "acc")}
"""Names that mean one thing or another by the shapes of targets and predictions."""


def is_config(value: Any) -> bool:
    """Whether a dict is the config of an object, and not a dict of outputs."""
    return isinstance(value, Mapping) and "class_name" in value and "config" in value


def map_leaves(function: Callable[[Any], Any], value: Any) -> Any:
    """The same lists and dicts with a function applied to what stands in them; configs are leaves."""
    if isinstance(value, Mapping) and not is_config(value):
        return {name: map_leaves(function, item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map_leaves(function, item) for item in value)
    return function(value)


class _Nested(Kind):
    """One for all outputs, or lists and dicts of them. Names stay names, as in Keras' configs."""

    def __init__(self, annotated: Any, names: tuple[str, ...]) -> None:
        self.inner: Kind = annotated.__metadata__[0]
        self.names = names

    def read(self, value: Any, where: str) -> Any:
        def one(leaf: Any) -> Any:
            kept = isinstance(leaf, str) and leaf.lower() in self.names
            return leaf if kept else self.inner.read(leaf, where)

        return map_leaves(one, value)

    def write(self, value: Any, record: Any) -> Any:
        return map_leaves(lambda leaf: leaf if isinstance(leaf, str) else self.inner.write(leaf, record), value)


Losses = Annotated[Any, _Nested(LossLike, BY_SHAPE["loss"])]
Metrics = Annotated[Any, _Nested(MetricLike, BY_SHAPE["metrics"])]


class CompileConfig(Record, catalog=False):
    """The arguments of ``model.compile``.

    >>> said = CompileConfig("adam", loss="mse", metrics=["accuracy"])
    >>> said.optimizer, said.loss, said.get_config()["optimizer"]["class_name"]
    (Adam(), 'mse', 'Adam')
    """

    optimizer: OptimizerLike = "rmsprop"
    loss: Losses = None
    loss_weights: Any = None
    metrics: Metrics = None
    weighted_metrics: Metrics = None
    run_eagerly: Any = False
    steps_per_execution: Any = 1
    jit_compile: Any = "auto"
    auto_scale_loss: Any = True

    def __post_init__(self) -> None:
        self.optimizer = optimizers.get(self.optimizer)
        if self.jit_compile == "auto":  # as Keras says it on torch
            self.jit_compile = False

    def get_config(self) -> dict[str, Any]:
        """The arguments as Keras keeps them in ``compile_config``."""
        return {name: value for name, value in super().get_config().items() if name != "auto_scale_loss"}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> CompileConfig:
        """The arguments from a ``compile_config`` of Keras 3, or the ``training_config`` of a Keras 1 or 2 file.

        Raises:
            ConfigError: something in it is not known. Your own classes and functions go into ``custom_objects``.
        """
        given = {**config, "optimizer": config.get("optimizer", config.get("optimizer_config"))}
        known = {name: given[name] for name in cls._fields if given.get(name) is not None}
        for name, upgrade in (("optimizer", _optimizer), ("loss", _loss), ("metrics", _metric),
                              ("weighted_metrics", _metric)):
            if name in known:
                known[name] = map_leaves(upgrade, known[name])
        return cls(**{"optimizer": None, **known})


# ---- configs of Keras 1 and 2 ----------------------------------------------------------------------------------------

_GONE = ("jit_compile", "is_legacy_optimizer", "dynamic", "decay", "schedule_decay", "lr")
_OLD = ("lr", "decay", "schedule_decay")
"""Optimizers of Keras before 2.11, and legacy ones after it, write one of these; no later one does."""


def is_old_optimizer(config: Any) -> bool:
    """Whether a ``training_config`` names an optimizer of Keras before 2.11, or a legacy one."""
    said = config.get("optimizer", config.get("optimizer_config")) if isinstance(config, Mapping) else None
    arguments = said["config"] if isinstance(said, Mapping) and is_config(said) else None
    return isinstance(arguments, Mapping) and any(name in arguments for name in _OLD)


def _optimizer(config: Any) -> Any:
    """An optimizer as Keras 3 writes it, or one of :mod:`optimizers.legacy`."""
    if not is_config(config) or not isinstance(config["config"], Mapping):
        return config
    given = config["config"]
    kept = {name: value for name, value in given.items() if name not in _GONE and (name, value) != ("epsilon", None)}
    if "inner_optimizer" in kept:
        kept["inner_optimizer"] = _optimizer(kept["inner_optimizer"])
    if any(name in given for name in _OLD):
        return _old_optimizer(config, kept)
    name = "LossScaleOptimizer" if config["class_name"] == "LossScaleOptimizerV3" else config["class_name"]
    return {**config, "class_name": name, "config": kept}


def _old_optimizer(config: Mapping[str, Any], kept: dict[str, Any]) -> Any:
    """``decay`` is a schedule now, but that of Nadam, which is one of momentum."""
    given, name = config["config"], str(config["class_name"]).rpartition(">")[2]
    rate, decay = given.get("learning_rate", given.get("lr")), given.get("decay", given.get("schedule_decay"))
    if rate is not None:
        kept["learning_rate"] = rate
    if name == "Nadam":
        kept["decay"] = 0.004 if decay is None else decay
    elif decay and isinstance(rate, Mapping):
        raise ConfigError(f"{name} has a schedule as its learning_rate, and decay={decay} beside it")
    elif decay:
        kept["learning_rate"] = schedules.InverseTimeDecay(rate, 1, decay)
    if "name" not in given:  # Keras before tf.keras: no accumulator but of zeros, and all gradients clipped together
        if name == "Adagrad":
            kept["initial_accumulator_value"] = 0.0
        if "clipnorm" in kept:
            kept["global_clipnorm"] = kept.pop("clipnorm")
    own = legacy.BY_NAME.get(name)
    return {**config, "class_name": name, "config": kept} if own is None else own.from_config(kept)


def _loss(config: Any) -> Any:
    """A loss as Keras 3 writes it."""
    if not is_config(config) or config["class_name"] not in losses.Loss.catalog():
        return config
    kept = {name: value for name, value in config["config"].items() if name != "fn"}
    if kept.get("reduction") == "auto":
        del kept["reduction"]
    return {**config, "config": kept}


def _metric(config: Any) -> Any:
    """A metric as Keras 3 writes it."""
    if not is_config(config) or config["class_name"] not in metrics.Metric.catalog():
        return config
    own = config["class_name"] == "MeanMetricWrapper"
    return {**config, "config": {name: value for name, value in config["config"].items() if name != "fn" or own}}


def leaves(value: Any) -> Iterator[Any]:
    """What stands in nested lists and dicts."""
    found: list[Any] = []
    map_leaves(found.append, value)
    yield from found
