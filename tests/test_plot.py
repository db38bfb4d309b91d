"""Pictures of models, held as data: nothing overlaps, every text is inside its box, every arrow ends at a box."""

from __future__ import annotations

import builtins
import io
import math
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import harness
import pytest
from PIL import Image

import kerashape_torch as kt
from kerashape_torch import Input, Model, Sequential
from kerashape_torch.errors import ConfigError, KerashapeError, ShapeError
from kerashape_torch.layers import LSTM, Add, Concatenate, Conv2D, Dense, Embedding, Flatten, MaxPooling2D
from kerashape_torch.reports.plot import model_scene
from kerashape_torch.reports.plot.diagram import Options, diagram
from kerashape_torch.reports.plot.picture import Picture, Placed, arrange
from kerashape_torch.reports.plot.scene import Rect, Scene, Text
from kerashape_torch.utils import model_to_svg, plot_model


def branched() -> Model:
    x = Input((17, 17, 4))
    branches = [Conv2D(3, 1, padding="same")(x), Conv2D(5, 3, padding="same")(Conv2D(2, 1)(x)),
                MaxPooling2D(3, 1, padding="same")(x), x]
    return Model(x, Dense(2)(Flatten()(Concatenate()(branches))))


def nested() -> Model:
    x = Input((6,), name="x")
    inner = Model(x, [Dense(4, name="p")(x), Dense(5, name="q")(x)], name="inner")
    y = Input((6,), name="y")
    middle = Model(y, Concatenate(name="cat")(inner(y)), name="middle")
    z = Input((6,), name="z")
    return Model(z, Add(name="sum")([middle(z), Dense(9, name="skip")(z)]), name="outer")


def residual() -> Model:
    x = y = Input((8,))
    for _ in range(12):
        y = Add()([y, Dense(8)(y)])
    return Model(x, y)


def two_ends() -> Model:
    words, image = Input((9,), name="words"), Input((8, 8, 3), name="image")
    joined = Concatenate()([LSTM(4)(Embedding(20, 5)(words)), Flatten()(Conv2D(2, 3)(image))])
    return Model({"words": words, "image": image}, {"score": Dense(1)(joined), "kind": Dense(3)(joined)})


def fifty() -> Model:
    return Sequential([Input((64,)), *(Dense(8 + i) for i in range(50))])


def shared() -> Model:
    a, b, dense = Input((4,)), Input((4,)), Dense(3, name="shared")
    return Model([a, b], Add()([dense(a), dense(b)]))


MODELS: dict[str, Callable[[], Model]] = {each.__name__: each
                                          for each in (branched, nested, residual, two_ends, fifty, shared)}
FILES = sorted(harness.DATA.glob("functional/*.keras"))


def picture(model: Model, rankdir: str = "TB", expand_nested: bool = True) -> Picture:
    options = Options(show_shapes=True, show_layer_names=True, rankdir=rankdir, expand_nested=expand_nested)
    return arrange(diagram(model, options), True, rankdir)


def drawing(model: Model, **options: Any) -> Scene:
    return model_scene(model, Options(**{"show_shapes": True, "show_layer_names": True, **options}))


def overlap(a: Placed, b: Placed) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def on_border(point: tuple[float, float], placed: Placed) -> bool:
    x, y = point
    beside = math.isclose(x, placed.x, abs_tol=1) or math.isclose(x, placed.x + placed.width, abs_tol=1)
    above = math.isclose(y, placed.y, abs_tol=1) or math.isclose(y, placed.y + placed.height, abs_tol=1)
    return ((beside and placed.y - 1 <= y <= placed.y + placed.height + 1)
            or (above and placed.x - 1 <= x <= placed.x + placed.width + 1))


@pytest.mark.parametrize("rankdir", ["TB", "LR", "BT", "RL"])
@pytest.mark.parametrize("name", MODELS)
def test_places(name: str, rankdir: str) -> None:
    drawn = picture(MODELS[name](), rankdir)
    for a, b in combinations(drawn.boxes, 2):
        assert not overlap(a, b), (a.path, b.path)
    for placed in (*drawn.boxes, *drawn.frames):
        assert placed.x >= 0 and placed.x + placed.width <= drawn.width
        assert placed.y >= 0 and placed.y + placed.height <= drawn.height
    places = [*drawn.boxes, *drawn.frames]
    for arrow in drawn.arrows:
        for end in (arrow.start, arrow.steps[-1][-1]):
            assert any(on_border(end, placed) for placed in places), (name, end)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_recorded_models_are_drawn(path: Path) -> None:
    """Every text is inside the rectangle that it belongs to, and shapes are written as Keras writes them."""
    model = kt.load_model(path, custom_objects=harness.MODEL_LAMBDAS.get(path.stem), weights=False)
    scene = drawing(model, expand_nested=True)
    for group in scene.groups:
        rects = [shape for shape in group.shapes if isinstance(shape, Rect)]
        for text in (shape for shape in group.shapes if isinstance(shape, Text)):
            outer = rects[0]
            assert outer.x <= text.x and text.x + text.width <= outer.x + outer.width, text
            assert outer.y <= text.y <= outer.y + outer.height, text
    words = {shape.text for shape in scene.shapes() if isinstance(shape, Text)}
    for x in model.graph.flat_inputs:
        assert any(f"({', '.join(map(str, x.shape))})" in text for text in words)


def test_arrows_flow_from_top_to_bottom() -> None:
    drawn = picture(branched())
    at = {placed.box.name: placed.y for placed in drawn.boxes}
    assert at["input_layer"] < at["conv2d"] < at["concatenate"] < at["flatten"] < at["dense"]
    across = {placed.box.name: placed.x for placed in picture(branched(), "LR").boxes}
    assert across["input_layer"] < across["concatenate"] < across["dense"]


def test_a_nested_model_is_one_box_or_a_frame() -> None:
    closed = picture(nested(), expand_nested=False)
    assert not closed.frames and {placed.box.name for placed in closed.boxes} == {"z", "middle", "skip", "sum"}
    opened = picture(nested())
    frames = {placed.box.name: placed for placed in opened.frames}
    assert set(frames) == {"middle", "inner"}
    inside = {placed.box.name for placed in opened.boxes
              if frames["inner"].x <= placed.x and placed.x + placed.width <= frames["inner"].x + frames["inner"].width
              and frames["inner"].y <= placed.y <= frames["inner"].y + frames["inner"].height}
    assert inside == {"x", "p", "q"}


def test_a_long_chain_is_folded_into_columns() -> None:
    drawn = picture(fifty())
    assert 0.5 < drawn.width / drawn.height < 2.5
    assert len(drawn.boxes) == 51 and len(drawn.arrows) == 50


def test_a_thousand_layers() -> None:
    drawn = picture(Sequential([Input((8,)), *(Dense(8) for _ in range(1000))]))
    assert len(drawn.boxes) == 1001


def test_what_is_written() -> None:
    text = model_to_svg(Sequential([Dense(4, activation="relu", input_shape=(3,))], name="m"), show_shapes=True,
                        show_layer_names=True, show_dtype=True, show_layer_activations=True, show_trainable=True)
    for words in ("(None, 3)", "(None, 4)", "dense", "Dense", "16 params", "relu", "float32", "trainable"):
        assert words in text, words
    plain = model_to_svg(Sequential([Dense(4, input_shape=(3,))]))
    assert "(None" not in plain and "Dense" in plain


def test_ends_are_named_beside_the_shapes_that_leave() -> None:
    x, state = Input((None, 4)), Input((6,))
    outputs, *states = LSTM(6, return_sequences=True, return_state=True)(x, initial_state=[state, state])
    drawn = diagram(Model([x, state], [Dense(7)(outputs), *states]), Options(show_shapes=True))
    lstm, dense = drawn.boxes[-2:]
    assert list(zip(lstm.rows, lstm.notes)) == [
        (("in", "(None, None, 4)"), "264 params"), (("", "2 x (None, 6)"), ""),
        (("out", "(None, None, 6)"), "output 1"), (("", "2 x (None, 6)"), "output 2")]
    assert dense.notes == ["49 params", "output 0"]


def test_a_name_is_text_and_nothing_else() -> None:
    x = Input((3,), name="<script>alert('x')&\"")
    text = model_to_svg(Model(x, Dense(1)(x)), show_layer_names=True)
    assert "<script" not in text and "&lt;script&gt;" in text
    ElementTree.fromstring(text)


@pytest.mark.parametrize("name", MODELS)
def test_files(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    plot_model(model, tmp_path / "m.svg", show_shapes=True)
    root = ElementTree.parse(tmp_path / "m.svg").getroot()
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert plot_model(model, tmp_path / "m.png", show_shapes=True, dpi=96) == tmp_path / "m.png"
    with Image.open(tmp_path / "m.png") as image:
        assert image.size == pytest.approx((width, height), abs=1)
        colors = image.convert("RGB").getcolors(1 << 24)
        assert colors is not None and len(colors) > 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.png", "m.svg"]


def test_resolution(tmp_path: Path) -> None:
    sizes = []
    for dpi in (96, 192):
        plot_model(branched(), tmp_path / "m.png", dpi=dpi)
        with Image.open(io.BytesIO((tmp_path / "m.png").read_bytes())) as image:
            sizes.append(image.size[0])
    assert sizes[1] == pytest.approx(2 * sizes[0], abs=2)


def test_refusals(tmp_path: Path) -> None:
    model = branched()
    with pytest.raises(ConfigError, match=r"must end in \.png or \.svg, got 'm\.gif'"):
        plot_model(model, "m.gif")
    with pytest.raises(ConfigError, match="dpi must be positive"):
        plot_model(model, tmp_path / "m.png", dpi=0)
    with pytest.raises(ConfigError, match="rankdir"):
        plot_model(model, tmp_path / "m.png", rankdir="UP")
    with pytest.raises(ShapeError, match="input shape of sequential is not known yet"):
        plot_model(Sequential([Dense(4)]), tmp_path / "m.png")
    assert not list(tmp_path.iterdir())


def test_svg_needs_no_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without_pillow(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("PIL"):
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pillow)
    plot_model(branched(), tmp_path / "m.svg")
    with pytest.raises(KerashapeError, match=r"pip install 'kerashape_torch\[plot\]', or write an \.svg"):
        plot_model(branched(), tmp_path / "m.png")
