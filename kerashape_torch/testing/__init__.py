"""Checks that hold from day to day: the same numbers as Keras', layer by layer."""

from kerashape_torch.saving.recorded_shapes import RecordedShapes, check_recorded_shapes
from kerashape_torch.testing.parity import Verified, verify

__all__ = ["RecordedShapes", "Verified", "check_recorded_shapes", "verify"]
