"""What a program's constructors do not say: its weights by their new names, which are trained, modes and dtypes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from kerashape_torch.port.program import Constant, Made, Part, Row, Unit

_LITERAL_SIZE = 64
_MINDS_TRAINING = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


def is_literal(tensor: Tensor) -> bool:
    """Whether a constant is small enough to be written out."""
    return tensor.numel() <= _LITERAL_SIZE and bool(tensor.isfinite().all())


# ---- weights ---------------------------------------------------------------------------------------------------------


def weights(what: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The state of the program that is to be written, by its keys there."""
    if isinstance(what, Unit):
        for part in what.parts:
            yield from weights(part.what, f"{prefix}{part.name}" if isinstance(part.what, Constant) else
                               f"{prefix}{part.name}.")
    elif isinstance(what, Row):
        for i, unit in enumerate(what.units):
            yield from weights(unit, f"{prefix}{i}.")
    elif isinstance(what, Constant):
        if not is_literal(what.tensor):
            yield prefix, what.tensor
    elif what.source is not None:
        inner = dict(_children(what))
        below = tuple(inner)
        for name, tensor in what.source.state_dict(keep_vars=True).items():
            if not name.startswith(below or ("\0",)):
                yield f"{prefix}{name}", tensor
        for path, child in inner.items():
            yield from weights(child, f"{prefix}{path}")


def _children(made: Made) -> Iterator[tuple[str, Any]]:
    """The modules in the arguments of a construction, by the beginning of their keys in what it constructs. One whose
    parts become those of what holds it has none."""
    assert made.source is not None
    paths = {id(module): path for path, module in made.source.named_modules(remove_duplicate=False) if path}
    for child in _arguments(list(made.arguments.values())):
        origin = child.origin if child.origin is not None else child.source
        yield f"{paths[id(origin)]}." if id(origin) in paths else "", child


def _arguments(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (Made, Unit)):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _arguments(value)


def ties(program: Unit) -> list[tuple[str, str]]:
    """Pairs of keys that are one weight."""
    first: dict[int, str] = {}
    found = []
    for key, tensor in weights(program):
        if id(tensor) in first:
            found.append((key, first[id(tensor)]))
        first.setdefault(id(tensor), key)
    return found


# ---- settings --------------------------------------------------------------------------------------------------------


def settle(program: Unit) -> None:
    """Says once, as high up as it can be said, what is not trained, which mode is fixed, and dtypes."""
    kinds = _dtypes(program)
    program.dtype = kinds.pop() if len(kinds) == 1 and kinds != {torch.float32} else None
    program.frozen = _all_frozen(program)
    _settle(program, program.dtype or torch.float32, program.frozen)


def _settle(unit: Unit, dtype: torch.dtype, frozen: bool) -> None:
    for part in unit.parts:
        if isinstance(part.what, Constant):
            continue
        kinds = _dtypes(part.what)
        part.dtype = next(iter(kinds)) if len(kinds) == 1 and kinds != {dtype} else None
        part.training = _mode(part.what)
        part.frozen = [] if frozen else [""] if _all_frozen(part.what) else _frozen(part.what)
        for inner in _units(part.what):
            _settle(inner, part.dtype or dtype, frozen or part.frozen == [""])
            if part.training is not None:
                for below in inner.parts:
                    below.training = None


def _units(what: Any) -> list[Unit]:
    if isinstance(what, Made):
        return [unit for child in _arguments(list(what.arguments.values())) for unit in _units(child)]
    return what.units if isinstance(what, Row) else [what] if isinstance(what, Unit) else []


def _tensors(what: Any) -> list[Tensor]:
    return [tensor for _, tensor in weights(what)]


def _dtypes(what: Any) -> set[torch.dtype]:
    return {tensor.dtype for tensor in _tensors(what) if tensor.is_floating_point()}


def _all_frozen(what: Any) -> bool:
    parameters = [tensor for tensor in _tensors(what) if isinstance(tensor, nn.Parameter)]
    return bool(parameters) and not any(tensor.requires_grad for tensor in parameters)


def _frozen(what: Any) -> list[str]:
    if not isinstance(what, Made):
        return []
    return [*what.frozen, *(f"{path}{name}" for path, child in _children(what) for name in _frozen(child))]


def _mode(what: Any) -> bool | None:
    """The one mode of everything inside that minds its mode."""
    modes = set(_modes(what))
    return modes.pop() if len(modes) == 1 else None


def _modes(what: Any) -> Iterator[bool | None]:
    if isinstance(what, Made):
        if what.source is not None and any(map(_minds_training, what.source.modules())):
            yield what.training
    elif isinstance(what, Row):
        for unit in what.units:
            yield from _modes(unit)
    elif isinstance(what, Unit):
        for part in what.parts:
            yield from _modes(part.what)


def _minds_training(module: nn.Module) -> bool:
    if type(module).__module__.startswith("torch."):
        return isinstance(module, _MINDS_TRAINING)
    options = getattr(module, "options", None)
    rates = [getattr(module, name) for name in ("dropout", "recurrent_dropout") if hasattr(module, name)]
    rates += [options.dropout] if options is not None else []
    return not rates or any(rates)


def settings(part: Part) -> list[str]:
    """The statements after a part is made."""
    lines = []
    if part.frozen == [""]:
        lines.append(f"self.{part.name}.requires_grad_(False)")
    else:
        for name in part.frozen:
            if name.startswith("bias_hh"):
                lines.append(f"nn.init.zeros_(self.{part.name}.{name}).requires_grad_(False)  # Keras has one bias")
            else:
                lines.append(f"self.{part.name}.{_attribute(name)}.requires_grad_(False)")
    return lines


def _attribute(path: str) -> str:
    """A path of modules as Python says it: those in a row have numbers.

    >>> _attribute("cells.0.weight")
    'cells[0].weight'
    """
    first, *rest = path.split(".")
    return first + "".join(f"[{name}]" if name.isdigit() else f".{name}" for name in rest)


def tied(program: Unit) -> list[str]:
    return [f"self.{_attribute(key)} = self.{_attribute(other)}" for key, other in ties(program)]
