"""Checks that hold from day to day: shapes and numbers that do not move, and numbers that are Keras'."""

from typing import TYPE_CHECKING, Any

from kerashape_torch.saving.recorded_shapes import RecordedShapes, check_recorded_shapes
from kerashape_torch.testing.assertions import ShapeAssertionError, assert_shape, shapes

if TYPE_CHECKING:
    from kerashape_torch.testing.parity import Verified, verify


def __getattr__(name: str) -> Any:
    if name in ("Verified", "verify"):  # which need torch
        from kerashape_torch.testing import parity

        return getattr(parity, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["RecordedShapes", "ShapeAssertionError", "Verified", "assert_shape", "check_recorded_shapes", "shapes",
           "verify"]
