"""What layers give, on its way to their activity regularizers.

Only modules that are made while somebody listens say anything: all others are as if there were no regularizers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn

from kerashape_torch.structure import flatten

Heard = list[tuple[Any, Tensor]]
"""Each regularizer with a tensor that it looks at, in Keras' order of axes."""
_listening: ContextVar[Heard | None] = ContextVar("listening", default=None)


@contextlib.contextmanager
def listening(heard: Heard) -> Iterator[None]:
    """Modules made meanwhile write into this list, whenever they run."""
    token = _listening.set(heard)
    try:
        yield
    finally:
        _listening.reset(token)


class Listener(nn.Module):
    """Notes what a layer gives for its regularizer: called with it, or as a hook of the layer's module."""

    def __init__(self, regularizer: Any, heard: Heard, channels_first: bool = False) -> None:
        super().__init__()
        self.regularizer, self.heard, self.channels_first = regularizer, heard, channels_first

    def forward(self, *outputs: Any) -> None:
        for x in flatten(outputs):
            moves = self.channels_first and x.ndim > 2
            self.heard.append((self.regularizer, x.movedim(1, -1) if moves else x))

    def hook(self, module: nn.Module, args: Any, outputs: Any) -> None:
        self.forward(outputs)


def listener(regularizer: Any, channels_first: bool = False) -> Listener | None:
    """A listener for a regularizer, while somebody listens; else None."""
    heard = _listening.get()
    return None if heard is None or regularizer is None else Listener(regularizer, heard, channels_first)


def as_it_is(loss: Tensor) -> Tensor:
    """In the place of a regularizer: what a call adds to the loss is a number already."""
    return loss


def is_heard(module: nn.Module) -> bool:
    """Whether there are listeners in a module."""
    return any(isinstance(part, Listener) or any(isinstance(getattr(hook, "__self__", None), Listener)
                                                 for hook in part._forward_hooks.values())
               for part in module.modules())
