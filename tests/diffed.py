"""Models to be held against each other."""

from __future__ import annotations

import gzip
import json
from typing import Any

import harness

import kerashape_torch as kt
from kerashape_torch.differences import TableDiff
from kerashape_torch.layers import (
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    GlobalAveragePooling2D,
    LeakyReLU,
    ReLU,
)
from kerashape_torch.models import Input, Model
from kerashape_torch.shape_table import ShapeTable, shape_table

APPLICATIONS = harness.DATA / "applications"
FILES = sorted(path for path in (harness.DATA / "functional").glob("*.keras") if path.stem not in harness.MODEL_LAMBDAS)


def application(name: str) -> Any:
    return json.loads(gzip.decompress((APPLICATIONS / f"{name}.json.gz").read_bytes()))


def edited(name: str, **fields: dict[str, Any]) -> ShapeTable:
    """The table of a model of keras.applications, with other arguments for some of its layers."""
    config = application(name)
    for layer in config["config"]["layers"]:
        layer.pop("build_config", None)
        layer["config"].update(fields.get(layer["config"]["name"], {}))
    return shape_table(kt.load_model(config))


def paths(found: TableDiff) -> list[str]:
    return [cause.path for cause in found.causes]


def residual(blocks: str = "abc", filters: int = 8, strides: int = 1, extra: str = "", frozen: str = "",
             activation: type[ReLU] | type[LeakyReLU] = ReLU) -> Model:
    """A residual net; each letter of ``blocks`` names a block."""
    x = y = Input((16, 16, 3), name="image")
    y = Conv2D(filters, 3, strides=strides, padding="same", name="stem")(x)
    for name in blocks:
        skip = y
        y = Conv2D(filters, 3, padding="same", name=f"{name}_conv")(y)
        y = BatchNormalization(name=f"{name}_bn", trainable=name not in frozen)(y)
        if name in extra:
            y = Dropout(0.1, name=f"{name}_drop")(y)
        y = activation(name=f"{name}_act")(Add(name=f"{name}_add")([skip, y]))
    return Model(x, Dense(10, name="head")(GlobalAveragePooling2D(name="pool")(y)), name="net")


def twins(*names: str) -> Model:
    x = Input((4,), name="x")
    return Model(x, Add(name="sum")([Dense(4, name=name)(x) for name in names]), name="net")
