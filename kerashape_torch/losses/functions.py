"""The loss functions of Keras 3 on torch tensors: one loss for each sample, or for each prediction of one.

>>> import torch
>>> mean_squared_error(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 1.0]]))
tensor([1.])
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kerashape_torch.errors import ShapeError
from kerashape_torch.losses.reduction import same_rank
from kerashape_torch.shape import to_text

if TYPE_CHECKING:
    from torch import Tensor

Function = Callable[..., Any]
Axes = int | list[int] | tuple[int, ...] | None

FUNCTIONS: dict[str, Function] = {}
"""Every loss function, by name."""
_EPSILON = 1e-7  # keras.config.epsilon()


def _loss(cast: bool = True, same_ranks: bool = False) -> Callable[[Function], Function]:
    """Enters a function of two tensors; ``cast`` gives targets the dtype of predictions. Arrays are taken too."""

    def enter(function: Function) -> Function:
        @functools.wraps(function)
        def public(y_true: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
            import torch

            y_pred, y_true = torch.as_tensor(y_pred), torch.as_tensor(y_true)
            y_true = y_true.to(y_pred.device, y_pred.dtype if cast else None)
            if same_ranks:
                y_true, y_pred = same_rank(y_true, y_pred)
            return function(y_true, y_pred, *args, **kwargs)

        FUNCTIONS[function.__name__] = public
        return public

    return enter


# ---- distances -------------------------------------------------------------------------------------------------------


@_loss(same_ranks=True)
def mean_squared_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of squared differences along the last axis."""
    return (y_true - y_pred).square().mean(-1)


@_loss(same_ranks=True)
def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of differences along the last axis."""
    return (y_true - y_pred).abs().mean(-1)


@_loss(same_ranks=True)
def mean_absolute_percentage_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of differences along the last axis, in percent of the target."""
    return 100 * ((y_true - y_pred) / y_true.abs().clamp(min=_EPSILON)).abs().mean(-1)


@_loss(same_ranks=True)
def mean_squared_logarithmic_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of squared differences of ``log(1 + x)`` along the last axis."""
    return (y_pred.clamp(min=_EPSILON).log1p() - y_true.clamp(min=_EPSILON).log1p()).square().mean(-1)


@_loss(same_ranks=True)
def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """The cosine between target and prediction, negated: -1 is best."""
    return -cosine(y_true, y_pred, axis)


def cosine(y_true: Tensor, y_pred: Tensor, axis: int) -> Tensor:
    """The cosine between two vectors along an axis."""
    lengths = (x.square().sum(axis, keepdim=True).clamp(min=1e-12).sqrt() for x in (y_true, y_pred))
    return (y_true / next(lengths) * (y_pred / next(lengths))).sum(axis)


@_loss(same_ranks=True)
def huber(y_true: Tensor, y_pred: Tensor, delta: float = 1.0) -> Tensor:
    """Half the squared difference up to ``delta``, a line beyond; the mean along the last axis."""
    import torch.nn.functional as F

    return F.huber_loss(y_pred, y_true, reduction="none", delta=delta).mean(-1)


@_loss(same_ranks=True)
def log_cosh(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of ``log(cosh(difference))`` along the last axis."""
    import math

    import torch.nn.functional as F

    x = y_pred - y_true
    return (x + F.softplus(-2 * x) - math.log(2)).mean(-1)


@_loss()
def kl_divergence(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The sum of ``y_true * log(y_true / y_pred)`` along the last axis."""
    y_true, y_pred = y_true.clamp(_EPSILON, 1), y_pred.clamp(_EPSILON, 1)
    return (y_true * (y_true / y_pred).log()).sum(-1)


@_loss()
def poisson(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of ``y_pred - y_true * log(y_pred)`` along the last axis."""
    return (y_pred - y_true * (y_pred + _EPSILON).log()).mean(-1)


# ---- hinges ----------------------------------------------------------------------------------------------------------


def _as_signs(y_true: Tensor) -> Tensor:
    """Targets of 0 and 1 as -1 and 1; other targets as they are."""
    is_binary = ((y_true == 0) | (y_true == 1)).all()
    return (2 * y_true - 1).where(is_binary, y_true)


@_loss()
def hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of ``max(1 - y_true * y_pred, 0)`` along the last axis; targets are -1 and 1, or 0 and 1."""
    return (1 - _as_signs(y_true) * y_pred).clamp(min=0).mean(-1)


@_loss()
def squared_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of ``max(1 - y_true * y_pred, 0) ** 2`` along the last axis; targets are -1 and 1, or 0 and 1."""
    return (1 - _as_signs(y_true) * y_pred).clamp(min=0).square().mean(-1)


@_loss()
def categorical_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """How far the prediction of the right class is from 1 above the largest of the others."""
    return (((1 - y_true) * y_pred).amax(-1) - (y_true * y_pred).sum(-1) + 1).clamp(min=0)


# ---- probabilities ---------------------------------------------------------------------------------------------------


def _log_probabilities(y_pred: Tensor, from_logits: bool, axis: int) -> Tensor:
    if from_logits:
        return y_pred.log_softmax(axis)
    return (y_pred / y_pred.sum(axis, keepdim=True)).clamp(_EPSILON, 1 - _EPSILON).log()


def _smoothed(y_true: Tensor, label_smoothing: float, classes: int) -> Tensor:
    return y_true * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else y_true


def _same_shape(y_true: Tensor, y_pred: Tensor, name: str) -> None:
    if y_true.shape != y_pred.shape:
        raise ShapeError(f"{name} takes targets and predictions of one shape, got {to_text(tuple(y_true.shape))} and "
                         f"{to_text(tuple(y_pred.shape))}")


@_loss()
def binary_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0,
                        axis: int = -1) -> Tensor:
    """The mean of binary cross-entropies along an axis."""
    y_true = _smoothed(y_true, label_smoothing, 2)
    return _binary_crossentropy(y_true, y_pred, from_logits).mean(axis)


def _binary_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool) -> Tensor:
    import torch.nn.functional as F

    _same_shape(y_true, y_pred, "binary_crossentropy")
    if from_logits:
        return F.binary_cross_entropy_with_logits(y_pred, y_true, reduction="none")
    return F.binary_cross_entropy(y_pred.clamp(_EPSILON, 1 - _EPSILON), y_true, reduction="none")


@_loss()
def binary_focal_crossentropy(y_true: Tensor, y_pred: Tensor, apply_class_balancing: bool = False, alpha: float = 0.25,
                              gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0,
                              axis: int = -1) -> Tensor:
    """Binary cross-entropy, less where the prediction is right anyway; the mean along an axis."""
    y_true = _smoothed(y_true, label_smoothing, 2)
    y_pred = y_pred.sigmoid() if from_logits else y_pred
    right = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    loss = (1 - right).pow(gamma) * _binary_crossentropy(y_true, y_pred, False)
    if apply_class_balancing:
        loss = loss * (y_true * alpha + (1 - y_true) * (1 - alpha))
    return loss.mean(axis)


@_loss()
def categorical_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0,
                             axis: int = -1) -> Tensor:
    """Cross-entropy of targets that are one-hot, or probabilities, along an axis."""
    _same_shape(y_true, y_pred, "categorical_crossentropy")
    y_true = _smoothed(y_true, label_smoothing, y_true.shape[-1])
    return -(y_true * _log_probabilities(y_pred, from_logits, axis)).sum(axis)


@_loss()
def categorical_focal_crossentropy(y_true: Tensor, y_pred: Tensor, alpha: Any = 0.25, gamma: float = 2.0,
                                   from_logits: bool = False, label_smoothing: float = 0.0,
                                   axis: int = -1) -> Tensor:
    """Cross-entropy of one-hot targets, less where the prediction is right anyway; ``alpha`` may be one for each
    class."""
    y_true = _smoothed(y_true, label_smoothing, y_true.shape[-1])
    y_pred = y_pred.softmax(axis) if from_logits else y_pred
    chance = (y_pred / y_pred.sum(axis, keepdim=True)).clamp(_EPSILON, 1 - _EPSILON)
    weight = (1 - chance).pow(gamma) * y_pred.new_tensor(alpha)
    return (weight * -y_true * chance.log()).sum(axis)


@_loss(cast=False)
def sparse_categorical_crossentropy(y_true: Tensor, y_pred: Tensor, from_logits: bool = False,
                                    ignore_class: int | None = None, axis: int = -1) -> Tensor:
    """Cross-entropy of targets that are the number of a class; 0 where it is ``ignore_class``."""
    import torch.nn.functional as F

    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = y_true.squeeze(axis)
    wanted = tuple(y_pred.movedim(axis, -1).shape[:-1])
    if tuple(y_true.shape) != wanted:
        raise ShapeError(f"sparse_categorical_crossentropy takes {to_text(tuple(y_pred.shape))} and a class for each, "
                         f"{to_text(wanted)}, got {to_text(tuple(y_true.shape))}")
    classes = y_true.long()
    log = _log_probabilities(y_pred, from_logits, axis).movedim(axis, -1)
    ignored = classes.new_tensor(-100 if ignore_class is None else ignore_class)
    loss = F.nll_loss(log.reshape(-1, log.shape[-1]), classes.masked_fill(classes == ignored, -100).flatten(),
                      ignore_index=-100, reduction="none")
    return loss.reshape(wanted)


@_loss(cast=False)
def categorical_generalized_cross_entropy(y_true: Tensor, y_pred: Tensor, q: float) -> Tensor:
    """``(1 - p ** q) / q`` of the prediction for the right class, whose number is the target."""
    chance = y_pred.gather(-1, y_true.long().unsqueeze(-1)).squeeze(-1)
    return (1 - chance.pow(q)) / q


@_loss(cast=False)
def ctc(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Connectionist temporal classification: (batch, length) of classes, 0 being blank, and (batch, time, classes) of
    logits."""
    import torch.nn.functional as F

    if y_true.ndim != 2 or y_pred.ndim != 3:
        raise ShapeError("ctc takes targets (batch, length) and logits (batch, time, classes), got "
                         f"{to_text(tuple(y_true.shape))} and {to_text(tuple(y_pred.shape))}")
    times = y_true.new_full(y_pred.shape[:1], y_pred.shape[1]).long()
    return F.ctc_loss(y_pred.transpose(0, 1).log_softmax(-1), y_true.long(), times, (y_true != 0).sum(-1),
                      reduction="none")


# ---- overlaps and similarities ---------------------------------------------------------------------------------------


@_loss()
def dice(y_true: Tensor, y_pred: Tensor, axis: Axes = None) -> Tensor:
    """1 less the share of what target and prediction have in common, over some axes or all."""
    common = _summed(y_true * y_pred, axis)
    return 1 - 2 * common / (_summed(y_true, axis) + _summed(y_pred, axis) + _EPSILON)


@_loss()
def tversky(y_true: Tensor, y_pred: Tensor, alpha: float = 0.5, beta: float = 0.5, axis: Axes = None) -> Tensor:
    """As ``dice``, where what is in the target alone counts ``alpha``, and what is in the prediction alone ``beta``."""
    common = _summed(y_true * y_pred, axis)
    missed, extra = _summed((1 - y_pred) * y_true, axis), _summed(y_pred * (1 - y_true), axis)
    return 1 - common / (common + alpha * missed + beta * extra + _EPSILON)


def _summed(x: Tensor, axis: Axes) -> Tensor:
    return x.sum() if axis is None else x.sum(axis)


@_loss(cast=False)
def circle(y_true: Tensor, y_pred: Tensor, ref_labels: Any = None, ref_embeddings: Any = None,
           remove_diagonal: bool = True, gamma: float = 80, margin: float = 0.4) -> Tensor:
    """Circle loss of a batch of unit vectors and their classes: likes together, others apart, weighed by how far."""
    import torch
    import torch.nn.functional as F

    others = y_pred if ref_embeddings is None else torch.as_tensor(ref_embeddings).to(y_pred)
    labels = y_true.int()
    their_labels = labels if ref_labels is None else torch.as_tensor(ref_labels).to(labels)
    distances = (1 - y_pred @ others.T).clamp(min=0)
    alike = labels.reshape(-1, 1) == their_labels.reshape(1, -1)
    unlike = ~alike
    if remove_diagonal:
        alike = alike & ~torch.eye(*alike.shape, dtype=torch.bool, device=alike.device)
    pull = -gamma * (margin + distances) * (margin - distances)
    push = gamma * (1 + margin - distances).clamp(min=0) * (1 - margin - distances)
    terms = [x.masked_fill(~kept, -torch.inf).logsumexp(1) for x, kept in ((pull, alike), (push, unlike))]
    return F.softplus(terms[0] + terms[1])
