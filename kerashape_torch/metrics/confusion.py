"""Metrics of Keras 3 that count: right and wrong ones above and below thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.kinds import Choice
from kerashape_torch.losses.classes import DType
from kerashape_torch.losses.reduction import divided, same_rank
from kerashape_torch.metrics.base import Metric, Sums
from kerashape_torch.shape import to_text

if TYPE_CHECKING:
    from torch import Tensor

_LOWEST = -1e10
"""What is not among the ``top_k`` predictions."""
_EPSILON = 1e-7  # keras.config.epsilon()
Thresholds = float | Sequence[float] | None


def _listed(metric: Metric, thresholds: Thresholds, default: float) -> list[float]:
    if thresholds is None:
        return [default]
    found = [float(x) for x in (thresholds if isinstance(thresholds, (list, tuple)) else [thresholds])]  # type: ignore[arg-type]
    if not all(0 <= x <= 1 for x in found):
        raise ConfigError(f"{type(metric).__name__}(thresholds=...) must be between 0 and 1, got {thresholds!r}")
    return found


def counts(thresholds: Sequence[float], y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None,
           top_k: int | None = None, class_id: int | None = None, label_weights: Tensor | None = None,
           by_label: bool = False) -> Sums:
    """True and false positives and negatives for each threshold, and with ``by_label`` for each label.

    >>> import torch
    >>> {name: x.tolist() for name, x in counts([0.5], torch.tensor([1, 0, 1]), torch.tensor([0.9, 0.8, 0.2])).items()}
    {'tp': [1.0], 'fp': [1.0], 'tn': [0.0], 'fn': [1.0]}
    """
    import torch

    y_pred, y_true = same_rank(y_pred.float(), y_true.float())
    if y_pred.shape != y_true.shape:
        raise ShapeError(f"there must be as many targets as predictions, got {to_text(tuple(y_true.shape))} and "
                         f"{to_text(tuple(y_pred.shape))}")
    if top_k is not None:
        best = y_pred >= y_pred.topk(top_k).values[..., -1:]
        y_pred = y_pred.where(best, _LOWEST)
    if class_id is not None:
        y_true, y_pred = y_true[..., class_id, None], y_pred[..., class_id, None]
    if _are_even(thresholds):
        y_pred = y_pred.clamp(0, 1)
    weight = torch.ones_like(y_pred)
    if sample_weight is not None:
        weight = weight * same_rank(y_true, sample_weight.to(y_pred).unsqueeze(-1), widen=False)[1]
    if label_weights is not None:
        weight = weight * label_weights
    bounds, order = torch.as_tensor(thresholds, dtype=torch.float64).float().to(y_pred.device).sort()
    passed = torch.bucketize(y_pred.contiguous(), bounds)  # how many thresholds lie below the prediction
    labels = y_pred.shape[-1] if by_label else 1
    bins = len(thresholds) + 1
    place = (passed.reshape(-1, labels) * labels + torch.arange(labels, device=passed.device)).flatten()

    def above(chosen: Tensor) -> tuple[Tensor, Tensor]:
        held = weight.new_zeros(bins * labels).index_add(0, place, chosen.flatten()).reshape(bins, labels)
        positive = held.flip(0).cumsum(0).flip(0)[1:][order.argsort()]
        found = (positive, held.sum(0) - positive)
        return found if by_label else (found[0][:, 0], found[1][:, 0])

    is_true = y_true.bool().to(weight)
    tp, fn = above(weight * is_true)
    fp, tn = above(weight * (1 - is_true))
    return {"tp": tp, "fp": fp, "tn": tn, "fn": fn}


def _are_even(thresholds: Sequence[float]) -> bool:
    last = len(thresholds) - 1
    return last >= 2 and all(math.isclose(x, i / last, rel_tol=1e-5, abs_tol=_EPSILON)
                             for i, x in enumerate(thresholds))


# ---- counts and their ratios -----------------------------------------------------------------------------------------


class _Counting(Metric, catalog=False):
    name: str | None = None
    dtype: DType = None

    def _used(self, sums: Sums) -> Tensor:
        raise NotImplementedError

    def result(self, sums: Sums) -> Tensor:
        found = self._used(sums)
        return found[0] if len(found) == 1 else found


class _Count(_Counting, catalog=False):
    """How much there is of one sort, for each threshold."""

    counted: ClassVar[str]
    thresholds: Thresholds = None

    def __post_init__(self) -> None:
        _listed(self, self.thresholds, 0.5)

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        return counts(_listed(self, self.thresholds, 0.5), y_true, y_pred, sample_weight)

    def _used(self, sums: Sums) -> Tensor:
        return sums[self.counted]  # type: ignore[no-any-return]


class TruePositives(_Count):
    """How many are above the threshold and should be."""

    counted = "tp"


class FalsePositives(_Count):
    """How many are above the threshold and should not be."""

    counted = "fp"


class TrueNegatives(_Count):
    """How many are not above the threshold and should not be."""

    counted = "tn"


class FalseNegatives(_Count):
    """How many are not above the threshold and should be."""

    counted = "fn"


class _Share(_Counting, catalog=False):
    other: ClassVar[str]
    thresholds: Thresholds = None
    top_k: int | None = None
    class_id: int | None = None

    def __post_init__(self) -> None:
        self._bounds()

    def _bounds(self) -> list[float]:
        return _listed(self, self.thresholds, 0.5 if self.top_k is None else _LOWEST)

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        return counts(self._bounds(), y_true, y_pred, sample_weight, self.top_k, self.class_id)

    def _used(self, sums: Sums) -> Tensor:
        return divided(sums["tp"], sums["tp"] + sums[self.other])


class Precision(_Share):
    """The share of true ones among those above the threshold; of one class or of the ``top_k`` best, if asked."""

    other = "fp"


class Recall(_Share):
    """The share of those above the threshold among the true ones; of one class or of the ``top_k`` best, if asked."""

    other = "fn"


def precision(sums: Sums) -> Tensor:
    """True positives among the positives."""
    return divided(sums["tp"], sums["tp"] + sums["fp"])


def recall(sums: Sums) -> Tensor:
    """True positives among the true; also called sensitivity."""
    return divided(sums["tp"], sums["tp"] + sums["fn"])


def specificity(sums: Sums) -> Tensor:
    """True negatives among the false."""
    return divided(sums["tn"], sums["tn"] + sums["fp"])


# ---- one ratio where another is given --------------------------------------------------------------------------------


class _At(Metric, catalog=False, kw_only=True):
    """The best of one ratio over all thresholds at which another ratio is at least as large as asked."""

    ratios: ClassVar[tuple[Callable[[Sums], Any], Callable[[Sums], Any]]]
    """The one that is asked for, and the one that is the result."""
    wanted: ClassVar[str]
    num_thresholds: int = 200
    class_id: int | None = None
    name: str | None = None
    dtype: DType = None

    def __post_init__(self) -> None:
        if not 0 <= getattr(self, self.wanted) <= 1:
            raise ConfigError(f"{type(self).__name__}({self.wanted}=...) must be between 0 and 1, "
                              f"got {getattr(self, self.wanted)}")
        if self.num_thresholds <= 0:
            raise ConfigError(f"{type(self).__name__}(num_thresholds=...) must be more than 0, "
                              f"got {self.num_thresholds}")

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        last = self.num_thresholds - 1
        bounds = [i / last for i in range(self.num_thresholds)] if last else [0.5]
        return counts(bounds, y_true, y_pred, sample_weight, class_id=self.class_id)

    def result(self, sums: Sums) -> Tensor:
        asked, given = (ratio(sums) for ratio in type(self).ratios)
        return given.where(asked >= getattr(self, self.wanted), 0).amax()  # type: ignore[no-any-return]


class SensitivityAtSpecificity(_At):
    """The best sensitivity at which specificity is as large as asked."""

    ratios = (specificity, recall)
    wanted = "specificity"
    specificity: float  # type: ignore[misc]
    num_thresholds: int = 200
    class_id: int | None = None


class SpecificityAtSensitivity(_At):
    """The best specificity at which sensitivity is as large as asked."""

    ratios = (recall, specificity)
    wanted = "sensitivity"
    sensitivity: float  # type: ignore[misc]
    num_thresholds: int = 200
    class_id: int | None = None


class PrecisionAtRecall(_At):
    """The best precision at which recall is as large as asked."""

    ratios = (recall, precision)
    wanted = "recall"
    recall: float  # type: ignore[misc]
    num_thresholds: int = 200
    class_id: int | None = None


class RecallAtPrecision(_At):
    """The best recall at which precision is as large as asked."""

    ratios = (precision, recall)
    wanted = "precision"
    precision: float  # type: ignore[misc]
    num_thresholds: int = 200
    class_id: int | None = None


# ---- areas -----------------------------------------------------------------------------------------------------------


class AUC(Metric):
    """The area under a curve of two ratios over thresholds.

    >>> import torch
    >>> state = AUC(num_thresholds=3).to_torch()
    >>> state.update(outputs=torch.tensor([0.0, 0.5, 0.3, 0.9]), targets=torch.tensor([0, 0, 1, 1]))
    >>> state.compute()
    tensor(0.7500)
    """

    written_only_if_given = ("thresholds",)

    num_thresholds: int = 200
    curve: Annotated[str, Choice("roc", "pr", "prgain")] = "ROC"
    summation_method: Annotated[str, Choice("interpolation", "majoring", "minoring")] = "interpolation"
    name: str | None = None
    dtype: DType = None
    thresholds: Sequence[float] | None = None
    multi_label: bool = False
    num_labels: int | None = None
    label_weights: Any = None
    from_logits: bool = False

    def __post_init__(self) -> None:
        self.curve = self.curve.upper()
        if self.thresholds is not None:
            self.num_thresholds = len(self.thresholds) + 2
            _listed(self, self.thresholds, 0.5)
        if self.num_thresholds <= 1:
            raise ConfigError(f"AUC(num_thresholds=...) must be more than 1, got {self.num_thresholds}")
        if self.num_labels and not self.multi_label:
            raise ConfigError("AUC(num_labels=...) goes with multi_label=True")

    def _bounds(self) -> list[float]:
        last = self.num_thresholds - 1
        between = sorted(self.thresholds) if self.thresholds is not None else [i / last for i in range(1, last)]
        return [-_EPSILON, *between, 1 + _EPSILON]

    def _label_weights(self, like: Tensor) -> Tensor | None:
        return None if self.label_weights is None else like.new_tensor(self.label_weights)

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        if self.multi_label and y_pred.ndim != 2:
            raise ShapeError(f"AUC(multi_label=True) takes (batch, labels), got {to_text(tuple(y_pred.shape))}")
        y_pred = y_pred.sigmoid() if self.from_logits else y_pred
        return counts(self._bounds(), y_true, y_pred, sample_weight, by_label=self.multi_label,
                      label_weights=None if self.multi_label else self._label_weights(y_pred))

    def result(self, sums: Sums) -> Tensor:
        by_label = (self._precision_recall(sums) if (self.curve, self.summation_method) == ("PR", "interpolation")
                    else self._riemann(sums)).sum(0)
        if not self.multi_label:
            return by_label
        weights = self._label_weights(by_label)
        return by_label.mean() if weights is None else divided((by_label * weights).sum(), weights.sum())

    def _axes(self, sums: Sums) -> tuple[Tensor, Tensor]:
        if self.curve == "ROC":
            return divided(sums["fp"], sums["fp"] + sums["tn"]), recall(sums)
        if self.curve == "PR":
            return recall(sums), precision(sums)
        odds = divided(sums["tp"] + sums["fn"], sums["tn"] + sums["fp"])
        gains = [1 - odds * divided(sums[wrong], sums["tp"]) for wrong in ("fn", "fp")]
        none = sums["tp"] == 0
        return gains[0].masked_fill(none, 0).clamp(min=0), gains[1].masked_fill(none, 1)

    def _riemann(self, sums: Sums) -> Tensor:
        x, y = self._axes(sums)
        heights = {"interpolation": (y[:-1] + y[1:]) / 2, "minoring": y[:-1].minimum(y[1:]),
                   "majoring": y[:-1].maximum(y[1:])}
        return (x[:-1] - x[1:]) * heights[self.summation_method]

    def _precision_recall(self, sums: Sums) -> Tensor:
        """Between two thresholds precision is no line: true positives are one of all positives."""
        tp, positives = sums["tp"], sums["tp"] + sums["fp"]
        gained = tp[:-1] - tp[1:]
        slope = divided(gained, (positives[:-1] - positives[1:]).clamp(min=0))
        intercept = tp[1:] - slope * positives[1:]
        ratio = divided(positives[:-1], positives[1:].clamp(min=0))
        ratio = ratio.where((positives[:-1] > 0) & (positives[1:] > 0), 1)
        return divided(slope * (gained + intercept * ratio.log()), (tp[1:] + sums["fn"][1:]).clamp(min=0))

    def get_config(self) -> dict[str, Any]:
        written = super().get_config()
        if self.thresholds is not None:
            written["thresholds"] = sorted(self.thresholds)
        return written


