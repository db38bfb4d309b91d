"""Shapes and dtypes of products and of linear algebra, without torch."""

from __future__ import annotations

from typing import Any

from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.ops.rules import as_float, promoted, without
from kerashape_torch.shape import Shape, Size, axis_index, broadcast, product, to_text

# ---- products --------------------------------------------------------------------------------------------------------


def _multiplied(*operands: TensorSpec) -> str:
    """int8 is multiplied into int32."""
    return "int32" if all(x.dtype == "int8" for x in operands) else promoted(*operands)


def _shape(x: Any) -> Shape:
    return x.shape if isinstance(x, TensorSpec) else ()


def _meet(left: Size, right: Size, what: str) -> None:
    if None not in (left, right) and left != right:
        raise ShapeError(f"{what}: {left} meets {right}")


def matrix_product(op: Any, x1: TensorSpec, x2: TensorSpec) -> TensorSpec:
    """NumPy's rule: a vector is a row on the left and a column on the right."""
    if not isinstance(x1, TensorSpec) or not isinstance(x2, TensorSpec) or not x1.shape or not x2.shape:
        raise ShapeError("matmul takes two tensors of one axis or more")
    left = x1.shape if x1.ndim > 1 else (1, *x1.shape)
    right = x2.shape if x2.ndim > 1 else (*x2.shape, 1)
    if None not in (left[-1], right[-2]) and left[-1] != right[-2]:
        raise ShapeError(f"the last axis of {to_text(x1.shape)}, {left[-1]}, meets {right[-2]} in {to_text(x2.shape)}")
    rows = left[-2:-1] if x1.ndim > 1 else ()
    columns = right[-1:] if x2.ndim > 1 else ()
    return TensorSpec((*broadcast(left[:-2], right[:-2]), *rows, *columns), _multiplied(x1, x2))


def dot(op: Any, x1: Any, x2: Any) -> TensorSpec:
    left, right = _shape(x1), _shape(x2)
    if not left or not right:
        return TensorSpec((*left, *right), promoted(x1, x2))
    _meet(left[-1], right[-min(2, len(right))], f"{to_text(left)} times {to_text(right)}")
    return TensorSpec((*left[:-1], *right[:-2], *(right[-1:] if len(right) > 1 else ())), promoted(x1, x2))


def inner(op: Any, x1: Any, x2: Any) -> TensorSpec:
    left, right = _shape(x1), _shape(x2)
    if left and right:
        _meet(left[-1], right[-1], f"the last axes of {to_text(left)} and {to_text(right)}")
        left, right = left[:-1], right[:-1]
    return TensorSpec((*left, *right), promoted(x1, x2))


def one_number(op: Any, x1: Any, x2: Any) -> TensorSpec:
    return TensorSpec((), promoted(x1, x2))


def outer(op: Any, x1: Any, x2: Any) -> TensorSpec:
    return TensorSpec((product(_shape(x1)), product(_shape(x2))), promoted(x1, x2))


def tensordot(op: Any, x1: TensorSpec, x2: TensorSpec) -> TensorSpec:
    if isinstance(op.axes, int):
        left, right = list(range(x1.ndim - op.axes, x1.ndim)), list(range(op.axes))
    else:
        left, right = ([axis_index(a, x.ndim) for a in ((axes,) if isinstance(axes, int) else axes)]
                       for axes, x in zip(op.axes, (x1, x2)))
    for a, b in zip(left, right):
        _meet(x1.shape[a], x2.shape[b], f"axis {a} of {to_text(x1.shape)} and {b} of {to_text(x2.shape)}")
    rest = [*(size for i, size in enumerate(x1.shape) if i not in left),
            *(size for i, size in enumerate(x2.shape) if i not in right)]
    return TensorSpec(tuple(rest), promoted(x1, x2))


def kron(op: Any, x1: TensorSpec, x2: TensorSpec) -> TensorSpec:
    rank = max(x1.ndim, x2.ndim)
    left, right = ((1,) * (rank - x.ndim) + x.shape for x in (x1, x2))
    return TensorSpec(tuple(product(pair) for pair in zip(left, right)), promoted(x1, x2))


def cross(op: Any, x1: TensorSpec, x2: TensorSpec) -> TensorSpec:
    axes = (op.axisa, op.axisb, op.axisc) if op.axis is None else (op.axis,) * 3
    shapes, lengths = [], []
    for x, axis in zip((x1, x2), axes):
        place = axis_index(axis, x.ndim)
        lengths.append(x.shape[place])
        shapes.append((*x.shape[:place], *x.shape[place + 1:]))
        if lengths[-1] not in (2, 3, None):
            raise ShapeError(f"axis {place} of {to_text(x.shape)} is {lengths[-1]}, and a vector here has 2 or 3")
    shape = broadcast(*shapes)
    if 3 not in lengths:
        return TensorSpec(shape, promoted(x1, x2))
    place = axis_index(axes[2], len(shape) + 1)
    return TensorSpec((*shape[:place], 3, *shape[place:]), promoted(x1, x2))


def einsum(op: Any, *operands: TensorSpec) -> TensorSpec:
    """One size for each letter; an ellipsis stands for axes that broadcast."""
    taken, arrow, given = op.subscripts.replace(" ", "").partition("->")
    terms = taken.split(",")
    if len(terms) != len(operands):
        raise ShapeError(f"{op.subscripts!r} has {len(terms)} terms for {len(operands)} tensors")
    sizes: dict[str, Size] = {}
    dots: Shape = ()
    for term, x in zip(terms, operands):
        before, ellipsis, after = term.partition("...")
        free = x.ndim - len(before) - len(after)
        if free < 0 or (free and not ellipsis):
            raise ShapeError(f"{term!r} in {op.subscripts!r} does not fit {to_text(x.shape)}")
        dots = broadcast(dots, x.shape[len(before):x.ndim - len(after)])
        for letter, size in (*zip(before, x.shape), *zip(reversed(after), reversed(x.shape))):
            known = sizes.get(letter)
            if None not in (known, size) and 1 not in (known, size):
                _meet(known, size, f"{letter!r} in {op.subscripts!r}")
            sizes[letter] = size if known is None or known == 1 else known
    letters = taken.replace(",", "").replace(".", "")
    result = given if arrow else "..." + "".join(sorted(c for c in sizes if letters.count(c) == 1))
    before, ellipsis, after = result.partition("...")
    missing = [c for c in before + after if c not in sizes]
    if missing:
        raise ShapeError(f"{missing[0]!r} in the result of {op.subscripts!r} is in no term")
    shape = (*(sizes[c] for c in before), *(dots if ellipsis else ()), *(sizes[c] for c in after))
    return TensorSpec(shape, _multiplied(*operands))


def correlated(op: Any, x1: TensorSpec, x2: TensorSpec) -> TensorSpec:
    if x1.ndim != 1 or x2.ndim != 1:
        raise ShapeError(f"correlate takes two rows, got {to_text([x1.shape, x2.shape])}")
    dtype = as_float(promoted(x1, x2))
    if None in (*x1.shape, *x2.shape):
        return TensorSpec((None,), dtype)
    long, short = sorted((x1.shape[0] or 0, x2.shape[0] or 0), reverse=True)
    return TensorSpec(({"valid": long - short + 1, "same": long, "full": long + short - 1}[op.mode],), dtype)


def corrcoef(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec((x.shape[0], x.shape[0]) if x.ndim > 1 else (), as_float(x.dtype))


def vander(op: Any, x: TensorSpec) -> TensorSpec:
    if x.ndim != 1:
        raise ShapeError(f"vander takes a row of numbers, got {to_text(x.shape)}")
    return TensorSpec((*x.shape, x.shape[0] if op.N is None else op.N), x.dtype)


def trapezoid(op: Any, y: TensorSpec) -> TensorSpec:
    if hasattr(op.x, "shape"):
        raise ConfigError("trapezoid(x=...) is a list of numbers, which a config can hold, got an array")
    return TensorSpec(without(y.shape, op.axis, False), as_float(y.dtype))


def distances(op: Any, x: TensorSpec, y: TensorSpec) -> TensorSpec:
    _matrix(x)
    _matrix(y)
    _meet(x.shape[-1], y.shape[-1], f"the last axes of {to_text(x.shape)} and {to_text(y.shape)}")
    return TensorSpec((*broadcast(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-2]), as_float(promoted(x, y)))


# ---- matrices --------------------------------------------------------------------------------------------------------


def _matrix(x: TensorSpec) -> tuple[Shape, Size, Size]:
    """What lies in front of the matrices, and their rows and columns."""
    if x.ndim < 2:
        raise ShapeError(f"expected matrices in the last two axes, got {to_text(x.shape)}")
    return x.shape[:-2], x.shape[-2], x.shape[-1]


def _square(x: TensorSpec) -> Shape:
    batch, rows, columns = _matrix(x)
    if rows != columns:
        raise ShapeError(f"expected square matrices, got {to_text(x.shape)}")
    return batch


def _shorter(rows: Size, columns: Size) -> Size:
    return None if rows is None or columns is None else min(rows, columns)


def square(op: Any, x: TensorSpec) -> TensorSpec:
    _square(x)
    return TensorSpec(x.shape, x.dtype)


def of_square(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(_square(x), x.dtype)


def sign_and_log(op: Any, x: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
    return of_square(op, x), of_square(op, x)


def eigen(op: Any, x: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
    return TensorSpec((*_square(x), x.shape[-1]), x.dtype), TensorSpec(x.shape, x.dtype)


def eigen_complex(op: Any, x: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
    dtype = "complex128" if x.dtype in ("float64", "complex128") else "complex64"
    return TensorSpec((*_square(x), x.shape[-1]), dtype), TensorSpec(x.shape, dtype)


def lu(op: Any, x: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
    batch, rows, columns = _matrix(x)
    return TensorSpec(x.shape, x.dtype), TensorSpec((*batch, _shorter(rows, columns)), "int32")


def norm(op: Any, x: TensorSpec) -> TensorSpec:
    axes = range(x.ndim) if op.axis is None else (op.axis,) if isinstance(op.axis, int) else op.axis
    if isinstance(op.ord, str) and (op.ord not in ("fro", "nuc") or len(axes) == 1):
        raise ShapeError(f"ord={op.ord!r} is no norm of {'vectors' if len(axes) == 1 else 'matrices'}")
    if len(axes) > 2 and op.ord is not None:
        raise ShapeError(f"ord={op.ord!r} is for vectors and matrices, and {len(axes)} axes are neither")
    return TensorSpec(without(x.shape, op.axis, op.keepdims), as_float(x.dtype))


def qr(op: Any, x: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
    batch, rows, columns = _matrix(x)
    if rows is None or columns is None:
        raise ShapeError(f"the last two axes of {to_text(x.shape)} must be known")
    inner = min(rows, columns) if op.mode == "reduced" else rows
    return TensorSpec((*batch, rows, inner), x.dtype), TensorSpec((*batch, inner, columns), x.dtype)


def solved(op: Any, a: TensorSpec, b: TensorSpec) -> TensorSpec:
    _square(a)
    if b.ndim in (a.ndim, a.ndim - 1):
        rows = b.shape[-2] if b.ndim == a.ndim else b.shape[-1]
        _meet(a.shape[-1], rows, f"the columns of {to_text(a.shape)} and the rows of {to_text(b.shape)}")
    return TensorSpec(b.shape, b.dtype)


def svd(op: Any, x: TensorSpec) -> Any:
    batch, rows, columns = _matrix(x)
    short = _shorter(rows, columns)
    values = TensorSpec((*batch, short), x.dtype)
    if not op.compute_uv:
        return values
    return (TensorSpec((*batch, rows, rows if op.full_matrices else short), x.dtype), values,
            TensorSpec((*batch, columns if op.full_matrices else short, columns), x.dtype))


def least_squares(op: Any, a: TensorSpec, b: TensorSpec) -> TensorSpec:
    if a.ndim != 2 or b.ndim not in (1, 2):
        raise ShapeError(f"lstsq takes a matrix and a vector or matrix, got {to_text([a.shape, b.shape])}")
    _meet(a.shape[0], b.shape[0], f"the rows of {to_text(a.shape)} and {to_text(b.shape)}")
    return TensorSpec((a.shape[1], *b.shape[1:]), a.dtype)


def rank(op: Any, x: TensorSpec) -> TensorSpec:
    return TensorSpec(_matrix(x)[0], "int32")


def inverted(op: Any, x: TensorSpec) -> TensorSpec:
    batch, rows, columns = _matrix(x)
    return TensorSpec((*batch, columns, rows), x.dtype)
