"""What a diff says of models that moved: where it started, what follows, and nothing else."""

from __future__ import annotations

import json
import re
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from diffed import FILES, application, edited, paths, residual, twins
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import kerashape_torch as kt
from kerashape_torch.differences import diff
from kerashape_torch.differences.sequences import in_common, rising
from kerashape_torch.errors import ConfigError
from kerashape_torch.layers import (
    LSTM,
    Add,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    MaxPooling2D,
    ReLU,
)
from kerashape_torch.models import Input, Model, Sequential
from kerashape_torch.shape_table import Connection, Row, ShapeTable, Weight, shape_table

# ---- where it starts, and what follows -------------------------------------------------------------------------------


def test_nothing_moved() -> None:
    found = diff(residual(), residual())
    assert not found and str(found) == "no difference" and found.to_dict()["same"] is True
    assert (found.added, found.removed, found.changed, found.renamed) == ({}, {}, {}, {})


def test_a_stride() -> None:
    assert str(diff(residual("a"), residual("a", strides=2))) == """\
net: 1 layer changed, 5 follow

~ stem (Conv2D)
    output  (None, 16, 16, 8)  ->  (None, 8, 8, 8)
                   ^^  ^^                 ^  ^
    5 layers follow:
      a_conv ... a_act (4)  (None, 16, 16, 8) -> (None, 8, 8, 8)
      pool                  still (None, 8)"""


def test_units() -> None:
    def net(units: int) -> Model:
        x = Input((8,), name="x")
        return Model(x, Dense(2, name="head")(BatchNormalization(name="norm")(Dense(units, name="fc")(x))), name="mlp")

    assert str(diff(net(16), net(32))) == """\
mlp: 1 layer changed, 2 follow

~ fc (Dense)
    output  (None, 16)  ->  (None, 32)
                   ^^              ^^
    kernel  (8, 16)     ->  (8, 32)
                ^^              ^^
    bias    (16)        ->  (32)
    2 layers follow:
      norm  (None, 16) -> (None, 32)  64 -> 128 params
      head  still (None, 2)           34 -> 66 params

params         242 -> 482 (+240)
trainable      210 -> 418 (+208)
non-trainable  32 -> 64 (+32)"""


def test_a_stride_that_went_to_another_layer_starts_twice() -> None:
    found = diff(edited("ResNet50"), edited("ResNet50", conv3_block1_1_conv={"strides": [1, 1]},
                                            conv3_block1_2_conv={"strides": [2, 2]}))
    assert str(found) == """\
resnet50: 2 layers changed, 2 follow

~ conv3_block1_1_conv (Conv2D)
    output  (None, 28, 28, 128)  ->  (None, 56, 56, 128)
                   ^^  ^^                   ^^  ^^
    2 layers follow:
      conv3_block1_1_bn, conv3_block1_1_relu  (None, 28, 28, 128) -> (None, 56, 56, 128)

~ conv3_block1_2_conv (Conv2D)
    input  (None, 28, 28, 128)  ->  (None, 56, 56, 128)
                  ^^  ^^                   ^^  ^^"""


def test_many_that_follow_are_told_by_what_moved() -> None:
    found = diff(edited("ResNet50"), edited("ResNet50", input_layer={"batch_shape": [None, 192, 192, 3]}))
    assert str(found) == """\
resnet50: 1 layer changed, 175 follow

~ input_layer (InputLayer)
    output  (None, 224, 224, 3)  ->  (None, 192, 192, 3)
                   ^^^  ^^^                 ^^^  ^^^
    175 layers follow:
      conv1_pad                                      (None, 230, 230, 3) -> (None, 198, 198, 3)
      conv1_conv ... conv1_relu (3)                  (None, 112, 112, 64) -> (None, 96, 96, 64)
      pool1_pad                                      (None, 114, 114, 64) -> (None, 98, 98, 64)
      pool1_pool ... conv2_block3_out (33)           (None, 56, 56, *) -> (None, 48, 48, *)
      conv3_block1_1_conv ... conv3_block4_out (42)  (None, 28, 28, *) -> (None, 24, 24, *)
      conv4_block1_1_conv ... conv4_block6_out (62)  (None, 14, 14, *) -> (None, 12, 12, *)
      conv5_block1_1_conv ... conv5_block3_out (32)  (None, 7, 7, *) -> (None, 6, 6, *)
      avg_pool                                       still (None, 2048)

input          (None, 224, 224, 3) -> (None, 192, 192, 3)"""


def test_filters_of_several_layers_each_start() -> None:
    assert paths(diff(residual("ab"), residual("ab", filters=4))) == ["stem", "a_conv", "b_conv"]


def test_a_layer_that_came_in_the_middle() -> None:
    assert str(diff(residual(), residual(extra="b"))) == """\
net: 1 layer added

+ b_drop  (Dropout)  (None, 16, 16, 8)  -> (None, 16, 16, 8)
    between b_bn and b_add"""


def test_blocks_that_came_went_and_were_renamed() -> None:
    came, gone, renamed = (diff(residual("abc"), residual(blocks)) for blocks in ("abdc", "ac", "axc"))
    assert list(came.added) == ["d_conv", "d_bn", "d_add", "d_act"] and not came.removed and not came.changed
    assert "between b_act and c_conv, c_add" in str(came)
    assert list(gone.removed) == ["b_conv", "b_bn", "b_add", "b_act"] and not gone.added and not gone.changed
    assert renamed and not renamed.causes
    assert str(renamed) == """\
net: 4 layers renamed

renamed        b_conv ... b_act -> x_conv ... x_act (4)"""


def test_a_departure_goes_through_what_came_and_went() -> None:
    found = diff(residual("abc"), residual("ab", strides=2, extra="a"))
    assert paths(found) == ["stem", "a_drop", "c_conv", "c_bn", "c_add", "c_act"]
    assert [each.path for each in found.causes[0].follows][-1] == "pool"


def test_the_same_change_of_many_layers_is_told_once() -> None:
    assert str(diff(residual(), residual(frozen="ab"))) == """\
net: 2 layers changed

~ 2 layers: a_bn, b_bn
    trainable  yes  ->  no

trainable      2,114 -> 2,082 (-32)
non-trainable  48 -> 80 (+32)"""
    assert "~ 3 layers: a_act, b_act, c_act\n    class  ReLU  ->  LeakyReLU" in str(
        diff(residual(), residual(activation=LeakyReLU)))


def test_other_connections() -> None:
    def net(is_dense: bool) -> Model:
        x = Input((4,), name="x")
        p = Dense(4, name="p")(x)
        q = Dense(4, name="q")(p)
        return Model(x, Dense(2, name="head")(Add(name="sum")([p if is_dense else x, q])), name="net")

    assert str(diff(net(False), net(True))) == """\
net: 1 layer changed

~ sum (Add)
    connected to  x[0][0], q[0][0]  ->  p[0][0], q[0][0]
                  ^                     ^"""


def test_other_outputs_of_a_model() -> None:
    x = Input((4,), name="x")
    h = Dense(3, name="h")(x)
    y = Dense(2, name="y")(h)
    assert str(diff(Model(x, y, name="net"), Model(x, [y, h], name="net"))).startswith(
        "net: the model's output changed\n\n~ the model\n    output  (None, 2)  ->  [(None, 2), (None, 3)]\n")


def test_the_input_of_a_model_without_input_layers() -> None:
    def net(size: int) -> ShapeTable:
        return shape_table(Sequential([Dense(4, name="one"), Dense(2, name="two")], name="net"), size)

    assert str(diff(net(3), net(5))) == """\
net: the model's input changed, 1 follows

~ the model
    input  (None, 3)  ->  (None, 5)
                  ^              ^
    1 layer follows:
      one  still (None, 4)  16 -> 24 params

params         26 -> 34 (+8)"""


def test_models_without_shapes() -> None:
    free, known = (Sequential([Conv2D(4, 3, name="a"), Dense(4, name="b")], name="net") for _ in range(2))
    known.build((None, 8, 8, 3))
    assert not diff(free, free)
    for before, after in ((free, known), (known, free)):
        assert paths(diff(before, after)) == ["the model", "a", "b"]
    assert "output  ?        ->  (None, 6, 6, 4)" in str(diff(free, known))


def test_another_call_of_a_shared_layer() -> None:
    def net(second: int) -> Model:
        x, shared = Input((4,), name="x"), Dense(4, name="shared")
        first = shared(x)
        calls = [first, shared(first)]
        return Model(x, Add(name="sum")([calls[second], calls[1]]), name="net")

    assert paths(diff(net(0), net(1))) == ["sum"]


def test_a_layer_that_is_shared_instead_of_one_that_is_gone() -> None:
    """Without a word on what takes its place, this would read as if `head` took `a` past it."""
    def net(calls: str) -> Model:
        x = Input((8,), name="x")
        made = {name: Dense(8, name=name) for name in "ab"}
        y = x
        for name in calls:
            y = made[name](y)
        return Model(x, Dense(2, name="head")(y), name="net")

    assert str(diff(net("ab"), net("a"))) == """\
net: 1 layer removed

- b  (Dense)  (None, 8)  -> (None, 8)  72 params
    between a and head

params         162 -> 90 (-72)"""
    assert "connected to  b[0][0]  ->  a[1][0]" in str(diff(net("ab"), net("aa")))

    def siamese(is_shared: bool) -> Model:
        one, two = Input((8,), name="one"), Input((8,), name="two")
        encoders = [Sequential([Input((8,)), Dense(4, name="z")], name=name) for name in ("left", "right")]
        return Model([one, two], Add(name="sum")([encoders[0](one), encoders[not is_shared](two)]), name="net")

    found = diff(siamese(False), siamese(True))
    assert list(found.removed) == ["right"]
    assert "connected to  left[0][0], right[0][0]  ->  left[0][0], left[1][0]" in str(found)


def test_several_inputs_and_a_shared_layer() -> None:
    def net(size: int, units: int = 5) -> Model:
        a, b, shared = Input((size,), name="a"), Input((5,), name="b"), Dense(units, name="shared")
        return Model([a, b], Concatenate(name="c")([shared(Dense(5, name="fit")(a)), shared(b)]), name="net")

    found = diff(net(5), net(6))
    assert paths(found) == ["a"] and [each.path for each in found.causes[0].follows] == ["fit"]
    found = diff(net(5), net(5, 7))
    assert paths(found) == ["shared"] and [each.path for each in found.causes[0].follows] == ["c"]


def test_nested_models() -> None:
    def net(units: int = 4, extra: bool = False) -> Model:
        x = Input((8,), name="x")
        drop = [Dropout(0.1, name="drop")] if extra else []
        inner = Sequential([Input((8,)), Dense(6, name="one"), *drop, Dense(units, name="two")], name="inner")
        return Model(x, Dense(2, name="head")(inner(x)), name="outer")

    found = diff(net(), net(5))
    assert paths(found) == ["inner/two"] and [each.path for each in found.causes[0].follows] == ["inner", "head"]
    assert list(diff(net(), net(extra=True)).added) == ["inner/drop"]
    x = Input((8,), name="x")
    gone = diff(net(), Model(x, Dense(2, name="head")(LSTM(4, name="other")(x[:, None])), name="outer"))
    assert "inner" in gone.removed and not {"inner/one", "inner/two"} & {*gone.removed}  # told by the model around them


def test_a_model_that_was_wrapped_keeps_its_layers() -> None:
    def layers() -> list[Any]:
        return [Dense(6, name="one"), ReLU(name="act"), Dense(5, name="two")]

    flat = Sequential([Input((8,)), *layers(), Dense(2, name="head")], name="net")
    inner = Sequential([Input((8,)), *layers()], name="encoder")
    found = diff(flat, Sequential([Input((8,)), inner, Dense(2, name="head")], name="net"))
    assert list(found.added) == ["encoder"] and not found.removed
    assert found.names == {"one": "encoder/one", "act": "encoder/act", "two": "encoder/two"}


def test_weights_that_went_and_changed_dtype() -> None:
    def net(**options: Any) -> Model:
        return Sequential([Input((4,)), Dense(4, name="a", **options)], name="net")

    assert "bias  (4)  ->  nothing" in str(diff(net(), net(use_bias=False)))
    assert "dtype  float32  ->  float16" in str(diff(net(), net(dtype="float16")))


def test_long_diffs_are_cut_as_text_and_whole_as_data() -> None:
    def net(units: int) -> Model:
        return Sequential([Input((3,)), *(Dense(units + i % 2, name=f"d{i}_x") for i in range(100))], name="net")

    found = diff(net(4), net(6))
    assert "... and 60 more; to_dict() and --json have all" in str(found) and len(found.to_dict()["causes"]) == 100


def test_names_cannot_break_a_line() -> None:
    found = str(diff(twins("a\n::error::b"), twins("c\x1b[2J")))
    assert found.endswith(r"renamed        a\n::error::b -> c\x1b[2J") and len(found.splitlines()) == 3
    assert len(str(diff(twins("b"), twins("b", "a\n::error::b"))).splitlines()) == 8


# ---- names that are numbers ------------------------------------------------------------------------------------------


def numbered(extra: bool = False) -> Model:
    layers: list[Any] = [Conv2D(8, 3), MaxPooling2D(), Conv2D(16, 3), Flatten()]
    return Sequential([Input((16, 16, 3)), *layers, *([Dense(32)] if extra else []), Dense(16), Dense(4)], name="net")


def test_numbered_names_move_with_what_came() -> None:
    found = diff(numbered(), numbered(extra=True))  # dense and dense_1 are called dense_1 and dense_2 then
    assert list(found.added) == ["dense"] and paths(found) == ["dense"] and found.renamed == {}
    assert found.names == {"dense": "dense_1", "dense_1": "dense_2"}


def test_numbers_alone_are_no_difference() -> None:
    def table(first: int) -> ShapeTable:
        rows = [Row(f"dense_{first + i}", "Dense", (None, 4), (None, 4), [Weight("kernel", (4, 4))], 16,
                    connected_to=(Connection(f"dense_{first + i - 1}"),)) for i in range(3)]
        return ShapeTable("net", rows, [])

    found = diff(table(1), table(7))
    assert not found and str(found) == "no difference, but for the numbers in 3 names"


def test_a_layer_in_a_branch_of_a_net_of_numbered_names() -> None:
    config = application("InceptionV3")
    before = shape_table(kt.load_model(config))
    layers = config["config"]["layers"]
    place = next(i for i, layer in enumerate(layers) if layer["name"] == "conv2d_44")
    calls = json.dumps(layers[place]["inbound_nodes"])
    source = layers[place]["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0]
    layers[place]["inbound_nodes"] = json.loads(calls.replace(json.dumps(source), '"new"'))
    layers.insert(place, {"module": "keras.layers", "class_name": "Dropout", "registered_name": None, "name": "new",
                          "config": {"name": "new", "rate": 0.1}, "inbound_nodes": json.loads(calls)})
    other_numbers = re.sub(r'"(conv2d|activation|batch_normalization)_(\d+)"',
                           lambda found: f'"{found[1]}_{int(found[2]) * 7 % 97 + 200}"', json.dumps(config))
    found = diff(before, shape_table(kt.load_model(json.loads(other_numbers))))
    assert list(found.added) == ["new"] and paths(found) == ["new"] and len(found.names) > 100


# ---- names that a person gives ---------------------------------------------------------------------------------------


def test_names_say_which_layer_is_which() -> None:
    found = diff(twins("a", "b"), twins("p", "q"), names={"a": "q", "b": "p"})
    assert found.renamed == {"a": "q", "b": "p"}
    with pytest.raises(ConfigError, match=r"names: there is no layer 'c' before\."):
        diff(twins("a", "b"), twins("p", "q"), names={"c": "q"})
    with pytest.raises(ConfigError, match=r"names: there is no layer 'pp' after\. Did you mean 'p'\?"):
        diff(twins("a", "b"), twins("p", "q"), names={"a": "pp"})
    with pytest.raises(ConfigError, match="names: 'q' is named twice"):
        diff(twins("a", "b"), twins("p", "q"), names={"a": "q", "b": "q"})
    with pytest.raises(ConfigError, match='layout must be None or "any", got \'torch\''):
        diff(twins("a"), twins("a"), layout="torch")


# ---- what holds for every model --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_model_is_the_same_as_itself(path: Path) -> None:
    first, second = shape_table(path), shape_table(path)
    for layout in (None, "any"):
        found = first.diff(second, layout=layout)
        assert not found and not found.names and str(found).startswith("no difference")


@pytest.mark.parametrize("name", ["ResNet50", "NASNetMobile", "EfficientNetB0", "InceptionResNetV2"])
def test_very_different_models_are_told_whole(name: str) -> None:
    before, after = edited("MobileNet"), edited(name)
    found = diff(before, after)
    text, data = str(found), found.to_dict()
    assert found and len(text.splitlines()) < 1000 and json.loads(json.dumps(data)) is not None
    gone, new = len(found.removed), len(found.added)
    assert len(before) - gone == len(after) - new  # all others are pairs


LAYERS = st.lists(st.tuples(st.sampled_from(["conv", "norm", "act", "drop"]), st.integers(1, 4)), min_size=1,
                  max_size=12)


def chain(layers: list[tuple[str, int]], named: bool, frozen: int = -1) -> ShapeTable:
    made: dict[str, Any] = {"conv": lambda n, **names: Conv2D(8 * n, 3, padding="same", **names),
                            "norm": lambda n, **names: BatchNormalization(**names),
                            "act": lambda n, **names: ReLU(**names),
                            "drop": lambda n, **names: Dropout(n / 8, **names),
                            "new": lambda n, **names: LeakyReLU(**names)}
    counts = iter(range(100))
    built = [made[kind](n, trainable=i != frozen,
                        **({"name": "fresh" if kind == "new" else f"l{next(counts)}_x"} if named else {}))
             for i, (kind, n) in enumerate(layers)]
    return shape_table(Sequential([Input((8, 8, 3), name="image"), *built], name="net"))


@given(LAYERS, st.booleans(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_layer_that_changed_is_the_only_cause(layers: list[tuple[str, int]], named: bool, data: Any) -> None:
    place = data.draw(st.integers(0, len(layers) - 1))
    assume(layers[place][0] in ("conv", "norm"))
    before = chain(layers, named)
    assert not diff(before, chain(layers, named))
    kind, n = layers[place]
    if kind == "conv":
        after = chain([*layers[:place], (kind, n + 5), *layers[place + 1:]], named)
    else:
        after = chain(layers, named, frozen=place)
    found = diff(before, after)
    assert [cause.how for cause in found.causes] == ["changed"] and paths(found) == [before[place].name]
    later = {row.name for row in before[place + 1:]}
    assert {each.path for each in found.causes[0].follows} <= later


@given(LAYERS, st.booleans(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_layer_that_came_or_went_is_the_only_cause(layers: list[tuple[str, int]], named: bool, data: Any) -> None:
    place = data.draw(st.integers(0, len(layers)))
    before = chain(layers, named)
    after = chain([*layers[:place], ("new", 1), *layers[place:]], named)
    came, went = diff(before, after), diff(after, before)
    assert [cause.how for cause in came.causes] == ["added"] and paths(came) == [after[place].name]
    assert [cause.how for cause in went.causes] == ["removed"] and paths(went) == [after[place].name]
    assert not came.renamed and not went.renamed


@given(LAYERS, st.data())
@settings(max_examples=40, deadline=None)
def test_a_renamed_layer_is_no_cause(layers: list[tuple[str, int]], data: Any) -> None:
    table = chain(layers, named=True)
    old = table[data.draw(st.integers(0, len(table) - 1))].name
    rows = [row._replace(name="other" if row.name == old else row.name,
                         connected_to=tuple(x._replace(layer="other") if x.layer == old else x
                                            for x in row.connected_to)) for row in table]
    found = diff(table, ShapeTable("net", rows, [w for row in rows for w in row.weights], table.input_shape,
                                   table.output_shape))
    assert found.renamed == {old: "other"} and not found.causes


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_a_longest_common_subsequence(one: str, other: str) -> None:
    found = in_common(one, other)
    assert all(one[i] == other[j] for i, j in found)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(found))
    longest = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            longest[i + 1][j + 1] = longest[i][j] + 1 if a == b else max(longest[i][j + 1], longest[i + 1][j])
    assert len(found) == longest[-1][-1]


@given(st.lists(st.integers(0, 20), unique=True, max_size=8))
def test_a_longest_rising_subsequence(numbers: list[int]) -> None:
    found = [numbers[i] for i in rising(numbers)]
    assert found == sorted(found)
    assert len(found) == max(len(part) for n in range(len(numbers) + 1) for part in combinations(numbers, n)
                             if list(part) == sorted(part))
