"""The metric functions of Keras 3 on torch tensors: one number for each sample, or for each prediction of one.

>>> import torch
>>> binary_accuracy(torch.tensor([[1.0], [0.0]]), torch.tensor([[0.9], [0.8]]))
tensor([[1.],
        [0.]])
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kerashape_torch.losses.functions import FUNCTIONS as LOSSES
from kerashape_torch.losses.functions import cosine
from kerashape_torch.losses.reduction import same_rank

if TYPE_CHECKING:
    from torch import Tensor

Function = Callable[..., Any]
_EPSILON = 1e-7  # keras.config.epsilon()

_ALSO_LOSSES = ("binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy",
                "categorical_focal_crossentropy", "categorical_hinge", "hinge", "huber", "kl_divergence", "log_cosh",
                "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
                "mean_squared_logarithmic_error", "poisson", "sparse_categorical_crossentropy", "squared_hinge")

FUNCTIONS: dict[str, Function] = {name: LOSSES[name] for name in _ALSO_LOSSES}
"""Every metric function, by name."""


def _metric(function: Function) -> Function:
    """Enters a function of two tensors. Arrays are taken too."""

    @functools.wraps(function)
    def public(y_true: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
        import torch

        y_pred = torch.as_tensor(y_pred)
        return function(torch.as_tensor(y_true).to(y_pred.device), y_pred, *args, **kwargs)

    FUNCTIONS[function.__name__] = public
    return public


# ---- accuracies ------------------------------------------------------------------------------------------------------


def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where target and prediction are the same number."""
    y_true, y_pred = same_rank(y_true.to(y_pred.dtype), y_pred)
    return (y_true == y_pred).float()


@_metric
def binary_accuracy(y_true: Tensor, y_pred: Tensor, threshold: float = 0.5) -> Tensor:
    """1 where the prediction is above the threshold and the target 1, or neither."""
    y_true, y_pred = same_rank(y_true, y_pred)
    return ((y_pred > threshold).to(y_true.dtype) == y_true).float()


@_metric
def categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the largest prediction is that of the class whose target is largest."""
    return (y_true.argmax(-1) == y_pred.argmax(-1)).float()


@_metric
def sparse_categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the largest prediction is that of the class whose number is the target."""
    classes = y_true.squeeze(-1) if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1 else y_true
    matches = (classes.to(y_pred.dtype) == y_pred.argmax(-1)).float()
    return matches.squeeze(-1) if matches.ndim > 1 and matches.shape[-1] == 1 else matches


@_metric
def top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """1 where the class whose target is largest has one of the ``k`` largest predictions."""
    return _in_top_k(y_true.argmax(-1), y_pred, k)


@_metric
def sparse_top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5,
                                      from_sorted_ids: bool = False) -> Tensor:
    """1 where the class whose number is the target has one of the ``k`` largest predictions; ``from_sorted_ids`` takes
    numbers of classes, best first, in place of predictions."""
    if from_sorted_ids:
        found = (y_true.flatten().unsqueeze(1) == y_pred.reshape(-1, y_pred.shape[-1])[:, :k]).any(1)
        return found.float().reshape(y_true.shape)
    return _in_top_k(y_true, y_pred, k)


def _in_top_k(classes: Tensor, y_pred: Tensor, k: int) -> Tensor:
    flat = y_pred.reshape(-1, y_pred.shape[-1])
    own = flat.gather(-1, classes.long().reshape(-1, 1))
    return (own >= flat.topk(min(k, flat.shape[-1])).values).any(-1).float().reshape(classes.shape)


# ---- correlations ----------------------------------------------------------------------------------------------------


def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """The cosine between target and prediction: 1 is best, other than in the loss of that name."""
    return cosine(*same_rank(y_true.to(y_pred.dtype), y_pred), axis)


@_metric
def pearson_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """Pearson's correlation along an axis."""
    y_true, y_pred = same_rank(y_true.to(y_pred.dtype), y_pred)
    scaled = [x / x.std(axis, correction=0, keepdim=True) for x in
              (x - x.mean(axis, keepdim=True) for x in (y_true, y_pred))]
    return (scaled[0] * scaled[1]).mean(axis)


@_metric
def concordance_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """Lin's concordance correlation along an axis."""
    y_true, y_pred = same_rank(y_true.to(y_pred.dtype), y_pred)
    means = [x.mean(axis, keepdim=True) for x in (y_true, y_pred)]
    spread = sum(x.var(axis, correction=0, keepdim=True) for x in (y_true, y_pred)) + (means[0] - means[1]).square()
    return (2 * (y_true - means[1]) * (y_pred - means[1]) / (spread + _EPSILON)).mean(axis)
