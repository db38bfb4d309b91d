"""The door through which configs of older Keras versions come in: dict to dict, up to Keras 3's one form.

Formats mix inside one file, so what is old is recognised by node and by field, never by file or extension.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kerashape_torch.errors import ConfigError


def to_keras3(config: Any) -> Any:
    """A serialized model in Keras 3's form.

    Raises:
        ConfigError: it is in an older form, which is not read.
    """
    found = next(old_forms(config), None)
    if found is not None:
        raise ConfigError(f"this config is of Keras 1 or 2, which is not read: {found}. "
                          "Way out: load it in the Keras that wrote it, and save it with Keras 3 as .keras")
    return config


def old_forms(config: Any) -> Iterator[str]:
    """What of a config is in an older form, in words."""
    if isinstance(config, Mapping) and str(config.get("keras_version", "3")).startswith(("0.", "1.", "2.")):
        yield f"keras_version is {config['keras_version']}"
    stack = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            yield from _old_fields(value)
            stack.extend(value.values())
        elif isinstance(value, (list, tuple)):
            stack.extend(value)


def _old_fields(value: Mapping[str, Any]) -> Iterator[str]:
    module, nodes, inner = value.get("module"), value.get("inbound_nodes"), value.get("config")
    if isinstance(module, str) and module.startswith(("tf_keras", "keras.src.engine", "keras.engine")):
        yield f"a class comes from {module}"
    if isinstance(nodes, (list, tuple)) and any(isinstance(call, (list, tuple)) for call in nodes):
        yield f"the calls of {value.get('name', 'a layer')!r} are written as lists"
    if value.get("class_name") == "Sequential" and isinstance(inner, (list, tuple)):
        yield "a Sequential model is written as a list"
    if isinstance(inner, Mapping) and "batch_input_shape" in inner:
        yield f"{inner.get('name', 'a layer')!r} has a batch_input_shape"
