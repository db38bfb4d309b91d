"""``keras.random`` on torch tensors, for layers of one's own: the same distributions, and torch's numbers.

Without a seed they come from torch's generator. A whole number as seed gives the same numbers each time, and a
:class:`SeedGenerator` others each time. Keras draws other numbers from the same seed.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.graph import followed_inputs
from kerashape_torch.ops.creation import dtype_of

if TYPE_CHECKING:
    import torch


class SeedGenerator:
    """A seed for each time that one is asked for; from torch's generator, if none is given.

    >>> generator = SeedGenerator(1337)
    >>> bool((normal((3,), seed=generator) == normal((3,), seed=generator)).any())
    False
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ConfigError(f"SeedGenerator(seed=...) must be a whole number, got {seed!r}")
        self.seed = seed
        self._drawn = itertools.count()

    def next(self, ordered: bool = True) -> int | None:
        """The next seed."""
        return None if self.seed is None else hash((self.seed, next(self._drawn))) % 2**63

    def get_config(self) -> dict[str, Any]:
        """What makes it again."""
        return {"seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SeedGenerator:
        return cls(**config)


def _generator(seed: Any, like: torch.Tensor | None = None) -> torch.Generator | None:
    """The generator of a seed, where the tensor is or will be; on torch's meta device there is none to ask."""
    import torch

    seed = seed.next() if isinstance(seed, SeedGenerator) else seed
    device = torch.empty(0).device if like is None else like.device
    return None if seed is None or device.type == "meta" else torch.Generator(device).manual_seed(int(seed))


def _empty(shape: Sequence[Any], dtype: Any) -> torch.Tensor:
    import torch

    return torch.empty(tuple(shape), dtype=dtype_of(dtype))


def _drawn(function: Callable[..., Any]) -> Callable[..., Any]:
    """Draws anew whenever the model runs, also where a function is followed once and for all."""
    @functools.wraps(function)
    def public(*args: Any, **kwargs: Any) -> Any:
        import torch

        if torch.compiler.is_compiling() or followed_inputs() is None:  # it compiles no context variables
            return function(*args, **kwargs)
        from kerashape_torch.ops.sized import called_when_run

        return called_when_run(function, args, kwargs)

    return public


@_drawn
def normal(shape: Sequence[Any], mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Numbers of a normal distribution."""
    x = _empty(shape, dtype)
    return x.normal_(generator=_generator(seed, x)) * stddev + mean


@_drawn
def truncated_normal(shape: Sequence[Any], mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None,
                     seed: Any = None) -> Any:
    """Numbers of a normal distribution, none further from its mean than two standard deviations."""
    import torch

    x = _empty(shape, dtype)
    return torch.nn.init.trunc_normal_(x, generator=_generator(seed, x)) * stddev + mean


@_drawn
def uniform(shape: Sequence[Any], minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Numbers from ``minval`` up to ``maxval``, all alike."""
    x = _empty(shape, dtype)
    return x.uniform_(generator=_generator(seed, x)) * (maxval - minval) + minval


@_drawn
def randint(shape: Sequence[Any], minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """Whole numbers from ``minval`` up to ``maxval``, which is not one of them."""
    x = _empty(shape, dtype)
    return x.random_(minval, maxval, generator=_generator(seed, x))


@_drawn
def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """The numbers of classes, as often as their logits say: (batch, classes) to (batch, samples)."""
    drawn = logits.softmax(-1).multinomial(num_samples, replacement=True, generator=_generator(seed, logits))
    return drawn.to(dtype_of(dtype))


@_drawn
def dropout(inputs: Any, rate: float, noise_shape: Sequence[Any] | None = None, seed: Any = None) -> Any:
    """Sets elements to zero at random and makes the others larger, so that the sum stays about the same."""
    if rate <= 0:
        return inputs
    shape = [n if m is None else m for n, m in zip(inputs.shape, noise_shape or [None] * inputs.ndim)]
    kept = inputs.new_empty(shape).bernoulli_(1 - rate, generator=_generator(seed, inputs))
    return inputs * kept / (1 - rate)


@_drawn
def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    """A tensor with its parts along an axis in any order."""
    import torch

    order = torch.rand(x.shape[axis], device=x.device, generator=_generator(seed, x)).argsort()
    return x.index_select(axis, order)
