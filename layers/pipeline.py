"""Layers in a row as one layer."""

from collections.abc import Mapping, Sequence
from typing import Any

from kerashape_torch.config import from_config_value, to_config
from kerashape_torch.errors import ConfigError
from kerashape_torch.layer import Layer
from kerashape_torch.parts import part_module, part_specs
from kerashape_torch.weights import WeightSpec


class Pipeline(Layer):
    """Layers one after the other, as for preparing images; a layer itself, not a model.

    Input shape:  as the first layer's
    Output shape: as the last layer's

    >>> from kerashape_torch.layers import CenterCrop, Rescaling
    >>> Pipeline([CenterCrop(4, 5), Rescaling(1 / 255)]).compute_output_shape((None, 8, 10, 3))
    (None, 4, 5, 3)
    """

    training_unless_told = True

    layers: Any

    def __post_init__(self) -> None:
        given = self.layers
        if not isinstance(given, (list, tuple)) or not all(isinstance(layer, Layer) for layer in given):
            raise ConfigError(f"Pipeline(layers=...) takes a list of layers, got {given!r}")

    def sublayers(self) -> Sequence[Layer]:
        return tuple(self.layers)

    @property
    def makes_floats(self) -> bool:
        return any(layer.makes_floats for layer in self.layers)

    def output_dtype(self, dtype: str) -> str:
        for layer in self.layers:
            dtype = layer.output_dtype(dtype)
        return dtype

    def _shapes(self, shape: Any) -> list[Any]:
        """What goes into each layer, and at the end what comes out."""
        shapes = [shape]
        for layer in self.layers:
            shapes.append(layer.compute_output_shape(shapes[-1]))
        return shapes

    def compute_output_shape(self, shape: Any) -> Any:
        return self._shapes(shape)[-1]

    def weight_specs(self, shape: Any) -> list[WeightSpec]:
        return [spec for i, (layer, each) in enumerate(zip(self.layers, self._shapes(shape)))
                for spec in part_specs(layer, each, str(i))]

    def module(self, shape: Any) -> Any:
        from torch import nn

        return nn.Sequential(*[part_module(layer, each) for layer, each in zip(self.layers, self._shapes(shape))])

    def get_config(self) -> dict[str, Any]:
        """As Keras writes it: the layers and the name."""
        return {"layers": to_config(list(self.layers)), "name": self.name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Pipeline":
        return cls(**{**config, "layers": from_config_value(list(config.get("layers") or ()))})
