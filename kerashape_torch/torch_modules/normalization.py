"""Normalizations where torch's own differ from Keras', or work on another axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def without_unused(module: Any, scale: bool, center: bool) -> Any:
    """The module without the weight or the bias that Keras does not have; torch takes None for either."""
    if not scale:
        module.register_parameter("weight", None)
    if not center:
        module.register_parameter("bias", None)
    return module


class _KerasBatchNorm(nn.modules.batchnorm._BatchNorm):
    """torch's batch normalization, but in training the running variance follows the biased variance of the batch, as
    Keras' does, and a batch of one value for each channel is allowed.

    Args:
        num_features: the length of the channel axis, axis 1.
        momentum: torch's: the share of the newest batch. Keras' momentum is one minus this.
        frozen: normalize by the running statistics in training too, as a Keras layer with ``trainable=False`` does.
    """

    def __init__(self, num_features: int, eps: float, momentum: float, scale: bool = True, center: bool = True,
                 frozen: bool = False) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum, affine=scale or center)
        self.scale, self.center, self.frozen = scale, center, frozen
        without_unused(self, scale, center)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if self.frozen:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        self._check_input_dim(x)  # type: ignore[no-untyped-call]
        return self._by_batch(x)

    def _by_batch(self, x: Tensor) -> Tensor:
        # torch writes the statistics of this batch into these two; the buffers themselves must not be given, for they
        # are changed below, and backward would refuse what was changed since.
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)  # type: ignore[arg-type]
        result = torch.batch_norm(x, self.weight, self.bias, mean, variance, True, 1.0, self.eps,
                                  torch.backends.cudnn.enabled)
        count = x.numel() // x.shape[1]
        biased = variance * ((count - 1) / count) if count > 1 else torch.zeros_like(variance)
        self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
        self.running_var.lerp_(biased, self.momentum)  # type: ignore[union-attr, arg-type]
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        return result


class BatchNorm1d(_KerasBatchNorm, nn.BatchNorm1d):
    """``nn.BatchNorm1d`` that trains as Keras does."""


class BatchNorm2d(_KerasBatchNorm, nn.BatchNorm2d):
    """``nn.BatchNorm2d`` that trains as Keras does."""


class BatchNorm3d(_KerasBatchNorm, nn.BatchNorm3d):
    """``nn.BatchNorm3d`` that trains as Keras does."""


class BatchNormOnAxis(_KerasBatchNorm):
    """Batch normalization of any rank, with the channels on any axis."""

    def __init__(self, axis: int, num_features: int, eps: float, momentum: float, **options: bool) -> None:
        super().__init__(num_features, eps, momentum, **options)
        self.axis = axis

    def _follow(self, mean: Tensor, variance: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Moves the averages towards the statistics of a batch; gives weight and bias for its normalized values."""
        self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
        self.running_var.lerp_(variance, self.momentum)  # type: ignore[union-attr, arg-type]
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        return self.weight, self.bias

    def _check_input_dim(self, input: Tensor) -> None:
        """Any rank will do."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(self.axis, 1)).movedim(1, self.axis)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, axis={self.axis}"


class MaskedBatchNorm(BatchNormOnAxis):
    """Batch normalization whose statistics, in training, are those of what a mask keeps.

    Args:
        moved: the channels come first, while the mask is without the last axis of Keras' order.
    """

    def __init__(self, axis: int, num_features: int, eps: float, momentum: float, moved: bool, **options: Any) -> None:
        super().__init__(axis, num_features, eps, momentum, **options)
        self.moved = moved

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None or not self.training or self.frozen:
            return super().forward(x)
        kept = mask.to(torch.bool).unsqueeze(-1)
        kept = (kept.movedim(-1, 1) if self.moved else kept).expand(x.shape).movedim(self.axis, 1)
        return self._by_kept(x.movedim(self.axis, 1), kept).movedim(1, self.axis)

    def _by_kept(self, x: Tensor, kept: Tensor) -> Tensor:
        axes = [axis for axis in range(x.dim()) if axis != 1]
        count = kept.to(x.dtype).sum(axes, keepdim=True) + 1e-7  # Keras' epsilon: where nothing is kept all is 0
        mean = torch.where(kept, x, 0).sum(axes, keepdim=True) / count
        variance = torch.where(kept, x - mean, 0).square().sum(axes, keepdim=True) / count
        weight, bias = self._follow(mean.detach().flatten(), variance.detach().flatten())
        result = ((x - mean) * torch.rsqrt(variance + self.eps)).movedim(1, -1)
        result = result if weight is None else result * weight
        return (result if bias is None else result + bias).movedim(-1, 1)


class BatchRenorm(BatchNormOnAxis):
    """Batch renormalization: in training the statistics of the batch are pulled towards their own moving averages.

    Args:
        clipping: Keras' ``rmin``, ``rmax`` and ``dmax``; what is missing is not clipped.
        renorm_momentum: of the averages that the statistics are pulled to: the share of the newest batch.
    """

    moving_stddev: Tensor
    renorm_mean: Tensor
    renorm_stddev: Tensor

    def __init__(self, axis: int, num_features: int, eps: float, momentum: float, clipping: dict[str, float],
                 renorm_momentum: float, **options: bool) -> None:
        super().__init__(axis, num_features, eps, momentum, **options)
        self.clipping = clipping
        self.renorm_momentum = renorm_momentum
        for name in ("moving_stddev", "renorm_mean", "renorm_stddev"):
            self.register_buffer(name, torch.empty(num_features))

    def _by_batch(self, x: Tensor) -> Tensor:
        axes = [axis for axis in range(x.dim()) if axis != 1]
        variance, mean = torch.var_mean(x.detach(), axes, correction=0)
        weight, bias = self._follow(mean, variance)
        return torch.batch_norm(x, weight, bias, None, None, True, 0.0, self.eps, torch.backends.cudnn.enabled)

    def _follow(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        stddev = torch.sqrt(variance + self.eps)
        r, d = self._corrections(mean, stddev)
        weight = r if self.weight is None else r * self.weight
        bias = d if self.weight is None else d * self.weight
        self._update(mean, stddev)
        return weight, bias if self.bias is None else bias + self.bias

    def _corrections(self, mean: Tensor, stddev: Tensor) -> tuple[Tensor, Tensor]:
        reference = self.renorm_stddev.clamp(min=self.eps ** 0.5)
        r, d = stddev / reference, (mean - self.renorm_mean) / reference
        rmin, rmax, dmax = (self.clipping.get(name) for name in ("rmin", "rmax", "dmax"))
        if rmin is not None or rmax is not None:
            r = r.clamp(rmin, rmax)
        return r, d if dmax is None else d.clamp(-dmax, dmax)

    def _update(self, mean: Tensor, stddev: Tensor) -> None:
        momentum: Any = self.momentum
        self.renorm_mean.lerp_(mean, self.renorm_momentum)
        self.renorm_stddev.lerp_(stddev, self.renorm_momentum)
        self.running_mean.lerp_(mean, momentum)  # type: ignore[union-attr]
        self.moving_stddev.lerp_(stddev, momentum)
        self.running_var.copy_(torch.relu(self.moving_stddev.square() - self.eps))  # type: ignore[union-attr]
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]


class MaskedBatchRenorm(MaskedBatchNorm, BatchRenorm):
    """Batch renormalization whose statistics, in training, are those of what a mask keeps."""


class GroupNormOnAxis(nn.GroupNorm):
    """Group normalization with the channels on any axis.

    It takes a single value for each group, which ``nn.GroupNorm`` refuses in a batch of one, and a bias without a
    weight, for which torch has no gradient.
    """

    def __init__(self, axis: int, num_groups: int, num_channels: int, eps: float, affine: bool = True) -> None:
        super().__init__(num_groups, num_channels, eps=eps, affine=affine)
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias if self.weight is not None else None
        result = torch.group_norm(x.movedim(self.axis, 1), self.num_groups, self.weight, bias, self.eps)
        result = result.movedim(1, -1)
        return (result if bias is self.bias else result + self.bias).movedim(-1, self.axis)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, axis={self.axis}"


class LayerNormOnAxes(nn.Module):
    """Layer normalization over any axes; ``nn.LayerNorm`` takes trailing ones only.

    Args:
        axes: to normalize over.
        weight_shape: of weight and bias.
        broadcast_shape: to which they are reshaped in the sum and the product.
        subtract_mean: False is Keras' ``rms_scaling``: the tensor is divided by its standard deviation, not centered.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, axes: Sequence[int], weight_shape: Sequence[int], broadcast_shape: Sequence[int], eps: float,
                 scale: bool = True, center: bool = True, subtract_mean: bool = True) -> None:
        super().__init__()
        self.axes, self.weight_shape = tuple(axes), tuple(weight_shape)
        self.scale, self.center = scale, center
        self.broadcast_shape = tuple(broadcast_shape)
        self.eps = eps
        self.subtract_mean = subtract_mean
        self.register_parameter("weight", nn.Parameter(torch.ones(self.weight_shape)) if scale else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(self.weight_shape)) if center else None)

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, self.axes, correction=0, keepdim=True)
        result = (x - mean if self.subtract_mean else x) * torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            result = result * self.weight.reshape(self.broadcast_shape)
        return result if self.bias is None else result + self.bias.reshape(self.broadcast_shape)

    def extra_repr(self) -> str:
        return f"axes={self.axes}, eps={self.eps}, subtract_mean={self.subtract_mean}"


class SpectralNorm(nn.Module):
    """A module whose kernel is divided by its largest singular value, at each call in training and for good.

    Args:
        layer: the module.
        path: of its kernel.
        pattern: einops, from Keras' layout of the kernel to torch's, with the sizes of its axes.
        sizes: lengths of axes that the pattern joins or splits.
        shape: of the kernel in Keras' layout; the last axis is one side of the matrix, the others are the other.
        power_iterations: at each call, towards the singular vector.
    """

    vector_u: Tensor

    def __init__(self, layer: nn.Module, path: str, pattern: str | None, sizes: Mapping[str, int], shape: Sequence[int],
                 power_iterations: int) -> None:
        super().__init__()
        self.layer = layer
        self.path = path
        self.pattern = pattern
        self.sizes = dict(sizes)
        self.shape = tuple(shape)
        self.power_iterations = power_iterations
        self.register_buffer("vector_u", torch.zeros(1, self.shape[-1]))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self._normalize()
        return self.layer(x).to(x.dtype)  # type: ignore[no-any-return]

    def _normalize(self) -> None:
        kernel: Tensor = self.layer.get_parameter(self.path)
        there, _, back = (self.pattern or "").partition("->")
        matrix: Tensor = rearrange(kernel, f"{back} -> {there}", **self.sizes) if self.pattern else kernel
        matrix = matrix.reshape(-1, self.shape[-1])
        u = self.vector_u
        for _ in range(self.power_iterations):
            v = F.normalize(u @ matrix.T, eps=1e-7)
            u = F.normalize(v @ matrix, eps=1e-7)
        zero = (matrix == 0).all()
        self.vector_u.copy_(torch.where(zero, self.vector_u, u))
        kernel.copy_(torch.where(zero, kernel, kernel / (v @ matrix @ u.T)))

    def extra_repr(self) -> str:
        return f"{self.path}, power_iterations={self.power_iterations}"
