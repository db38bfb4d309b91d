"""The loss and the metrics of a whole model: those of its outputs, matched as Keras matches them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from kerashape_torch import losses, metrics
from kerashape_torch.compiling import BY_SHAPE, CompileConfig, leaves
from kerashape_torch.errors import ConfigError
from kerashape_torch.losses import Loss
from kerashape_torch.metrics import Metric
from kerashape_torch.metrics.base import MeanMetricWrapper
from kerashape_torch.training.metrics import MetricState
from kerashape_torch.training.outputs import spread, spread_tensors


def _sort_of_classes(target: Tensor, output: Tensor) -> str:
    """``binary``, ``sparse`` or ``categorical``, by the shapes."""
    if output.shape[-1] == 1:
        return "binary"
    is_sparse = target.ndim < output.ndim or target.shape[-1] == 1
    return "sparse" if is_sparse else "categorical"


# ---- losses ----------------------------------------------------------------------------------------------------------


class _FunctionLoss(Loss, catalog=False):
    """A function as a loss: the ranks of targets and predictions are brought together for it."""

    keras_module = "kerashape_torch"
    of: Any = None

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return self.of(*losses.reduction.same_rank(y_true, y_pred))  # type: ignore[no-any-return]


_FUNCTIONS = {"binary": losses.binary_crossentropy, "sparse": losses.sparse_categorical_crossentropy,
              "categorical": losses.categorical_crossentropy}


def _loss_of(given: Any, target: Tensor, output: Tensor) -> Loss:
    if isinstance(given, str) and given.lower() in BY_SHAPE["loss"]:
        return _FunctionLoss(of=_FUNCTIONS[_sort_of_classes(target, output)])
    found = losses.get(given)
    return found if isinstance(found, Loss) else _FunctionLoss(of=found)


class _Term(NamedTuple):
    output: int
    loss: Any
    weight: float | None


class CompiledLoss(nn.Module):
    """The weighted sum of the losses of all outputs.

    Args:
        config: what ``compile`` said.
        names: of the outputs.
    """

    def __init__(self, config: CompileConfig, names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)
        if len(names) == 1 and isinstance(config.loss, (list, tuple)):  # several for the only output
            outputs, given = [0] * len(config.loss), list(config.loss)
        else:
            outputs, given = list(range(len(names))), spread(config.loss, names, "loss")
        weights = self._weights(config, outputs)
        self.terms = [_Term(*term) for term in zip(outputs, given, weights) if term[1] is not None]
        self.parts: dict[str, Tensor] = {}

    def _weights(self, config: CompileConfig, outputs: list[int]) -> list[Any]:
        given = config.loss_weights
        if isinstance(given, (list, tuple)) and len(given) == len(outputs):
            return list(given)
        return [spread(given, self.names, "loss_weights")[output] for output in outputs]

    def forward(self, outputs: Any, targets: Any, sample_weight: Any = None,
                masks: Sequence[Tensor | None] | None = None) -> Tensor | None:
        """The loss of outputs in the structure in which the model gives them; None if there is no loss.

        Args:
            targets: a tensor, or a list or a dict by the names of the outputs.
            sample_weight: for all outputs, or a list or dict of them.
            masks: of the outputs in order, False where a prediction does not count.
        """
        needed = [any(term.output == i for term in self.terms) for i in range(len(self.names))]
        if not self.terms:
            return None
        flat = spread_tensors(outputs, self.names, "outputs")
        true = spread_tensors(targets, self.names, "targets", needed)
        weights = spread_weights(sample_weight, self.names)
        total: Tensor | None = None
        self.parts = {}
        for output, given, factor in self.terms:
            if true[output] is None:
                raise ConfigError(f"output {self.names[output]!r} has a loss and no targets")
            loss = _loss_of(given, true[output], flat[output])
            value = loss(true[output], flat[output], weights[output], masks[output] if masks else None)
            self.parts[self.names[output]] = value.detach()
            value = value if factor is None else value * factor
            total = value if total is None else total + value
        return total

    def extra_repr(self) -> str:
        return ", ".join(f"{self.names[term.output]}={term.loss!r}" for term in self.terms)


def spread_weights(given: Any, names: Sequence[str]) -> list[Any]:
    """Sample weights for each output."""
    several = isinstance(given, (list, tuple, dict))
    return spread_tensors(given, names, "sample_weight") if several else [given] * len(names)


def weights_by_class(targets: Any, class_weight: Mapping[int, float]) -> Tensor:
    """A weight for each sample by the class that its target says: a number, or the largest of one for each class.

    >>> weights_by_class(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), {1: 3.0})
    tensor([3., 1.])
    """
    if not isinstance(targets, Tensor):
        raise ConfigError("class_weight is for models with one output: give sample_weight, for each output its own")
    classes = targets
    if classes.ndim > 1:
        classes = classes.squeeze(-1) if classes.shape[-1] == 1 else classes.argmax(-1)
    if classes.ndim != 1:
        raise ConfigError(f"class_weight needs one class for each sample, and targets are {tuple(targets.shape)}")
    weights = [class_weight.get(int(x), 1.0) for x in classes.float().round().tolist()]
    return torch.tensor(weights, dtype=torch.float32, device=targets.device)


# ---- metrics ---------------------------------------------------------------------------------------------------------

_ACCURACIES: dict[str, type[Metric]] = {"binary": metrics.BinaryAccuracy, "sparse": metrics.SparseCategoricalAccuracy,
                                        "categorical": metrics.CategoricalAccuracy}


def _metric_of(given: Any, target: Tensor, output: Tensor) -> Metric:
    """A metric, named as it was given."""
    if isinstance(given, str) and given.lower() in BY_SHAPE["metrics"]:
        return _ACCURACIES[_sort_of_classes(target, output)](name=given)
    found: Any = metrics.get(given)
    if not isinstance(found, Metric):
        return MeanMetricWrapper(found, name=given if isinstance(given, str) else None)
    return found.copy(name=given) if isinstance(given, str) else found


class _Entry(NamedTuple):
    output: int
    given: Any
    weighted: bool


class CompiledMetrics:
    """The metrics of all outputs.

    Args:
        config: what ``compile`` said.
        names: of the outputs.
    """

    def __init__(self, config: CompileConfig, names: Sequence[str]) -> None:
        self.names = list(names)
        self.entries = [_Entry(output, metric, weighted)
                        for weighted, given, what in ((False, config.metrics, "metrics"),
                                                      (True, config.weighted_metrics, "weighted_metrics"))
                        for output, own in enumerate(self._by_output(given, what))
                        for metric in leaves(own) if metric is not None]
        self.states: list[MetricState] = []

    def _by_output(self, given: Any, what: str) -> list[Any]:
        if len(self.names) == 1 and isinstance(given, (list, tuple)):
            return [given]
        if len(self.names) > 1 and given is not None and not isinstance(given, (list, tuple, dict)):
            raise ConfigError(f"{what} of a model with several outputs is a list or a dict of them: "
                              f"{', '.join(self.names)}")
        return spread(given, self.names, what)

    def update(self, outputs: Any, targets: Any, sample_weight: Any = None,
               masks: Sequence[Tensor | None] | None = None) -> None:
        """Adds a batch; see :meth:`CompiledLoss.forward`."""
        if not self.entries:
            return
        flat = spread_tensors(outputs, self.names, "outputs")
        true = spread_tensors(targets, self.names, "targets")
        weights = spread_weights(sample_weight, self.names)
        if not self.states:
            self.states = [MetricState(_metric_of(entry.given, true[entry.output], flat[entry.output]))
                           for entry in self.entries]
        for (output, _, weighted), state in zip(self.entries, self.states):
            state.update(flat[output].detach(), true[output], weights[output] if weighted else None,
                         masks[output] if masks else None)

    def compute(self) -> dict[str, Tensor]:
        """Every metric by the name that Keras gives it; empty before the first batch."""
        found: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        for (output, _, weighted), state in zip(self.entries, self.states):
            name = state.spec.full_name
            if weighted and self._full(output, name) in counts:
                name = f"weighted_{name}"
            name = self._full(output, name)
            counts[name] = counts.get(name, 0) + 1
            found[name if counts[name] == 1 else f"{name}_{counts[name] - 1}"] = state.compute()
        return found

    def _full(self, output: int, name: str) -> str:
        prefix = f"{self.names[output]}_"
        return name if len(self.names) == 1 or name.startswith(prefix) else f"{prefix}{name}"  # Keras 2 wrote both

    def reset(self) -> None:
        """Forgets all batches."""
        for state in self.states:
            state.reset()
