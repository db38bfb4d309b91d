"""What the arguments of old layers hold: initializers, regularizers, constraints, activations, dtypes, functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerashape_torch.config import Record
from kerashape_torch.constraints import Constraint
from kerashape_torch.initializers import Initializer
from kerashape_torch.regularizers import Regularizer
from kerashape_torch.saving.upgrade.scope import Scope

_FAMILIES: dict[str, type[Record]] = {"_initializer": Initializer, "_regularizer": Regularizer,
                                      "_constraint": Constraint}
_ACTIVATIONS = {"softmax_v2": "softmax", "log_softmax_v2": "log_softmax", "gelu_v2": "gelu"}
"""Names that functions of TensorFlow have in files, where they were given as activations."""


def argument(name: str, value: Any, scope: Scope, layer: str) -> Any:
    """An argument of a layer by what its name says that it holds; any other comes back as it is."""
    family = next((family for suffix, family in _FAMILIES.items() if name.endswith(suffix)), None)
    if family is not None:
        return _member(value, family)
    if name.endswith("activation"):
        return _activation(name, value, scope, layer)
    return dtype(value) if name == "dtype" else value


def _member(value: Any, family: type[Record]) -> Any:
    """An object of a family with its module; Keras 1 had ``{"name": ..., arguments}`` for one."""
    if not isinstance(value, Mapping):
        return value
    if "class_name" not in value and "name" in value:
        value = _of_keras1(value)
    name = value.get("class_name")
    known = family.catalog()
    if not isinstance(name, str) or not isinstance(value.get("config"), Mapping):
        return value
    bare = name[:-2] if name.endswith(("V1", "V2")) else name
    if bare not in known:
        return value
    cls = known[bare]
    config = {key: item for key, item in value["config"].items() if key in cls._fields or key != "dtype"}
    return {"module": cls.keras_module, "class_name": cls.__name__, "config": config, "registered_name": None}


def _of_keras1(value: Mapping[str, Any]) -> dict[str, Any]:
    """``{"name": "MaxNorm", "m": 2}`` as ``{"class_name", "config"}`` with today's names."""
    classes = {"L1L2Regularizer": "L1L2", "WeightRegularizer": "L1L2", "ActivityRegularizer": "L1L2"}
    fields = {"m": "max_value"}
    config = {fields.get(key, key): item for key, item in value.items() if key != "name"}
    return {"class_name": classes.get(value["name"], value["name"]), "config": config}


def _activation(argument: str, value: Any, scope: Scope, layer: str) -> Any:
    if isinstance(value, Mapping) and value.get("class_name") == "function" and isinstance(value.get("config"), str):
        return _activation(argument, value["config"], scope, layer)
    if scope.origin.major >= 3 or not isinstance(value, str):
        return value
    if value == "hard_sigmoid":
        scope.note(layer, f"{argument} 'hard_sigmoid' is that of Keras 1 and 2: 0.2 * x + 0.5 between 0 and 1, "
                          "not x / 6 + 0.5")
        return "keras2_hard_sigmoid"
    return _ACTIVATIONS.get(value, value)


def dtype(value: Any) -> Any:
    """A dtype or policy in Keras 3's form; None where the old one said that the input decides."""
    if isinstance(value, Mapping):
        name = value.get("config", value)
        name = name.get("name") if isinstance(name, Mapping) else name
        if value.get("class_name") in ("Policy", "PolicyV1", "PolicyWithLossScale"):
            value = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": None}
        return None if name in ("infer", "_infer") else value
    if isinstance(value, str):
        value = value.removesuffix("_ref")
        return None if value in ("infer", "_infer") else {"float": "float32", "double": "float64"}.get(value, value)
    return value


def function(code: Any, kind: Any = None) -> Any:
    """A function as Keras 3 writes it, from a name or from the bytecode of a lambda. Neither is ever run.

    Args:
        kind: ``"lambda"`` where the code is bytecode also as a string, as early versions of Keras 1 wrote it.
    """
    if isinstance(code, str) and kind != "lambda":
        return {"module": "builtins", "class_name": "function", "config": code, "registered_name": "function"}
    if isinstance(code, str):
        code = [code]
    if isinstance(code, (list, tuple)) and code:
        parts = [*code, None, None][:3]
        return {"class_name": "__lambda__", "config": dict(zip(("code", "defaults", "closure"), parts))}
    return code
