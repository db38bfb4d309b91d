"""Every op of ``keras.ops`` written as source: the same numbers, without kerashape_torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ops_cases import CASES
from test_every_op import built, given
from test_port import module_of, text_of

from kerashape_torch import Input, Model, ops
from kerashape_torch.errors import KerashapeError
from kerashape_torch.saving import port
from kerashape_torch.structure import flatten

PARTICULAR = {("floor_divide", 3), ("mod", 3), ("fmod", 3), ("cholesky", 0), ("cholesky", 1), ("cholesky_inverse", 0)}
"""They fail on made-up inputs: integers that are divided by have no zeros, and matrices are positive definite."""


@pytest.mark.parametrize("name", CASES)
def test_as_the_module(name: str, tmp_path: Path) -> None:
    for i, case in enumerate(CASES[name]):
        model = Model(*built(Input, case, ops))
        if (name, i) in PARTICULAR:
            with pytest.raises(KerashapeError, match="does not run on made-up inputs"):
                port(model, tmp_path / str(i))
            continue
        written = module_of(port(model, tmp_path / str(i))).load()
        wanted, found = (flatten(module(*given(name, i))) for module in (model.to_torch(), written))
        for want, got in zip(wanted, found, strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)


def test_methods_of_tensors_are_written_as_such(tmp_path: Path) -> None:
    x = Input((3,), name="x")
    text = text_of(Model(x, [ops.cast(x, "int32"), ops.sum(ops.cast(x > 0, "float32"), -1)]), tmp_path / "out")
    assert "x.to(torch.int32)" in text and "torch.Tensor.to" not in text
