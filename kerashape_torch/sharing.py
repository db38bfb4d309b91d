"""Objects that stand in two places of a config: Keras numbers them, and so makes one object of them again."""

from __future__ import annotations

import contextlib
import contextvars
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

KEY = "shared_object_id"
_made: contextvars.ContextVar[dict[int, Any] | None] = contextvars.ContextVar("made", default=None)
_numbers: contextvars.ContextVar[Mapping[Any, int]] = contextvars.ContextVar("numbers", default={})  # noqa: B039


def is_one_of_each() -> bool:
    """Whether a config is being read."""
    return _made.get() is not None


@contextlib.contextmanager
def one_of_each() -> Iterator[None]:
    """Objects of one number that are made inside the ``with`` are one: those of one config."""
    token = _made.set({})
    try:
        yield
    finally:
        _made.reset(token)


def known(config: Mapping[str, Any]) -> Any:
    """The object that was made for the number in a config, if there is one."""
    number = config.get(KEY)
    return (_made.get() or {}).get(number) if isinstance(number, int) else None


def remember(config: Mapping[str, Any], made: Any) -> Any:
    """What was made of a config, for the next one with its number."""
    number, kept = config.get(KEY), _made.get()
    if isinstance(number, int) and kept is not None:
        kept[number] = made
    return made


@contextlib.contextmanager
def numbered(model: Any) -> Iterator[None]:
    """Configs written inside the ``with`` have numbers for the layers that are both in a layer around them and
    somewhere else."""
    counts: Counter[Any] = Counter()
    around: list[Any] = []

    def look(layer: Any) -> None:
        counts[layer] += 1
        if counts[layer] > 1:
            return
        if hasattr(layer, "operations"):
            for inner in layer.operations:
                look(inner)
        elif getattr(layer, "passes_weights_on", False):
            for inner in layer.sublayers():
                around.append(inner)
                look(inner)

    look(model)
    token = _numbers.set({layer: i for i, layer in enumerate(dict.fromkeys(around)) if counts[layer] > 1})
    try:
        yield
    finally:
        _numbers.reset(token)


def number(layer: Any) -> dict[str, int]:
    """The entry that a layer's config has for its number."""
    found = _numbers.get().get(layer)
    return {} if found is None else {KEY: found}
