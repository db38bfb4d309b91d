"""Vocabularies that Keras keeps beside the config: ``assets/layers/string_lookup/vocabulary.txt``, and the weights of
``tf_idf`` among the arrays. Keras does so for a vocabulary that came from ``adapt``; here it is in the config."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kerashape_torch.errors import ConfigError
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.saving.reading import Contents
from kerashape_torch.weight_paths import Kept, layer_groups
from kerashape_torch.weights import WeightSpec


def give_vocabularies(model: Model, contents: Contents) -> None:
    """Lets each layer whose config has no vocabulary know the one that lies beside it, if one does.

    Raises:
        ConfigError: it is no text of tokens, or not one that the layer can have.
        WeightsError: the weights of ``tf_idf`` do not fit it.
    """
    beside = contents.beside
    if beside is None:
        return
    wanted = {f"assets/{group}/vocabulary.txt": (layer, group) for layer, group in _lookups(model)
              if layer.vocabulary is None}
    for name, (layer, group) in wanted.items():
        if not beside.has(name):
            continue
        try:
            lines: list[Any] = beside.text(name).decode().replace("\r\n", "\n").split("\n")
        except UnicodeDecodeError:
            raise ConfigError(f"{name} is not UTF-8") from None
        while lines and not lines[-1]:
            lines.pop()
        lookup = _lookup(layer)
        tokens = lines if lookup._token is str else [_integer(line, name) for line in lines]
        if lookup.output_mode != "tf_idf":
            lookup.set_vocabulary(tokens)
        elif contents.weights is not None:
            idf = contents.weights.vector(_kept_idf(layer, group, lookup._depth() or len(tokens)))
            lookup.set_vocabulary(tokens, idf[:len(tokens)])


def _integer(line: str, name: str) -> int:
    try:
        return int(line)
    except ValueError:
        raise ConfigError(f"{name} should hold an integer in each line, and has {line[:40]!r}") from None


def idf_weights(model: Model) -> tuple[list[Kept], list[Any]]:
    """The weights of every ``tf_idf`` layer, which Keras looks for among the arrays of a file, and their places."""
    import numpy as np

    kept, arrays = [], []
    for layer, group in _lookups(model):
        lookup = _lookup(layer)
        if lookup.output_mode == "tf_idf" and lookup._idf is not None:
            arrays.append(np.asarray(lookup.table()["idf"], np.float32))
            kept.append(_kept_idf(layer, group, len(arrays[-1])))
    return kept, arrays


def _kept_idf(layer: Layer, group: str, size: int) -> Kept:
    place = "vars/idf_weights"
    inside = (f"{group}/_lookup_layer/{place}",) if _lookup(layer) is not layer else ()
    return Kept(layer, WeightSpec("idf_weights", (size,), trainable=False), f"{group}/{place}", inside)


def _lookups(model: Model) -> Iterator[tuple[Any, str]]:
    return ((layer, group) for layer, group in layer_groups(model) if hasattr(layer, "set_vocabulary"))


def _lookup(layer: Any) -> Any:
    """The layer itself, or the one inside it that has the vocabulary."""
    return getattr(layer, "lookup", layer)
