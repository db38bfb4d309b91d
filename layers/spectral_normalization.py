"""A layer that keeps the largest singular value of another layer's kernel at one."""

from typing import Any

from kerashape_torch.errors import ShapeError
from kerashape_torch.initializers import TruncatedNormal
from kerashape_torch.kinds import Positive
from kerashape_torch.layer import Layer
from kerashape_torch.layers.wrappers import Wrapper
from kerashape_torch.parts import part_module, part_specs
from kerashape_torch.shape import Shape
from kerashape_torch.weights import WeightSpec, weight


class SpectralNormalization(Wrapper):
    """A layer whose ``kernel`` or ``embeddings`` is divided by its largest singular value, at each call in training.

    Keras says that it lets no masks through; when a model runs, the layer inside does, and so it is here.

    As in Keras the weight itself is changed, and the output has the dtype of the input: that of an ``Embedding`` is cut
    to integers. Around a layer with LoRA Keras cannot be trained; here the frozen kernel alone is divided.

    Input shape:  as the layer's
    Output shape: as the layer's

    >>> from kerashape_torch.layers import Dense
    >>> SpectralNormalization(Dense(3)).compute_output_shape((None, 4))
    (None, 3)
    """

    call_arguments = ("inputs", "training")

    layer: Any
    power_iterations: Positive = 1

    def leaves_masks_of(self) -> Layer:
        return self.layer.leaves_masks_of()  # type: ignore[no-any-return]

    def _kernel(self, specs: list[WeightSpec]) -> WeightSpec:
        names = [f"{self.layer.name}/{name}" for name in ("kernel", "embeddings")]
        found = next((spec for name in names for spec in specs if spec.full_path == name), None)
        if found is None:
            raise ShapeError(f"{type(self.layer).__name__} has neither a kernel nor embeddings to normalize")
        return found

    def weight_specs(self, shape: Shape) -> list[WeightSpec]:
        specs = part_specs(self.layer, shape, "layer")
        kernel = self._kernel(specs)
        vector = weight("vector_u", (1, kernel.shape[-1]), TruncatedNormal(stddev=0.02), trainable=False)
        if getattr(self.layer, "lora_rank", None):  # the kernel is a sum then, and Keras' wrapper owns no part of it
            return [vector, *specs]
        return [kernel, vector, *(spec for spec in specs if spec is not kernel)]

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.normalization import SpectralNorm

        inner = part_module(self.layer, shape)
        kernel = self._kernel(part_specs(self.layer, shape, ""))
        place = kernel.places[0]
        return SpectralNorm(inner, place.path.lstrip("."), place.pattern, place.sizes, kernel.shape,
                            self.power_iterations)
