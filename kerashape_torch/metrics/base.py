"""What metrics of Keras 3 have in common: each adds up some sums over batches, and has a result of these sums.

So a metric is stated by two functions, and :class:`kerashape_torch.training.metrics.MetricState` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from kerashape_torch import config
from kerashape_torch.config import Record
from kerashape_torch.errors import ConfigError, did_you_mean
from kerashape_torch.graph import snake_case
from kerashape_torch.losses.classes import DType
from kerashape_torch.losses.reduction import divided, masked_weight, same_rank
from kerashape_torch.metrics.functions import FUNCTIONS

if TYPE_CHECKING:
    from torch import Tensor

Sums = dict[str, Any]


class Metric(Record, family=True, kw_only=True):
    """Base of all metrics. Your own states :meth:`sums` of a batch, and :meth:`result` of the sums of all batches.

    >>> import torch
    >>> class Largest(Metric, catalog=False):
    ...     def sums(self, y_true, y_pred, sample_weight, mask):
    ...         return {"total": (y_true - y_pred).abs().amax(-1).sum(), "count": len(y_true)}
    ...     def result(self, sums):
    ...         return sums["total"] / sums["count"]
    >>> state = Largest().to_torch()
    >>> state.update(outputs=torch.tensor([[1.0, 3.0]]), targets=torch.zeros(1, 2))
    >>> state.compute()
    tensor(3.)
    """

    keras_module = "keras.metrics"
    keras_dtype: ClassVar[str] = "float32"

    name: str | None = None
    dtype: DType = None

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        """What one batch adds, by name: tensors or numbers.

        Args:
            sample_weight: one for each sample, or for each prediction of one.
            mask: False where a prediction does not count.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement sums(y_true, y_pred, sample_weight, mask)")

    def result(self, sums: Sums) -> Tensor:
        """The metric, of the sums over all batches."""
        raise NotImplementedError(f"{type(self).__name__} must implement result(sums)")

    def to_torch(self) -> Any:
        """The metric with its state: ``update(outputs, targets, sample_weight=None)``, ``compute()``, ``reset()``."""
        from kerashape_torch.training.metrics import MetricState

        return MetricState(self)

    @property
    def full_name(self) -> str:
        """The name that it was given, or that of its class."""
        return self.name or snake_case(type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "name": self.full_name, "dtype": self.dtype or self.keras_dtype}


# ---- means -----------------------------------------------------------------------------------------------------------


def by_sample(values: Tensor, sample_weight: Tensor | None, mean: bool) -> tuple[Tensor, Tensor | None]:
    """One value for each sample, times its weight, and that weight: the mean or the sum over all other axes."""
    if sample_weight is not None:
        values, sample_weight = same_rank(values, sample_weight.to(values.dtype))
        values = _over_axes(values, sample_weight.ndim, mean)
        sample_weight = sample_weight.expand(values.shape)
        values = values * sample_weight
        sample_weight = _over_axes(sample_weight, 1, mean)
    return _over_axes(values, 1, mean), sample_weight


def _over_axes(x: Tensor, first: int, mean: bool) -> Tensor:
    axes = tuple(range(first, x.ndim))
    return x if not axes else x.mean(axes) if mean else x.sum(axes)


def mean_sums(values: Tensor, sample_weight: Tensor | None) -> Sums:
    """What a batch adds to a mean over samples."""
    values, sample_weight = by_sample(values, sample_weight, mean=True)
    count = sample_weight.sum() if sample_weight is not None else len(values) if values.ndim else 1
    return {"total": values.sum(), "count": count}


def mean_of(sums: Sums) -> Tensor:
    """The mean, and 0 where nothing has been counted."""
    import torch

    total = torch.as_tensor(sums["total"])
    return divided(total, torch.as_tensor(sums["count"]).to(total))


class MeanOfFunction(Metric, catalog=False):
    """The mean over samples of a function of targets and predictions."""

    function: ClassVar[Callable[..., Any]]

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The function, given the metric's own arguments."""
        own = {name: getattr(self, field.attribute) for name, field in self._fields.items()
               if name not in Metric._fields}
        return type(self).function(y_true, y_pred, **own)  # type: ignore[no-any-return]

    def counted(self, y_true: Tensor, values: Tensor) -> Tensor | None:
        """Where a value counts, which Keras minds where there are weights; None is everywhere."""
        return None

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        values = self.values(y_true, y_pred).float()
        sample_weight = masked_weight(sample_weight, mask, values.dtype, mean=False)
        if sample_weight is not None:
            sample_weight = masked_weight(sample_weight, self.counted(y_true, values), values.dtype, mean=False)
        return mean_sums(values, sample_weight)

    def result(self, sums: Sums) -> Tensor:
        return mean_of(sums)


class MeanMetricWrapper(Metric):
    """The mean over samples of a function of your own; other arguments are passed to it.

    >>> import torch
    >>> state = MeanMetricWrapper(lambda y_true, y_pred: (y_true - y_pred).abs(), name="distance").to_torch()
    >>> state.update(outputs=torch.tensor([1.0, 3.0]), targets=torch.zeros(2))
    >>> state.compute()
    tensor(2.)
    """

    fn: Any  # type: ignore[misc]
    name: str | None = None
    dtype: DType = None

    def __init__(self, fn: Any, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        if isinstance(fn, str):
            found = FUNCTIONS.get(fn) or config.custom_object(fn)
            if found is None:
                raise ConfigError(f"{fn!r} is not one of the functions of keras.metrics.{did_you_mean(fn, FUNCTIONS)} "
                                  f"If it is your own, pass custom_objects={{{fn!r}: your_function}}")
            fn = found
        super().__init__(fn, name=name, dtype=dtype)  # type: ignore[misc]
        self.arguments = kwargs

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        import torch

        values = torch.as_tensor(self.fn(y_true, y_pred, **self.arguments)).float()
        return mean_sums(values, masked_weight(sample_weight, mask, values.dtype, mean=False))

    def result(self, sums: Sums) -> Tensor:
        return mean_of(sums)

    @property
    def full_name(self) -> str:
        found = self.name or getattr(self.fn, "name", None) or getattr(self.fn, "__name__", None)
        return str(found or super().full_name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fn": config.to_config(self.fn), **config.to_config(self.arguments)}


class Mean(Metric):
    """The weighted mean of values. Its state is updated with the values alone: ``update(values)``."""

    name: str | None = "mean"

    def sums(self, y_true: Any, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        return mean_sums(y_pred, sample_weight)

    def result(self, sums: Sums) -> Tensor:
        return mean_of(sums)


class Sum(Metric):
    """The weighted sum of values. Its state is updated with the values alone: ``update(values)``."""

    name: str | None = "sum"

    def sums(self, y_true: Any, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        return {"total": by_sample(y_pred, sample_weight, mean=False)[0].sum()}

    def result(self, sums: Sums) -> Tensor:
        import torch

        return torch.as_tensor(sums["total"])
