"""What a random program computes, here and in Keras: outputs, gradients, training, and weights in files."""

from __future__ import annotations

import copy
import json
import tempfile
import traceback
import zlib
from pathlib import Path
from typing import Any
from unittest import mock

import harness
import keras
import live
import numpy as np
import torch
from fuzz_programs import Failure, Json, attempt, objects_in, same
from keras.src.backend.torch import nn as keras_nn

from kerashape_torch.lowering import get_keras_weights, keras_weights, set_keras_weights
from kerashape_torch.saving import load_weights, save_weights
from kerashape_torch.structure import flatten

# ---- Keras -----------------------------------------------------------------------------------------------------------


def run_keras(theirs: Any, inputs: list[torch.Tensor], training: bool = False) -> Any:
    with torch.no_grad():
        return _call_keras(theirs, [x.clone() for x in inputs], training)


def _call_keras(theirs: Any, inputs: list[torch.Tensor], training: bool = False) -> Any:
    """Keras without two faults of its torch backend, where we compute as its other ones do."""
    with (mock.patch("torch.nn.functional.interpolate", _sound_interpolate),
          mock.patch("keras.src.backend.torch.nn.average_pool", _sound_average_pool)):
        return theirs(inputs if len(inputs) > 1 else inputs[0], training=training)


_interpolate, _pad, _average_pool = torch.nn.functional.interpolate, torch.nn.functional.pad, keras_nn.average_pool


def _sound_interpolate(x: torch.Tensor, *args: Any, **named: Any) -> torch.Tensor:
    """torch 2.13 on a CPU computes an only column wrong with antialias, where the channels lie last in memory."""
    return _interpolate(x.contiguous(), *args, **named)


def _sound_average_pool(x: torch.Tensor, *args: Any, **named: Any) -> torch.Tensor:
    """Averages of the real elements alone, where the padding is not the same on both sides: there Keras repeats the
    edge on torch, and nowhere else."""
    with mock.patch("torch.nn.functional.pad", lambda x, pad, mode: _pad(x, pad)):
        return _average_pool(x, *args, **named) / _average_pool(torch.ones_like(x), *args, **named)


# ---- outputs ---------------------------------------------------------------------------------------------------------


def same_numbers(program: Json, ours: Any, module: torch.nn.Module, theirs: Any, inputs: list[torch.Tensor]) -> None:
    """The same outputs, gradients, steps of training and files, with the same random weights on both sides."""
    text = json.dumps(program)
    _share_weights(text, module, theirs)
    stateful, half = '"stateful": true' in text, "float16" in text
    for layer in theirs.layers if stateful else ():
        if hasattr(layer, "reset_state") and attempt(layer.reset_state)[1] is not None:
            return  # Keras cannot put the states of several cells back to zero
    exact = not differs_by_choice(program)
    dtypes = [x.dtype for x in ours.graph.flat_outputs]
    # On torch Keras lowers masked scores by 1e9, past the range of float16, and a query that may look nowhere gives
    # NaN; it means to lower them by 65504 there, and does so on TensorFlow.
    nan_by_masks = half and "Attention" in text
    _same_outputs(module, run_keras(theirs, inputs), inputs, dtypes, exact, half, nan_by_masks)
    if exact and not half and not stateful:
        _same_gradients(module, theirs, inputs)
        if not is_random(program):
            _same_training(module, theirs, inputs, dtypes)
    _same_files(module, theirs, half)


def _share_weights(text: str, module: torch.nn.Module, theirs: Any) -> None:
    random = np.random.default_rng(zlib.crc32(text.encode()))
    specs = keras_weights(module).specs
    weights = [harness.random_weight(random, spec, w) * (0.5 if "variance" not in spec.name else 1)
               for spec, w in zip(specs, theirs.get_weights(), strict=True)]
    theirs.set_weights(weights)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it keeps a copy of its weights
    set_keras_weights(module, weights)


def _same_outputs(module: torch.nn.Module, want: Any, inputs: list[torch.Tensor], dtypes: list[str],
                  exact: bool, half: bool, nan_by_masks: bool = False, kind: str = "") -> None:
    exact_module = _in_64_bits(module)
    with torch.inference_mode():
        got, error = attempt(lambda: module(*[x.clone() for x in inputs]))
    if isinstance(error, IndexError) and "index out of range in self" in str(error):
        raise Failure("refused early", "real numbers as indices: Keras counts negative ones from the end")
    if error is not None:
        raise Failure(f"{kind}run", "".join(traceback.format_exception(error)[-4:]))
    for i, (x, y, says) in enumerate(zip(flatten(got), flatten(want), dtypes, strict=True)):
        if str(x.dtype) != f"torch.{says}":  # Keras says float32 of integers that it leaves so
            same(f"{kind}real dtype", x.dtype, y.dtype)
        same(f"{kind}real shape", tuple(x.shape), tuple(y.shape))
        if nan_by_masks:
            x = torch.where(y.isnan(), y.to(x.dtype), x)
        if half and y.isinf().any() and not x.isfinite().all():
            continue  # more than 16 bits hold, on both sides: the rest hangs on the order of additions
        if exact and not _near(x, y, half) and not _rounding(exact_module, inputs, i, x, y):
            off, largest = (float(each.abs().max()) for each in (x.double() - y.double(), y.double()))
            raise Failure(f"{kind}numbers", f"output {i}: largest difference {off:.3g} of {largest:.3g}")


def _near(x: torch.Tensor, y: torch.Tensor, half: bool) -> bool:
    if not x.is_floating_point() and not y.is_floating_point():
        return torch.equal(x, y) or half  # what is counted or compared hangs on the last bit
    rtol, atol = (5e-2, 5e-2) if half else (1e-4, 1e-5)
    if y.numel():  # what cancels out is exact to the largest of all
        atol *= max(1.0, float(y.double().nan_to_num(0, 0, 0).abs().max()))
    return torch.allclose(x.to(y.dtype), y, rtol=rtol, atol=atol, equal_nan=True)


def _rounding(exact_module: torch.nn.Module, inputs: list[torch.Tensor], i: int, got: torch.Tensor,
              want: torch.Tensor) -> bool:
    """Whether the difference is one of rounding: not much larger than that to the same module in 64 bits."""
    exact, error = attempt(lambda: flatten(copy.deepcopy(exact_module)(*_wide(inputs)))[i])
    return error is None and bool(((got - want).abs() <= 10 * (got - exact).abs().max() + 1e-5).all())


def _in_64_bits(module: torch.nn.Module) -> torch.nn.Module:
    return copy.deepcopy(module).double()


def _wide(inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    return [x.detach().double() if x.is_floating_point() else x for x in inputs]


# ---- gradients -------------------------------------------------------------------------------------------------------


def _same_gradients(module: torch.nn.Module, theirs: Any, inputs: list[torch.Tensor]) -> None:
    """Where those of Keras are finite: what overflows is NaN in one order of operations and a number in another, and of
    nothing but zeros UnitNormalization has a gradient that is no number in Keras."""
    mine, other = ([x.clone().requires_grad_(x.is_floating_point()) for x in inputs] for _ in range(2))
    want = live.weighed(_call_keras(theirs, other))
    got = live.weighed(module(*mine))
    if want is None or not want.requires_grad or not want.isfinite():
        return
    _, error = attempt(want.backward)
    if error is not None:
        return
    free = _trained(theirs)
    if got is None or not got.requires_grad:
        if free or any(x.requires_grad for x in other):
            raise Failure("gradients", "there are none")
        return
    got.backward()
    wanted = [*(x.grad for x in other), *(w.value.grad if id(w) in free else None for w in theirs.weights)]
    found = [*(x.grad for x in mine), *live.keras_gradients(module)]
    wanted = [y if x is None or y is None or x.shape != y.shape else torch.where(y.isfinite(), y, x)
              for x, y in zip(found, wanted)]
    try:
        live.gradients_agree(found, wanted)
    except AssertionError as error:
        exact, failure = attempt(_exact_gradients, module, inputs)
        if failure is not None or not all(_as_exact(x, y, z) for x, y, z in zip(found, wanted, exact)):
            raise Failure("gradients", error) from None


def _exact_gradients(module: torch.nn.Module, inputs: list[torch.Tensor]) -> list[torch.Tensor | None]:
    module, wide = _in_64_bits(module), _wide(inputs)
    module.zero_grad()
    given = [x.requires_grad_(x.is_floating_point()) for x in wide]
    total = live.weighed(module(*given))
    assert total is not None
    total.backward()
    return [*(x.grad for x in given), *live.keras_gradients(module)]


def _as_exact(got: torch.Tensor | None, want: torch.Tensor | None, exact: torch.Tensor | None) -> bool:
    """Whether Keras' gradient is no farther from ours than ten times what ours is from that in 64 bits."""
    if exact is None or got is None or want is None:
        return got is None and want is None
    off = float((got - exact).abs().max()) if got.numel() else 0.0
    return bool(((got - want).abs() <= 10 * off + 1e-5 + 1e-4 * want.abs()).all())


def _trained(model: Any) -> set[int]:
    """The weights that the layers call trainable. (To a model of Keras also those inside a frozen wrapper are.)"""
    found: set[int] = set()
    for layer in model.layers:
        found |= _trained(layer) if isinstance(layer, keras.Model) else {
            id(w) for w in getattr(layer, "trainable_weights", ())}
    return found


# ---- training and files ----------------------------------------------------------------------------------------------


def is_random(program: Json) -> bool:
    """Whether the program draws numbers in training."""
    return any(any(word in each["object"] for word in ("Random", "Dropout", "Noise", "Augment", "Mix", "Solarization"))
               or each["args"].get("dropout") or each["args"].get("recurrent_dropout")
               for each in objects_in(program["layers"]))


def _same_training(module: torch.nn.Module, theirs: Any, inputs: list[torch.Tensor], dtypes: list[str]) -> None:
    """What comes out in training, and the weights after it, as the running means of a normalization."""
    want, failure = attempt(run_keras, theirs, inputs, True)
    if failure is not None:
        return
    _same_outputs(module.train(), want, inputs, dtypes, True, False, kind="training: ")
    module.eval()
    specs = keras_weights(module).specs
    for spec, x, y in zip(specs, get_keras_weights(module), theirs.get_weights(), strict=True):
        if not _near(torch.as_tensor(x), torch.as_tensor(y), False):
            raise Failure("training: weights", f"{spec.full_path}: {x}\n  Keras: {y}")


def _same_files(module: torch.nn.Module, theirs: Any, half: bool) -> None:
    """A file of weights that Keras wrote read here, and one that we wrote read by Keras: number for number, or rounded
    where 16 bits are asked for (inside a wrapper of 16 bits Keras keeps 32)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.weights.h5")
        for step in (theirs.save_weights, theirs.load_weights):
            if attempt(step, path)[1] is not None:
                return
        want = theirs.get_weights()
        nothing = [np.zeros_like(w) for w in want]
        set_keras_weights(module, nothing)
        _, error = attempt(load_weights, module, path)
        _same_weights("weights of Keras' file", get_keras_weights(module), want, module, half, error)
        save_weights(module, path)
        theirs.set_weights(nothing)
        _, error = attempt(theirs.load_weights, path)
        _same_weights("weights of our file in Keras", theirs.get_weights(), want, module, half, error)


def _same_weights(kind: str, got: Any, want: Any, module: torch.nn.Module, half: bool,
                  error: Exception | None) -> None:
    if error is not None:
        raise Failure(kind, repr(error)[:400])
    for spec, x, y in zip(keras_weights(module).specs, got, want, strict=True):
        x, y = (np.asarray(each, "float64") for each in (x, y))
        if not np.allclose(x, y, rtol=2**-8 if half else 0, atol=0, equal_nan=True):
            raise Failure(kind, f"{spec.full_path}: {x}\n  Keras: {y}")


# ---- where numbers differ by choice ----------------------------------------------------------------------------------

IN_INTEGERS = {
    **dict.fromkeys(("layers.LayerNormalization", "layers.GroupNormalization"), ("int", "bool")),
    **dict.fromkeys(("layers.Average", "layers.Attention", "layers.AdditiveAttention"), ("bool",)),
    "layers.PReLU": ("uint",),
}
"""What Keras computes in integers, of inputs whose dtypes have these words in them: it rounds, wraps around, or adds up
booleans to whether any is true. Here it is computed in floats, which Keras says that it gives."""


def differs_by_choice(program: Json) -> bool:
    """Whether a layer of :data:`IN_INTEGERS` takes integers."""
    dtypes = [x["dtype"] for x in program["inputs"]]
    return any(word in dtypes[i] for step in program["steps"] if "layer" in step
               for word in _in_integers(program["layers"][step["layer"]]) for i in step["of"] if i < len(dtypes))


def _in_integers(layer: Json) -> tuple[str, ...]:
    if layer.get("object") == "layers.TimeDistributed":
        return _in_integers(layer["args"]["layer"])
    words = IN_INTEGERS.get(layer.get("object", ""), ())
    attends_in_64_bits = "Attention" in layer.get("object", "") and layer["args"].get("dtype") == "float64"
    return (*words, "int") if words and attends_in_64_bits else words  # there by way of 32 bits


REFUSED_HERE = {
    "a causal mask and a sliding window run along axis 1 alone":
        "Keras makes that mask by axis 1 whatever is attended along, and adds it where the sizes happen to be equal",
    "and Keras computes no other":
        "RMSNormalization gives torch's kernel for the last axis the size of another, which may happen to be equal",
    "= TimeDistributed(layer=Global":
        "it does not ask the layer inside for the rank that it takes, and its shape rule and its output differ",
    "expected rank 3, (batch, steps, features), got rank 4":
        "Keras runs cells over more axes where the batch happens to broadcast with them, as one of 1 does",
    "red, green and blue are needed":
        "Keras looks at the channels in training alone",
    "makes another shape, and each step needs its own back":
        "glu in a cell of two units leaves one number, which Keras may broadcast to both",
}
"""What is in our errors where we refuse what Keras computes by chance, and why."""
