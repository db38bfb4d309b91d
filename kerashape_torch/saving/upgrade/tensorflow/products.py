"""Products of matrices, and what else linear algebra has."""

from __future__ import annotations

from typing import Any

from kerashape_torch.saving.upgrade.expressions import Op
from kerashape_torch.saving.upgrade.tensorflow.table import (
    FUNCTIONS,
    Untranslated,
    fixed,
    tf,
)


def _turned(x: Any, turn: bool) -> Any:
    return Op("Swapaxes", x, axis1=-1, axis2=-2) if turn else x


@tf("linalg.matmul")
def _matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, adjoint_a: bool = False,
            adjoint_b: bool = False, a_is_sparse: bool = False, b_is_sparse: bool = False,
            output_type: Any = None, grad_a: Any = None, grad_b: Any = None) -> Any:
    return Op("Matmul", _turned(a, transpose_a or adjoint_a), _turned(b, transpose_b or adjoint_b))


@tf("linalg.matvec")
def _matvec(a: Any, b: Any, transpose_a: bool = False, adjoint_a: bool = False, a_is_sparse: bool = False,
            b_is_sparse: bool = False) -> Any:
    product = Op("Matmul", _turned(a, transpose_a or adjoint_a), Op("ExpandDims", b, axis=-1))
    return Op("Squeeze", product, axis=-1)


@tf("tensordot", "linalg.tensordot")
def _tensordot(a: Any, b: Any, axes: Any) -> Any:
    return Op("Tensordot", a, b, axes=fixed(axes, "axes"))


@tf("einsum")
def _einsum(equation: Any, *inputs: Any) -> Any:
    raise Untranslated("the file does not say which tensors it was applied to: Keras 2 writes its equation alone, "
                       "and cannot read it back either",
                       "build the model in code, with ops.einsum there, and load its weights")


@tf("raw_ops.Einsum")
def _einsum_of(inputs: Any, equation: str) -> Any:
    return Op("Einsum", *inputs, subscripts=equation)


@tf("linalg.cross")
def _cross(a: Any, b: Any) -> Any:
    return Op("Cross", a, b)


@tf("linalg.matrix_transpose")
def _matrix_transpose(a: Any, conjugate: bool = False) -> Any:
    return _turned(a, True)


FUNCTIONS["linalg.adjoint"] = lambda matrix: _turned(matrix, True)


@tf("linalg.trace")
def _trace(x: Any) -> Any:
    return Op("Trace", x, axis1=-2, axis2=-1)


@tf("linalg.inv")
def _inv(input: Any, adjoint: bool = False) -> Any:
    return _turned(Op("Inv", input), adjoint)


@tf("linalg.solve")
def _solve(matrix: Any, rhs: Any, adjoint: bool = False) -> Any:
    return Op("Solve", _turned(matrix, adjoint), rhs)


@tf("linalg.triangular_solve")
def _triangular_solve(matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False) -> Any:
    return Op("SolveTriangular", _turned(matrix, adjoint), rhs, lower=lower != adjoint)


@tf("linalg.band_part")
def _band_part(input: Any, num_lower: int, num_upper: int) -> Any:
    if num_upper >= 0:
        input = Op("Tril", input, k=num_upper)
    return Op("Triu", input, k=-num_lower) if num_lower >= 0 else input


@tf("linalg.diag_part")
def _diag_part(input: Any, k: Any = 0, padding_value: Any = 0, align: Any = None) -> Any:
    if isinstance(fixed(k, "k"), list):
        raise Untranslated(f"k={k} for several diagonals is not had")
    return Op("Diagonal", input, offset=k, axis1=-2, axis2=-1)
