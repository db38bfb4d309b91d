"""Keras' settings for all that is made from then on: ``keras.config`` and ``keras.backend`` have them.

Numbers here are computed as Keras computes them with its own settings, so most have one value, and
another is refused.
"""

from __future__ import annotations

from typing import Any, Literal

from kerashape_torch.dtype_policies import DTypePolicy, policy_name
from kerashape_torch.errors import ConfigError

_EPSILON = 1e-7
_policy = DTypePolicy("float32")


def backend() -> str:
    """What Keras would compute with: ``"torch"``."""
    return "torch"


def epsilon() -> float:
    """What is added where a division by zero could be."""
    return _EPSILON


def set_epsilon(value: float) -> None:
    """Takes Keras' own value alone."""
    _refuse_other("epsilon", value, _EPSILON)


def floatx() -> str:
    """The dtype of floats where nobody says one."""
    return "float32"


def set_floatx(value: str) -> None:
    """Takes Keras' own value alone."""
    _refuse_other("floatx", value, "float32", "; set_dtype_policy says the dtype of layers")


def image_data_format() -> Literal["channels_last"]:
    """The order of axes of images where nobody says one."""
    return "channels_last"


def set_image_data_format(data_format: str) -> None:
    """Takes Keras' own value alone."""
    _refuse_other("image_data_format", data_format, "channels_last", "; give layers data_format=...")


def dtype_policy() -> DTypePolicy:
    """The dtype policy of layers that are given none."""
    return _policy


def set_dtype_policy(policy: Any) -> None:
    """The dtype policy of all layers that are made from now on and are given none.

    >>> from kerashape_torch.layers import Dense
    >>> set_dtype_policy("mixed_bfloat16")
    >>> Dense(2).compute_dtype
    'bfloat16'
    >>> set_dtype_policy("float32")

    Raises:
        ConfigError: it names no policy.
    """
    global _policy
    _policy = DTypePolicy(policy_name(policy))


def _refuse_other(name: str, value: Any, known: Any, way_out: str = "") -> None:
    if value != known:
        raise ConfigError(f"{name} is {known!r} here, got {value!r}{way_out}")
