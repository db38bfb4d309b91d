"""Functions that torch lacks, for products and linear algebra."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_EXACT = (torch.bool, torch.int8, torch.int16, torch.uint8, torch.int32, torch.int64)


def _computed(dtype: torch.dtype, on: Tensor) -> torch.dtype:
    """The dtype to multiply in: torch multiplies no bool, and integers not on CUDA."""
    if dtype is torch.bool or (on.is_cuda and dtype in _EXACT):
        return torch.float32
    return dtype


def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """``torch.matmul`` for two dtypes; int8 is multiplied into int32."""
    both_small = x1.dtype is torch.int8 and x2.dtype is torch.int8
    dtype = torch.int32 if both_small else torch.promote_types(x1.dtype, x2.dtype)
    running = _computed(dtype, x1)
    return torch.matmul(x1.to(running), x2.to(running)).to(dtype)


def dot(x1: Any, x2: Any) -> Tensor:
    """NumPy's ``dot``."""
    if not (isinstance(x1, Tensor) and isinstance(x2, Tensor)) or x1.dim() == 0 or x2.dim() == 0:
        return torch.as_tensor(x1 * x2)
    found: Tensor = torch.tensordot(x1, x2, dims=([-1], [-min(2, x2.dim())]))
    return found


def vdot(x1: Tensor, x2: Tensor) -> Tensor:
    """``torch.vdot`` of tensors of any shape and dtype."""
    return (x1.conj() * x2).sum(dtype=x1.dtype) if x1.dtype is not torch.bool else (x1 & x2).any()


def outer(x1: Any, x2: Any) -> Tensor:
    """``torch.outer`` of tensors of any shape, or of numbers."""
    like = x1 if isinstance(x1, Tensor) else x2
    first, second = (torch.as_tensor(x, dtype=like.dtype, device=like.device) for x in (x1, x2))
    return torch.outer(first.flatten(), second.flatten())


def tensordot(x1: Tensor, x2: Tensor, axes: Any) -> Tensor:
    """``torch.tensordot`` with single axes too."""
    if not isinstance(axes, int):
        axes = tuple((each,) if isinstance(each, int) else each for each in axes)
    found: Tensor = torch.tensordot(x1, x2, dims=axes)
    return found


def cross(x1: Tensor, x2: Tensor, axisa: int, axisb: int, axisc: int) -> Tensor:
    """NumPy's ``cross``: a vector of two numbers has 0 as its third; of two such only that of the product is left."""
    a, b = x1.movedim(axisa, -1), x2.movedim(axisb, -1)
    flat = a.shape[-1] == 2 and b.shape[-1] == 2
    a, b = (F.pad(x, (0, 3 - x.shape[-1])) for x in (a, b))
    found: Tensor = torch.linalg.cross(*torch.broadcast_tensors(a, b))  # type: ignore[no-untyped-call]
    return found[..., 2] if flat else found.movedim(-1, axisc)


def einsum(*operands: Tensor, subscripts: str) -> Tensor:
    """``torch.einsum`` with the tensors first."""
    return torch.einsum(subscripts, *operands)


def correlate(x1: Tensor, x2: Tensor, mode: str) -> Tensor:
    """The sliding products of a row with another."""
    full = F.conv1d(x1.view(1, 1, -1), x2.view(1, 1, -1), padding=x2.shape[0] - 1).flatten()
    sizes = sorted((x1.shape[0], x2.shape[0]))
    wanted = {"full": full.shape[0], "same": sizes[1], "valid": sizes[1] - sizes[0] + 1}[mode]
    return full.narrow(0, (full.shape[0] - wanted) // 2, wanted)


def corrcoef(x: Tensor) -> Tensor:
    """``torch.corrcoef`` without a look at the data, which no compiled graph can take."""
    rows: Tensor = x.reshape(-1, x.shape[-1])
    rows = rows - rows.mean(-1, keepdim=True)
    rows = rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return (rows @ rows.mH).reshape((x.shape[0],) * 2 if x.dim() > 1 else ())


def vander(x: Tensor, N: int | None, increasing: bool) -> Tensor:
    """``torch.vander`` in the dtype of ``x``."""
    return torch.vander(x, N=N, increasing=increasing).to(x.dtype)


def trapezoid(y: Tensor, x: tuple[float, ...] | None, dx: float, dim: int) -> Tensor:
    """``torch.trapezoid`` with places as numbers."""
    if x is None:
        return torch.trapezoid(y, dx=dx, dim=dim)
    return torch.trapezoid(y, torch.as_tensor(x, dtype=y.dtype, device=y.device), dim=dim)


def cdist(x: Tensor, y: Tensor) -> Tensor:
    """``torch.cdist`` without the shortcut by a matrix product, which loses digits."""
    return (x.unsqueeze(-2) - y.unsqueeze(-3)).square().sum(-1).sqrt()


# ---- matrices --------------------------------------------------------------------------------------------------------


def parts(x: Tensor, function: str, **options: Any) -> tuple[Tensor, ...]:
    """A decomposition of ``torch.linalg`` as a plain tuple."""
    return tuple(getattr(torch.linalg, function)(x, **options))


def lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    """``torch.linalg.lu_factor`` with rows counted from 0."""
    factors, pivots = torch.linalg.lu_factor(x)
    return factors, pivots - 1


def solve_triangular(a: Tensor, b: Tensor, lower: bool) -> Tensor:
    """``torch.linalg.solve_triangular``, of a vector too."""
    vector = b.dim() == a.dim() - 1
    found: Tensor = torch.linalg.solve_triangular(a, b.unsqueeze(-1) if vector else b, upper=not lower)
    return found.squeeze(-1) if vector else found


def lstsq(a: Tensor, b: Tensor, rcond: float | None) -> Tensor:
    """The solution of least squares, whatever the rank of ``a``."""
    vector = b.dim() == 1
    columns = b.unsqueeze(-1) if vector else b
    options = {} if rcond is None else {"rtol": rcond}
    found: Tensor = torch.linalg.pinv(a, **options) @ columns
    return found.squeeze(-1) if vector else found


def matrix_rank(x: Tensor, tol: float | None) -> Tensor:
    """``torch.linalg.matrix_rank`` as int32."""
    found: Tensor = torch.linalg.matrix_rank(x, atol=tol).to(torch.int32)
    return found
