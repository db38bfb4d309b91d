"""Checks that hold from day to day: the same numbers as Keras', layer by layer."""

from kerashape_torch.testing.parity import Verified, verify

__all__ = ["Verified", "verify"]
