"""Layers of Keras that hold code or models of other frameworks: known by name, and refused with the way out."""

from typing import Any, NoReturn

from kerashape_torch.config import refuse_foreign


class _Foreign:
    """Not a layer: making one, in code or from a config, says why not and what to do instead."""

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        refuse_foreign(cls.__name__)


class JaxLayer(_Foreign):
    """A function of JAX.

    >>> JaxLayer(print)
    Traceback (most recent call last):
    kerashape_torch.errors.UnsafeConfigError: JaxLayer runs a function of JAX, which torch cannot run. ...
    """


class FlaxLayer(_Foreign):
    """A module of Flax.

    >>> FlaxLayer(object())
    Traceback (most recent call last):
    kerashape_torch.errors.UnsafeConfigError: FlaxLayer runs a module of Flax, which torch cannot run. ...
    """


class TFSMLayer(_Foreign):
    """A SavedModel of TensorFlow.

    >>> TFSMLayer("path")
    Traceback (most recent call last):
    kerashape_torch.errors.UnsafeConfigError: TFSMLayer runs the TensorFlow graph of a SavedModel, ...
    """


class TorchModuleWrapper(_Foreign):
    """A pickled module of torch.

    >>> TorchModuleWrapper(object())
    Traceback (most recent call last):
    kerashape_torch.errors.UnsafeConfigError: TorchModuleWrapper hides its shapes, and in a file it is a pickle, ...
    """
