"""What layers' arguments mean, in one line each: those that decide shapes and weights, and those asked about most.

``{value}`` is what was given; only arguments that differ from their default are ever explained. A meaning for one class
is under ``Class.argument``, where base classes count; a meaning that depends on the value is a dict of them.
"""

from __future__ import annotations

from typing import Any, TypeVar

_T = TypeVar("_T")

_ENDINGS = {
    "_initializer": "the first values of the {stem}",
    "_regularizer": "what is added to the loss for the {stem}",
    "_constraint": "what each training step must leave true of the {stem}",
}

_RECURRENT = ("SimpleRNN", "LSTM", "GRU")
_CELLS = ("SimpleRNNCell", "LSTMCell", "GRUCell", *_RECURRENT)
_TRANSPOSED = tuple(f"Conv{rank}DTranspose" for rank in (1, 2, 3))
_ATTENTION = ("Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention")
_STEPS_NOTE = """input_dim is the number of features in each step, input_length the number of steps.
units is neither: it is the size of the state. No weight depends on the number of steps."""

MEANINGS: dict[str, str | dict[Any, str]] = {
    # the input
    "input_shape": "the shape of one sample; the batch axis is left out here and is the None below",
    "input_shapes": "the shapes of one sample of each input; the batch axes are left out here and are the None below",
    "input_dim": "the size of the only axis of a sample: the same as input_shape=({value},)",
    "input_length": "the number of steps of a sample",
    "batch_input_shape": "the input shape with its batch axis",
    "batch_shape": "the input shape with its batch axis",
    "batch_size": "the size of the batch axis, which is None otherwise",
    "trainable": {False: "training does not change the weights"},
    "dtype": "what the numbers are computed and kept in",
    "shape": "the shape of one sample, without the batch axis",
    "optional": {True: "None may come instead of a tensor"},
    "activity_regularizer": "what is added to the loss for the outputs",
    # how much comes out
    "units": "how many numbers come out for each vector that goes in: the size of the last output axis",
    "filters": "how many kernels slide over the input: the number of output channels",
    "output_dim": "how many numbers stand for each entry: the size of the last output axis",
    "depth_multiplier": "how many output channels each input channel gives",
    "target_shape": "the output shape without its batch axis; -1 is what is left",
    "output_size": "the sizes of the spatial axes that come out",
    "output_shape": "the output shape without its batch axis",
    "dims": "the input axes in the order in which they come out; 1 is the first after the batch",
    "n": "how many times the input is repeated: the number of steps that come out",
    "num_tokens": "how many different integers there are: the size of the last output axis",
    "height": "the height that comes out",
    "width": "the width that comes out",
    # windows
    "kernel_size": "the size of the window along each spatial axis",
    "pool_size": "the size of the window along each spatial axis",
    "strides": "how far the window moves from place to place; larger than 1, it makes the output smaller",
    "padding": {"same": "zeros around the input, so that strides alone make it smaller",
                "causal": "zeros before the input, so that no output sees what comes later"},
    "dilation_rate": "the distance between the elements of a window",
    "groups": "the channels are divided into so many groups, each with filters of its own",
    "data_format": {"channels_first": "the channels are the first axis after the batch, not the last"},
    "output_padding": "what the output gains along each axis, to choose between sizes that shrink to the same",
    "size": "how many times each element is repeated along each spatial axis",
    "cropping": "how much is cut off at the beginning and the end of each spatial axis",
    "keepdims": "the axes that are reduced stay, with size 1",
    **{f"ZeroPadding{rank}D.padding": "how many zeros are added before and after each spatial axis"
       for rank in (1, 2, 3)},
    # weights
    "use_bias": {False: "there is no bias to add"},
    "activation": "the function that each output number goes through",
    "recurrent_activation": "the function that the gates go through",
    "axis": "the axis that the layer works along, or several; -1 is the last",
    "axes": "the axes that are multiplied and summed",
    "center": {False: "there is no beta to add"},
    "scale": {False: "there is no gamma to multiply by"},
    "momentum": "how slowly the moving statistics follow the batches",
    "epsilon": "what is added to the variance, so that nothing is divided by zero",
    "lora_rank": "the weight itself is frozen; what is trained is the product of two matrices, so many numbers wide",
    "lora_alpha": "how much that product counts",
    "alpha": "how far below zero the outputs go",
    "negative_slope": "what the inputs on the negative side are multiplied by",
    "threshold": "where the negative side ends",
    "max_value": "no output is larger",
    "shared_axes": "along these axes all elements share one slope",
    "renorm": {True: "training, too, normalizes nearly as the moving averages say"},
    "rms_scaling": {True: "the input is divided by its deviation and not centered: there is no beta"},
    "mean": "what is subtracted",
    "variance": "its square root is what the difference is divided by",
    "invert": {True: "the layer undoes the normalization"},
    "power_iterations": "how often the estimate of the largest singular value is improved in each call",
    "offset": "what is added at the end",
    "interpolation": "how the values between the elements are found",
    "normalize": {True: "the vectors are divided by their lengths first, so that the products are cosines"},
    "stddev": "the standard deviation of the noise",
    "noise_shape": "the shape of what is drawn: along an axis of 1 all is dropped or kept together",
    "seed": "what the random numbers follow from",
    "l1": "how much each output adds to the loss by its size",
    "l2": "how much each output adds to the loss by its square",
    "mask_value": "a step whose features all equal this is padding",
    "function": "what is done to the input",
    "arguments": "what else the function is given",
    "rate": "the part of the numbers that is dropped in training",
    "dropout": "the part of the inputs that is dropped in training",
    "recurrent_dropout": "the part of the state that is dropped in training",
    "mask_zero": "the index 0 means that there is nothing at this step",
    "equation": "which axes are multiplied and which are summed, by letters",
    "bias_axes": "the output axes that the bias has, by letters",
    "tie_weights": {False: "the way back has a table of its own"},
    "logit_soft_cap": "the scores stay between -{value} and {value}",
    # recurrent layers
    "return_sequences": "the output of every step comes out, not only the last",
    "return_state": "the state after the last step comes out too",
    "go_backwards": "the steps are read from the last to the first",
    "stateful": "a batch begins with the state that the one before it ended with",
    "merge_mode": {None: "the two directions come out as two tensors", "sum": "the two directions are added",
                   "mul": "the two directions are multiplied", "ave": "the two directions are averaged"},
    "layer": "the layer that is wrapped",
    "backward_layer": "the layer that reads the steps from the last to the first",
    "cell": "what is done at one step",
    "cells": "what is done at one step, from the first cell to the last",
    "unit_forget_bias": {False: "the bias of the forget gate starts as the others do, not with 1"},
    "reset_after": {False: "the reset gate comes before the recurrent product, so that one bias is enough"},
    "zero_output_for_mask": {True: "steps that the mask leaves out come out as zeros"},
    # attention
    "num_heads": "how many times attention is done side by side",
    "key_dim": "the size of queries and keys in each head",
    "value_dim": "the size of values in each head",
    "num_query_heads": "how many heads the query has",
    "num_key_value_heads": "how many heads keys and values have; several query heads share one",
    "head_dim": "the size of each head",
    "attention_axes": "the axes that are attended along: all but the batch and the last, if nothing is said",
    "sliding_window": "how many keys around it each query may look at",
    "use_scale": {True: "the scores are multiplied by a learned number", False: "there is no scale to multiply by"},
    "use_gate": {True: "what the heads give is multiplied by a gate, which the query decides"},
    "score_mode": {"concat": "a key fits a query by a learned number times sum(tanh(query + key))"},
    # layers whose arguments mean something of their own
    **{f"{name}.strides": "how far the windows that are written are apart; larger than 1, they make the output larger"
       for name in _TRANSPOSED},
    **{f"{name}.padding": {"same": "as much is cut off as makes the output strides times as large as the input"}
       for name in _TRANSPOSED},
    **{f"{name}.dropout": "the part of the attention that is dropped in training" for name in _ATTENTION},
    "AdditiveAttention.use_scale": {False: "the sum is not weighed"},
    "BatchNormalization.axis": "the axis of the channels; -1 is the last",
    "GroupNormalization.groups": "into how many groups the channels are divided, each normalized by itself",
    "Concatenate.axis": "the axis along which the tensors are put together; -1 is the last",
    "Rescaling.scale": "what each number is multiplied by",
    "Embedding.input_dim": "how many different integers may come in, 0 to {value} - 1: the rows of the table; it is no "
                           "axis of the input",
    **{f"{name}.units": "how many numbers the state holds: what comes out for each step; it is not the number of steps"
       for name in _CELLS},
    **{f"{name}.input_dim": "the number of features in each step. It is not the number of steps: that is input_length"
       for name in _RECURRENT},
    **{f"{name}.input_length": "the number of steps; no weight depends on it" for name in _RECURRENT},
}

NOTES = dict.fromkeys(_RECURRENT, _STEPS_NOTE)


def meaning(layer: Any, argument: str, value: Any) -> str | None:
    """What an argument of a layer means, if the glossary has it.

    >>> from kerashape_torch.layers import Dense
    >>> meaning(Dense(4), "kernel_initializer", "zeros")
    'the first values of the kernel'
    """
    found = _of_class(MEANINGS, layer, f".{argument}") or MEANINGS.get(argument)
    if isinstance(found, dict):
        return next((text for key, text in found.items()
                     if key is value or (isinstance(key, str) and key == value)), None)
    if found is not None:
        return found.replace("{value}", str(value))
    for ending, pattern in _ENDINGS.items():
        if argument.endswith(ending):
            return pattern.format(stem=argument.removesuffix(ending).replace("_", " "))
    return None


def note(layer: Any) -> str | None:
    """What people often get wrong about a layer."""
    return _of_class(NOTES, layer)


def _of_class(table: dict[str, _T], layer: Any, ending: str = "") -> _T | None:
    return next((table[cls.__name__ + ending] for cls in type(layer).__mro__ if cls.__name__ + ending in table), None)
