"""The YAML that ``to_yaml()`` wrote until TensorFlow 2.6, as the dict that JSON would be.

Only plain YAML is read, with PyYAML's safe loader; of Python's tags there are two that Keras itself wrote, and that
name no code: tuples, which become lists, and Python 2's text.
"""

from __future__ import annotations

from typing import Any

from kerashape_torch.errors import ConfigError

_LIMIT = 2_000_000
"""How many nodes a text may come to, once what its aliases stand for is written out."""


def parse_yaml(text: str | bytes, name: str = "the text") -> Any:
    """YAML as JSON's values.

    Raises:
        ConfigError: PyYAML is not installed, the text is not YAML, it has a tag, or its aliases blow it up.
    """
    try:
        import yaml
    except ImportError:
        raise ConfigError(f"{name} is YAML, which takes PyYAML to read: pip install pyyaml") from None

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # the safe one, and with its own table of tags
        pass

    tag = "tag:yaml.org,2002:python/"
    Loader.add_constructor(f"{tag}tuple", lambda loader, node: loader.construct_sequence(node, deep=True))
    for text_tag in ("unicode", "str"):
        Loader.add_constructor(f"{tag}{text_tag}", lambda loader, node: loader.construct_scalar(node))
    try:
        found = yaml.load(text, Loader=Loader)
        if _size(found, {}) > _LIMIT:
            raise ConfigError(f"{name} comes to more than {_LIMIT} nodes once its aliases are written out")
    except RecursionError:
        raise ConfigError(f"{name} is nested too deep") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} is not plain YAML: {error}") from None
    return found


def _size(value: Any, known: dict[int, int]) -> int:
    """How many nodes a value comes to, where an alias counts as often as it stands there."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        known[id(value)] = _LIMIT + 1  # what a node is inside of itself
        items = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(item, known) for item in items)
    return known[id(value)]
