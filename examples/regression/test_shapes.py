"""Run with ``pytest examples/regression``; ``--shapes-update`` writes ``__shapes__`` anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from unet import Classifier, unet

import kerashape_torch as kt
from kerashape_torch.testing import assert_shape


@pytest.mark.parametrize("size", [64, 128])
def test_unet(shape_snapshot: Any, size: int) -> None:
    shape_snapshot.check(unet(size), values=size == 64)


def test_classifier(shape_snapshot: Any) -> None:
    shape_snapshot.check(Classifier(), input_shape=(None, 3, None, None))


def test_the_port_has_the_shapes_of_the_keras_model() -> None:
    model = unet()
    moved = kt.shape_table(model).diff(kt.shape_table(model.to_torch(layout="torch"), (None, 3, 64, 64)), layout="any")
    assert not moved, moved


def test_one_shape() -> None:
    sizes = assert_shape(unet().to_torch()(torch.zeros(2, 64, 64, 3)), "batch height width 1")
    assert sizes["height"] == sizes["width"] == 64
