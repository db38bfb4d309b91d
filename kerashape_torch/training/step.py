"""One step of training as Keras makes it: the loss with all penalties, its gradients, the optimizer, the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kerashape_torch import regularizers
from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.lowering.batches import as_input
from kerashape_torch.lowering.observe import Observed
from kerashape_torch.lowering.weights import device_of, keras_weights, regularization_loss
from kerashape_torch.metrics import Mean
from kerashape_torch.models import Model
from kerashape_torch.optimizers import LossScaleOptimizer
from kerashape_torch.structure import flatten, map_structure
from kerashape_torch.torch_modules.activity import Heard
from kerashape_torch.torch_modules.recurrent import Recurrent
from kerashape_torch.torch_modules.strings import is_text
from kerashape_torch.training.compiled import CompiledLoss, CompiledMetrics, weights_by_class
from kerashape_torch.training.metrics import MetricState
from kerashape_torch.training.optimizers import KerasOptimizer, torch_optimizer, variables_of
from kerashape_torch.training.outputs import names_of
from kerashape_torch.training.state import State


class Training:
    """What ``model.compile`` said, as torch objects around a compiled module.

    Attributes:
        module: the module that is trained.
        optimizer: a torch optimizer of its trainable weights; constraints hold after each of its steps.
        loss: a torch module of outputs, targets and sample weights, without penalties.
        metrics: with ``update``, ``compute`` and ``reset``.
        scaler: a ``GradScaler``, where the optimizer is a ``LossScaleOptimizer``.

    >>> from kerashape_torch import Sequential
    >>> from kerashape_torch.layers import Dense
    >>> model = Sequential([Dense(1, input_shape=(2,), kernel_initializer="zeros", kernel_regularizer="l2")])
    >>> model.compile("sgd", loss="mse", metrics=["mae"])
    >>> training = Training(model, model.to_torch())
    >>> training.step(torch.ones(4, 2), torch.ones(4, 1))
    tensor(1.)
    >>> training.results()
    {'loss': 1.0, 'mae': 1.0}
    """

    def __init__(self, model: Model, module: nn.Module) -> None:
        config = model.compile_config
        own = [name for name in ("train_step", "compute_loss", "compute_metrics") if hasattr(model, name)]
        if own:
            raise ConfigError(f"{type(model).__name__} has a {own[0]} of its own, which would be passed over. Way out: "
                              "a loop in torch around what to_torch() gives")
        optimizer: Any = config.optimizer
        if keras_weights(module).order != "keras":
            raise KerashapeError("losses look at axes in Keras' order: compile the module with layout='keras'")
        names = names_of(model)
        self.model, self.module = model, module
        self.optimizer = None if optimizer is None else torch_optimizer(optimizer, module)
        self.loss = CompiledLoss(config, names)
        self.metrics = CompiledMetrics(config, names)
        self.scaler = self._scaler(optimizer)
        self._loss_scale = getattr(optimizer, "loss_scale_factor", None) or 1.0
        self._observed = Observed(model, module)
        if model.saved_state is not None and self.optimizer is not None:
            self._state().read(model.saved_state)
        self._means = {"loss": MetricState(Mean())}

    def _state(self) -> State:
        assert self.optimizer is not None
        return State(self.model.optimizer, self.optimizer, variables_of(self.module), self.scaler)

    def state(self) -> list[tuple[str, Any]]:
        """What the optimizer keeps, in the order in which Keras lists it: arrays with names. ``model.save(path,
        training)`` writes it, and Keras goes on from there."""
        return [] if self.optimizer is None else self._state().write()

    def _scaler(self, optimizer: Any) -> Any:
        if not isinstance(optimizer, LossScaleOptimizer):
            return None
        return torch.amp.GradScaler(device_of(self.module).type, init_scale=optimizer.initial_scale,
                                    growth_interval=optimizer.dynamic_growth_steps)

    # ---- steps -------------------------------------------------------------------------------------------------------

    def step(self, inputs: Any, targets: Any = None, sample_weight: Any = None,
             class_weight: Mapping[int, float] | None = None) -> Tensor:
        """One training step, as ``train_on_batch`` of a Keras model makes it.

        Args:
            inputs: tensors or arrays, as the module takes them.
            targets: a tensor or array, or a list or a dict by the names of the outputs.
            sample_weight: for all outputs, or a list or dict of them.
            class_weight: a weight for samples of each class, 1 for those of others; in place of ``sample_weight``.

        Returns:
            The total loss before the step, detached. :meth:`results` has the mean over all steps, and the metrics.

        Raises:
            ConfigError: there is no optimizer, or no loss and no penalty either, or weights of both sorts.
        """
        if self.optimizer is None:
            raise ConfigError("there is no optimizer: give model.compile one")
        if class_weight is not None:
            if sample_weight is not None:
                raise ConfigError("a step takes sample_weight or class_weight, not both")
            targets = map_structure(self._tensor, targets)
            sample_weight = weights_by_class(targets, class_weight)
        self._set_mode()
        self.optimizer.zero_grad()
        loss = self.total_loss(inputs, targets, sample_weight)
        if self.scaler is None:
            (loss * self._loss_scale).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        else:
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return loss.detach()

    def _set_mode(self) -> None:
        """Training mode, unless the model's call does not ask for it: then Keras trains it as in inference."""
        self.module.train(self.model.asks_for_training)
        for part in self.module.modules():
            is_cudnns = isinstance(part, nn.RNNBase)  # which wants this mode for gradients
            if is_cudnns and isinstance(part, Recurrent) and not part.options.dropout:
                part.train()

    @torch.no_grad()
    def test(self, inputs: Any, targets: Any = None, sample_weight: Any = None) -> Tensor:
        """The total loss of a batch in evaluation mode, which counts in :meth:`results`; nothing is trained."""
        self.module.eval()
        return self.total_loss(inputs, targets, sample_weight)

    def total_loss(self, inputs: Any, targets: Any = None, sample_weight: Any = None) -> Tensor:
        """The loss of a batch with all penalties, for a training loop of your own; the metrics are updated.

        Raises:
            ConfigError: there is neither a loss nor a penalty.
        """
        inputs, targets, sample_weight = (map_structure(self._tensor, x) for x in (inputs, targets, sample_weight))
        outputs, masks, heard = self._observed(inputs)
        terms = [self.loss(outputs, targets, sample_weight, masks), *self._penalties(heard)]
        terms = [term for term in terms if term is not None]
        if not terms:
            raise ConfigError("there is no loss to train with: give model.compile one")
        total: Tensor = sum(terms[1:], terms[0])
        self._count(total, len(flatten(inputs)[0]))
        self.metrics.update(outputs, targets, sample_weight, masks)
        return total

    def _tensor(self, x: Any) -> Any:
        return x if x is None or is_text(x) else as_input(x, device_of(self.module))

    def _penalties(self, heard: Heard) -> list[Tensor]:
        """Those of weights, and those of what layers gave, by the size of the batch."""
        specs = keras_weights(self.module).specs
        found = [regularization_loss(self.module)] if any(s.regularizer is not None for s in specs) else []
        for regularizer, x in heard:
            found.append(regularizers.get(regularizer)(x) / (len(x) if x.ndim else 1))
        return found

    # ---- results -----------------------------------------------------------------------------------------------------

    def _count(self, total: Tensor, samples: int) -> None:
        self._means["loss"].update(total.detach(), sample_weight=torch.tensor(float(samples)))
        if len(self.loss.parts) > 1:
            for name, value in self.loss.parts.items():
                mean = self._means.setdefault(f"{name}_loss", MetricState(Mean()))
                mean.update(value, sample_weight=torch.tensor(float(samples)))

    def results(self) -> dict[str, Any]:
        """The mean loss and every metric over all batches since the last :meth:`reset`, by Keras' names."""
        means = {name: state.compute() for name, state in self._means.items()}
        found = {"loss": means.pop("loss"), **self.metrics.compute(), **means}
        return {name: value.tolist() for name, value in found.items()}

    def reset(self) -> None:
        """Forgets all batches, as Keras does at the beginning of an epoch."""
        self.metrics.reset()
        for state in self._means.values():
            state.reset()

    def finish(self) -> None:
        """Puts the running means in place of the weights, where the optimizer has ``use_ema``, as ``fit`` ends."""
        if isinstance(self.optimizer, KerasOptimizer):
            self.optimizer.finalize_variable_values()
