"""Several changes chosen at random, and images mixed with one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kerashape_torch.torch_modules.image_color import boxes
from kerashape_torch.torch_modules.images import Drawn, Draws, Steps, Transform, in_a_row, masks_in_a_row

_CPU = torch.device("cpu")  # a choice between changes is made where nobody waits for it

# ---- one of many changes ---------------------------------------------------------------------------------------------


@dataclass
class RandAugment(Transform):
    """Some changes in a row, the same ones for a batch. One that comes twice is the same both times, as in Keras."""

    choices: Sequence[Transform]
    count: int

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        chosen = draws.integers((self.count,), 0, len(self.choices), _CPU).tolist()
        drawn = {index: self.choices[index].draw(images, draws) for index in dict.fromkeys(chosen)}
        return [(self.choices[index], drawn[index]) for index in chosen]

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        return in_a_row(drawn, images)

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        return masks_in_a_row(drawn, masks)


@dataclass
class AugMix(Transform):
    """Chains of changes side by side, mixed with one another and with the image.

    A place in a chain is empty as often as it holds any one change.
    """

    choices: Sequence[Transform]
    chains: int
    depth: int
    alpha: float
    value_range: tuple[float, float]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        alpha = torch.full((self.chains,), float(self.alpha), device=images.device)
        shares = draws.gamma(alpha)
        kept = draws.beta(alpha[:1])
        chosen = draws.integers((self.chains, self.depth), 0, len(self.choices) + 1, _CPU).tolist()
        chains = [[(self.choices[index], self.choices[index].draw(images, draws)) for index in chain
                   if index < len(self.choices)] for chain in chosen]
        return shares / shares.sum(), kept, chains

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        return self._mixed(images, drawn, in_a_row).clamp(*self.value_range)

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        return self._mixed(masks, drawn, masks_in_a_row)

    @staticmethod
    def _mixed(images: Tensor, drawn: Drawn, changed: Callable[[Steps, Tensor], Tensor]) -> Tensor:
        shares, kept, chains = drawn
        total = 0.0
        for share, chain in zip(shares, chains):
            total = total + changed(chain, images) * share
        mixed: Tensor = kept * images + (1 - kept) * total
        return mixed


# ---- images with one another -----------------------------------------------------------------------------------------


def _blend(values: Tensor, weight: Tensor, order: Tensor) -> Tensor:
    """A share ``weight`` (batch, 1, 1, 1) of each, the rest of another."""
    weight = weight.reshape(-1, *[1] * (values.dim() - 1))
    return weight * values + (1 - weight) * values[order]


@dataclass
class MixUp(Transform):
    """Each image is mixed with another of its batch, and its label likewise."""

    alpha: float

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        alpha = torch.full((images.shape[0],), float(self.alpha), device=images.device)
        order = draws.order(images.shape[0], images.device)
        return draws.beta(alpha), order

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        return _blend(images, *drawn)

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        return _blend(masks, *drawn)

    def labels(self, labels: Tensor, drawn: Drawn) -> Tensor:
        return _blend(labels, *drawn)

    def boxes(self, boxes: dict[str, Tensor], drawn: Drawn) -> dict[str, Tensor]:
        return {key: torch.cat([value, value[drawn[1]]], 0 if key == "labels" else 1) for key, value in boxes.items()}


@dataclass
class CutMix(Transform):
    """A box of each image comes from another of its batch; labels are mixed by the area. One image stays alone."""

    factor: tuple[float, float]

    def draw(self, images: Tensor, draws: Draws) -> Drawn:
        count, device = images.shape[0], images.device
        alpha = draws.uniform((1,), *self.factor, device) + 1e-6
        share = (1 - draws.beta(alpha.expand(count))).sqrt().reshape(-1, 1, 1, 1)
        inside, area = boxes(images, draws, (share, share))
        return inside, 1 - area, draws.order(count, device)

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        inside, _, order = drawn
        return torch.where(inside, images[order], images)

    def masks(self, masks: Tensor, drawn: Drawn) -> Tensor:
        return self.images(masks, drawn)

    def labels(self, labels: Tensor, drawn: Drawn) -> Tensor:
        return _blend(labels, *drawn[1:])


@dataclass
class MaxBoxes(Transform):
    """Images as they are, with so many bounding boxes: the first ones, filled up where there are fewer."""

    count: int
    fill_value: int

    acts_always = True
    keeps_integers = True

    def images(self, images: Tensor, drawn: Drawn) -> Tensor:
        return images

    def boxes(self, boxes: dict[str, Tensor], drawn: Drawn) -> dict[str, Tensor]:
        return {key: self._filled(value) for key, value in boxes.items()}

    def _filled(self, values: Tensor) -> Tensor:
        missing = max(self.count - values.shape[1], 0)
        after = (0, missing) if values.dim() == 2 else (0, 0, 0, missing)
        return functional.pad(values[:, :self.count], after, value=self.fill_value)
