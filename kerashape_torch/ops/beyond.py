"""Ops that Keras has none of, for functions of TensorFlow in files of Keras 2.

They are in no public namespace, and a model that holds one cannot be loaded by Keras again.
"""

from __future__ import annotations

from typing import Any

from kerashape_torch.config import register_family
from kerashape_torch.errors import ShapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.ops import picks, product_rules, rules
from kerashape_torch.ops.operation import (
    Operation,
    Recipe,
    Rule,
    TorchFunction,
    as_tuple,
    op,
    own,
    stock,
)
from kerashape_torch.shape import require_rank, to_text

_MODULE = "kerashape_torch.ops.beyond"
register_family(_MODULE, Operation)


def _named(names: dict[str, str], rule: Rule, doc: str, pairs: bool = False, **options: Any) -> None:
    def recipe_of(torch_name: str) -> Recipe:
        if pairs:
            return lambda x1, x2, /: stock(torch_name)
        return lambda x, /: stock(torch_name)

    for name, torch_name in names.items():
        op(_MODULE, rule, name=f"_{name.lower()}", class_name=name, doc=doc.format(torch_name), **options)(
            recipe_of(torch_name))


_named({"Lgamma": "lgamma", "Digamma": "digamma", "I0e": "special.i0e", "I1": "special.i1", "I1e": "special.i1e",
        "Ndtri": "special.ndtri"}, rules.floating, "``torch.{}``, element by element.", elementwise=True, casts=True)
_named({"Igamma": "special.gammainc", "Igammac": "special.gammaincc", "Zeta": "special.zeta"}, rules.broadcast_float,
       "``torch.{}`` of two tensors.", pairs=True, elementwise=True, casts=True)
_named({"MatrixExp": "linalg.matrix_exp"}, product_rules.square, "``torch.{}``: the exponential of matrices.")


@op(_MODULE, rules.floating, elementwise=True, casts=True, class_name="Polygamma")
def _polygamma(x: Any, /, n: int) -> TorchFunction:
    """The n-th derivative of the digamma function."""
    return own("beyond.polygamma", n=n)


@op(_MODULE, rules.floating, casts=True, class_name="LogCumsumExp")
def _log_cumsum_exp(x: Any, /, axis: int) -> TorchFunction:
    """The logarithm of the running sum of exponentials."""
    return stock("logcumsumexp", dim=axis)


def _cropped(op: Any, images: TensorSpec, boxes: Any, box_indices: Any) -> TensorSpec:
    require_rank(images.shape, (4,), "(batch, height, width, channels)")
    shapes = [x.shape if isinstance(x, TensorSpec) else picks.shape_of(x) for x in (boxes, box_indices)]
    if len(shapes[0]) != 2 or shapes[0][1] not in (4, None) or len(shapes[1]) != 1:
        raise ShapeError(f"boxes are (number, 4) with an image index for each, got {to_text(shapes[0])} and "
                         f"{to_text(shapes[1])}")
    return TensorSpec((shapes[0][0], *op.crop_size, images.shape[-1]), "float32")


@op(_MODULE, _cropped, class_name="CropAndResize")
def _crop_and_resize(images: Any, boxes: Any, box_indices: Any, /, crop_size: Any, method: str = "bilinear",
                     extrapolation_value: float = 0.0) -> TorchFunction:
    """A window of an image for each box (y1, x1, y2, x2), in parts of its height and width, at one size."""
    return own("beyond.crop_and_resize", size=as_tuple(crop_size), method=method, outside=extrapolation_value)


def _like(op: Any, images: TensorSpec, like: TensorSpec) -> TensorSpec:
    require_rank(images.shape, (4,), "(batch, height, width, channels)")
    height, width = (like.shape[axis] for axis in op.axes)
    return TensorSpec((images.shape[0], height, width, images.shape[3]), images.dtype)


@op(_MODULE, _like, class_name="ResizeLike")
def _resize_like(images: Any, like: Any, /, axes: Any = (1, 2), interpolation: str = "bilinear") -> TorchFunction:
    """Another height and width: those that two axes of another tensor have."""
    return own("beyond.resize_like", axes=as_tuple(axes), interpolation=interpolation)
