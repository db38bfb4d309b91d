"""The state of a metric: the sums of the batches that it has seen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerashape_torch.metrics import Metric


class MetricState:
    """A metric that counts. The sums lie where the predictions do, in :attr:`sums`.

    >>> from kerashape_torch.metrics import BinaryAccuracy
    >>> state = MetricState(BinaryAccuracy())
    >>> for outputs in (torch.tensor([[0.9]]), torch.tensor([[0.2]])):
    ...     state.update(outputs, targets=torch.ones(1, 1))
    >>> state.compute()
    tensor(0.5000)
    >>> state.reset()
    >>> state.compute()
    tensor(0.)
    """

    def __init__(self, spec: Metric) -> None:
        self.spec = spec
        self.sums: dict[str, Any] = {}

    @torch.no_grad()
    def update(self, outputs: Any, targets: Any = None, sample_weight: Any = None,
               mask: Tensor | None = None) -> None:
        """Adds a batch of predictions and targets; ``Mean`` and ``Sum`` take values alone."""
        outputs = torch.as_tensor(outputs)
        targets = None if targets is None else torch.as_tensor(targets).to(outputs.device)
        weight = None if sample_weight is None else torch.as_tensor(sample_weight).to(outputs.device)
        for name, value in self.spec.sums(targets, outputs, weight, mask).items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    @torch.no_grad()
    def compute(self) -> Tensor:
        """The metric over all batches so far; 0 before the first."""
        return self.spec.result(self.sums) if self.sums else torch.zeros(())

    def reset(self) -> None:
        """Forgets all batches."""
        self.sums = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec!r})"
