"""Ops that multiply tensors, and linear algebra."""

from typing import Annotated, Any

from kerashape_torch.kinds import Choice
from kerashape_torch.ops import product_rules as rules
from kerashape_torch.ops.operation import Recipe, Rule, TorchFunction, as_tuple, op, own, stock

Overlap = Annotated[str, Choice("valid", "same", "full")]
Complete = Annotated[str, Choice("reduced", "complete")]

# ---- products --------------------------------------------------------------------------------------------------------


@op("numpy", rules.matrix_product)
def matmul(x1: Any, x2: Any, /) -> TorchFunction:
    """The product of matrices in the last two axes."""
    alike = x1.dtype == x2.dtype and x1.dtype not in ("bool", "int8")
    return stock("matmul") if alike else own("products.matmul")


@op("numpy", rules.dot, casts=True)
def dot(x1: Any, x2: Any, /) -> TorchFunction:
    """The product over the last axis of ``x1`` and the last but one of ``x2``, or the only one."""
    return own("products.dot")


@op("numpy", rules.inner, casts=True)
def inner(x1: Any, x2: Any, /) -> TorchFunction:
    """The product over the last axes."""
    return stock("inner")


@op("numpy", rules.one_number, casts=True)
def vdot(x1: Any, x2: Any, /) -> TorchFunction:
    """The product over all elements, of the conjugates of ``x1``."""
    return own("products.vdot")


@op("numpy", rules.outer, casts=True)
def outer(x1: Any, x2: Any, /) -> TorchFunction:
    """Each element of ``x1`` times each of ``x2``."""
    return own("products.outer")


@op("numpy", rules.tensordot, casts=True)
def tensordot(x1: Any, x2: Any, /, axes: Any = 2) -> TorchFunction:
    """The product over some axes of each, or over the last of one and the first of the other."""
    return own("products.tensordot", axes=as_tuple(axes))


@op("numpy", rules.kron, casts=True)
def kron(x1: Any, x2: Any, /) -> TorchFunction:
    """A block of ``x2`` times each element of ``x1``."""
    return stock("kron")


@op("numpy", rules.cross, casts=True)
def cross(x1: Any, x2: Any, /, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> TorchFunction:
    """The cross product of vectors of two or three numbers."""
    a, b, c = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    return own("products.cross", axisa=a, axisb=b, axisc=c)


@op("numpy", rules.einsum, casts=True)
def einsum(subscripts: str, *operands: Any) -> TorchFunction:
    """A sum of products by Einstein's convention.

    >>> from kerashape_torch import Input, ops
    >>> ops.einsum("bij,bjk->bik", Input((4, 6)), Input((6, 5))).shape
    (None, 4, 5)
    """
    return own("products.einsum", subscripts=subscripts)


@op("numpy", rules.correlated, casts=True)
def correlate(x1: Any, x2: Any, /, mode: Overlap = "valid") -> TorchFunction:
    """The products of one row with another, moved along it."""
    return own("products.correlate", mode=mode)


@op("numpy", rules.corrcoef, casts=True)
def corrcoef(x: Any, /) -> TorchFunction:
    """How each row goes with each other row, from -1 to 1. (Keras' rule says the shape of ``x``.)"""
    return own("products.corrcoef")


@op("numpy", rules.vander)
def vander(x: Any, /, N: Any = None, increasing: bool = False) -> TorchFunction:
    """The powers of each element."""
    return own("products.vander", N=N, increasing=increasing)


@op("numpy", rules.trapezoid, casts=True)
def trapezoid(y: Any, /, x: Any = None, dx: float = 1.0, axis: int = -1) -> TorchFunction:
    """The area below points that are joined by lines."""
    return own("products.trapezoid", x=as_tuple(x), dx=dx, dim=axis)


@op("math", rules.distances, casts=True, class_name="CDist")
def cdist(x: Any, y: Any, /) -> TorchFunction:
    """How far each row of ``x`` is from each row of ``y``."""
    return own("products.cdist")


# ---- matrices --------------------------------------------------------------------------------------------------------


def _square(names: dict[str, tuple[str, str, Rule]], module: str = "linalg") -> None:
    def recipe_of(torch_name: str) -> Recipe:
        return lambda x, /: stock(torch_name)

    for name, (torch_name, what, rule) in names.items():
        op(module, rule, name=name, doc=f"``keras.ops.{name}``: {what}.")(recipe_of(torch_name))


_square({"det": ("linalg.det", "the determinant", rules.of_square), "inv": ("linalg.inv", "the inverse", rules.square)})
_square({"logdet": ("logdet", "the logarithm of the determinant", rules.of_square)}, "math")


@op("linalg", rules.square)
def cholesky(x: Any, /, upper: bool = False) -> TorchFunction:
    """The triangular matrix that gives ``x`` when multiplied with itself transposed."""
    return stock("linalg.cholesky", upper=upper)


@op("linalg", rules.square)
def cholesky_inverse(x: Any, /, upper: bool = False) -> TorchFunction:
    """The inverse of the matrix of which ``x`` is the Cholesky factor."""
    return stock("cholesky_inverse", upper=upper)


@op("linalg", rules.eigen_complex)
def eig(x: Any, /) -> TorchFunction:
    """Eigenvalues and eigenvectors, which are complex. (Keras' rule says the dtype of ``x``.)"""
    return own("products.parts", function="eig")


@op("linalg", rules.eigen)
def eigh(x: Any, /) -> TorchFunction:
    """Eigenvalues, in order of size, and eigenvectors of a symmetric matrix."""
    return own("products.parts", function="eigh")


@op("linalg", rules.lu)
def lu_factor(x: Any, /) -> TorchFunction:
    """The LU decomposition: both factors in one matrix, and the rows that changed places as int32."""
    return own("products.lu_factor")


@op("linalg", rules.norm, casts=True)
def norm(x: Any, /, ord: Any = None, axis: Any = None, keepdims: bool = False) -> TorchFunction:
    """A norm of vectors along one axis, of matrices in two, or of all elements."""
    return stock("linalg.norm", ord=ord, dim=as_tuple(axis), keepdim=keepdims)


@op("linalg", rules.qr)
def qr(x: Any, /, mode: Complete = "reduced") -> TorchFunction:
    """An orthogonal and a triangular matrix whose product is ``x``."""
    return own("products.parts", function="qr", mode=mode)


@op("linalg", rules.solved)
def solve(a: Any, b: Any, /) -> TorchFunction:
    """``x`` in ``a @ x = b``."""
    return stock("linalg.solve")


@op("linalg", rules.solved)
def solve_triangular(a: Any, b: Any, /, lower: bool = False) -> TorchFunction:
    """``x`` in ``a @ x = b`` for a triangular matrix ``a``."""
    return own("products.solve_triangular", lower=lower)


@op("linalg", rules.svd, class_name="SVD")
def svd(x: Any, /, full_matrices: bool = True, compute_uv: bool = True) -> TorchFunction:
    """The singular value decomposition, or the singular values alone."""
    if compute_uv:
        return own("products.parts", function="svd", full_matrices=full_matrices)
    return stock("linalg.svdvals")


@op("linalg", rules.least_squares)
def lstsq(a: Any, b: Any, /, rcond: Any = None) -> TorchFunction:
    """``x`` that brings ``a @ x`` nearest to ``b``."""
    return own("products.lstsq", rcond=rcond)


@op("linalg", rules.rank)
def matrix_rank(x: Any, /, tol: Any = None) -> TorchFunction:
    """The number of singular values above a tolerance, as int32."""
    return own("products.matrix_rank", tol=tol)


@op("linalg", rules.inverted)
def pinv(x: Any, /, rcond: Any = None) -> TorchFunction:
    """The pseudo-inverse."""
    return stock("linalg.pinv", **({"rtol": rcond} if rcond is not None else {}))


@op("numpy", rules.sign_and_log)
def slogdet(x: Any, /) -> TorchFunction:
    """Sign and logarithm of the determinant. (Keras' rule says that there is one sign for all.)"""
    return own("products.parts", function="slogdet")


