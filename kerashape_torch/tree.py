"""``keras.tree``: nested lists, tuples and dicts, for code that walks over its tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerashape_torch import structure as walk
from kerashape_torch.errors import KerashapeError

flatten = walk.flatten


def is_nested(structure: Any) -> bool:
    """Whether it is a list, a tuple or a dict.

    >>> is_nested([1]), is_nested("ab")
    (True, False)
    """
    return isinstance(structure, (list, tuple, dict))


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """A structure of what a function makes of the leaves of one or more alike.

    >>> map_structure(max, {"a": [1, 5]}, {"a": [2, 3]})
    {'a': [2, 5]}
    """
    first, *others = structures
    for other in others:
        assert_same_structure(first, other)
    behind = [iter(flatten(other)) for other in others]
    return walk.map_structure(lambda x: func(x, *map(next, behind)), first)


def assert_same_structure(a: Any, b: Any) -> None:
    """Refuses structures that are nested in other ways."""
    if _shape_of(a) != _shape_of(b):
        raise KerashapeError(f"the structures are not nested alike: {_shape_of(a)} and {_shape_of(b)}")


def pack_sequence_as(structure: Any, flat_sequence: Any) -> Any:
    """Leaves in order, nested as a structure is.

    >>> pack_sequence_as({"b": 0, "a": [0]}, [1, 2])
    {'b': 2, 'a': [1]}
    """
    leaves = list(flat_sequence)
    if len(leaves) != len(flatten(structure)):
        raise KerashapeError(f"{len(leaves)} leaves do not fit a structure of {len(flatten(structure))}")
    found = iter(leaves)
    return walk.map_structure(lambda _: next(found), structure)


def _shape_of(structure: Any) -> Any:
    return walk.map_structure(lambda _: "*", structure)
