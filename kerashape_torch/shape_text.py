"""Shape tables as text that is kept in a repository and read again: a line for each layer, made to be reviewed.

>>> from kerashape_torch.layers import Dense
>>> from kerashape_torch.models import Sequential
>>> from kerashape_torch.shape_table import shape_table
>>> text = write(shape_table(Sequential([Dense(units=4), Dense(units=1)]), (3,)))
>>> print(text)
kerashape shapes 1
sequential: (None, 3) -> (None, 1), chain
21 parameters = 21 trainable + 0 frozen, 84 bytes = 84 + 0
dense                   Dense               (None, 3) -> (None, 4)                          16        kernel (3, 4), bias (4)
dense_1                 Dense               (None, 4) -> (None, 1)                          5         kernel (4, 1), bias (1)
>>> bool(read(text).diff(shape_table(Sequential([Dense(units=4), Dense(units=1)]), (3,))))
False

A line has the layer's name and class, what it takes and gives, ``of`` the dtype of what it gives where that is not
float32, its number of parameters, ``frozen`` where it is not trainable, and its weights; ``<-`` names the tensors that
it takes, where they are others than what the line above gives. Columns begin at fixed stops, so that one changed layer
changes one line. Names that could be taken for something else are quoted as in JSON.
"""  # noqa: E501

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from kerashape_torch.errors import ConfigError
from kerashape_torch.shape_table import Connection, Row, ShapeTable, Total, Weight
from kerashape_torch.structure import is_shape

VERSION = "kerashape shapes 1"
_STOPS = (24, 44, 92, 102)
"""Where columns begin, in every table: a cell that needs more room moves the rest of its own line only."""
_WORDS = {"frozen", "nothing"}
_BARE = re.compile(r"\w(?:[\w./+:-]*[\w.])?")
_TOKEN = re.compile(r'\s*(->|<-|"(?:[^"\\]|\\.)*"|\w(?:[\w./+:-]*[\w.])?|[^\s])')
_HIDDEN = re.compile(r"input_layer_\d+")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_T = TypeVar("_T")


# ---- writing ---------------------------------------------------------------------------------------------------------


def write(table: ShapeTable) -> str:
    """The text of a table; :func:`read` takes it back."""
    kind = ("chain" if table.chain else "graph") + ("" if _connected(table) else " without connections")
    trainable, frozen = table.trainable, table.non_trainable
    size = trainable.bytes + frozen.bytes
    head = [VERSION, f"{quoted(table.name)}: {_ends(table.input_shape, table.output_shape)}, {kind}",
            f"{table.params:,} parameters = {trainable.params:,} trainable + {frozen.params:,} frozen, "
            f"{_number(size)} bytes = {_number(trainable.bytes)} + {_number(frozen.bytes)}"]
    usual, names = _usual_connections(_connected(table)), {row.name for row in table}
    return "\n".join([*head, *(_line(_without_hidden(row, names), usual(row)) for row in table)])


def _without_hidden(row: Row, names: set[str]) -> Row:
    """A row that takes its model's hidden input, by the name that it has in any model: its number counts the inputs of
    others, so that it would change with them."""
    takes = row.connected_to
    is_hidden = len(takes) == 1 and takes[0].layer not in names and _HIDDEN.fullmatch(takes[0].layer)
    return row._replace(connected_to=(takes[0]._replace(layer="input_layer"),)) if is_hidden else row


def quoted(name: str) -> str:
    """A name, in quotes where it is not plainly one word.

    >>> print(quoted("conv2d_1"), quoted("my layer"), quoted("frozen"))
    conv2d_1 "my layer" "frozen"
    """
    plain = _BARE.fullmatch(name) and name not in _WORDS and name.isprintable()
    return name if plain else json.dumps(name, ensure_ascii=not name.isprintable())


def _line(row: Row, usual: tuple[Connection, ...]) -> str:
    params = "?" if row.params is None else f"{row.params:,}"
    weights = ", ".join(map(_weight, row.weights))
    dtypes = "" if row.is_float32 else f" of {', '.join(map(quoted, row.dtypes))}"
    cells = [quoted(row.name), quoted(row.class_name), _ends(row.input_shape, row.output_shape) + dtypes,
             params + ("" if row.trainable else " frozen")]
    line = "  " * row.depth
    for cell, stop in zip(cells, _STOPS):
        line = f"{line}{cell}  ".ljust(stop)
    line += weights
    if row.connected_to != usual:
        line = f"{line.rstrip()}  <- {', '.join(map(_connection, row.connected_to)) or 'nothing'}"
    return line.rstrip()


def _weight(weight: Weight) -> str:
    dtype = "" if weight.dtype == "float32" else f" {quoted(weight.dtype)}"
    return f"{quoted(weight.name)} {_shape(weight.shape)}{dtype}{'' if weight.trainable else ' frozen'}"


def _connection(tensor: Connection) -> str:
    place = f"[{tensor.call}][{tensor.output}]" if tensor.call or tensor.output else ""
    return quoted(tensor.layer) + place


def _ends(taken: Any, given: Any) -> str:
    return f"{_shape(taken)} -> {_shape(given)}"


def _shape(shape: Any) -> str:
    if shape is None:
        return "?"
    if is_shape(shape) and not (isinstance(shape, list) and not shape):
        return "(" + ", ".join(map(str, shape)) + ")"
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{quoted(key)}: {_shape(value)}" for key, value in shape.items()) + "}"
    return "[" + ", ".join(map(_shape, shape)) + "]"


def _number(value: float) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def _connected(table: ShapeTable) -> bool:
    return any(row.connected_to for row in table)


def _usual_connections(connected: bool) -> Callable[[Row], tuple[Connection, ...]]:
    """What a row is taken to be connected to where its line does not say: the row above it, at its depth. The first one
    of a Sequential takes what Keras' tables leave out, its input layer."""
    above: list[str] = []

    def usual(row: Row) -> tuple[Connection, ...]:
        before = above[row.depth] if len(above) > row.depth else None
        above[row.depth:] = [row.name]
        takes_none = not connected or row.class_name == "InputLayer"
        return () if takes_none else (Connection(before or "input_layer"),)

    return usual


# ---- reading ---------------------------------------------------------------------------------------------------------


def read(text: str, name: str = "the text", first_line: int = 1) -> ShapeTable:
    """The table of a text that :func:`write` wrote. Blank lines and those that begin with # say nothing.

    Args:
        text: of a table.
        name, first_line: of the file that it comes from, for errors.

    Raises:
        ConfigError: the text is no such table; it names the line.

    >>> read("kerashape shapes 1\\nnet: ? -> ?")
    Traceback (most recent call last):
    kerashape_torch.errors.ConfigError: the text, line 2: the text ends before the totals
    """
    lines = [_Line(line, f"{name}, line {number}") for number, line in enumerate(text.split("\n"), first_line)
             if line.strip() and not line.startswith("#")]
    if not lines or lines[0].text.strip() != VERSION:
        raise ConfigError(f"{lines[0].where if lines else name}: expected {VERSION!r}, got "
                          f"{lines[0].text.strip() if lines else 'nothing'!r}")
    if len(lines) < 3:
        raise ConfigError(f"{lines[-1].where}: the text ends before the totals")
    title, taken, given, chain, connected = lines[1].whole(_title)
    trainable, frozen = lines[2].whole(_totals)
    usual = _usual_connections(connected)
    table = ShapeTable(title, _rows(lines[3:], usual), [], taken, given, chain)
    table.trainable, table.non_trainable = trainable, frozen
    return table


def read_shape(text: str) -> Any:
    """A shape, or a list or dict of shapes, as :func:`kerashape_torch.shape.to_text` writes it.

    >>> read_shape("[(None, 3), (4)]")
    [(None, 3), (4,)]
    """
    return _Line(text, repr(text)).whole(_Line.shape)


def _rows(lines: list[_Line], usual: Callable[[Row], tuple[Connection, ...]]) -> Iterator[Row]:
    depth = -1
    for line in lines:
        row, explicit = line.whole(_row)
        indent = len(line.text) - len(line.text.lstrip(" "))
        if indent % 2 or indent // 2 > depth + 1:
            raise ConfigError(f"{line.where}: a layer is indented by two more than the model around it, got {indent}")
        depth = indent // 2
        row = row._replace(depth=depth)
        otherwise = usual(row)
        yield row._replace(connected_to=otherwise if explicit is None else explicit)


def _title(line: _Line) -> tuple[str, Any, Any, bool, bool]:
    name = line.name("the name of a model")
    line.expect(":")
    taken, given = line.ends()
    line.expect(",")
    chain = line.one_of("chain", "graph") == "chain"
    connected = not line.took("without")
    if not connected:
        line.expect("connections")
    return name, taken, given, chain, connected


def _totals(line: _Line) -> tuple[Total, Total]:
    numbers = []
    for words in ("parameters =", "trainable +", "frozen ,", "bytes =", "+", ""):
        numbers.append(line.number())
        for word in words.split():
            line.expect(word)
    params, trainable, frozen, size, of_trainable, of_frozen = numbers
    if params != trainable + frozen or size != of_trainable + of_frozen:
        raise ConfigError(f"{line.where}: the totals do not add up")
    return Total(int(trainable), of_trainable), Total(int(frozen), of_frozen)


def _row(line: _Line) -> tuple[Row, tuple[Connection, ...] | None]:
    name, class_name = line.name("the name of a layer"), line.name("the class of a layer")
    taken, given = line.ends()
    dtypes = tuple(line.listed(_read_dtype)) if line.took("of") else ()
    params = None if line.took("?") else int(line.number())
    trainable = not line.took("frozen")
    weights = line.listed(_read_weight) if line.next not in ("<-", "") else []
    explicit = None
    if line.took("<-"):
        explicit = () if line.took("nothing") else tuple(line.listed(_read_connection))
    return Row(name, class_name, taken, given, weights, params, trainable, dtypes=dtypes), explicit


def _read_dtype(line: _Line) -> str:
    return line.name("a dtype")


def _read_weight(line: _Line) -> Weight:
    name, shape = line.name("the name of a weight"), line.shape()
    dtype = "float32" if line.next in (",", "<-", "", "frozen") else line.name("a dtype")
    if not is_shape(shape) or None in shape:
        raise ConfigError(f"{line.where}: a weight has one shape of known sizes")
    return Weight(name, tuple(shape), not line.took("frozen"), dtype)


def _read_connection(line: _Line) -> Connection:
    name, places = line.name("the name of a layer"), [0, 0]
    if line.next == "[":
        for index in range(2):
            line.expect("[")
            places[index] = int(line.number())
            line.expect("]")
    return Connection(name, *places)


class _Line:
    """One line, read word by word."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text.rstrip()
        self.where = where
        self.place = 0
        self.next = self._found()

    def _found(self) -> str:
        match = _TOKEN.match(self.text, self.place)
        self.place = match.end() if match else len(self.text)
        return match[1] if match else ""

    def take(self) -> str:
        """The next word, or nothing at the end."""
        word, self.next = self.next, self._found()
        return word

    def whole(self, rule: Callable[[_Line], _T]) -> _T:
        """What a rule makes of the line; nothing may be left after it."""
        found = rule(self)
        if self.next:
            raise self.error("the end of the line")
        return found

    def error(self, wanted: str) -> ConfigError:
        got = repr(self.next) if self.next else "the end of the line"
        return ConfigError(f"{self.where}: expected {wanted}, got {got}")

    def took(self, word: str) -> bool:
        """Whether the line goes on with this word, which is then behind."""
        return self.next == word and bool(self.take())

    def expect(self, word: str) -> None:
        if not self.took(word):
            raise self.error(repr(word))

    def one_of(self, *words: str) -> str:
        if self.next not in words:
            raise self.error(" or ".join(map(repr, words)))
        return self.take()

    def name(self, what: str) -> str:
        if self.next.startswith('"') and len(self.next) > 1:
            try:
                return str(json.loads(self.next))
            except ValueError:
                raise self.error(what) from None
            finally:
                self.take()
        if not _BARE.fullmatch(self.next):
            raise self.error(what)
        return self.take()

    def number(self) -> float:
        """A number with its commas, as it is written: the word after it may be a comma too."""
        start = self.place - len(self.next)
        match = _NUMBER.match(self.text, start)
        if not match or len(match[0]) > 40:
            raise self.error("a number")
        written = match[0].rstrip(",")
        self.place = start + len(written)
        self.next = self._found()
        return float(written.replace(",", "")) if "." in written else int(written.replace(",", ""))

    def listed(self, rule: Callable[[_Line], _T]) -> list[_T]:
        """One or more of a kind, with commas between."""
        found = [rule(self)]
        while self.took(","):
            found.append(rule(self))
        return found

    def ends(self) -> tuple[Any, Any]:
        taken = self.shape()
        self.expect("->")
        return taken, self.shape()

    def shape(self, depth: int = 0) -> Any:
        """A shape, a list or dict of shapes, or ? for None."""
        if depth > 32:
            raise ConfigError(f"{self.where}: shapes are nested too deep")
        if self.took("?"):
            return None
        closing = {"(": ")", "[": "]", "{": "}"}.get(self.next)
        if closing is None:
            raise self.error("a shape")
        kind = self.take()
        items: list[Any] = []
        while self.next != closing:
            items.append(self._size() if kind == "(" else self.shape(depth + 1) if kind == "["
                         else self._entry(depth + 1))
            if not self.took(","):
                break
        self.expect(closing)
        return tuple(items) if kind == "(" else items if kind == "[" else dict(items)

    def _size(self) -> int | None:
        if self.took("None"):
            return None
        if not re.fullmatch(r"[0-9]{1,18}", self.next):
            raise self.error("a size or None")
        return int(self.take())

    def _entry(self, depth: int) -> tuple[str, Any]:
        key = self.name("the name of a tensor")
        self.expect(":")
        return key, self.shape(depth)
