"""Functions of TensorFlow that neither Keras nor torch has."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kerashape_torch.torch_modules.functions_images import resize


def polygamma(x: Tensor, n: int) -> Tensor:
    """``torch.polygamma`` with the tensor first."""
    return torch.polygamma(n, x)


def crop_and_resize(images: Tensor, boxes: Any, box_indices: Any, size: tuple[int, int], method: str,
                    outside: float) -> Tensor:
    """Windows of images (batch, height, width, channels) at one size. The corners of a box are pixels of the window;
    what lies beyond the image has one value."""
    boxes = torch.as_tensor(boxes, device=images.device).float()
    picked = images[torch.as_tensor(box_indices, device=images.device).long()].float()
    count = picked.shape[0]
    rows, columns = (places_in_boxes(boxes[:, axis], boxes[:, axis + 2], picked.shape[1 + axis], size[axis])
                     for axis in (0, 1))
    which = torch.arange(count, device=images.device)[:, None, None]

    def at(y: Tensor, x: Tensor) -> Tensor:
        height, width = picked.shape[1:3]
        return picked[which, y.long().clamp(0, height - 1)[:, :, None], x.long().clamp(0, width - 1)[:, None, :]]

    if method == "nearest":
        found = at(torch.floor(rows + 0.5), torch.floor(columns + 0.5))
    else:
        top, left = rows.floor(), columns.floor()
        down, across = (rows - top)[:, :, None, None], (columns - left)[:, None, :, None]
        upper = torch.lerp(at(top, left), at(top, columns.ceil()), across)
        lower = torch.lerp(at(rows.ceil(), left), at(rows.ceil(), columns.ceil()), across)
        found = torch.lerp(upper, lower, down)
    inside = ((rows >= 0) & (rows <= picked.shape[1] - 1))[:, :, None] & (
        (columns >= 0) & (columns <= picked.shape[2] - 1))[:, None, :]
    return torch.where(inside[..., None], found, outside)


def places_in_boxes(start: Tensor, end: Tensor, size: int, count: int) -> Tensor:
    """Where along an axis of an image the pixels of a window lie, for each box; one pixel alone is in the middle."""
    if count == 1:
        return (0.5 * (start + end) * (size - 1))[:, None]
    steps = torch.arange(count, device=start.device, dtype=start.dtype) * (size - 1) / (count - 1)
    return (start * (size - 1))[:, None] + (end - start)[:, None] * steps


def resize_like(images: Tensor, like: Tensor, axes: tuple[int, int], interpolation: str) -> Tensor:
    """Images (batch, height, width, channels) at the size that two axes of another tensor have."""
    return resize(images, size=(like.shape[axes[0]], like.shape[axes[1]]), interpolation=interpolation, antialias=False,
                  crop=False, pad=False, fill_value=0.0, last=True)
