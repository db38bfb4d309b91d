"""Who wrote a config: the version and backend that it states, or else what its own forms tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kerashape_torch.layer import Layer
from kerashape_torch.saving.upgrade import keras1

_OLD_MODULES = ("tf_keras", "tensorflow.python.keras", "keras.engine", "keras.src.engine", "keras.layers.core.",
                "keras.src.layers.core.tf_op_layer", "keras.src.saving.legacy")
_OLD_CLASSES = {"Policy", "PolicyV1", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"}
_NAMES = (str, type(None))
_OLD_FIELDS = ("batch_input_shape", "time_major", "rng_type")


class Origin(NamedTuple):
    """The Keras that wrote a config. ``version`` is ``(3,)`` where nothing speaks of an older one."""

    version: tuple[int, ...] = (3,)
    backend: str | None = None
    of_tensorflow: bool = False
    """It is tf.keras, whose layers had TensorFlow 2's defaults before Keras itself had them."""

    @property
    def major(self) -> int:
        return self.version[0]


def origin_of(config: Any, dicts: Iterable[Mapping[str, Any]], version: str | None = None, backend: str | None = None
              ) -> Origin:
    """What the caller or the config says of itself; what the forms of its dicts tell, where neither says anything."""
    stated = config if isinstance(config, Mapping) else {}
    text = version or stated.get("keras_version")
    backend = backend or stated.get("backend")
    found = _parsed(str(text)) if text else None
    found = found or (min((major for major, _ in old_forms(dicts)), default=3),)
    of_tensorflow = found[0] < 3 and (str(text).endswith("-tf") or found >= (2, 4) or _names_tensorflow(dicts))
    return Origin(found, str(backend) if backend else None, of_tensorflow)


def _parsed(text: str) -> tuple[int, ...] | None:
    numbers = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, numbers.group().split("."))) if numbers else None


def _names_tensorflow(dicts: Iterable[Mapping[str, Any]]) -> bool:
    modules = (node.get("module") for node in dicts)
    return any(isinstance(module, str) and module.startswith(_OLD_MODULES) for module in modules)


def old_forms(dicts: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """Which of a config's dicts are in an older form: the major version that wrote so, and in words."""
    clean: set[tuple[Any, ...]] = set()  # classes, with names of arguments, that are in no older form
    for node in dicts:
        name, module = node.get("class_name"), node.get("module")
        if name is None and module is None:
            continue
        calls, inner = node.get("inbound_nodes"), node.get("config")
        if name is not None and isinstance(calls, (list, tuple)) and not all(map(is_call_of_keras3, calls)):
            yield 2, f"the calls of {node.get('name', 'a layer')!r} are written as lists"
        words = (name, module, *inner) if type(name) is str and type(module) in _NAMES and type(inner) is dict else None
        if words is None or words not in clean:
            found = [*((1, each) for each in keras1.old_forms(node)), *((2, each) for each in _old_words(node))]
            yield from found
            if words is not None and not found:
                clean.add(words)


def _old_words(node: Mapping[str, Any]) -> list[str]:
    found = []
    name, module, inner = node.get("class_name"), node.get("module"), node.get("config")
    if isinstance(module, str) and module.startswith(_OLD_MODULES):
        found.append(f"a class comes from {module}")
    if isinstance(name, str) and name in _OLD_CLASSES:
        found.append(f"there is a {name}")
    if name == "Sequential" and isinstance(inner, (list, tuple)):
        found.append("a Sequential model is written as a list")
    if name is not None and isinstance(inner, (dict, Mapping)):
        found += [f"{inner.get('name', 'a layer')!r} has {field}" for field in _OLD_FIELDS
                  if field in inner and not _has_argument(name, field)]
    return found


def _has_argument(name: Any, argument: str) -> bool:
    """Whether a layer that is here for the sake of old files has such an argument of its own, and writes it."""
    cls = Layer.catalog().get(name) if isinstance(name, str) else None
    return cls is not None and argument in cls._own_arguments()


def is_call_of_keras3(call: Any) -> bool:
    """Whether a call is written as ``{"args": [...], "kwargs": {...}}``."""
    return isinstance(call, (dict, Mapping)) and isinstance(call.get("args"), (list, tuple)) and "kwargs" in call
