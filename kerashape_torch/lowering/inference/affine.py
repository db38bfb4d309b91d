"""Layers that scale and shift each channel, whatever they are called: as two rows of numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from kerashape_torch.lowering.inference.edit import Editor, rank_of
from kerashape_torch.torch_modules import normalization as norms
from kerashape_torch.torch_modules.applications import Scale
from kerashape_torch.torch_modules.preprocessing import Affine, Normalize, Rescale, rescale

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, norms.BatchNorm1d, norms.BatchNorm2d, norms.BatchNorm3d)
_BATCH_NORMS = (*BATCH_NORMS, norms.BatchNormOnAxis, norms.MaskedBatchNorm, norms.BatchRenorm, norms.MaskedBatchRenorm)


class Steps(NamedTuple):
    """``x * scale + shift`` along one axis: a number for each channel, or one for all.

    Attributes:
        axis: of the channels, counted from the first axis.
        size: how many channels there are, None if one number is for all.
    """

    scale: Tensor
    shift: Tensor
    axis: int
    size: int | None

    def then(self, other: Steps) -> Steps:
        """Both in one, this one first."""
        return Steps(self.scale * other.scale, self.shift * other.scale + other.shift,
                     self.axis if self.size is not None else other.axis, self.size or other.size)


def wide(x: Tensor) -> Tensor:
    """A copy in the dtype that weights are folded in."""
    return x.detach().to(torch.float32 if x.device.type == "mps" else torch.float64, copy=True)


def steps_of(editor: Editor, node: fx.Node) -> Steps | None:
    """What a node scales and shifts by; None if it does anything else."""
    rank = rank_of(node)
    if rank is None or not node.args or not isinstance(node.args[0], fx.Node):
        return None
    if node.op == "call_function" and node.target is rescale:
        return _of_rescale(node)
    part: Any = editor.part(node)
    if type(part) in _BATCH_NORMS:
        return _of_batch_norm(part, getattr(part, "axis", 1) % rank)
    if type(part) is Scale:
        return Steps(wide(part.gamma), torch.zeros_like(wide(part.gamma)), rank - 1, part.channels)
    if type(part) is Rescale:
        return _by_channel(wide(part.scale), wide(part.offset), rank)
    if type(part) is Affine:
        return _by_channel(wide(part.scale), wide(part.shift), rank)
    return _of_normalize(part, rank) if type(part) is Normalize else None


def _of_rescale(node: fx.Node) -> Steps | None:
    scale, offset = node.kwargs.get("scale"), node.kwargs.get("offset")
    if not isinstance(scale, float) or not isinstance(offset, float):
        return None
    return Steps(torch.tensor(scale, dtype=torch.float64), torch.tensor(offset, dtype=torch.float64), 0, None)


def _of_batch_norm(part: Any, axis: int) -> Steps | None:
    if part.running_mean is None:
        return None
    scale = (wide(part.running_var) + part.eps).rsqrt()
    scale = scale if part.weight is None else scale * wide(part.weight)
    shift = -wide(part.running_mean) * scale
    return Steps(scale, shift if part.bias is None else shift + wide(part.bias), axis, part.num_features)


def _of_normalize(part: Normalize, rank: int) -> Steps | None:
    mean, deviation = (wide(x).reshape(part.broadcast_shape) for x in (part.mean, part.variance))
    deviation = deviation.sqrt().clamp(min=1e-7)
    return _by_channel(deviation, mean, rank) if part.invert else _by_channel(1 / deviation, -mean / deviation, rank)


def _by_channel(scale: Tensor, shift: Tensor, rank: int) -> Steps | None:
    """Arrays that broadcast, as numbers along one axis; None where they vary along several."""
    scale, shift = scale + torch.zeros_like(shift), shift + torch.zeros_like(scale)
    if scale.dim() > rank:
        return None
    sizes = (1,) * (rank - scale.dim()) + tuple(scale.shape)
    long = [axis for axis, size in enumerate(sizes) if size > 1]
    if len(long) > 1 or long == [0]:
        return None
    axis = long[0] if long else rank - 1
    return Steps(scale.reshape(-1) if long else scale.reshape(()), shift.reshape(-1) if long else shift.reshape(()),
                 axis, sizes[axis] if long else None)
