"""Layers that only the models of ``keras.applications`` have."""

from typing import Any

from kerashape_torch import initializers
from kerashape_torch.errors import ShapeError
from kerashape_torch.layer import ANY, Layer
from kerashape_torch.shape import Shape, broadcast
from kerashape_torch.structure import is_shape
from kerashape_torch.weights import WeightSpec, weight


class LayerScale(Layer):
    """Each channel times a number that is learned. ConvNeXt has it.

    Input shape:  (batch, ..., projection_dim)
    Output shape: the same

    >>> LayerScale(1e-6, 96).compute_output_shape((None, 24, 24, 96))
    (None, 24, 24, 96)
    """

    init_values: float
    projection_dim: int

    def compute_output_shape(self, shape: Shape) -> Shape:
        if shape[-1] not in (None, 1, self.projection_dim):
            raise ShapeError(f"channels: projection_dim is {self.projection_dim}, got {shape[-1]}")
        return (*shape[:-1], self.projection_dim)

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        return [weight("variable", (self.projection_dim,), initializers.Constant(self.init_values), at="gamma")]

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.applications import Scale

        return Scale(self.projection_dim)


class StochasticDepth(Layer):
    """In training whole samples are zero, as many as ``drop_path_rate`` says, and the others larger in turn.

    Input shape:  any
    Output shape: the same

    >>> StochasticDepth(0.1).compute_output_shape((None, 24, 24, 96))
    (None, 24, 24, 96)
    """

    drop_path_rate: float

    def layout(self, shape: Shape) -> str:
        return ANY

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.regularization import SharedDropout

        return SharedDropout(self.drop_path_rate, (None, *[1] * (len(shape) - 1)))


class CustomScaleLayer(Layer):
    """The first tensor and ``scale`` times the second. InceptionResNetV2 has it.

    Input shape:  a list of two shapes
    Output shape: that of the sum

    >>> CustomScaleLayer(0.17).compute_output_shape([(None, 35, 35, 320), (None, 35, 35, 320)])
    (None, 35, 35, 320)
    """

    scale: float

    def layout(self, shapes: Any) -> str:
        return ANY

    def compute_output_shape(self, shapes: Any) -> Shape:
        if is_shape(shapes) or len(shapes) != 2:
            raise ShapeError("expected a list of two tensors")
        return broadcast(*shapes)

    def module(self, shapes: Any) -> Any:
        from kerashape_torch.torch_modules import Function
        from kerashape_torch.torch_modules.applications import scaled_sum

        return Function(scaled_sum, self.scale)
