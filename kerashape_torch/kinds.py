"""What the value of an argument may be: a kind reads what was given, refuses it clearly, and writes it to a config."""

from __future__ import annotations

from typing import Annotated, Any

from kerashape_torch.errors import ConfigError, did_you_mean


class Kind:
    """How one sort of argument is checked and written into a config. Used as ``Annotated[type, Kind()]``."""

    def read(self, value: Any, where: str) -> Any:
        """The value to keep; raises ConfigError, beginning with ``where``, if it cannot be one."""
        return value

    def check(self, value: Any, record: Any, where: str) -> None:
        """What needs the other arguments, or the record's ``rank``, to be checked; raises ConfigError as well."""

    def held(self, value: Any, record: Any) -> Any:
        """What Keras has in the attribute of this argument, where code of a user's own looks at it."""
        return value

    def write(self, value: Any, record: Any) -> Any:
        """The value as Keras 3 writes it in a config; what is left an object there writes its own config."""
        return value


class Plain(Kind):
    """A bare int, float, bool or str."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def read(self, value: Any, where: str) -> Any:
        if self.kind is float and isinstance(value, int):
            return value
        if self.kind is int and isinstance(value, bool):
            raise ConfigError(f"{where} must be an integer, got {value!r}")
        if self.kind is int and hasattr(value, "__index__"):
            return int(value)
        if self.kind is float and hasattr(value, "__float__") and not isinstance(value, str):
            return float(value)
        if not isinstance(value, self.kind):
            names = {int: "an integer", float: "a number", bool: "True or False", str: "a string"}
            raise ConfigError(f"{where} must be {names[self.kind]}, got {value!r}")
        return value


class _Positive(Plain):
    def __init__(self) -> None:
        super().__init__(int)

    def read(self, value: Any, where: str) -> Any:
        if type(value) is int and value > 0:
            return value
        value = super().read(value, where)
        if value <= 0:
            raise ConfigError(f"{where} must be a positive integer, got {value}")
        return value


class _Fraction(Kind):
    def read(self, value: Any, where: str) -> Any:
        value = Plain(float).read(value, where)
        if not 0 <= value <= 1:
            raise ConfigError(f"{where} must be between 0 and 1, got {value}")
        return value


class Choice(Kind):
    """One of some words, in any case."""

    def __init__(self, *options: str) -> None:
        self.options = options

    def read(self, value: Any, where: str) -> Any:
        value = value.lower() if isinstance(value, str) else value
        if value not in self.options:
            hint = did_you_mean(value, self.options) if isinstance(value, str) else ""
            raise ConfigError(f"{where} must be one of {', '.join(map(repr, self.options))}, got {value!r}.{hint}")
        return value


class ChoiceOrNone(Choice):
    """One of some words, or None."""

    def read(self, value: Any, where: str) -> Any:
        return None if value is None else super().read(value, where)


class _CausalPadding(Kind):
    """``causal`` pads along time, which only a convolution of rank 1 has."""

    def read(self, value: Any, where: str) -> Any:
        return value.lower() if isinstance(value, str) else value

    def check(self, value: Any, record: Any, where: str) -> None:
        if value == "causal" and record.rank > 1:
            raise ConfigError(f"{where} must be one of 'valid', 'same', got 'causal': only Conv1D has an axis that is "
                              "time")
        Choice("valid", "same", *(["causal"] if record.rank == 1 else ())).read(value, where)


class _DataFormat(Choice):
    def write(self, value: Any, record: Any) -> Any:
        return value or "channels_last"

    held = write


class _Axis(Kind):
    """The index of an axis in Keras order, or several; lowering moves them when a tensor runs in another order."""

    def read(self, value: Any, where: str) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(Plain(int).read(axis, where) for axis in value)
        return None if value is None else Plain(int).read(value, where)


class _Sizes(Kind):
    """One positive integer for each of the record's ``rank`` axes, or one for all."""

    def __init__(self, at_least: int = 1) -> None:
        self.at_least = at_least

    def held(self, value: Any, record: Any) -> Any:
        return value if value is None else per_axis(value, record.rank)

    def read(self, value: Any, where: str) -> Any:
        for size in value if isinstance(value, (list, tuple)) else (value,):
            if Plain(int).read(size, where) < self.at_least:
                raise ConfigError(f"{where} must be {self.at_least} or more, got {value!r}")
        return tuple(value) if isinstance(value, list) else value

    def check(self, value: Any, record: Any, where: str) -> None:
        if isinstance(value, tuple) and len(value) != record.rank:
            raise ConfigError(f"{where} must be one integer or {record.rank} of them, got {value!r}")

    def write(self, value: Any, record: Any) -> Any:
        return per_axis(value, record.rank) if value is not None else None


Positive = Annotated[int, _Positive()]
PositiveOrNone = Annotated[int | None, _Positive()]
Fraction = Annotated[float, _Fraction()]
Sizes = Annotated[int | tuple[int, ...], _Sizes()]
SizesOrNone = Annotated[int | tuple[int, ...] | None, _Sizes()]
Counts = Annotated[int | tuple[int, ...] | None, _Sizes(at_least=0)]
Axis = Annotated[int, _Axis()]
Axes = Annotated[int | tuple[int, ...] | None, _Axis()]
Padding = Annotated[str, Choice("valid", "same")]
CausalPadding = Annotated[str, _CausalPadding()]
DataFormat = Annotated[str | None, _DataFormat("channels_last", "channels_first")]


def per_axis(value: int | tuple[int, ...] | None, rank: int) -> tuple[Any, ...]:
    """One number, or None, for each axis.

    >>> per_axis(3, 2), per_axis((1, 2), 2)
    ((3, 3), (1, 2))
    """
    return (value,) * rank if value is None or isinstance(value, int) else tuple(value)
