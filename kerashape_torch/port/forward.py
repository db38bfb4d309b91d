"""The body of ``forward``: plain local names, a line for each layer, and its shape behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from kerashape_torch.graph import snake_case
from kerashape_torch.layer import Layer
from kerashape_torch.port.expressions import Expressions, Text
from kerashape_torch.port.lines import WIDTH, broken, wrapped
from kerashape_torch.port.names import Names, identifier
from kerashape_torch.port.program import Constant, Part, Step, Unit, Value, values_in

Shapes = Callable[[Value], str]


class Line(NamedTuple):
    """A statement and what is said of it."""

    code: str
    comment: str


def forward(unit: Unit, expressions: Expressions, shapes: Shapes, names: Names) -> tuple[list[str], list[str]]:
    """The names of the arguments, and the lines of the body without their indentation."""
    body = _Body(unit, expressions, shapes, names)
    lines = body.lines()
    return body.arguments, [text for line in lines for text in _laid_out(line)]


class _Body:
    def __init__(self, unit: Unit, expressions: Expressions, shapes: Shapes, names: Names) -> None:
        self.unit, self.expressions, self.shapes = unit, expressions, shapes
        self.uses = unit.uses()
        self.steps = unit.steps
        self.made_by = {value: step for step in self.steps for value in step.given()}
        self.inlined = self._inlined()
        self.last_use = self._last_uses()
        self.locals = _Locals(unit, self.uses, self.last_use, self.inlined, names)
        self.arguments = [f"{name}=None" if value.optional else name
                          for name, value in zip(self.locals.inputs(), unit.inputs)]
        self._defaults_last()

    def _defaults_last(self) -> None:
        first = next((i for i, name in enumerate(self.arguments) if "=" in name), len(self.arguments))
        self.arguments[first:] = [name if "=" in name else f"{name}=None" for name in self.arguments[first:]]

    def _inlined(self) -> set[Step]:
        """Steps that are a part of the line after them: a module before its activation, a cast, a constant."""
        found: set[Step] = set()
        for i in range(len(self.steps) - 1, -1, -1):
            step = self.steps[i]
            if isinstance(step.callee, Part) and isinstance(step.callee.what, Constant):
                found.add(step)
                continue
            if not isinstance(step.results, Value) or step.results.shape is not None or step.callee is torch.permute:
                continue
            users = self.uses[step.results]
            following = next((s for s in self.steps[i + 1:] if s not in found), None)
            if len(users) == 1 and users[0] is not None and users[0].callee is not torch.permute and (
                    users[0] is following or self._root(users[0], found) is following):
                found.add(step)
        return found

    def _root(self, step: Step, found: set[Step]) -> Step | None:
        while step in found:
            user = self.uses[step.given()[0]][0]
            if user is None:
                return None
            step = user
        return step

    def operands(self, step: Step) -> list[Value]:
        """What a line uses, with what the steps inside it use."""
        found: list[Value] = []
        for value in step.values():
            maker = self.made_by.get(value)
            found += self.operands(maker) if maker in self.inlined and maker is not None else [value]
        return found

    def _last_uses(self) -> dict[Value, int]:
        last: dict[Value, int] = {}
        for i, step in enumerate(self.steps):
            if step not in self.inlined:
                for value in self.operands(step):
                    last[value] = i
        for value in values_in(self.unit.output):
            last[value] = len(self.steps)
        return last

    # ---- lines -------------------------------------------------------------------------------------------------------

    def lines(self) -> list[Line]:
        lines: list[Line] = []
        for i, step in enumerate(self.steps):
            if step in self.inlined:
                continue
            text = self._text(step)
            if self._is_returned(i, step):
                return [*lines, Line(f"return {text}", self._comment(step))]
            targets = self.locals.targets(i, step, self.operands(step))
            lines.append(Line(f"{targets} = {text}", self._comment(step)))
        return [*lines, Line(f"return {self.expressions.structure(self.unit.output, self._value)}", "")]

    def _is_returned(self, i: int, step: Step) -> bool:
        output = self.unit.output
        return step.results is output and self.uses[output] == [None] and i == len(self.steps) - 1

    def _value(self, value: Value) -> Text:
        maker = self.made_by.get(value)
        if maker is not None and maker in self.inlined:
            return self._expression(maker)
        return Text(self.locals.name(value))

    def _text(self, step: Step) -> str:
        return self._expression(step).text

    def _expression(self, step: Step) -> Text:
        if isinstance(step.callee, Part):
            if isinstance(step.callee.what, Constant) or step.reads:
                return Text(".".join(filter(None, ("self", step.callee.name, step.reads))))
            given = [*(self.expressions.structure(x, self._value) for x in step.args),
                     *(f"{name}={self.expressions.structure(x, self._value)}" for name, x in step.kwargs.items())]
            return Text(f"self.{step.callee.name}({', '.join(given)})")
        return self.expressions.call(step.callee, step.args, step.kwargs, self._value)

    def _comment(self, step: Step) -> str:
        shown = [self.shapes(value) for value in step.given() if value.shape is not None]
        note = next((value.note for value in step.given() if value.note), None)
        text = ", ".join(shown)
        return f"{note}: {text}" if note and text else note or text


def _laid_out(line: Line) -> list[str]:
    """A line with its comment, broken where it would be too long; ``forward`` is indented by 8."""
    room = WIDTH - 8
    behind = f"  # {line.comment}" if line.comment else ""
    if len(line.code) + len(behind) <= room:
        return [line.code + behind]
    lines = broken(line.code, room if len(behind) > room // 2 else room - len(behind))
    if len(lines[-1]) + len(behind) <= room:
        return [*lines[:-1], lines[-1] + behind]
    return [*(f"# {text}" for text in wrapped(line.comment, room - 2)), *lines]


# ---- local names -----------------------------------------------------------------------------------------------------


class _Locals:
    """Names of values: one chain of layers keeps one name, usually ``x``; what lives on beside it has another."""

    def __init__(self, unit: Unit, uses: dict[Value, list[Step | None]], last_use: dict[Value, int],
                 inlined: set[Step], names: Names) -> None:
        self.unit, self.uses, self.last_use, self.inlined = unit, uses, last_use, inlined
        self.reserved = names
        self.index = {step: i for i, step in enumerate(unit.steps)}
        self.names: dict[Value, str] = {}
        self.live: dict[str, Value] = {}
        self.at_input: set[str] = set()
        self.fixed: set[str] = set()

    def inputs(self) -> list[str]:
        alone = len(self.unit.inputs) == 1
        taken = Names(self.reserved.taken)
        for value in self.unit.inputs:
            wanted = "x" if alone and is_automatic(value.hint) else identifier(value.hint, "x")
            self._bind(value, taken.take(wanted))
        self.at_input = set(self.live) - {"x"}
        return [self.names[value] for value in self.unit.inputs]

    def name(self, value: Value) -> str:
        return self.names[value]

    def targets(self, at: int, step: Step, operands: list[Value]) -> str:
        """What a statement assigns to."""
        for name, value in list(self.live.items()):
            if self.last_use.get(value, -1) <= at:
                del self.live[name]
        freed = [self.names[value] for value in dict.fromkeys(operands) if self.last_use[value] == at]
        if isinstance(step.results, Value):
            name = self._chosen(step.results, freed)
            self._bind(step.results, name)
            return name
        return self._structure(step.results, freed)

    def _structure(self, results: Any, freed: list[str], top: bool = True) -> str:
        items = []
        for item in results:
            if item is None or (isinstance(item, Value) and not self.uses[item]):
                items.append("_")
            elif isinstance(item, Value):
                name = self._chosen(item, freed)
                self._bind(item, name)
                items.append(name)
            else:
                inner = self._structure(item, freed, False)
                items.append("_" if set(inner) <= set("(_, )") else inner)
        text = ", ".join(items) + ("," if len(items) == 1 else "")
        return text if top else f"({text})"

    def _bind(self, value: Value, name: str) -> None:
        self.names[value] = name
        self.live[name] = value

    def _chosen(self, value: Value, freed: list[str]) -> str:
        if value.local is not None and value.local not in self.live and self.reserved.free(value.local):
            self.fixed.add(value.local)
            return value.local
        if self._is_kept(value):
            return self._fresh(value, "skip")
        if "x" in freed and "x" not in self.live:
            return "x"
        for name in freed:
            if name not in self.at_input | self.fixed and name not in self.live and not name.startswith("skip"):
                return name
        return self._fresh(value, "x")

    def _fresh(self, value: Value, otherwise: str) -> str:
        wanted: list[str] = []
        if otherwise == "x":
            end, length = self._end_of_chain(value)
            own = [] if is_automatic(end.hint) else [identifier(end.hint, "x")]
            wanted = ["x", *(["shortcut"] if length < 4 and self._is_added(end) else own), "y", "z"]
        for name in (*wanted, *(f"{otherwise}{i}" for i in range(1 if otherwise == "skip" else 2, 10_000))):
            if name not in self.live and self.reserved.free(name):
                return name
        raise AssertionError("there is always a name")

    def _is_kept(self, value: Value) -> bool:
        """Whether a value waits while others come and go, as the skips of a U-Net do."""
        users = self.uses[value]
        if len(users) < 2 or value in self.unit.inputs:
            return False
        start, end = min(self._at(user) for user in users), self.last_use[value]
        last = self.unit.steps[end] if end < len(self.unit.steps) else None
        if end - start >= 6 and last is not None and last.callee is torch.cat:
            return True
        inside = (v for step in self.unit.steps[start:end] for v in step.given())
        return any(len(self.uses[v]) > 1 and self.last_use.get(v, 0) < end for v in inside)

    def _at(self, user: Step | None) -> int:
        return len(self.unit.steps) if user is None else self.index[user]

    def _end_of_chain(self, value: Value) -> tuple[Value, int]:
        """The last value of a chain of layers, each of which is used by the next one alone, and their number."""
        length = 1
        while True:
            users = self.uses[value]
            if len(users) != 1 or users[0] is None or not isinstance(users[0].results, Value) or (
                    len(set(users[0].values())) > 1):
                return value, length
            value, length = users[0].results, length + 1

    def _is_added(self, value: Value) -> bool:
        """Whether a value ends as one side of a sum whose other side takes longer."""
        users = self.uses[value]
        return len(users) == 1 and users[0] is not None and users[0].callee is torch.add and (
            self._at(users[0]) - max(self.index[s] for s in self.unit.steps if value in s.given()) > 3)


def is_automatic(name: str) -> bool:
    """Whether a layer has the name that Keras gives to a layer that the user gave none.

    >>> is_automatic("conv2d_12"), is_automatic("input_layer"), is_automatic("conv1")
    (True, True, False)
    """
    base = re.sub(r"_\d+$", "", name)
    return base in _automatic() or not name


def _automatic() -> set[str]:
    if not _AUTOMATIC:
        _AUTOMATIC.update({"input", "inputs", *map(snake_case, Layer.catalog())})
    return _AUTOMATIC


_AUTOMATIC: set[str] = set()
