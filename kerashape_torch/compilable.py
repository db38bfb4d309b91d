"""What a model has of Keras' trainer: ``compile``, and what a file says of it. Only then is more of it loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kerashape_torch.errors import ConfigError

if TYPE_CHECKING:
    from kerashape_torch.compiling import CompileConfig
    from kerashape_torch.optimizers.state import SavedState


_MODULE = "module = model.to_torch()"
_TRAIN = f"{_MODULE}; kerashape_torch.training.of(model, module).step(x, y)"
_ELSEWHERE = {
    **dict.fromkeys(("fit", "fit_generator", "train_on_batch"), _TRAIN),
    **dict.fromkeys(("evaluate", "evaluate_generator", "test_on_batch"),
                    f"{_MODULE}; kerashape_torch.predict(module, x), and kerashape_torch.metrics"),
    **dict.fromkeys(("predict", "predict_generator", "predict_on_batch"),
                    f"{_MODULE}; kerashape_torch.predict(module, x)"),
    "get_weights": f"{_MODULE}; kerashape_torch.get_keras_weights(module)",
    "set_weights": f"{_MODULE}; kerashape_torch.set_keras_weights(module, arrays)",
}
"""Methods of Keras' models that need numbers, which a description has none of, and what does the same."""


class Compilable:
    """What a model has of Keras' trainer: what ``compile`` said."""
    if not TYPE_CHECKING:  # or every name would be one
        def __getattr__(self, name: str) -> Any:
            if name in _ELSEWHERE:
                raise AttributeError(f"a model has no {name!r} here: it describes, and a torch module computes. "
                                     f"Way out: {_ELSEWHERE[name]}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    _compiled: CompileConfig | _Unread | None = None
    saved_state: SavedState | None = None
    """What the optimizer of the file had kept, for training to go on with."""

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, loss_weights: Any = None, metrics: Any = None,
                weighted_metrics: Any = None, run_eagerly: bool = False, steps_per_execution: int = 1,
                jit_compile: bool | str = "auto", auto_scale_loss: bool = True) -> None:
        """Says how to train the model, as in Keras. ``kerashape_torch.training.of(model, module)`` does it.

        Args:
            optimizer: a name, or one of ``kerashape_torch.optimizers``.
            loss: a name, a function, or one of ``kerashape_torch.losses``; a list or a dict of them, by the names of
                the outputs, where there are several.
            loss_weights: a number for each loss.
            metrics: a list of names, functions, or of ``kerashape_torch.metrics``; where there are several outputs, a
                list or dict of such lists.
            weighted_metrics: metrics that mind sample weights.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: kept for Keras' sake.

        Raises:
            ConfigError: a name is not known.

        >>> from kerashape_torch import Sequential
        >>> from kerashape_torch.layers import Dense
        >>> model = Sequential([Dense(2, input_shape=(3,))])
        >>> model.compile(optimizer="sgd", loss="mse")
        >>> model.optimizer
        SGD()
        """
        from kerashape_torch.compiling import CompileConfig

        self._compiled = CompileConfig(optimizer, loss, loss_weights, metrics, weighted_metrics, run_eagerly,
                                       steps_per_execution, jit_compile, auto_scale_loss)
        self.saved_state = None

    @property
    def compiled(self) -> bool:
        """Whether it is known how to train the model."""
        return self._compiled is not None

    @property
    def compile_config(self) -> CompileConfig:
        """What ``compile`` said, or the file that the model came from.

        Raises:
            ConfigError: nothing was said, or the file names something that is not known.
        """
        if isinstance(self._compiled, _Unread):
            raise ConfigError(f"how to train the model is said in its file, and cannot be read: {self._compiled.why}. "
                              "Call model.compile(...)")
        if self._compiled is None:
            raise ConfigError("how to train the model is not known: call model.compile(...)")
        return self._compiled

    @property
    def optimizer(self) -> Any:
        """The optimizer that ``compile`` was given."""
        return self.compile_config.optimizer

    def get_compile_config(self) -> dict[str, Any]:
        """What ``compile`` said as Keras writes it; empty if nothing was said, or was said in a way of Keras 1 or 2
        that cannot be read."""
        if isinstance(self._compiled, _Unread):
            return dict(self._compiled.config) if "optimizer" in self._compiled.config else {}
        return {} if self._compiled is None else self._compiled.get_config()

    def compile_from_config(self, config: Any) -> None:
        """Takes over what a file says: ``compile_config`` of Keras 3 or ``training_config`` of Keras 1 and 2.

        What cannot be read is kept, and refused when it is asked for: the model itself needs none of it.
        """
        if not isinstance(config, Mapping) or not config:
            return
        from kerashape_torch.compiling import CompileConfig

        try:
            self._compiled = CompileConfig.from_config(config)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError) as error:
            self._compiled = _Unread(config, error)


class _Unread:
    def __init__(self, config: Mapping[str, Any], why: Exception) -> None:
        self.config = config
        self.why = why
