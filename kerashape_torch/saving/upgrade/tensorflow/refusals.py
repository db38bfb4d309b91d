"""Functions that cannot be had, whatever they are given, and why."""

from __future__ import annotations

from kerashape_torch.saving.upgrade.tensorflow.table import refuse_always

_COUNTED = "its result has a shape that depends on numbers"

refuse_always(
    *(f"random.{name}" for name in ("normal", "uniform", "truncated_normal", "shuffle", "gamma", "poisson",
                                    "categorical", "stateless_normal", "stateless_uniform", "stateless_categorical",
                                    "stateless_truncated_normal", "stateless_gamma", "stateless_poisson")),
    *(f"image.random_{name}" for name in ("brightness", "contrast", "crop", "flip_left_right", "flip_up_down", "hue",
                                          "saturation", "jpeg_quality")),
    *(f"image.stateless_random_{name}" for name in ("brightness", "contrast", "crop", "flip_left_right", "flip_up_down",
                                                    "hue", "saturation", "jpeg_quality")),
    "nn.dropout", "nn.experimental.stateless_dropout", "nn.fractional_avg_pool", "nn.fractional_max_pool",
    why="it draws new numbers in every call, also when the model is not trained")
refuse_always(
    "__operators__.eq", "__operators__.ne",
    why="the file does not say what == and != compare with: Keras 2 leaves it out, and cannot read it back either",
    way_out="build the model in code, with ops.equal there, and load its weights")
refuse_always(
    "einsum",
    why="the file does not say which tensors it was applied to: Keras 2 writes its equation alone, and cannot read it "
        "back either",
    way_out="build the model in code, with ops.einsum there, and load its weights")
refuse_always(
    "dynamic_partition", "unique", "unique_with_counts", "image.non_max_suppression",
    "image.non_max_suppression_with_scores", "nn.ctc_greedy_decoder", "setdiff1d", why=_COUNTED)
refuse_always(
    *(f"math.segment_{name}" for name in ("max", "mean", "min", "prod", "sum")),
    why=f"{_COUNTED}: the largest of segment_ids says how many segments there are. tf.math.unsorted_segment_*, which "
        "is given their number, is had")
refuse_always("strings.", "io.", "audio.", "lookup.", why="torch has no tensors of strings, which it takes or gives")
refuse_always("sparse.", "ragged.", "sets.", why="it works on sparse or ragged tensors, which are not had",
              way_out="make the tensor dense")
refuse_always(
    "py_function", "numpy_function", "map_fn", "vectorized_map", "cond", "case", "switch_case", "while_loop", "foldl",
    "foldr", "scan", "custom_gradient", "recompute_grad",
    why="it runs a Python function, of which the file has the name at most")
