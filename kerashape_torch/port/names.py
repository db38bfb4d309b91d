"""Names and texts from files, made harmless: identifiers that Python and torch leave free, comments of one line."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

from torch import nn

_PYTHON = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins)})
_MODULE = frozenset({*dir(nn.Module()), "forward", "train"})
_FILE = frozenset({"self", "torch", "nn", "F", "Tensor", "einops", "functools", "functional", "itertools", "math",
                   "operator", "string", "np", "annotations", "Any", "Callable", "Path", "argparse", "check", "load",
                   "OrderedDict"})
"""What the file imports and defines."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def identifier(text: str, otherwise: str = "x") -> str:
    """ASCII letters, digits and underscores; a number in front goes to the end, as people write it.

    >>> identifier("my layer-1"), identifier("1_conv"), identifier("3x3"), identifier("\\u202e")
    ('my_layer_1', 'conv1', 'x_3x3', 'x')
    """
    name = re.sub(r"_+", "_", re.sub(r"[^0-9A-Za-z_]", "_", text)).strip("_")[:80]
    numbered = re.fullmatch(r"(\d+)_([A-Za-z]\w*)", name)
    if numbered:
        name = f"{numbered[2]}{numbered[1]}"
    if not name:
        return otherwise
    return f"{otherwise}_{name}" if name[0].isdigit() else name


_OF_TENSORFLOW = re.compile(
    r"tf\.(?:(?:compat|v1|v2|math|nn|image|linalg|signal)\.)*(?P<function>\w+?)(?:_\d+)?(?:\.\w+)*")


def spoken(layer: str) -> str:
    """What a layer's name says: of one that Keras 2 made of a function of TensorFlow, the function's own name.

    >>> spoken("tf.compat.v1.nn.moments_2"), spoken("tf.nn.moments.mean"), spoken("stem_conv")
    ('moments', 'moments', 'stem_conv')
    >>> spoken("tf.__operators__.add_1")  # no more than an operator says
    ''
    """
    found = _OF_TENSORFLOW.fullmatch(layer)
    if found is None:
        return layer
    return "" if found["function"] == "__operators__" else found["function"]


def class_name(text: str, otherwise: str = "Model") -> str:
    """An identifier in capitals and small letters; what has capitals already keeps them.

    >>> class_name("conv2_block1"), class_name("ResNet50"), class_name("mini_resnet"), class_name("50 ways")
    ('Conv2Block1', 'ResNet50', 'MiniResnet', 'Model50Ways')
    """
    words = [word for word in re.split(r"[^0-9A-Za-z]+", text[:80]) if word]
    name = "".join(word[0].upper() + word[1:] for word in words)
    if not name:
        return otherwise
    return f"{otherwise}{name}" if name[0].isdigit() else name


def snake(text: str) -> str:
    """
    >>> snake("MaxPool2d")
    'max_pool2d'
    """
    return _CAMEL.sub("_", text).lower()


class Names:
    """Identifiers of one scope: each once, and none that means something already."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.taken = {*_PYTHON, *_FILE, *reserved}

    def free(self, name: str) -> bool:
        return name not in self.taken

    def take(self, wanted: str) -> str:
        """The name, or one like it that is free."""
        name, number = wanted, 2
        if not self.free(name) and self.free(f"{name}_"):
            name = f"{name}_" if keyword.iskeyword(name) or name in _PYTHON | _MODULE else name
        while not self.free(name):
            name, number = f"{wanted}_{number}", number + 1
        self.taken.add(name)
        return name


def member_names() -> Names:
    """For the attributes of a module, which has many already."""
    return Names(_MODULE)


def plain(text: str, limit: int = 200) -> str:
    """Text for a comment or a docstring, which it can neither end nor leave.

    >>> plain('a\\n\"\"\" b')
    "a\\\\n''' b"
    """
    shown = text if len(text) <= limit else f"{text[:limit]}..."
    return shown.encode("unicode_escape").decode().replace('"', "'")
