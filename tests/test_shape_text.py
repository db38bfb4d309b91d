"""Shape tables as text: what is written is read again, whatever the names are, and a spoilt text names its line."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import harness
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_legacy_files import FUNCTIONS
from test_shape_table import branched, small
from torch import nn

from kerashape_torch.errors import ConfigError
from kerashape_torch.layers import LSTM, Dense, Embedding, ReLU
from kerashape_torch.models import Input, Model, Sequential
from kerashape_torch.saving import load_model
from kerashape_torch.shape_table import Connection, Row, ShapeTable, Total, Weight, shape_table
from kerashape_torch.shape_text import quoted, read, read_shape, write

EXAMPLES = Path(__file__).parent.parent / "examples"
NO_MODELS = {"models.json.gz", "tf_keras.json.gz", "old_weights.json"}  # what is known of models
FILES = [*sorted((harness.DATA / "functional").glob("*.keras")), *sorted(EXAMPLES.glob("*.keras")),
         *(path for folder in ("legacy", "applications") for path in sorted((harness.DATA / folder).glob("*.json*"))
           if ".shapes." not in path.name and path.name not in NO_MODELS)]


def holds(table: ShapeTable) -> None:
    """The text is read as the same table, in every field, and written as the same text. Only the number of an input
    that is no row of the table is left out."""
    text = write(table)
    again = read(text)
    assert not again.diff(table) and not table.diff(again)
    shown = {row.name for row in table}
    hidden = {name for row in table for name, *_ in row.connected_to if name not in shown}
    wanted = table.to_json()
    for name in hidden:
        wanted = re.sub(rf'"{re.escape(name)}\[', '"input_layer[', wanted) if name[:12] == "input_layer_" else wanted
    assert again.to_json() == wanted
    assert (again.trainable, again.non_trainable, again.chain) == (table.trainable, table.non_trainable, table.chain)
    assert write(again) == text


def table_of(path: Path) -> ShapeTable:
    if path.suffix == ".gz":
        return shape_table(load_model(json.loads(gzip.decompress(path.read_bytes()))))
    functions = {**harness.MODEL_LAMBDAS, **FUNCTIONS}.get(path.stem)  # which a file only names
    return shape_table(load_model(path, functions) if functions else path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_model_comes_back(path: Path) -> None:
    holds(table_of(path))


@pytest.mark.parametrize("table", [
    shape_table(small(), 3), shape_table(small()), shape_table(branched()), shape_table(branched().to_torch()),
    shape_table(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), (3, 8, 8)), shape_table(LSTM(3), (None, 4)),
    shape_table(Sequential([Dense(2, trainable=False, dtype="mixed_float16"), ReLU()]), 3),
], ids=["chain", "unbuilt", "graph", "compiled", "module", "layer", "frozen"])
def test_every_sort_of_table_comes_back(table: ShapeTable) -> None:
    holds(table)


def test_an_input_more_changes_no_line_of_a_sequential_inside() -> None:
    def outer(more: bool) -> ShapeTable:
        inputs = [Input((3,)), *([Input((4,))] if more else [])]
        inner = Sequential([Input((3,)), Dense(2, name="deep")], name="inner")
        return shape_table(Model(inputs, [inner(inputs[0]), *inputs[1:]], name="m"))

    few, many = ([line for line in write(outer(more)).splitlines() if "deep" in line] for more in (False, True))
    assert few == many and "<-" not in few[0]


def test_dtypes() -> None:
    ids = Input((5,), dtype="int32", name="ids")
    embedded = Embedding(10, 4, name="embedded")(ids)
    table = shape_table(Model(ids, [Dense(3, dtype="mixed_bfloat16", name="half")(embedded), embedded], name="m"))
    holds(table)
    text = write(table)
    assert "(None, 5) -> (None, 5) of int32  " in text and "(None, 5, 3) of bfloat16  " in text
    assert [row.dtypes for row in read(text)] == [("int32",), (), ("bfloat16",)]
    assert str(table).splitlines()[1].split() == ["layer", "class", "input", "output", "dtype", "weights", "params"]
    assert table["ids"].to_dict()["dtypes"] == ["int32"] and "dtypes" not in table["embedded"].to_dict()
    plain = shape_table(small(), 3)
    assert " of " not in write(plain) and "dtype" not in str(plain) and "dtypes" not in plain.to_json()


def test_a_graph() -> None:
    assert write(shape_table(branched())) == """\
kerashape shapes 1
outer: [(None, 5), (None, 5)] -> [(None, 7), (None, 3)], graph
72 parameters = 72 trainable + 0 frozen, 288 bytes = 288 + 0
a                       InputLayer          (None, 5) -> (None, 5)                          0
shared                  Dense               (None, 5) -> (None, 5)                          30        kernel (5, 5), bias (5)  <- a, b
b                       InputLayer          (None, 5) -> (None, 5)                          0
inner                   Functional          (None, 5) -> [(None, 3), (None, 4)]             42  <- shared, shared[1][0]
  x                     InputLayer          (None, 5) -> (None, 5)                          0
  p                     Dense               (None, 5) -> (None, 3)                          18        kernel (5, 3), bias (3)
  q                     Dense               (None, 5) -> (None, 4)                          24        kernel (5, 4), bias (4)  <- x
joined                  Concatenate         [(None, 3), (None, 4)] -> (None, 7)             0  <- inner, inner[0][1]"""  # noqa: E501


def test_one_changed_layer_changes_one_line() -> None:
    def lines(name: str) -> list[str]:
        x = Input((4,), name="x")
        y = Dense(4, name=name)(x)
        return write(shape_table(Model(x, Dense(2, name="out")(ReLU(name="act")(y)), name="net"))).splitlines()

    long = lines("a_name_that_is_longer_than_any_column_is_wide")
    assert [a == b for a, b in zip(lines("short"), long)] == [True, True, True, True, False, True, True]


# ---- any names -------------------------------------------------------------------------------------------------------

NAMES = st.text(min_size=1, max_size=12) | st.sampled_from(
    ["frozen", "nothing", "a b", "a\nb", "a, b", '"', "\\", "->", "<-", "a[0][0]", "# x", "=== 1", "(None, 3)", "?",
     "é", "层", "\u2028", "\u202e", "\ud800", "a:0", "a:", "-", "x/y", " x", "x ", "None", "1", "1,000", ""])
SIZES = st.none() | st.integers(0, 10**6)
SHAPE = st.lists(SIZES, max_size=4).map(tuple)
SHAPES = st.none() | st.recursive(SHAPE, lambda inner: st.lists(inner, min_size=1, max_size=3)
                                  | st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=5)
WEIGHTS = st.builds(Weight, NAMES, st.lists(st.integers(0, 99), max_size=4).map(tuple), st.booleans(),
                    st.sampled_from(["float32", "float16", "int4", "string"]) | NAMES)
CONNECTIONS = st.builds(Connection, NAMES, st.integers(0, 12), st.integers(0, 12))
ROWS = st.builds(Row, NAMES, NAMES | st.just("InputLayer"), SHAPES, SHAPES, st.lists(WEIGHTS, max_size=3),
                 st.none() | st.integers(0, 10**9), st.booleans(), st.lists(CONNECTIONS, max_size=3).map(tuple))


@st.composite
def tables(draw: Any) -> ShapeTable:
    rows, depth = [], 0
    for row in draw(st.lists(ROWS, max_size=6)):
        rows.append(row._replace(depth=depth))
        depth = draw(st.integers(0, depth + 1))
    return ShapeTable(draw(NAMES), rows, draw(st.lists(WEIGHTS, max_size=3)), draw(SHAPES), draw(SHAPES),
                      draw(st.booleans()))


@given(tables())
@settings(max_examples=150, deadline=None)
def test_any_table_comes_back(table: ShapeTable) -> None:
    again = read(write(table))
    assert again.to_json() == table.to_json()
    assert (again.trainable, again.non_trainable) == (table.trainable, table.non_trainable)
    assert len(write(table).splitlines()) == 3 + len(table)  # whatever is in the names


@given(NAMES)
@settings(deadline=None)
def test_a_quoted_name_is_one_word_of_one_line(name: str) -> None:
    text = quoted(name)
    assert text.isprintable() and len(text.splitlines()) == 1
    assert (json.loads(text) if text.startswith('"') else text) == name


# ---- spoilt ----------------------------------------------------------------------------------------------------------

GOOD = write(shape_table(small(), 3))


@pytest.mark.parametrize(("old", "new", "message"), [
    ("shapes 1", "shapes 2", "line 1: expected 'kerashape shapes 1', got 'kerashape shapes 2'"),
    ("-> (None, 1), chain", "-> (None, 1)", "line 2: expected ',', got the end of the line"),
    ("chain", "ring", "line 2: expected 'chain' or 'graph', got 'ring'"),
    ("37 parameters", "38 parameters", "line 3: the totals do not add up"),
    ("(None, 3) -> (None, 4) ", "(None, 3) (None, 4) ", "line 4: expected '->', got '('"),
    ("(None, 3) -> (None, 4) ", "(None, x) -> (None, 4) ", "line 4: expected a size or None, got 'x'"),
    ("kernel (3, 4)", "kernel (3, None)", "line 4: a weight has one shape of known sizes"),
    ("kernel (3, 4)", "kernel", "line 4: expected a shape, got ','"),
    ("kernel (4, 1), bias (1)", "kernel (4, 1), bias (1) x y", "line 6: expected the end of the line, got 'y'"),
    ("two ", '"two ', "line 6: expected the name of a layer, got '\"'"),
    ("two ", '"\\x" ', f"line 6: expected the name of a layer, got {chr(34) + chr(92) + 'x' + chr(34)!r}"),
    ("two ", "    two ", "line 6: a layer is indented by two more than the model around it, got 4"),
    ("norm", "<<<<<<< HEAD\nnorm", "line 5: expected the name of a layer, got '<'"),
    (GOOD, "", "expected 'kerashape shapes 1', got 'nothing'"),
    (GOOD, "kerashape shapes 1\nnet: ? -> ?, chain", "line 2: the text ends before the totals"),
    ("(None, 3) -> (None, 4) ", "[" * 99 + "(3)" + "]" * 99 + " -> ? ", "line 4: shapes are nested too deep"),
])
def test_a_spoilt_text_names_its_line(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        read(GOOD.replace(old, new, 1), "net.txt")
    assert str(caught.value).removeprefix("net.txt, ").removeprefix("net.txt: ") == message


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_is_done_to_a_text_is_an_error_of_ours(data: Any) -> None:
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(start + 8, len(GOOD))))
    between = data.draw(st.text(max_size=4) | st.sampled_from(['"', "(", "->", "9" * 99, "\x00"]))
    text = GOOD[:start] + between + GOOD[end:]
    try:
        assert isinstance(read(text), ShapeTable)
    except ConfigError as error:
        assert "line" in str(error) or "expected" in str(error)


def test_shapes() -> None:
    assert read_shape("{a: (3,), \"b c\": [(None, 4), ?]}") == {"a": (3,), "b c": [(None, 4), None]}
    with pytest.raises(ConfigError, match="expected a shape"):
        read_shape("3")


def test_totals_that_are_no_whole_bytes() -> None:
    table = ShapeTable("n", [], [Weight("k", (3,), True, "int4")])
    assert table.trainable == Total(3, 1.5) == read(write(table)).trainable
