"""Nested lists, tuples and dicts, walked the way Keras walks them: dicts in the order of their sorted keys."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Mapping
from typing import Any

SCALARS = frozenset({str, int, float, bool, type(None)})
"""Types of what a config is full of, and what holds nothing: whoever walks over a config passes over them first."""


def flatten(structure: Any) -> list[Any]:
    """The leaves in order.

    >>> flatten({"b": 1, "a": [2, (3,)]})
    [2, 3, 1]
    """
    if not isinstance(structure, _INNER):
        return [structure]
    found: list[Any] = []
    _collect(structure, found)
    return found


_INNER = (dict, list, tuple)


def _collect(structure: Any, found: list[Any]) -> None:
    for item in [structure[key] for key in sorted(structure)] if isinstance(structure, dict) else structure:
        if isinstance(item, _INNER):
            _collect(item, found)
        else:
            found.append(item)


def flatten_in_torchs_order(structure: Any) -> list[Any]:
    """The leaves as Keras' torch backend orders them, which sorts no dict that lies in another one.

    >>> flatten_in_torchs_order({"b": 1, "a": {"d": 2, "c": 3}}), flatten({"b": 1, "a": {"d": 2, "c": 3}})
    ([2, 3, 1], [3, 2, 1])
    """
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in _as_they_stand(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [leaf for item in structure for leaf in flatten_in_torchs_order(item)]
    return [structure]


def _as_they_stand(structure: Any) -> list[Any]:
    if isinstance(structure, _INNER):
        items = structure.values() if isinstance(structure, dict) else structure
        return [leaf for item in items for leaf in _as_they_stand(item)]
    return [structure]


def sorted_inside(structure: Any, inside: bool = False) -> Any:
    """The same structure with the keys of dicts in dicts sorted, so that all backends of Keras order it alike.

    >>> sorted_inside({"b": 1, "a": {"d": 2, "c": 3}})
    {'b': 1, 'a': {'c': 3, 'd': 2}}
    """
    if isinstance(structure, dict):
        return {key: sorted_inside(structure[key], True) for key in (sorted(structure) if inside else structure)}
    if isinstance(structure, (list, tuple)):
        items = [sorted_inside(item, inside) for item in structure]
        return items if isinstance(structure, list) else tuple(items)
    return structure


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same structure with ``function`` applied to each leaf, in the order of :func:`flatten`.

    >>> map_structure(str, {"b": 0, "a": [1, 2]})
    {'b': '0', 'a': ['1', '2']}
    """
    if isinstance(structure, dict):
        mapped = {key: map_structure(function, structure[key]) for key in sorted(structure)}
        return {key: mapped[key] for key in structure}
    if isinstance(structure, (list, tuple)):
        items = [map_structure(function, item) for item in structure]
        return items if isinstance(structure, list) else tuple(items)
    return function(structure)


def levels(value: Any) -> Iterator[list[Mapping[str, Any]]]:
    """Every dict inside a config, level by level: those that are equally deep together.

    >>> list(levels({"a": {"b": 1}, "c": {"d": 2}, "e": [{"f": {}}]}))[1:3]
    [[{'b': 1}, {'d': 2}], [{'f': {}}]]
    """
    level: list[Any] = [value]
    while level:
        dicts, below = [], []
        for each in level:
            if type(each) is not list:  # asking an abstract class costs as much as all the rest
                if type(each) is dict or isinstance(each, Mapping):
                    dicts.append(each)
                    each = each.values()
                elif not isinstance(each, (list, tuple)):
                    continue
            for item in each:
                if type(item) not in SCALARS:
                    below.append(item)
        yield dicts
        level = below


def is_shape(value: Any) -> bool:
    """Whether a value is one shape rather than a list or dict of shapes.

    >>> is_shape((None, 3)), is_shape([(None, 3), (None, 4)])
    (True, False)
    """
    if not isinstance(value, (list, tuple)):
        return False
    for axis in value:  # noqa: SIM110 - a generator in all() takes three times as long, and every rule asks this
        if axis is not None and not isinstance(axis, int):
            return False
    return True


def map_shapes(function: Callable[[Any], Any], structure: Any) -> Any:
    """Like :func:`map_structure`, where each leaf is one shape, or something that ``function`` will refuse."""
    if isinstance(structure, dict):
        return {key: map_shapes(function, value) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)) and not is_shape(structure):
        return [map_shapes(function, value) for value in structure]
    return function(structure)


def flatten_shapes(structure: Any) -> list[tuple[int | None, ...]]:
    """The shapes of a nested structure, in order.

    >>> flatten_shapes({"b": (None, 2), "a": [(None,), (3, 4)]})
    [(None,), (3, 4), (None, 2)]
    """
    if is_shape(structure):
        return [tuple(structure)]
    items = [structure[key] for key in sorted(structure)] if isinstance(structure, dict) else structure
    return [shape for item in items for shape in flatten_shapes(item)]


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """No garbage is looked for inside the ``with``. Reading a large config or lowering a model makes many objects, and
    all of them stay: Python's collector would walk over them again and again, a third of the time, for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
