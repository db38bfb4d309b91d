"""Keras 2's first place for preprocessing layers: each name is the layer of ``kerashape_torch.layers``."""

from typing import Any

from kerashape_torch.layer import Layer

PreprocessingLayer = Layer
_NAMES = ("CategoryEncoding", "CenterCrop", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup",
          "Normalization", "RandomContrast", "RandomCrop", "RandomFlip", "RandomHeight", "RandomRotation",
          "RandomTranslation", "RandomWidth", "RandomZoom", "Rescaling", "Resizing", "StringLookup",
          "TextVectorization")


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return ["PreprocessingLayer", *_NAMES]
    if name in _NAMES and name in Layer.catalog():
        return Layer.catalog()[name]
    raise AttributeError(f"kerashape_torch.layers.experimental.preprocessing has no {name!r}")
