"""Metrics of Keras 3 of whole data sets: overlaps of classes, scores of classes, and explained variance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.kinds import ChoiceOrNone
from kerashape_torch.losses.classes import DType
from kerashape_torch.losses.reduction import same_rank
from kerashape_torch.metrics.base import Metric, Sums
from kerashape_torch.shape import to_text

if TYPE_CHECKING:
    from torch import Tensor

_EPSILON = 1e-7  # keras.config.epsilon()


class IoU(Metric):
    """Intersection over union, the mean over some classes. ``ignore_class`` is a target that does not count; without
    ``sparse_y_true`` or ``sparse_y_pred`` there is one number for each class along ``axis``.

    Weights are whole numbers, as everything here is counted in those, unless ``dtype`` is one of floats.

    >>> import torch
    >>> state = MeanIoU(num_classes=2).to_torch()
    >>> state.update(outputs=torch.tensor([0, 1, 0, 1]), targets=torch.tensor([0, 0, 1, 1]))
    >>> state.compute()
    tensor(0.3333)
    """

    keras_dtype = "int32"
    num_classes: int  # type: ignore[misc]
    target_class_ids: Sequence[int]  # type: ignore[misc]
    name: str | None = None
    dtype: DType = None
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1

    def __post_init__(self) -> None:
        self.target_class_ids = list(self.target_class_ids)
        if max(self.target_class_ids) >= self.num_classes:
            raise ConfigError(f"{type(self).__name__}(target_class_ids=...) must be below {self.num_classes}, "
                              f"got {self.target_class_ids}")

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        import torch

        dtype = getattr(torch, self.dtype or self.keras_dtype)
        true = (y_true if self.sparse_y_true else y_true.argmax(self.axis)).long().flatten()
        found = (y_pred if self.sparse_y_pred else y_pred.argmax(self.axis)).long().flatten()
        weight = torch.ones((), device=found.device) if sample_weight is None else sample_weight.flatten()
        weight = weight.to(dtype).expand(true.shape)
        kept = (true >= 0) & (true < self.num_classes) & (found >= 0) & (found < self.num_classes)
        if self.ignore_class is not None:
            kept &= true != self.ignore_class
        matrix = weight.new_zeros(self.num_classes**2)
        matrix = matrix.index_add(0, true[kept] * self.num_classes + found[kept], weight[kept])
        return {"matrix": matrix.reshape(self.num_classes, -1)}

    def result(self, sums: Sums) -> Tensor:
        matrix = sums["matrix"]
        both = matrix.diagonal()
        chosen = slice(None) if self.target_class_ids is None else self.target_class_ids
        union = (matrix.sum(0) + matrix.sum(1) - both)[chosen].float()
        there = union > 1e-9
        shares = (both[chosen].float() / (union + _EPSILON)).where(there, 0)
        return shares.sum() / (there.sum() + _EPSILON)  # type: ignore[no-any-return]


class MeanIoU(IoU):
    """Intersection over union, the mean over all classes."""

    unwritten: ClassVar[tuple[str, ...]] = ("target_class_ids",)
    num_classes: int  # type: ignore[misc]
    name: str | None = None
    dtype: DType = None
    ignore_class: int | None = None
    sparse_y_true: bool = True
    sparse_y_pred: bool = True
    axis: int = -1
    target_class_ids: Any = None

    def __post_init__(self) -> None:
        """Nothing: it means all classes."""


class OneHotIoU(IoU):
    """Intersection over union, the mean over some classes; targets are one-hot."""

    unwritten = ("sparse_y_true",)
    num_classes: int  # type: ignore[misc]
    target_class_ids: Sequence[int]  # type: ignore[misc]
    name: str | None = None
    dtype: DType = None
    ignore_class: int | None = None
    sparse_y_pred: bool = False
    axis: int = -1
    sparse_y_true: bool = False


class OneHotMeanIoU(MeanIoU):
    """Intersection over union, the mean over all classes; targets are one-hot."""

    unwritten = ("target_class_ids", "sparse_y_true")
    num_classes: int  # type: ignore[misc]
    name: str | None = None
    dtype: DType = None
    ignore_class: int | None = None
    sparse_y_pred: bool = False
    axis: int = -1
    sparse_y_true: bool = False


class BinaryIoU(IoU):
    """Intersection over union of what is above a threshold and what is not."""

    unwritten = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
    target_class_ids: Sequence[int] = (0, 1)
    threshold: float = 0.5
    name: str | None = None
    dtype: DType = None
    num_classes: int = 2

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        return super().sums(y_true, y_pred >= self.threshold, sample_weight, mask)


# ---- scores ----------------------------------------------------------------------------------------------------------


def _two_axes(metric: Metric, y_true: Tensor, y_pred: Tensor) -> None:
    if y_true.ndim != 2 or y_pred.ndim != 2:
        raise ShapeError(f"{type(metric).__name__} takes (batch, classes), got {to_text(tuple(y_true.shape))} and "
                         f"{to_text(tuple(y_pred.shape))}")


class FBetaScore(Metric):
    """Precision and recall of each class in one, recall counting ``beta`` times as much: for each class, or over them.

    A prediction is the class with the largest number, or with a ``threshold`` every class above it.
    """

    average: Annotated[str | None, ChoiceOrNone("micro", "macro", "weighted")] = None
    beta: float = 1.0
    threshold: float | None = None
    name: str | None = "fbeta_score"
    dtype: DType = None

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise ConfigError(f"{type(self).__name__}(beta=...) must be more than 0, got {self.beta}")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ConfigError(f"{type(self).__name__}(threshold=...) must be more than 0 and at most 1, "
                              f"got {self.threshold}")

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        _two_axes(self, y_true, y_pred)
        if self.threshold is None:
            chosen = (y_pred >= y_pred.amax(-1, keepdim=True)) & (y_pred.abs() > 1e-9)
        else:
            chosen = y_pred > self.threshold
        found, true = chosen.float(), y_true.float()

        def summed(x: Tensor) -> Tensor:
            x = x if sample_weight is None else x * sample_weight.to(x).unsqueeze(1)
            return x.sum() if self.average == "micro" else x.sum(0)

        return {"tp": summed(found * true), "fp": summed(found * (1 - true)), "fn": summed((1 - found) * true),
                "weight": summed(true)}

    def result(self, sums: Sums) -> Tensor:
        precision = sums["tp"] / (sums["tp"] + sums["fp"] + _EPSILON)
        recall = sums["tp"] / (sums["tp"] + sums["fn"] + _EPSILON)
        square = self.beta**2
        score = precision * recall / (square * precision + recall + _EPSILON) * (1 + square)
        if self.average == "weighted":
            return (score * sums["weight"] / (sums["weight"].sum() + _EPSILON)).sum()  # type: ignore[no-any-return]
        return score if self.average is None else score.mean()  # type: ignore[no-any-return]


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: for each class, or over them."""

    unwritten = ("beta",)
    average: Annotated[str | None, ChoiceOrNone("micro", "macro", "weighted")] = None
    threshold: float | None = None
    name: str | None = "f1_score"
    dtype: DType = None
    beta: float = 1.0


class R2Score(Metric):
    """The share of variance that predictions explain: of each output, or over them; adjusted for ``num_regressors``."""

    class_aggregation: Annotated[str | None, ChoiceOrNone("uniform_average", "variance_weighted_average")] = (
        "uniform_average")
    num_regressors: int = 0
    name: str | None = "r2_score"
    dtype: DType = None

    def __post_init__(self) -> None:
        if self.num_regressors < 0:
            raise ConfigError(f"R2Score(num_regressors=...) must be 0 or more, got {self.num_regressors}")

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        y_true, y_pred = same_rank(y_true.to(y_pred.dtype), y_pred)
        _two_axes(self, y_true, y_pred)
        weight = y_true.new_ones(()) if sample_weight is None else sample_weight.to(y_true)
        weight = (weight.unsqueeze(1) if weight.ndim == 1 else weight).expand(y_true.shape)
        return {"sum": (y_true * weight).sum(0), "squares": (y_true * y_true * weight).sum(0),
                "residual": ((y_true - y_pred).square() * weight).sum(0), "count": weight.sum(0),
                "samples": y_true.numel()}

    def result(self, sums: Sums) -> Tensor:
        total = sums["squares"] - sums["sum"] * sums["sum"] / sums["count"]
        scores = 1 - sums["residual"] / total
        scores = scores.masked_fill(scores.isinf(), 0)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (total * scores).sum() / total.sum()
        freedom = sums["samples"] - self.num_regressors - 1
        if self.num_regressors == 0 or freedom <= 0:  # with no more samples than regressors Keras does not adjust
            return scores  # type: ignore[no-any-return]
        return 1 - (1 - scores) * (sums["samples"] - 1) / freedom  # type: ignore[no-any-return]
