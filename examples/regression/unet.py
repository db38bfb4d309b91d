"""The models whose shapes are kept: one as Keras code, one written by hand in torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import kerashape_torch as kt
from kerashape_torch import layers


def unet(size: int = 64, filters: int = 16, stride: int = 2) -> kt.Model:
    """A small U-Net, as one writes it for Keras."""
    def block(x: Any, filters: int, name: str) -> Any:
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_norm")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    image = kt.Input((size, size, 3), name="image")
    outer = block(image, filters, "encode1")
    inner = block(layers.MaxPooling2D(stride, name="pool1")(outer), 2 * filters, "encode2")
    deep = block(layers.MaxPooling2D(stride, name="pool2")(inner), 4 * filters, "bottom")
    x = layers.UpSampling2D(stride, name="up2")(deep)
    x = block(layers.Concatenate(name="skip2")([x, inner]), 2 * filters, "decode2")
    x = layers.UpSampling2D(stride, name="up1")(x)
    x = block(layers.Concatenate(name="skip1")([x, outer]), filters, "decode1")
    return kt.Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(x), name="unet")


class Classifier(nn.Module):
    """A torch module that knows nothing of Keras."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(),
                                      nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(32, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images).mean((2, 3)))
