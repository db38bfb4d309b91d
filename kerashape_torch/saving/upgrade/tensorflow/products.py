"""Products of matrices, and what else linear algebra has."""

from __future__ import annotations

from typing import Any

from kerashape_torch.saving.upgrade.constants import within_reason
from kerashape_torch.saving.upgrade.expressions import Op, Output
from kerashape_torch.saving.upgrade.sizes import Shapes
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


@tf("linalg.set_diag")
def _set_diag(input: Any, diagonal: Any, k: Any = 0, align: Any = None, *, shapes: Shapes) -> Any:
    rows, columns = (*(None, None), *shapes.of(input))[-2:]
    if k != 0 or rows is None or rows != columns:
        raise Untranslated("it is had for the main diagonal of square matrices of a known size")
    within_reason(rows, columns)
    here = [[row == column for column in range(columns)] for row in range(rows)]
    return Op("Where", here, Op("ExpandDims", diagonal, axis=-1), input)


@tf("linalg.tensor_diag_part")
def _tensor_diag_part(input: Any, *, shapes: Shapes) -> Any:
    if len(shapes.of(input)) != 2:
        raise Untranslated("it is had for matrices alone")
    return Op("Diagonal", input)


@tf("linalg.tensor_diag")
def _tensor_diag(diagonal: Any, *, shapes: Shapes) -> Any:
    if len(shapes.of(diagonal)) != 1:
        raise Untranslated("it is had for vectors alone")
    return Op("Diag", diagonal)


@tf("linalg.pinv")
def _pinv(a: Any, rcond: Any = None, validate_args: bool = False, *, shapes: Shapes) -> Any:
    if rcond is None:
        sizes = [size for size in shapes.of(a)[-2:] if size is not None]
        if len(sizes) < 2:
            raise Untranslated("without rcond, of a matrix whose size is not known")
        rcond = 10 * max(sizes) * 2.0 ** -23
    return Op("Pinv", a, rcond=fixed(rcond, "rcond"))


@tf("linalg.cholesky_solve")
def _cholesky_solve(chol: Any, rhs: Any) -> Any:
    return Op("SolveTriangular", _turned(chol, True), Op("SolveTriangular", chol, rhs, lower=True), lower=False)


@tf("linalg.eigh", "self_adjoint_eig")
def _eigh(tensor: Any) -> Any:
    """The sign of each eigenvector is anybody's choice."""
    found = Op("Eigh", tensor)
    return [Output(found, 0), Output(found, 1)]


@tf("linalg.eigvalsh", "self_adjoint_eigvals")
def _eigvalsh(tensor: Any) -> Any:
    return Output(Op("Eigh", tensor), 0)


@tf("linalg.qr", "qr")
def _qr(input: Any, full_matrices: bool = False) -> Any:
    return Op("Qr", input, mode="complete" if full_matrices else "reduced")


@tf("linalg.svd", "svd")
def _svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True) -> Any:
    """TensorFlow has the numbers first, and the right vectors as columns."""
    found = Op("SVD", tensor, full_matrices=full_matrices, compute_uv=compute_uv)
    return [Output(found, 1), Output(found, 0), _turned(Output(found, 2), True)] if compute_uv else found


@tf("linalg.lstsq", "matrix_solve_ls")
def _lstsq(matrix: Any, rhs: Any, l2_regularizer: Any = 0.0, fast: bool = True) -> Any:
    """By the normal equations, as TensorFlow does it; for matrices that have more rows than columns."""
    turned = _turned(matrix, True)
    gram = Op("Matmul", turned, matrix)
    if l2_regularizer:
        raise Untranslated("l2_regularizer is not had")
    return Op("Solve", gram, Op("Matmul", turned, rhs))


@tf("linalg.matrix_rank")
def _matrix_rank(a: Any, tol: Any = None, validate_args: bool = False) -> Any:
    return Op("MatrixRank", a, tol=tol)
