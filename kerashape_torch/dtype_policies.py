"""Dtype policies by name, as Keras writes them: of floats, and of weights that a file stores in another way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kerashape_torch.errors import ConfigError

_FLOATS = ("float32", "float16", "bfloat16", "float64")
_BLOCK = r"(?:-1|[1-9][0-9]{0,8})"
_QUANTIZED = re.compile(f"(int8|int4(?:/{_BLOCK})?|float8|(?:gptq/[2348]|awq/4)/{_BLOCK})_from_([a-z0-9_]+)")


_known: dict[str, tuple[str | None, str]] = {}  # no functools.cache, of which torch.compile warns
_both: dict[str | None, tuple[str, str]] = {}


def quantization(policy: str) -> tuple[str | None, str]:
    """The mode in which a dtype policy stores weights, None for floats, and the policy of the floats.

    >>> quantization("int4/128_from_mixed_bfloat16"), quantization("float32")
    (('int4/128', 'mixed_bfloat16'), (None, 'float32'))
    """
    if policy not in _known:
        found = _QUANTIZED.fullmatch(policy)
        _known[policy] = (found[1], found[2]) if found else (None, policy)
    return _known[policy]


POLICIES = ("DTypePolicy", "FloatDTypePolicy", "DTypePolicyMap", "QuantizedDTypePolicy", "QuantizedFloat8DTypePolicy",
            "Int4DTypePolicy", "GPTQDTypePolicy", "AWQDTypePolicy")


def policy_name(config: Any) -> str:
    """The name of a dtype policy, from what Keras writes inside of it.

    Of a ``DTypePolicyMap`` it is the one that all entries have, in floats where they are quantized in several ways: its
    paths and patterns are not followed, as the arrays of a file tell how each part of a layer is quantized.

    >>> policy_name({"mode": "int8", "source_name": "float32"}), policy_name({"name": "mixed_float16"})
    ('int8_from_float32', 'mixed_float16')

    Raises:
        ConfigError: it is none, or gives the parts of one layer several dtypes.
    """
    if not isinstance(config, Mapping):
        return str(config or "float32")
    if "config" in config:
        return policy_name(config["config"])
    if "mode" in config:
        return f"{config['mode']}_from_{config.get('source_name') or 'float32'}"
    if "name" in config:
        return str(config["name"] or "float32")
    if not isinstance(config.get("policy_map"), Mapping):
        raise ConfigError(f"{dict(config)!r} is no dtype policy")
    names = {policy_name(entry) for entry in (config.get("default_policy"), *config["policy_map"].values())}
    floats = {quantization(name)[1] for name in names}
    if len(floats) > 1:
        raise ConfigError(f"a DTypePolicyMap has the dtypes {', '.join(sorted(floats))}, and all parts of a layer "
                          "compute in one here. Way out: give the layer that one")
    return (names if len(names) == 1 else floats).pop()


MIXED = {"mixed_float16": ("float16", "float32"), "mixed_bfloat16": ("bfloat16", "float32")}


def computed_and_kept(policy: str | None) -> tuple[str, str]:
    """The dtypes that a policy computes in, and keeps weights in.

    >>> computed_and_kept("mixed_float16"), computed_and_kept(None)
    (('float16', 'float32'), ('float32', 'float32'))
    """
    if policy not in _both:
        _, name = quantization(policy or "float32")
        _both[policy] = MIXED.get(name, (name, name))
    return _both[policy]


class DTypePolicy(str):
    """A dtype policy: its name, which says all, as a layer's ``dtype`` takes it.

    >>> DTypePolicy("mixed_float16").variable_dtype
    'float32'

    Raises:
        ConfigError: it names no policy.
    """

    def __new__(cls, name: str) -> DTypePolicy:
        if any(dtype not in _FLOATS for dtype in computed_and_kept(name)):
            raise ConfigError(f"{name!r} is no dtype policy. There are {', '.join((*_FLOATS, *MIXED))}")
        return super().__new__(cls, name)

    @property
    def name(self) -> str:
        """``"mixed_float16"``, for one."""
        return str(self)

    @property
    def compute_dtype(self) -> str:
        """What layers compute in."""
        return computed_and_kept(self)[0]

    @property
    def variable_dtype(self) -> str:
        """What weights are kept in."""
        return computed_and_kept(self)[1]
