"""What a config needs before it is a model: layer by layer, before a weight is read or a graph is built."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kerashape_torch import config as configs
from kerashape_torch.errors import ConfigError, KerashapeError, UnknownLayerError
from kerashape_torch.lambda_source import in_torch
from kerashape_torch.saving.archive import check_config, refusing_nonsense
from kerashape_torch.saving.upgrade import Note, upgrade
from kerashape_torch.saving.upgrade.models import is_model
from kerashape_torch.saving.upgrade.op_layers import function_of, is_op_layer
from kerashape_torch.saving.upgrade.tensorflow.table import bare_name, known, refusal
from kerashape_torch.text import identifier

EXACT, NEEDS, REFUSED = "exact", "needs you", "refused"


class Finding(NamedTuple):
    """One layer of a file.

    Attributes:
        layer: its name, below those of the models around it.
        verdict: ``exact``; ``needs you``: a function or a class of yours; ``refused``.
        why: what the file asks for.
        way_out: what to do; the lines of code that supply what is needed.
        supply: the key of ``custom_objects`` that they have.
    """

    layer: str
    class_name: str
    verdict: str
    why: str = ""
    way_out: str = ""
    supply: str = ""


class Findings(NamedTuple):
    """All layers, the notes of the upgrade, and what is wrong with the model as a whole, if anything is."""

    layers: list[Finding]
    version: tuple[int, ...]
    notes: tuple[Note, ...]
    problem: str = ""

    @property
    def open(self) -> list[Finding]:
        """The layers that are not exact."""
        return [each for each in self.layers if each.verdict != EXACT]


def findings(config: Any, custom_objects: Mapping[str, Any] | None = None, version: str | None = None,
             backend: str | None = None) -> Findings:
    """Looks at each layer of a config alone.

    Raises:
        ConfigError: it is no config, or beyond reason in size.
    """
    dicts = check_config(config)
    with configs.custom_object_scope(custom_objects), refusing_nonsense():
        try:
            found = upgrade(config, version, backend, dicts)
            written, origin, notes, problem = found.config, found.version, found.notes, ""
        except KerashapeError as error:  # some layer cannot be upgraded: each is tried alone
            written, origin, notes, problem = config, (), (), str(error)
        layers = [_of_op_layer(path, entry, problem) if is_op_layer(entry) else _finding(path, entry, version, backend)
                  for path, entry in _entries(written, "")]
    said = any(each.verdict != EXACT and _is_about(problem, each.layer) for each in layers)
    return Findings(layers, origin, notes, "" if said else problem)


def explained(error: ConfigError, config: Any, custom_objects: Mapping[str, Any] | None = None,
              version: str | None = None, backend: str | None = None) -> ConfigError:
    """The error that a config ends in, with all layers that need something where it names the first of several, and
    with what is to be passed for them."""
    try:
        found = findings(config, custom_objects, version, backend).open
    except KerashapeError:
        return error
    keys = ", ".join(f"{key!r}: ..." for key in dict.fromkeys(each.supply for each in found if each.supply))
    way_out = f"What is your own, pass: custom_objects={{{keys}}}; `kerashape check` writes the lines" if keys else ""
    if len(found) < 2:
        is_told = not way_out or "custom_objects" in str(error)
        return error if is_told else type(error)(f"{error} {way_out}").needing(error.supply)
    listed = "\n".join(f"  {each.layer} ({each.class_name}): {each.why}" for each in found)
    return type(error)(f"{len(found)} layers of this model need something:\n{listed}\n{way_out}".rstrip())


# ---- one layer -------------------------------------------------------------------------------------------------------


def _entries(written: Any, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The layers of a model, and those of the models inside it, with their paths."""
    inner = written.get("config") if isinstance(written, Mapping) else written
    layers = inner.get("layers") if isinstance(inner, Mapping) else inner
    for i, entry in enumerate(layers if isinstance(layers, list) else ()):
        if not isinstance(entry, Mapping) or "class_name" not in entry or "config" not in entry:
            continue
        own = entry["config"] if isinstance(entry["config"], Mapping) else {}
        path = f"{prefix}{entry.get('name') or own.get('name') or f'layer {i}'}"
        if is_model(entry):
            yield from _entries(entry, f"{path}/")
        else:
            yield path, entry


def _finding(path: str, entry: Mapping[str, Any], version: str | None, backend: str | None) -> Finding:
    class_name = str(entry["class_name"])
    try:
        with refusing_nonsense():
            configs.from_config_value(upgrade({**entry, "inbound_nodes": []}, version, backend).config)
    except KerashapeError as error:
        key = getattr(error, "supply", None)
        if key is None:
            return Finding(path, class_name, REFUSED, *_split(str(error)))
        is_class = isinstance(error, UnknownLayerError)
        why = re.split(r" (?:Pass the function|If it is your own|Way out:)", str(error))[0]
        return Finding(path, class_name, NEEDS, why, _lines(key, is_class, entry), key)
    return Finding(path, class_name, EXACT)


def _of_op_layer(path: str, entry: Mapping[str, Any], problem: str) -> Finding:
    """A function of TensorFlow that stands in a model whose upgrade stopped, here or elsewhere."""
    class_name = str(entry["class_name"])
    try:
        function, *_ = function_of({**entry, "name": path}, None, {})
    except KerashapeError as error:
        return Finding(path, class_name, REFUSED, *_split(str(error)))
    bare, why = bare_name(function), refusal(function)
    if configs.custom_object(function, bare) is not None:
        return Finding(path, class_name, EXACT)
    if why is not None and why.way_out is not None:
        return Finding(path, class_name, REFUSED, f"tf.{bare}: {why}", why.way_out)
    if why is not None or not known(function):
        fact = f"tf.{bare}: {why}" if why is not None else (
            f"tf.{bare} is a function of TensorFlow that has no equivalent here")
        return Finding(path, class_name, NEEDS, fact, _lines(bare, False, entry), bare)
    if _is_about(problem, path):
        return Finding(path, class_name, REFUSED, *_split(problem))
    return Finding(path, class_name, EXACT)


def _is_about(problem: str, path: str) -> bool:
    name = path.rpartition("/")[2]
    return problem.startswith((f"{name}: ", f"layer {name!r} calls "))


def _split(text: str) -> tuple[str, str]:
    """What an error says, and the way out that it names."""
    fact, _, way_out = text.partition(" Way out: ")
    return fact, way_out


def _lines(key: str, is_class: bool, entry: Mapping[str, Any]) -> str:
    """The lines of Python that supply a class or a function."""
    name = identifier(key)
    first = f"from your_code import {name}"
    if not is_class:
        offered = in_torch(_source_text(entry))
        first = f"{name} = {offered or 'lambda x: ...'}  # {'as the file has it' if offered else 'of torch tensors'}"
    return f"{first}\nmodel = load_model(file, custom_objects={{{key!r}: {name}}})"


def _source_text(entry: Mapping[str, Any]) -> str:
    """The source of a lambda, where a file has it as text."""
    inner = entry["config"]
    function = inner.get("function") if isinstance(inner, Mapping) else None
    text = function.get("config") if isinstance(function, Mapping) else function
    return text if isinstance(text, str) else ""
