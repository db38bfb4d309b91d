"""The shapes that Keras saw, which its files carry, held against those that are inferred here. No Keras is needed.

Keras 3 writes with each layer what it was built for (``build_config``), and with each call the shapes and dtypes of the
tensors that it takes (``__keras_tensor__``). The model here is made of the arguments alone, and looks at neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kerashape_torch.errors import KerashapeError
from kerashape_torch.layer import Layer
from kerashape_torch.layers.recurrent_cells import Holder
from kerashape_torch.models import Model
from kerashape_torch.saving.archive import refusing_nonsense
from kerashape_torch.saving.containers import local_path
from kerashape_torch.saving.models import model_of
from kerashape_torch.saving.reading import read_or_take
from kerashape_torch.saving.upgrade.op_layers import is_op_layer
from kerashape_torch.shape import to_text
from kerashape_torch.structure import flatten
from kerashape_torch.text import aligned

TAKES, GIVES, NOTHING = "takes", "gives", "nothing"


class Recorded(NamedTuple):
    """One shape that a file carries.

    Attributes:
        layer: its name, below those of the layers around it: ``encoder/dense_1``.
        what: ``takes`` for what the layer was built for, ``gives`` for a tensor that comes out of it.
        recorded, inferred: as text, with the dtype of a tensor: ``(None, 3) float32``.
    """

    layer: str
    class_name: str
    what: str
    recorded: str
    inferred: str

    @property
    def agrees(self) -> bool:
        """Whether both say the same."""
        return self.recorded == self.inferred


class RecordedShapes(NamedTuple):
    """What :func:`check_recorded_shapes` found. ``str()`` prints what departs, and the verdict.

    Attributes:
        rows: a row for each shape, in the order of the layers.
        without: the layers of which no shape is held. The file carries none, or nothing here is that layer: no output
            needs it, or it is a function of TensorFlow as Keras 2 wrote it, of which several ops are made here.
    """

    file: str
    rows: list[Recorded]
    without: list[str]

    @property
    def agrees(self) -> bool:
        """Whether all shapes do."""
        return all(row.agrees for row in self.rows)

    @property
    def departure(self) -> Recorded | None:
        """The first shape that is another one here."""
        return next((row for row in self.rows if not row.agrees), None)

    def cells(self) -> list[tuple[str, ...]]:
        """What departs as lines of cells; none where nothing does."""
        departing = [tuple(row) for row in self.rows if not row.agrees]
        return [("layer", "class", "", "in the file", "inferred here"), *departing] if departing else []

    @property
    def verdict(self) -> str:
        """The outcome in a sentence, and of which layers no shape is held."""
        number, first = len(self.rows), self.departure
        if not self.rows:
            return f"{self.file} carries no shapes but those of its inputs, as files do that are older than Keras 3"
        held = f"{self.file}: all {number} shapes that Keras saw are inferred here"
        if first is not None:
            held = (f"{self.file}: {sum(not row.agrees for row in self.rows)} of the {number} shapes that Keras saw "
                    f"depart, {first.layer} first: it {first.what} {first.recorded} there, {first.inferred} here")
        return f"{held}\nno shape is held of: {', '.join(self.without)}" if self.without else held

    def __str__(self) -> str:
        return "\n\n".join([*([] if self.agrees else [aligned(self.cells())]), self.verdict])

    def to_dict(self) -> dict[str, Any]:
        """The findings as values that JSON can hold."""
        first = self.departure
        return {"file": self.file, "agrees": self.agrees, "held": len(self.rows),
                "departure": None if first is None else first.layer, "without": self.without,
                "rows": [{**row._asdict(), "agrees": row.agrees} for row in self.rows]}


def check_recorded_shapes(path: Any, custom_objects: Mapping[str, Any] | None = None) -> RecordedShapes:
    """Holds every shape that a file carries against the one that is inferred here. No weight is read.

    Args:
        path: any file that :func:`load_model` takes, or a dict. Those of Keras 3 carry shapes; older ones none, or
            what layers were built for.
        custom_objects: classes and functions of yours that the file names.

    Raises:
        ConfigError: it is no model, or needs something of yours.

    >>> import json
    >>> from kerashape_torch.layers import Dense
    >>> from kerashape_torch.models import Sequential
    >>> written = json.loads(Sequential([Dense(4, input_shape=(3,)), Dense(2)], name="small").to_json())
    >>> print(check_recorded_shapes(written))
    small: all 2 shapes that Keras saw are inferred here
    """
    contents = read_or_take(path, weights=False)
    model = model_of(contents, custom_objects)
    if not model.built:
        raise KerashapeError(f"{model.name} has no input shape, so there is nothing to hold")
    with refusing_nonsense():
        walk = _Walk(contents.config, model)
        return RecordedShapes(model.name if contents.form == "a dict" else local_path(path).name, walk.rows(),
                              [name for name in walk.listed if not walk.found[name]])


# ---- what is inferred ------------------------------------------------------------------------------------------------


class _Inferred(NamedTuple):
    """A layer of the model that was made of the file, and what it takes."""

    layer: Layer
    takes: list[Any]

    def built_for(self, written: Mapping[str, Any]) -> str:
        """What a ``build_config`` of such a form says of it, as text."""
        if "shapes_dict" in written:
            return to_text(dict(zip((f"{name}_shape" for name in self.layer.shape_arguments), self.takes)))
        return to_text(self.takes[0])

    def tensor(self, call: int, output: int) -> str:
        """What comes out of a call, as text."""
        outputs = flatten(self.layer.nodes[call].outputs) if call < len(self.layer.nodes) else []
        return _tensor_text(outputs[output].shape, outputs[output].dtype) if output < len(outputs) else NOTHING


def _inferred(layers: Iterable[tuple[Layer, list[Any]]], above: str = "") -> Iterator[tuple[str, _Inferred]]:
    """Layers by their paths, with all that is inside them."""
    for layer, takes in layers:
        path = f"{above}{layer.name}"
        yield path, _Inferred(layer, takes)
        if isinstance(layer, Model):
            yield from _inferred(_called(layer), f"{path}/")
        elif isinstance(layer, Holder):
            yield from _inferred([(each, [shape]) for each, shape in layer.shapes_inside(*takes)], f"{path}/")


def _called(model: Model) -> list[tuple[Layer, list[Any]]]:
    """The layers of a model with what they take."""
    return [(each, each.built_for()) for each in model.sublayers()]


# ---- what is written -------------------------------------------------------------------------------------------------


class _Walk:
    """Walks the config of a file, and holds each shape that stands in it against the model."""

    def __init__(self, config: Any, model: Model) -> None:
        self.inferred = dict(_inferred(_called(model)))
        self.found: dict[str, dict[tuple[int, int, int], Recorded]] = {}
        self.listed: list[str] = []
        self._inside(config, "")

    def rows(self) -> list[Recorded]:
        """What was held, layer by layer. The shape of an input is given, so that it holds nothing."""
        rows = [found[key] for found in self.found.values() for key in sorted(found)]
        return [row for row in rows if row.class_name != "InputLayer"]

    def _any(self, written: Any, path: str, in_list: bool = False) -> None:
        if isinstance(written, (list, tuple)):
            for each in written:
                self._any(each, path, in_list)
        elif isinstance(written, Mapping):
            inner = written.get("config") if "class_name" in written else None
            name = inner.get("name") if isinstance(inner, Mapping) else None
            if written.get("class_name") == "__keras_tensor__":
                self._tensor(written["config"], path.rpartition("/")[0])
            elif isinstance(name, str):
                self._layer(written, f"{path}/{name}" if path else name, in_list)
            else:
                self._inside(written, path)

    def _inside(self, written: Mapping[str, Any], path: str) -> None:
        for key, value in written.items():
            if key not in ("build_config", "compile_config"):
                self._any(value, path, key == "layers")

    def _layer(self, written: Mapping[str, Any], path: str, in_list: bool) -> None:
        rows = self.found.setdefault(path, {})
        if in_list and written["class_name"] != "InputLayer":
            self.listed.append(path)
        built = written.get("build_config") or {}
        shapes = built.get("shapes_dict", built.get("input_shape"))
        here = self.inferred.get(path)
        if shapes and here and not is_op_layer(written):
            rows[0, 0, 0] = Recorded(path, str(written["class_name"]), TAKES, to_text(shapes), here.built_for(built))
        self._inside(written, path)

    def _tensor(self, written: Mapping[str, Any], model: str) -> None:
        name, call, output = written["keras_history"]
        path = f"{model}/{name}" if model else name
        here = self.inferred.get(path)
        if here:
            self.found.setdefault(path, {})[1, call, output] = Recorded(
                path, type(here.layer).__name__, GIVES, _tensor_text(written["shape"], written["dtype"]),
                here.tensor(call, output))


def _tensor_text(shape: Any, dtype: str) -> str:
    return f"{to_text(shape)} {dtype}"
