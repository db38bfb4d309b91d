"""One for each output: what lists, dicts and single things that are given to a model's training mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kerashape_torch.compiling import is_config, leaves
from kerashape_torch.errors import ConfigError, did_you_mean
from kerashape_torch.models import Model
from kerashape_torch.structure import flatten


def names_of(model: Model) -> list[str]:
    """Names of a model's outputs in order: the keys of a dict, or the layers that they come from."""
    outputs = model.graph.outputs
    if isinstance(outputs, Mapping) and len(outputs) == len(model.graph.flat_outputs):
        return sorted(outputs)
    return [x.node.layer.name for x in model.graph.flat_outputs]


def spread(given: Any, names: Sequence[str], what: str) -> list[Any]:
    """What was given for each output; None where nothing was. A single thing is for all.

    >>> spread("mse", ["one", "two"], "loss"), spread({"two": "mse"}, ["one", "two"], "loss")
    (['mse', 'mse'], [None, 'mse'])

    Raises:
        ConfigError: there are more or fewer than outputs, or a name is not one of theirs.
    """
    if isinstance(given, Mapping) and not is_config(given):
        return _by_name(given, names, what)
    if isinstance(given, (list, tuple)):
        if len(given) == len(names):
            return list(given)
        found = list(leaves(given)) if any(isinstance(item, (list, tuple, Mapping)) for item in given) else []
        if len(found) == len(names):
            return found
        raise ConfigError(f"{what} has {len(given)} entries, and the model has {len(names)} outputs: "
                          f"{', '.join(names)}")
    return [given] * len(names)


def _by_name(given: Mapping[str, Any], names: Sequence[str], what: str) -> list[Any]:
    for name in given:
        if name not in names:
            raise ConfigError(f"{what} names {name!r}, which is no output of the model.{did_you_mean(name, names)} "
                              f"Its outputs are: {', '.join(names)}")
    return [given.get(name) for name in names]


def spread_tensors(given: Any, names: Sequence[str], what: str, needed: Sequence[bool] | None = None) -> list[Any]:
    """The tensors for each output; where only some outputs need one, no more may be given."""
    if isinstance(given, Mapping) and set(given) <= set(names):
        return _by_name(given, names, what)
    found = flatten(given) if isinstance(given, (list, tuple, Mapping)) else [given]
    wanted = [i for i in range(len(names)) if needed is None or needed[i]]
    for places in (range(len(names)), wanted):
        if len(found) == len(places):
            by_place = dict(zip(places, found))
            return [by_place.get(i) for i in range(len(names))]
    raise ConfigError(f"{what} has {len(found)} tensors, and the model has {len(names)} outputs: {', '.join(names)}")
