"""Functions that draw random numbers, which a model of Keras 2 then does also when it is not trained."""

from __future__ import annotations

from typing import Any

from kerashape_torch.saving.upgrade.tensorflow.table import Untranslated, tf


@tf(*(f"random.{name}" for name in ("normal", "uniform", "truncated_normal", "shuffle")),
    *(f"image.random_{name}" for name in ("brightness", "contrast", "crop", "flip_left_right", "flip_up_down", "hue",
                                          "saturation", "jpeg_quality")), "nn.dropout", takes_sizes=True)
def _random(*_: Any, **__: Any) -> Any:
    raise Untranslated("it draws new numbers in every call, also when the model is not trained")
