"""What layers' arguments mean, in one line each: those that decide shapes and weights, and those asked about most.

``{value}`` is what was given; only arguments that differ from their default are ever explained. A meaning for one class
is under ``Class.argument``, where base classes count; a meaning that depends on the value is a dict of them.
"""

from __future__ import annotations

from typing import Any, TypeVar

_T = TypeVar("_T")

_ENDINGS = {
    "_initializer": "what the {stem} starts with",
    "_regularizer": "what the {stem} adds to the loss",
    "_constraint": "what the {stem} is held to after each training step",
}

_RECURRENT = ("SimpleRNN", "LSTM", "GRU", "SimpleRNNCell", "LSTMCell", "GRUCell")
_STEPS_NOTE = """input_dim is the number of features in each step, input_length the number of steps.
units is neither: it is the size of the state. No weight depends on the number of steps."""

MEANINGS: dict[str, str | dict[Any, str]] = {
    # the input
    "input_shape": "the shape of one sample; the batch axis is left out here and is the None below",
    "input_dim": "the size of the only axis of a sample: the same as input_shape=({value},)",
    "input_length": "the number of steps of a sample",
    "batch_input_shape": "the input shape with its batch axis",
    "batch_shape": "the input shape with its batch axis",
    "batch_size": "the size of the batch axis, which is None otherwise",
    "trainable": {False: "training does not change the weights"},
    "dtype": "what the numbers are computed and kept in",
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
    "axis": "the axis that the layer works along; -1 is the last",
    "axes": "the axes that are multiplied and summed",
    "center": {False: "there is no beta to add"},
    "scale": {False: "there is no gamma to multiply by"},
    "momentum": "how slowly the moving statistics follow the batches",
    "epsilon": "what is added to the variance, so that nothing is divided by zero",
    "rate": "the part of the numbers that is dropped in training",
    "dropout": "the part of the inputs that is dropped in training",
    "recurrent_dropout": "the part of the state that is dropped in training",
    "mask_zero": "the index 0 means that there is nothing at this step",
    "equation": "which axes are multiplied and which are summed, by letters",
    # recurrent layers
    "return_sequences": "the output of every step comes out, not only the last",
    "return_state": "the state after the last step comes out too",
    "go_backwards": "the steps are read from the last to the first",
    "stateful": "a batch begins with the state that the one before it ended with",
    "merge_mode": {None: "the two directions come out as two tensors", "sum": "the two directions are added",
                   "mul": "the two directions are multiplied", "ave": "the two directions are averaged"},
    "layer": "the layer that is wrapped",
    "cell": "what is done at one step",
    # attention
    "num_heads": "how many times attention is done side by side",
    "key_dim": "the size of queries and keys in each head",
    "value_dim": "the size of values in each head",
    "num_query_heads": "how many heads the query has",
    "num_key_value_heads": "how many heads keys and values have; several query heads share one",
    "head_dim": "the size of each head",
    # layers whose arguments mean something of their own
    "Embedding.input_dim": "how many different integers may come in, 0 to {value} - 1: the rows of the table; it is no "
                           "axis of the input",
    **{f"{name}.units": "how many numbers the state holds: what comes out for each step; it is not the number of steps"
       for name in _RECURRENT},
    **{f"{name}.input_dim": "the number of features in each step. It is not the number of steps: that is input_length"
       for name in _RECURRENT},
    **{f"{name}.input_length": "the number of steps; no weight depends on it" for name in _RECURRENT},
}

NOTES = dict.fromkeys(_RECURRENT, _STEPS_NOTE)


def meaning(layer: Any, argument: str, value: Any) -> str | None:
    """What an argument of a layer means, if the glossary has it.

    >>> from kerashape_torch.layers import Dense
    >>> meaning(Dense(4), "kernel_initializer", "zeros")
    'what the kernel starts with'
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
