"""The loss classes of Keras 3: a function with its arguments, and how the losses of samples become one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from kerashape_torch.config import Record
from kerashape_torch.dtypes import DTypeName
from kerashape_torch.errors import ConfigError
from kerashape_torch.graph import snake_case
from kerashape_torch.kinds import ChoiceOrNone
from kerashape_torch.losses import functions
from kerashape_torch.losses.functions import Axes
from kerashape_torch.losses.reduction import reduced, same_rank

if TYPE_CHECKING:
    from torch import Tensor, nn

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none")
DType = Annotated[str | None, DTypeName()]
Reduction = Annotated[str | None, ChoiceOrNone(*REDUCTIONS)]


class Loss(Record, family=True):
    """Base of all losses. Your own overrides ``call(y_true, y_pred)``, as in Keras.

    >>> import torch
    >>> class Largest(Loss, catalog=False):
    ...     def call(self, y_true, y_pred):
    ...         return (y_true - y_pred).abs().amax(-1)
    >>> Largest(reduction="sum")(torch.zeros(2, 2), torch.tensor([[1.0, 2.0], [3.0, 0.0]]))
    tensor(5.)
    """

    keras_module = "keras.losses"
    function: ClassVar[Callable[..., Any] | None] = None
    """What a class of this package computes, given its own arguments."""
    written_only_if_given: ClassVar[tuple[str, ...]] = ("dtype",)

    name: str | None = None
    reduction: Reduction = "sum_over_batch_size"
    dtype: DType = None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Tensor | None = None) -> Tensor:
        """The loss of targets and predictions, tensors or arrays with the batch axis first.

        Args:
            sample_weight: one for each sample, or for each prediction of one.
            mask: False where a prediction does not count.
        """
        import torch

        dtype = getattr(torch, self.dtype or "float32")
        y_pred = torch.as_tensor(y_pred)
        y_pred, y_true = y_pred.to(dtype), torch.as_tensor(y_true).to(y_pred.device, dtype)
        if sample_weight is not None:
            sample_weight = torch.as_tensor(sample_weight).to(y_pred)
        losses = self.call(y_true, y_pred)
        own = self.counted(y_true, losses)
        mask = own if mask is None else mask if own is None else mask & own
        return reduced(losses.to(dtype), self.reduction, sample_weight, mask)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The losses of samples, not reduced."""
        function = type(self).function
        if function is None:
            raise NotImplementedError(f"{type(self).__name__} must implement call(y_true, y_pred)")
        own = {name: getattr(self, field.attribute) for name, field in self._fields.items()
               if name not in Loss._fields}
        return function(*same_rank(y_true, y_pred), **own)  # type: ignore[no-any-return]

    def counted(self, y_true: Tensor, losses: Tensor) -> Tensor | None:
        """Where a loss counts; None is everywhere."""
        return None

    def to_torch(self) -> nn.Module:
        """A torch module of predictions, targets and weights, in the order in which torch's losses take them.

        >>> import torch
        >>> Huber(delta=2.0).to_torch()(torch.zeros(1, 1), torch.ones(1, 1))
        tensor(0.5000)
        """
        from kerashape_torch.training.losses import KerasLoss

        return KerasLoss(self)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "name": self.name or snake_case(type(self).__name__)}


class _Function(Loss, catalog=False):
    reduction: Reduction = "sum_over_batch_size"
    name: str | None = None
    dtype: DType = None


class MeanSquaredError(_Function):
    """The mean of squared differences."""

    function = functions.mean_squared_error
    name = "mean_squared_error"


class MeanAbsoluteError(_Function):
    """The mean of differences."""

    function = functions.mean_absolute_error
    name = "mean_absolute_error"


class MeanAbsolutePercentageError(_Function):
    """The mean of differences, in percent of the target."""

    function = functions.mean_absolute_percentage_error
    name = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(_Function):
    """The mean of squared differences of ``log(1 + x)``."""

    function = functions.mean_squared_logarithmic_error
    name = "mean_squared_logarithmic_error"


class CosineSimilarity(_Function):
    """The cosine between target and prediction along an axis, negated: -1 is best."""

    function = functions.cosine_similarity
    written_only_if_given = ("dtype", "axis")
    axis: int = -1
    name = "cosine_similarity"


class Huber(_Function):
    """Half the squared difference up to ``delta``, a line beyond. Keras forgets ``delta`` when it saves."""

    function = functions.huber
    written_only_if_given = ("dtype", "delta")
    delta: float = 1.0
    name = "huber_loss"


class LogCosh(_Function):
    """``log(cosh(difference))``."""

    function = functions.log_cosh
    name = "log_cosh"


class Hinge(_Function):
    """``max(1 - y_true * y_pred, 0)``; targets are -1 and 1, or 0 and 1."""

    function = functions.hinge
    name = "hinge"


class SquaredHinge(_Function):
    """``max(1 - y_true * y_pred, 0) ** 2``; targets are -1 and 1, or 0 and 1."""

    function = functions.squared_hinge
    name = "squared_hinge"


class CategoricalHinge(_Function):
    """How far the prediction of the right class is from 1 above the largest of the others."""

    function = functions.categorical_hinge
    name = "categorical_hinge"


class KLDivergence(_Function):
    """``y_true * log(y_true / y_pred)``."""

    function = functions.kl_divergence
    name = "kl_divergence"


class Poisson(_Function):
    """``y_pred - y_true * log(y_pred)``."""

    function = functions.poisson
    name = "poisson"


class BinaryCrossentropy(_Function):
    """Cross-entropy of predictions that are probabilities, or with ``from_logits`` come before a sigmoid.

    >>> import torch
    >>> BinaryCrossentropy(from_logits=True)(torch.ones(2, 1), torch.zeros(2, 1))
    tensor(0.6931)
    """

    function = functions.binary_crossentropy
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1
    name = "binary_crossentropy"


class BinaryFocalCrossentropy(_Function):
    """Binary cross-entropy, less where the prediction is right anyway."""

    function = functions.binary_focal_crossentropy
    apply_class_balancing: bool = False
    alpha: float = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1
    name = "binary_focal_crossentropy"


class CategoricalCrossentropy(_Function):
    """Cross-entropy of one-hot targets and probabilities, or with ``from_logits`` what comes before a softmax."""

    function = functions.categorical_crossentropy
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1
    name = "categorical_crossentropy"


class CategoricalFocalCrossentropy(_Function):
    """Cross-entropy, less where the prediction is right anyway; ``alpha`` may be one for each class."""

    function = functions.categorical_focal_crossentropy
    alpha: Any = 0.25
    gamma: float = 2.0
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1
    name = "categorical_focal_crossentropy"


class SparseCategoricalCrossentropy(_Function):
    """Cross-entropy of targets that are the number of a class. Where it is ``ignore_class`` it does not count.

    >>> import torch
    >>> SparseCategoricalCrossentropy(ignore_class=2)(torch.tensor([0, 2]), torch.tensor([[0.5, 0.25, 0.25]] * 2))
    tensor(0.6931)
    """

    function = functions.sparse_categorical_crossentropy
    written_only_if_given = ("dtype", "axis")
    from_logits: bool = False
    ignore_class: int | None = None
    reduction: Reduction = "sum_over_batch_size"
    axis: int = -1
    name = "sparse_categorical_crossentropy"

    def counted(self, y_true: Tensor, losses: Tensor) -> Tensor | None:
        return None if self.ignore_class is None else (y_true != self.ignore_class).reshape(losses.shape)


class CategoricalGeneralizedCrossEntropy(_Function):
    """``(1 - p ** q) / q`` of the prediction for the right class, whose number is the target: wrong labels do less."""

    function = functions.categorical_generalized_cross_entropy
    q: float = 0.5
    name = "categorical_generalized_cross_entropy"

    def __post_init__(self) -> None:
        if not 0 < self.q < 1:
            raise ConfigError(f"CategoricalGeneralizedCrossEntropy(q=...) must be between 0 and 1, got {self.q}")


class CTC(_Function):
    """Connectionist temporal classification: (batch, length) of classes, 0 being blank, and (batch, time, classes) of
    logits."""

    function = functions.ctc
    name = "ctc"


class Dice(_Function):
    """1 less the share of what target and prediction have in common, over some axes or all."""

    function = functions.dice
    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "dice"
    axis: Axes = None


class Tversky(_Function):
    """As ``Dice``, where what is in the target alone counts ``alpha``, and what is in the prediction alone ``beta``."""

    function = functions.tversky
    alpha: float = 0.5
    beta: float = 0.5
    reduction: Reduction = "sum_over_batch_size"
    name: str | None = "tversky"
    axis: Axes = None


class Circle(_Function):
    """Circle loss of a batch of unit vectors and their classes. Samples whose loss is 0 do not count."""

    function = functions.circle
    gamma: float = 80.0
    margin: float = 0.4
    remove_diagonal: bool = True
    name = "circle"

    def counted(self, y_true: Tensor, losses: Tensor) -> Tensor | None:
        return losses > 0
