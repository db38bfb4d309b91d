"""Metrics of Keras 3 that are the mean of a function over samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kerashape_torch.losses import functions as losses
from kerashape_torch.losses.classes import DType
from kerashape_torch.losses.reduction import same_rank
from kerashape_torch.metrics import functions
from kerashape_torch.metrics.base import Mean, MeanOfFunction, Sums, mean_sums

if TYPE_CHECKING:
    from torch import Tensor


class _Mean(MeanOfFunction, catalog=False):
    name: str | None = None
    dtype: DType = None


class Accuracy(_Mean):
    """How often target and prediction are the same number."""

    function = functions.accuracy
    name = "accuracy"


class BinaryAccuracy(_Mean):
    """How often a prediction is above the threshold and the target 1, or neither."""

    function = functions.binary_accuracy
    name: str | None = "binary_accuracy"
    dtype: DType = None
    threshold: float = 0.5


class CategoricalAccuracy(_Mean):
    """How often the right class has the largest prediction; targets are one-hot."""

    function = functions.categorical_accuracy
    name = "categorical_accuracy"


class SparseCategoricalAccuracy(_Mean):
    """How often the right class has the largest prediction; targets are its number."""

    function = functions.sparse_categorical_accuracy
    name = "sparse_categorical_accuracy"


class TopKCategoricalAccuracy(_Mean):
    """How often the right class has one of the ``k`` largest predictions; targets are one-hot."""

    function = functions.top_k_categorical_accuracy
    k: int = 5
    name = "top_k_categorical_accuracy"


class SparseTopKCategoricalAccuracy(_Mean):
    """How often the right class has one of the ``k`` largest predictions; targets are its number."""

    function = functions.sparse_top_k_categorical_accuracy
    written_only_if_given = ("from_sorted_ids",)
    k: int = 5
    name: str | None = "sparse_top_k_categorical_accuracy"
    dtype: DType = None
    from_sorted_ids: bool = False


class MeanSquaredError(_Mean):
    """The mean of squared differences."""

    function = losses.mean_squared_error
    name = "mean_squared_error"


class MeanAbsoluteError(_Mean):
    """The mean of differences."""

    function = losses.mean_absolute_error
    name = "mean_absolute_error"


class MeanAbsolutePercentageError(_Mean):
    """The mean of differences, in percent of the target."""

    function = losses.mean_absolute_percentage_error
    name = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(_Mean):
    """The mean of squared differences of ``log(1 + x)``."""

    function = losses.mean_squared_logarithmic_error
    name = "mean_squared_logarithmic_error"


class RootMeanSquaredError(Mean):
    """The root of the mean of squared differences."""

    name: str | None = "root_mean_squared_error"

    def sums(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None, mask: Tensor | None) -> Sums:
        y_true, y_pred = same_rank(y_true.to(y_pred.dtype), y_pred)
        return mean_sums((y_pred - y_true).square(), sample_weight)

    def result(self, sums: Sums) -> Tensor:
        return super().result(sums).sqrt()


class CosineSimilarity(_Mean):
    """The cosine between target and prediction along an axis: 1 is best. Keras forgets ``axis`` when it saves."""

    function = functions.cosine_similarity
    written_only_if_given = ("axis",)
    name: str | None = "cosine_similarity"
    dtype: DType = None
    axis: int = -1


class LogCoshError(_Mean):
    """``log(cosh(difference))``."""

    function = losses.log_cosh
    name = "logcosh"


class Hinge(_Mean):
    """``max(1 - y_true * y_pred, 0)``; targets are -1 and 1, or 0 and 1."""

    function = losses.hinge
    name = "hinge"


class SquaredHinge(_Mean):
    """``max(1 - y_true * y_pred, 0) ** 2``; targets are -1 and 1, or 0 and 1."""

    function = losses.squared_hinge
    name = "squared_hinge"


class CategoricalHinge(_Mean):
    """How far the prediction of the right class is from 1 above the largest of the others."""

    function = losses.categorical_hinge
    name = "categorical_hinge"


class KLDivergence(_Mean):
    """``y_true * log(y_true / y_pred)``."""

    function = losses.kl_divergence
    name = "kl_divergence"


class Poisson(_Mean):
    """``y_pred - y_true * log(y_pred)``."""

    function = losses.poisson
    name = "poisson"


class BinaryCrossentropy(_Mean):
    """Cross-entropy of predictions that are probabilities, or with ``from_logits`` come before a sigmoid."""

    function = losses.binary_crossentropy
    name: str | None = "binary_crossentropy"
    dtype: DType = None
    from_logits: bool = False
    label_smoothing: float = 0


class CategoricalCrossentropy(_Mean):
    """Cross-entropy of one-hot targets."""

    function = losses.categorical_crossentropy
    name: str | None = "categorical_crossentropy"
    dtype: DType = None
    from_logits: bool = False
    label_smoothing: float = 0
    axis: int = -1


class SparseCategoricalCrossentropy(_Mean):
    """Cross-entropy of targets that are the number of a class."""

    function = losses.sparse_categorical_crossentropy
    name: str | None = "sparse_categorical_crossentropy"
    dtype: DType = None
    from_logits: bool = False
    ignore_class: int | None = None
    axis: int = -1

    def counted(self, y_true: Tensor, values: Tensor) -> Tensor | None:
        return None if self.ignore_class is None else (y_true != self.ignore_class).reshape(values.shape)


class PearsonCorrelation(_Mean):
    """Pearson's correlation along an axis."""

    function = functions.pearson_correlation
    name: str | None = "pearson_correlation"
    dtype: DType = None
    axis: int = -1


class ConcordanceCorrelation(_Mean):
    """Lin's concordance correlation along an axis."""

    function = functions.concordance_correlation
    name: str | None = "concordance_correlation"
    dtype: DType = None
    axis: int = -1
