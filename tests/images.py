"""Image layers in training, here and in Keras: the same layer on the same images."""

from __future__ import annotations

import contextlib
import random as py_random
from collections.abc import Iterator
from typing import Any
from unittest import mock

import keras
import numpy as np
import torch
from harness import own_generator
from keras.src.backend.torch import random as keras_random
from live import same_layer

from kerashape_torch import Input, Model
from kerashape_torch.lowering.weights import to_numpy
from kerashape_torch.torch_modules.images import Draws


def close(got: Any, want: Any, atol: float = 1e-3) -> None:
    """Values up to 300, in float32."""
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=atol)


def pictures(*shape: int, seed: int = 0, most: float = 255.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, most, shape).astype("float32")


def shown(oracle: keras.layers.Layer, count: int = 4, height: int = 8, width: int = 10, seed: int = 0) -> np.ndarray:
    """A batch of images in the order of a layer's ``data_format``."""
    x = pictures(count, height, width, 3, seed=seed)
    return x.transpose(0, 3, 1, 2).copy() if oracle.data_format == "channels_first" else x


def module_of(layer: Any, shape: tuple[int, ...]) -> torch.nn.Module:
    """The layer compiled for a batch, as a model of one call."""
    inputs = Input(batch_shape=(None, *shape[1:]) if len(shape) == 4 else shape)
    return Model(inputs, layer(inputs)).to_torch()


def trained(layer: Any, x: np.ndarray, seed: int = 0) -> np.ndarray:
    """What a layer gives in training."""
    with own_generator(seed):
        result = module_of(layer, x.shape).train()(torch.tensor(x))
    return to_numpy(result)


def keras_trained(oracle: keras.layers.Layer, x: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(oracle(x.copy(), training=True))  # RandomBrightness writes into its input


def both(oracle: keras.layers.Layer, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return trained(same_layer(oracle), x), keras_trained(oracle, x)


# ---- the same draws here and in Keras --------------------------------------------------------------------------------


def _pattern(size: Any) -> torch.Tensor:
    """Numbers between 0 and 1 that depend on their place alone, and so on the number of them that are drawn at once."""
    count = int(np.prod(size)) if len(size) else 1
    return ((torch.arange(count) * 0.377 + 0.113) % 1).reshape(tuple(size))


@contextlib.contextmanager
def same_draws(chosen: list[list[int]] | None = None) -> Iterator[None]:
    """torch and Keras draw numbers that everyone knows, so that a layer in training can be compared exactly.

    Args:
        chosen: which changes AugMix puts into its chains, by their place in our list of them.
    """
    def rand(size: Any, **_: Any) -> torch.Tensor:
        return _pattern(size)

    def randint(low: int, high: int, size: Any, **given: Any) -> torch.Tensor:
        if chosen is not None and len(size) == 2:
            return torch.tensor(chosen)
        return (_pattern(size) * (high - low) + low).to(given.get("dtype", torch.int64))

    def randn(size: Any, **_: Any) -> torch.Tensor:  # alike in every image and channel, wherever the channels are
        return torch.full(size, 0.7) if 3 in size else (_pattern(size[-2:]) * 4 - 2).expand(size).clone()

    def normal(*given: Any, size: Any, **_: Any) -> torch.Tensor:
        return randn(size)

    def randperm(count: int, **_: Any) -> torch.Tensor:
        return _pattern((count,)).argsort()

    def beta(shape: Any, *_: Any, **given: Any) -> torch.Tensor:
        return _pattern(shape)

    def gamma(shape: Any, *_: Any, **given: Any) -> torch.Tensor:
        return _pattern(shape) + 0.1

    steps = iter([name for chain in chosen or () for name in chain])

    def choice(names: list[Any]) -> Any:
        index = next(steps)
        return _CHANGES[index] if index < len(_CHANGES) else None

    # On torch Keras writes into what two layers are given, and so changes what RandAugment gives when it chose another.
    def on_copies(function: Any) -> Any:
        def called(self: Any, images: torch.Tensor, transformation: Any, *given: Any, **named: Any) -> Any:
            copied = {key: x.clone() if torch.is_tensor(x) else x for key, x in transformation.items()}
            return function(self, images.clone(), copied, *given, **named)

        return called

    brighter, turned = keras.layers.RandomBrightness.transform_images, keras.layers.RandomRotation._transform_images

    with contextlib.ExitStack() as stack:
        for owner, name, new in (
                (torch, "rand", rand), (torch, "randint", randint), (torch, "randn", randn), (torch, "normal", normal),
                (torch, "randperm", randperm), (keras_random, "beta", beta), (keras_random, "gamma", gamma),
                (keras.layers.RandomBrightness, "transform_images", on_copies(brighter)),
                (keras.layers.RandomRotation, "_transform_images", on_copies(turned)),
                (Draws, "beta", lambda self, alpha: beta(alpha.shape)), (py_random, "choice", choice),
                (Draws, "gamma", lambda self, alpha: gamma(alpha.shape))):
            stack.enter_context(mock.patch.object(owner, name, new))
        yield


_CHANGES = ["random_shear", "random_translation", "random_rotation", "random_brightness", "random_color_degeneration",
            "random_contrast", "random_sharpness", "random_posterization", "solarization", "auto_contrast",
            "equalization"]
