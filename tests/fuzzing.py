"""Random programs, here and in Keras: all that must agree between the two models that one builds.

:mod:`fuzz_programs` says what a program is, :mod:`fuzz_numbers` compares what the models compute.
"""

from __future__ import annotations

import contextlib
import io
import json
import traceback
import warnings
from typing import Any, NamedTuple

import keras
from fuzz_numbers import REFUSED_HERE, run_keras, same_numbers
from fuzz_programs import Failure, Json, attempt, build, inputs_of, objects_in, same
from harness import plain
from keras.src.utils import naming

import kerashape_torch as kt
from kerashape_torch.errors import KerashapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.models import model_from_json
from kerashape_torch.structure import flatten

FINE = ("agree", "both refuse", "Keras cannot run it", "refused early")
"""Outcomes that are no failure."""


class Outcome(NamedTuple):
    kind: str
    text: str = ""


# ---- what must agree -------------------------------------------------------------------------------------------------


def check(program: Json) -> Outcome:
    """Builds the model on both sides and compares all that there is."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):  # where torch.fx shows a failing line
        warnings.simplefilter("ignore")
        try:
            return Outcome(_compare(program))
        except Failure as failure:
            return Outcome(failure.kind, failure.text)
        except Exception as error:  # where the two cannot even be compared
            return Outcome("broken", "".join(traceback.format_exception(error)[-4:]))


def _compare(program: Json) -> str:
    naming.reset_uids()
    theirs, refusal = attempt(build, keras, program)
    ours, error = attempt(build, kt, program)
    if error is not None and not isinstance(error, KerashapeError):
        raise Failure("crash", "".join(traceback.format_exception(error)[-3:]))
    inputs = inputs_of(program)
    if refusal is not None:
        if any(text in str(refusal) for text in NOT_THE_LAYERS_FAULT) or has_glu(program):  # by its wrong shape
            return "Keras cannot run it"
        if error is None and not isinstance(attempt(ours.to_torch)[1], KerashapeError):
            raise Failure("takes what Keras refuses", repr(refusal)[:300])
        return "both refuse"
    want, failure = attempt(run_keras, theirs, inputs)
    module, error = (None, error) if error is not None else attempt(ours.to_torch)
    if isinstance(error, KerashapeError) and any(text in str(error) for text in REFUSED_HERE):
        return "refused early"
    if ours is None:
        if failure is None:
            raise Failure("refuses what Keras takes", error)
        return "refused early"
    classes = {each["object"] for each in objects_in(program["layers"])}
    if failure is not None and len(ours.graph.flat_outputs) != len(theirs.outputs):
        return "Keras cannot run it"  # Bidirectional says the states of its forward layer twice
    by_rule = failure is not None or classes & RULE_OF_TRAINING.keys()
    _same_shapes(ours, theirs, None if by_rule else flatten(want), [list(x.shape) for x in inputs],
                 follows_real(program))
    _same_layers(ours, theirs)
    _same_configs(ours, theirs)
    if failure is not None:
        return "Keras cannot run it"
    if error is not None:
        raise Failure("to_torch", "".join(traceback.format_exception(error)[-3:]))
    same_numbers(program, ours, module, theirs, inputs)
    return "agree"


def _fits(shape: Any, real: Any) -> bool:
    return len(shape) == len(real) and all(size in (None, got) for size, got in zip(shape, real))


def _same_shapes(ours: Any, theirs: Any, real: list[Any] | None, sizes: list[list[int]],
                 follows_real: bool) -> None:
    """As Keras says, or as its numbers are where it says otherwise."""
    same("outputs", len(ours.graph.flat_outputs), len(theirs.outputs))
    for i, (x, y) in enumerate(zip(ours.graph.flat_outputs, theirs.outputs, strict=True)):
        if follows_real and real is None:
            continue
        true = real is None or (_fits(y.shape, real[i].shape) and not follows_real)
        if tuple(x.shape) != tuple(y.shape) if true else not _fits(x.shape, real[i].shape):  # type: ignore[index]
            raise Failure("shape", f"output {i}: {x.shape} and Keras {y.shape}"
                                   + ("" if real is None else f", really {tuple(real[i].shape)}"))
        if x.dtype != y.dtype and (real is None or f"torch.{x.dtype}" != str(real[i].dtype)):
            raise Failure("dtype", f"output {i}: {x.dtype} and Keras {y.dtype}")
    if real is not None:
        specs = [TensorSpec(tuple(shape), x.dtype) for shape, x in zip(sizes, ours.graph.flat_inputs)]
        known, error = attempt(ours.graph.infer, specs)
        if error is not None and not any(text in str(error) for text in REFUSED_HERE):
            raise Failure("shape of known sizes", repr(error)[:300])
        for x, y in zip(flatten(known), real) if error is None else ():
            if not _fits(x.shape, y.shape):
                raise Failure("shape of known sizes", f"{x.shape}, really {tuple(y.shape)}")


def _same_layers(ours: Any, theirs: Any) -> None:
    same("names", [layer.name for layer in ours.layers], [layer.name for layer in theirs.layers])
    for x, y in zip(ours.layers, theirs.layers):
        if isinstance(y, keras.Model):
            _same_layers(x, y)
            continue
        if isinstance(y, keras.layers.InputLayer):
            continue
        free = {id(w) for w in y.trainable_weights} if hasattr(y, "trainable_weights") else set()
        same("weights", [[f"{x.name}/{spec.full_path}", list(spec.shape), spec.trainable] for spec in x.weights],
              [[w.path, list(w.shape), id(w) in free] for w in y.weights])
        if isinstance(y, keras.Layer):
            same("supports_masking", x.supports_masking, y.supports_masking)
    same("count", ours.count_params(), theirs.count_params())


def _same_configs(ours: Any, theirs: Any) -> None:
    for x, y in zip(ours.layers, theirs.layers):
        if not isinstance(y, keras.Model):
            same("config", _told(plain(x.get_config())), _told(plain(y.get_config())))
    written, error = attempt(theirs.to_json)
    text, failure = attempt(ours.to_json)
    if failure is not None:
        raise Failure("to_json", repr(failure)) from failure
    if error is None:
        same("model config", _told(json.loads(text)["config"]), _told(json.loads(written)["config"]))
    loaded, error = attempt(keras.models.model_from_json, text)
    again, refusal = attempt(keras.models.model_from_json, written) if written else (None, error)
    if error is not None and refusal is None:
        raise Failure("Keras does not load ours", repr(error)[:400])
    if loaded is not None and again is not None:
        same("shape of ours in Keras", [tuple(x.shape) for x in loaded.outputs],
              [tuple(x.shape) for x in again.outputs])
    if written is not None and refusal is None:
        back, error = attempt(model_from_json, written)
        if error is not None:
            raise Failure("we do not load Keras'", repr(error)[:400])
        same("shape of Keras' here", [tuple(x.shape) for x in back.graph.flat_outputs],
              [tuple(x.shape) for x in ours.graph.flat_outputs])
        same("config of Keras' here", _told(json.loads(back.to_json())["config"]), _told(json.loads(text)["config"]))


def _told(config: Any) -> Any:
    """A config without what says nothing: when parts were built, a mask of None, the mode that is meant anyway, the
    shapes of tensors on the way (of attention scores Keras says others than it makes), an axis that may be a list."""
    if isinstance(config, dict):
        if "keras_history" in config:
            return config["keras_history"]
        silent = {key for key, value in config.items() if key == "build_config" or (key == "mask" and value is None)
                  or (key == "training" and isinstance(value, (bool, type(None))))}
        return {key: [value] if key == "axis" and isinstance(value, int) else _told(value)
                for key, value in config.items() if key not in silent}
    return [_told(item) for item in config] if isinstance(config, list) else config


# ---- where Keras contradicts itself ----------------------------------------------------------------------------------

RULE_OF_TRAINING = {"layers.RandomCrop": "in inference it crops nothing, and the rule says what training gives"}
"""Layers whose real shape in inference is neither Keras' rule nor ours."""

NOT_THE_LAYERS_FAULT = {
    "is part of a cycle": "Equalization gives its own input back where the channels are not known: no model takes that",
    '"geqrf_cpu" not implemented': "torch on a CPU cannot make an orthogonal matrix of 16 bits for Keras",
}
"""What is in errors by which Keras refuses what it means to take."""


def has_glu(program: Json) -> bool:
    """``glu`` halves the last axis, and Keras' shape rules forget it."""
    return '"glu"' in json.dumps(program["layers"])


def follows_real(program: Json) -> bool:
    """Whether we follow Keras' real output, of which its own shape rule says something else.

    Attention scores are (queries, keys), and the rule says
    (queries, queries). Of a backward layer of other units the rule counts the forward ones twice. CategoryEncoding of
    three axes counts axis 1, and the rule says the last one. The rule of EinsumDense moves what "..." stands for.
    """
    text = json.dumps(program["layers"])
    scores = any(step["kwargs"].get("return_attention_scores") for step in program["steps"])
    scores = scores or ("layers.EinsumDense" in text and "..." in text)
    return scores or has_glu(program) or any(name in text for name in ('"backward_layer"', "layers.CategoryEncoding"))


__all__ = ["FINE", "Outcome", "check"]
