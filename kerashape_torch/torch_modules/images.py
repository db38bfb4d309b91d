"""The module around every change of images, and where its random numbers come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Drawn = Any
"""What a transform drew for one call: the same for the images and their masks."""


class Draws:
    """Random numbers on the device of the images: torch's own, or those of a seed, which begins anew in each module."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def _generator(self, device: torch.device) -> torch.Generator | None:
        if self.seed is None or device.type == "meta":
            return None
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self.seed)
        return self._generators[device]

    def uniform(self, shape: Sequence[int], low: float, high: float, device: torch.device) -> Tensor:
        """Evenly between two numbers."""
        return torch.rand(tuple(shape), generator=self._generator(device), device=device) * (high - low) + low

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        return torch.randn(tuple(shape), generator=self._generator(device), device=device)

    def integers(self, shape: Sequence[int], low: int, high: int, device: torch.device) -> Tensor:
        """From ``low`` to one below ``high``."""
        return torch.randint(low, high, tuple(shape), generator=self._generator(device), device=device)

    def order(self, count: int, device: torch.device) -> Tensor:
        """A permutation."""
        return torch.randperm(count, generator=self._generator(device), device=device)

    def gamma(self, alpha: Tensor) -> Tensor:
        tiny = torch.finfo(alpha.dtype).tiny  # so that two of them can be divided
        return torch._standard_gamma(alpha, generator=self._generator(alpha.device)).clamp(min=tiny)

    def beta(self, alpha: Tensor) -> Tensor:
        """Beta numbers with the same two concentrations."""
        first, second = self.gamma(alpha), self.gamma(alpha)
        return first / (first + second)

    def happens(self, count: int, chance: tuple[float, float], device: torch.device) -> Tensor:
        """Whether it happens to each image, (count, 1, 1, 1), with a chance that is drawn for each as well."""
        chances = self.uniform((count, 1, 1, 1), *chance, device)
        return self.uniform((count, 1, 1, 1), 0, 1, device) < chances

    def __getstate__(self) -> dict[str, Any]:
        return {"seed": self.seed, "_generators": {}}


class Transform:
    """What happens to images. Subclasses are dataclasses of plain numbers, so that their text says all of them."""

    acts_always = False
    """True where inference changes the images too."""
    keeps_integers = False

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        """Whatever is random, for images of (batch, channels, height, width)."""
        return None

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        raise NotImplementedError

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        """Segmentation masks, which stay where no pixel moves."""
        return masks

    def labels(self, labels: Tensor, drawn: Drawn) -> Tensor:
        return labels

    def boxes(self, boxes: dict[str, Tensor], drawn: Drawn) -> dict[str, Tensor]:
        return boxes


Steps = Iterable[tuple[Transform, Drawn]]
"""Transforms, each with what it drew."""


def in_a_row(steps: Steps, images: Tensor) -> Tensor:
    """Images after each of some transforms, in their own dtype."""
    for step, drawn in steps:
        images = step.images(images, drawn).to(images.dtype)
    return images


def masks_in_a_row(steps: Steps, masks: Tensor) -> Tensor:
    """Masks after each of some transforms."""
    for step, drawn in steps:
        masks = step.masks(masks, drawn)
    return masks


class Images(nn.Module):
    """A transform as a module. In training it draws and changes; in inference it acts only if it always does.

    Args:
        transform: what happens to (batch, channels, height, width).
        seed: of the random numbers; None leaves them to torch's own generator.
        dtype: what integers become.
        channels_last: a batch, an image, or a dict of them comes and goes with its channels last.
    """

    def __init__(self, transform: Transform, seed: int | None = None, dtype: torch.dtype = torch.float32,
                 channels_last: bool = False) -> None:
        super().__init__()
        self.transform = transform
        self.seed = seed
        self.draws = Draws(seed)
        self.dtype = dtype
        self.channels_last = channels_last

    def forward(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            return self._together(data)
        return self._together({"images": data})["images"]

    def _together(self, data: Mapping[str, Any]) -> dict[str, Any]:
        result = {**data, "images": self._floats(data["images"])}
        if not (self.training or self.transform.acts_always):
            return result
        images, alone = result["images"], result["images"].dim() == 3
        batch = self._inward(images)
        drawn = self.transform.draw(batch, self.draws)
        result["images"] = self._outward(self.transform.images(batch, drawn), images).to(images.dtype)
        if "segmentation_masks" in data:
            masks = data["segmentation_masks"]
            result["segmentation_masks"] = self._outward(self.transform.masks(self._inward(masks), drawn), masks)
        if "labels" in data:
            labels = self.transform.labels(data["labels"][None] if alone else data["labels"], drawn)
            result["labels"] = labels[0] if alone else labels
        if "bounding_boxes" in data:
            given = {key: value[None] if alone else value for key, value in data["bounding_boxes"].items()}
            boxes = self.transform.boxes(given, drawn)
            result["bounding_boxes"] = {key: value[0] if alone else value for key, value in boxes.items()}
        return result

    def _floats(self, images: Tensor) -> Tensor:
        return images if images.is_floating_point() or self.transform.keeps_integers else images.to(self.dtype)

    def _inward(self, images: Tensor) -> Tensor:
        batch = images[None] if images.dim() == 3 else images
        return batch.permute(0, 3, 1, 2) if self.channels_last else batch

    def _outward(self, batch: Tensor, given: Tensor) -> Tensor:
        batch = batch.permute(0, 2, 3, 1) if self.channels_last else batch
        return batch[0] if given.dim() == 3 else batch

    def extra_repr(self) -> str:
        seed = "" if self.draws.seed is None else f", seed={self.draws.seed}"
        return f"{self.transform!r}{seed}" + (", channels_last=True" if self.channels_last else "")


def rescaled(images: Tensor, source: tuple[float, float], target: tuple[float, float]) -> Tensor:
    """From one range of values to another."""
    if tuple(source) == tuple(target):
        return images
    images = images.to(torch.uint8) if images.dtype == torch.bool else images  # torch takes no difference of booleans
    return (images - source[0]) / (source[1] - source[0]) * (target[1] - target[0]) + target[0]
