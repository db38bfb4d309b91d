"""The summary is Keras' table: recorded ones line by line, and live ones for every option."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

import kerashape_torch
from kerashape_torch.errors import ConfigError, UnknownLayerError
from kerashape_torch.models import Model, Sequential
from kerashape_torch.reports import print_summary
from kerashape_torch.shape_table import shape_table

DATA = Path(__file__).parent / "data" / "functional"


def text_of(model: Any, **options: Any) -> list[str]:
    printed: list[str] = []
    (print_summary if isinstance(model, Model) else type(model).summary)(model, print_fn=printed.append, **options)
    return [line.rstrip() for line in "\n".join(printed).strip().splitlines()]


def recorded(name: str) -> Model:
    config = json.loads((DATA / f"{name}.json").read_text())
    cls = Sequential if config["class_name"] == "Sequential" else Model
    try:
        return cls.from_config(config["config"])
    except UnknownLayerError as error:
        pytest.skip(f"a layer that is not in the catalog yet: {error}")


@pytest.mark.parametrize("name", sorted(path.name.removesuffix(".summary.txt") for path in DATA.glob("*.summary.txt")))
def test_recorded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    expected = (DATA / f"{name}.summary.txt").read_text().strip().splitlines()
    assert text_of(recorded(name), line_length=100, expand_nested=True) == [line.rstrip() for line in expected]
