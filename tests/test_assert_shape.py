"""Shapes that are asserted: what fits, and the words for what does not."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kerashape_torch import Input
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.testing import ShapeAssertionError, assert_shape, shapes


def zeros(*shape: int) -> torch.Tensor:
    return torch.zeros(shape)


# ---- what fits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "shape", "sizes"), [
    (zeros(2, 50, 50, 3), "(None, 50, 50, 3)", {}),
    (zeros(2, 50, 50, 3), (None, 50, 50, 3), {}),
    (zeros(2, 50, 40, 3), "batch h w 3", {"batch": 2, "h": 50, "w": 40}),
    (np.zeros((2, 5, 5)), "b n n", {"b": 2, "n": 5}),
    (np.zeros((2, 5, 5)), "_ _ 5", {}),
    (Input((50, 50, 3)), "(None, 50, 50, 3)", {}),
    (Input((50, None, 3)), "batch h w 3", {"batch": None, "h": 50, "w": None}),
    (Input((4, 3)), "batch (h w) 3", {"batch": None}),
    ((None, 7), "(None, 7)", {}),
    (zeros(), "()", {}),
    (zeros(), "", {}),
    (zeros(3), "(3,)", {}),
    (zeros(3), "3", {}),
    (zeros(2, 4, 5, 3), "b ... c", {"b": 2, "c": 3}),
    (zeros(2, 3), "b ... c", {"b": 2, "c": 3}),
    (zeros(2, 4, 5, 3), "b *space c", {"b": 2, "*space": (4, 5), "c": 3}),
    (zeros(2, 12), "b (4 w)", {"b": 2, "w": 3}),
    (zeros(0, 0), "b (b w)", {"b": 0}),
    ([zeros(2, 3), zeros(2, 4)], ["b f", "b g"], {"b": 2, "f": 3, "g": 4}),
    ((zeros(2, 3), zeros(2, 4)), "[(None, 3), (None, 4)]", {}),
    ({"x": zeros(2), "y": [zeros(2, 1)]}, {"x": "b", "y": ["b 1"]}, {"b": 2}),
    ({"x": zeros(2), "y": zeros(2, 1)}, "{x: (2), y: (None, 1)}", {}),
], ids=str)
def test_what_fits(value: Any, shape: Any, sizes: dict[str, Any]) -> None:
    assert assert_shape(value, shape) == sizes


def test_one_name_is_one_size_in_all_values() -> None:
    assert assert_shape(zeros(2, 6, 4), "b (h w) c", zeros(2, 3), "b h") == {"b": 2, "c": 4, "h": 3, "w": 2}
    with pytest.raises(ShapeAssertionError) as caught:
        assert_shape(zeros(2, 6), "batch units", zeros(3, 6), "batch units")
    assert str(caught.value) == ("value 2: got (3, 6), expected (batch, units)\n"
                                 "  axis 0: batch is 2 in value 1, got 3")


# ---- what does not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "shape", "message"), [
    (zeros(2, 49, 50, 3), "(None, 50, 50, 3)",
     "got (2, 49, 50, 3), expected (None, 50, 50, 3)\n  axis 1: expected 50, got 49"),
    (zeros(2, 50, 3), "(None, 50, 50, 3)",
     "got (2, 50, 3), expected (None, 50, 50, 3)\n  rank: expected 4 axes, got 3"),
    (zeros(2), "b ... h w", "got (2), expected (b, ..., h, w)\n  rank: expected 3 or more axes, got 1"),
    (zeros(2, 5, 4), "b n n", "got (2, 5, 4), expected (b, n, n)\n  axis 2: n is 5 at axis 1, got 4"),
    (zeros(2, 5, 6, 7), "b ... 8", "got (2, 5, 6, 7), expected (b, ..., 8)\n  axis 3: expected 8, got 7"),
    (Input((50, None, 3)), "b 50 50 3",
     "got (None, 50, None, 3), expected (b, 50, 50, 3)\n  axis 2: expected 50, got None"),
    (zeros(3, 4, 13), "h w (h w)",
     "got (3, 4, 13), expected (h, w, (h w))\n  axis 2: (h w) is 12, where h is 3 and w is 4, got 13"),
    (zeros(2, 13), "b (4 w)", "got (2, 13), expected (b, (4 w))\n  axis 1: (4 w) is a multiple of 4, got 13"),
    ("text", "b", "expected a tensor of (b), got str, which has no shape"),
    ([zeros(2)], ["b", "b"], "expected a list of 2, got list of 1"),
    (zeros(2), ["b"], "expected a list of 1, got Tensor"),
    ({"x": zeros(2)}, {"y": "b"}, "expected keys y, got dict with x"),
    ([zeros(2), zeros(3)], ["b", "b"], "[1]: got (3), expected (b)\n  axis 0: b is 2 in [0], got 3"),
    ({"x": [zeros(2)]}, {"x": ["3"]}, "['x'][0]: got (2), expected (3)\n  axis 0: expected 3, got 2"),
], ids=str)
def test_the_words(value: Any, shape: Any, message: str) -> None:
    with pytest.raises(ShapeAssertionError) as caught:
        assert_shape(value, shape)
    assert str(caught.value) == message
    assert isinstance(caught.value, AssertionError) and isinstance(caught.value, ShapeError)


@pytest.mark.parametrize("shape", ["b (h w", "b h)", "b ((h w) c)", "b-1 c", "... h ...", "b (h ...)", "(None, x)",
                                   "[(3)", 3, None, 3.5, ["b", 4.5], "(-1, 3)"], ids=repr)
def test_what_is_no_shape(shape: Any) -> None:
    with pytest.raises(ConfigError):
        assert_shape(zeros(2), shape)
    with pytest.raises(ConfigError, match="two by two"):
        assert_shape(zeros(2), "b", zeros(2))


# ---- at the door of a function ---------------------------------------------------------------------------------------


@shapes(x="batch features", kernel="features units", returns="batch units")
def dense(x: Any, kernel: Any, bias: Any = None) -> Any:
    """Weighs."""
    return x @ kernel if bias is None else bias


def test_a_function() -> None:
    assert dense(zeros(2, 3), kernel=zeros(3, 4)).shape == (2, 4) and dense.__doc__ == "Weighs."
    assert dense(zeros(5, 3), zeros(3, 4)).shape == (5, 4)  # each call has its own sizes
    with pytest.raises(ShapeAssertionError) as caught:
        dense(zeros(2, 3), zeros(4, 5))
    assert str(caught.value) == ("dense(kernel): got (4, 5), expected (features, units)\n"
                                 "  axis 0: features is 3 in x, got 4")
    with pytest.raises(ShapeAssertionError) as caught:
        dense(zeros(2, 3), zeros(3, 4), zeros(2, 5))
    assert str(caught.value) == ("dense returns: got (2, 5), expected (batch, units)\n"
                                 "  axis 1: units is 4 in kernel, got 5")
    with pytest.raises(TypeError, match="missing a required argument: 'kernel'"):
        dense(zeros(2, 3))


def test_arguments_that_are_not_there() -> None:
    @shapes(mask="batch", rest=["batch", "_"])
    def held(x: Any = None, mask: Any = None, *rest: Any) -> None: ...

    held()
    held(zeros(1), zeros(2), zeros(2), zeros(7))
    with pytest.raises(ShapeAssertionError, match=r"^held\(rest\[0\]\): got \(3\), expected \(batch\)"):
        held(zeros(1), zeros(2), zeros(3), zeros(7))
    with pytest.raises(ConfigError, match="held has no argument y; it has x"):
        @shapes(y="batch")
        def held(x: Any) -> None: ...


@shapes(x="batch h w 3", returns="batch units")
class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.mean((1, 2)))


def test_a_module() -> None:
    assert Net()(zeros(2, 8, 8, 3)).shape == (2, 4)
    with pytest.raises(ShapeAssertionError) as caught:
        Net()(zeros(2, 3, 8, 8))
    assert str(caught.value) == "Net(x): got (2, 3, 8, 8), expected (batch, h, w, 3)\n  axis 3: expected 3, got 8"

    class Method(nn.Module):
        @shapes(x="batch 3")
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    with pytest.raises(ShapeAssertionError, match=r"^Method\(x\): got \(2, 4\)"):
        Method()(zeros(2, 4))


def test_compiled_modules_have_no_break() -> None:
    found = torch.compile(Net(), fullgraph=True, backend="eager")(zeros(2, 8, 8, 3))
    assert found.shape == (2, 4)


def test_nothing_is_left_of_it_without_assertions() -> None:
    code = """
from kerashape_torch.testing import shapes
def function(x): return x
assert_is_off = shapes(x="b")(function)
if assert_is_off is not function: raise SystemExit(1)
"""
    subprocess.run([sys.executable, "-O", "-c", code], check=True)
