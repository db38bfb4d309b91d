"""Programs that build the same model here and in Keras, and all that must agree between the two.

A program is plain JSON, so that it can be kept, replayed and made smaller::

    {"inputs": [{"shape": [null, 4], "dtype": "float32"}],
     "layers": [{"object": "layers.Dense", "args": {"units": 3}}],
     "steps": [{"layer": 0, "style": "single", "of": [0], "kwargs": {}},
               {"op": "add", "args": [{"of": 1}, 2.0], "kwargs": {}}],
     "outputs": [2], "sizes": [3, 5, 4, 6, 3, 4], "batch": 2}

Tensors are numbered: the inputs, then what each step gives. ``outputs`` may be null: all that the last step gives.
``sizes`` fill the axes that are None when the model runs. A layer may be a nested model: ``{"program": ...}``.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unittest import mock

import harness
import keras
import live
import numpy as np
import torch
from harness import plain
from keras.src.utils import naming

import kerashape_torch as kt
from kerashape_torch.errors import KerashapeError
from kerashape_torch.graph import TensorSpec
from kerashape_torch.lowering import keras_weights, set_keras_weights
from kerashape_torch.models import model_from_json
from kerashape_torch.structure import flatten

Json = Any

FINE = ("agree", "both refuse", "Keras cannot run it", "refused early")
"""Outcomes that are no failure."""


class Outcome(NamedTuple):
    kind: str
    text: str = ""


class Failure(Exception):
    """What differs, and how."""

    def __init__(self, kind: str, text: Any = "") -> None:
        super().__init__(kind, str(text))
        self.kind, self.text = kind, str(text)


# ---- programs to models ----------------------------------------------------------------------------------------------


def made(k: Any, value: Any, tensors: Any = ()) -> Any:
    """A value of a program as an object of one of the two libraries."""
    if isinstance(value, list):
        items = [made(k, item, tensors) for item in value]
        return items if any(isinstance(item, dict) for item in value) else tuple(items)
    if not isinstance(value, dict):
        return value
    if "object" in value:
        family, name = value["object"].split(".")
        return getattr(getattr(k, family), name)(**{key: made(k, item) for key, item in value["args"].items()})
    if "program" in value:
        return build(k, value["program"], value.get("name"))
    if "slice" in value:
        return slice(*value["slice"])
    if "ellipsis" in value:
        return ...
    return tensors[value["of"]] if "of" in value else {key: made(k, item, tensors) for key, item in value.items()}


def build(k: Any, program: Json, name: str | None = None) -> Any:
    """The model of a program."""
    inputs = [k.Input(batch_shape=tuple(x["shape"]), dtype=x["dtype"]) for x in program["inputs"]]
    tensors, layers, last = list(inputs), {}, inputs

    def layer(index: int) -> Any:
        if index not in layers:
            layers[index] = made(k, program["layers"][index])
        return layers[index]

    for step in program["steps"]:
        last = flatten(result_of(k, step, tensors, layer))
        tensors += last
    if program["outputs"] and max(program["outputs"]) >= len(tensors):
        raise KerashapeError("an output that no step gives")  # on the way to a smaller program
    outputs = last if program["outputs"] is None else [tensors[i] for i in program["outputs"]]
    return k.Model(inputs if len(inputs) > 1 else inputs[0], outputs if len(outputs) > 1 else outputs[0],
                   **({} if name is None else {"name": name}))


def result_of(k: Any, step: Json, tensors: list[Any], layer: Callable[[int], Any]) -> Any:
    """What a step gives, of the tensors so far; ``layer`` has the layers by their numbers."""
    kwargs = {key: made(k, value, tensors) for key, value in step["kwargs"].items()}
    if "op" in step:
        function = operators.get(step["op"]) or getattr(k.ops, step["op"])
        return function(*made(k, step["args"], tensors), **kwargs)
    return layer(step["layer"])(*harness.arrange(step["style"], [tensors[i] for i in step["of"]]), **kwargs)


operators: dict[str, Any] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "[]": lambda x, key: x[key],
}


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


def _attempt(function: Any, *args: Any) -> tuple[Any, Exception | None]:
    try:
        return function(*args), None
    except Exception as error:  # Keras refuses by errors of every class
        return None, error


def _compare(program: Json) -> str:
    naming.reset_uids()
    theirs, refusal = _attempt(build, keras, program)
    ours, error = _attempt(build, kt, program)
    if error is not None and not isinstance(error, KerashapeError):
        raise Failure("crash", "".join(traceback.format_exception(error)[-3:]))
    inputs = _inputs(program)
    if refusal is not None:
        if any(text in str(refusal) for text in NOT_THE_LAYERS_FAULT):
            return "Keras cannot run it"
        if error is None and not isinstance(_attempt(ours.to_torch)[1], KerashapeError):
            raise Failure("takes what Keras refuses", repr(refusal)[:300])
        return "both refuse"
    want, failure = _attempt(_run_keras, theirs, inputs)
    if error is not None:
        if failure is None and not any(text in str(error) for text in REFUSED_HERE):
            raise Failure("refuses what Keras takes", error)
        return "refused early"
    classes = {each["object"] for each in _objects(program["layers"])}
    by_rule = failure is not None or classes & RULE_OF_TRAINING.keys()
    _same_shapes(ours, theirs, None if by_rule else flatten(want), [list(x.shape) for x in inputs],
                 bool(classes & FOLLOWS_REAL.keys()) or has_glu(program))
    _same_layers(ours, theirs)
    _same_configs(ours, theirs)
    if failure is not None:
        return "Keras cannot run it"
    _same_numbers(program, ours, theirs, inputs)
    return "agree"


def _inputs(program: Json) -> list[torch.Tensor]:
    random = np.random.default_rng(zlib.crc32(json.dumps(program["sizes"]).encode()))
    found = []
    for x in program["inputs"]:
        batch, *axes = x["shape"]
        shape = [batch or program["batch"], *(size or program["sizes"][i] for i, size in enumerate(axes))]
        found.append(torch.as_tensor(harness.random_input(random, shape, x["dtype"], x.get("indices", False))))
    return found


def _given(inputs: list[torch.Tensor]) -> Any:
    return [x.clone() for x in inputs] if len(inputs) > 1 else inputs[0].clone()


def _run_keras(theirs: Any, inputs: list[torch.Tensor]) -> Any:
    with torch.no_grad(), sound_kernels():
        return theirs(_given(inputs), training=False)


def sound_kernels() -> Any:
    """Keras with images whose channels lie first in memory: where they lie last, torch 2.13 on a CPU computes an only
    column wrong with antialias."""
    interpolate = torch.nn.functional.interpolate
    return mock.patch("torch.nn.functional.interpolate", lambda x, *args, **named: interpolate(
        x.contiguous(), *args, **named))


def _fits(shape: Any, real: Any) -> bool:
    return len(shape) == len(real) and all(size in (None, got) for size, got in zip(shape, real))


def _same_shapes(ours: Any, theirs: Any, real: list[Any] | None, sizes: list[list[int]],
                 follows_real: bool) -> None:
    """As Keras says, or as its numbers are where it says otherwise."""
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
        for x, y in zip(flatten(ours.graph.infer(specs)), real):
            if not _fits(x.shape, y.shape):
                raise Failure("shape of known sizes", f"{x.shape}, really {tuple(y.shape)}")


def _same(kind: str, got: Any, want: Any) -> None:
    difference = _difference(got, want)
    if difference is not None:
        raise Failure(kind, "at {}: {}\n  Keras: {}".format(*difference))


def _difference(got: Any, want: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """The first place where two structures differ. Keras writes 0.01 as the nearest number of 32 bits."""
    if isinstance(got, dict) and isinstance(want, dict) and got.keys() == want.keys():
        pairs = [(f"{where}.{key}", got[key], want[key]) for key in want]
    elif isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        pairs = [(f"{where}[{i}]", x, y) for i, (x, y) in enumerate(zip(got, want))]
    elif type(got) is type(want) is float:
        return None if math.isclose(got, want, rel_tol=1e-6) else (where, got, want)
    else:
        return None if got == want else (where, got, want)
    return next((found for at, x, y in pairs if (found := _difference(x, y, at)) is not None), None)


def _same_layers(ours: Any, theirs: Any) -> None:
    _same("names", [layer.name for layer in ours.layers], [layer.name for layer in theirs.layers])
    for x, y in zip(ours.layers, theirs.layers):
        if isinstance(y, keras.Model):
            _same_layers(x, y)
            continue
        if isinstance(y, keras.layers.InputLayer):
            continue
        free = {id(w) for w in y.trainable_weights} if hasattr(y, "trainable_weights") else set()
        _same("weights", [[f"{x.name}/{spec.full_path}", list(spec.shape), spec.trainable] for spec in x.weights],
              [[w.path, list(w.shape), id(w) in free] for w in y.weights])
        if isinstance(y, keras.Layer):
            _same("supports_masking", x.supports_masking, y.supports_masking)
    _same("count", ours.count_params(), theirs.count_params())


def _same_configs(ours: Any, theirs: Any) -> None:
    for x, y in zip(ours.layers, theirs.layers):
        if not isinstance(y, keras.Model):
            _same("config", _told(plain(x.get_config())), _told(plain(y.get_config())))
    written, error = _attempt(theirs.to_json)
    text, failure = _attempt(ours.to_json)
    if failure is not None:
        raise Failure("to_json", repr(failure)) from failure
    if error is None:
        _same("model config", _told(json.loads(text)["config"]), _told(json.loads(written)["config"]))
    loaded, error = _attempt(keras.models.model_from_json, text)
    again, refusal = _attempt(keras.models.model_from_json, written) if written else (None, error)
    if error is not None and refusal is None:
        raise Failure("Keras does not load ours", repr(error)[:400])
    if loaded is not None and again is not None:
        _same("shape of ours in Keras", [tuple(x.shape) for x in loaded.outputs],
              [tuple(x.shape) for x in again.outputs])
    if written is not None and refusal is None:
        back, error = _attempt(model_from_json, written)
        if error is not None:
            raise Failure("we do not load Keras'", repr(error)[:400])
        _same("shape of Keras' here", [tuple(x.shape) for x in back.graph.flat_outputs],
              [tuple(x.shape) for x in ours.graph.flat_outputs])
        _same("config of Keras' here", _told(json.loads(back.to_json())["config"]), _told(json.loads(text)["config"]))


def _trained(model: Any) -> set[int]:
    """The weights that the layers call trainable. (To a model of Keras also those inside a frozen wrapper are.)"""
    found: set[int] = set()
    for layer in model.layers:
        found |= _trained(layer) if isinstance(layer, keras.Model) else {
            id(w) for w in getattr(layer, "trainable_weights", ())}
    return found


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


def _same_numbers(program: Json, ours: Any, theirs: Any, inputs: list[torch.Tensor]) -> None:
    module, error = _attempt(ours.to_torch)
    if error is not None and any(text in str(error) for text in REFUSED_HERE):
        return
    if error is not None:
        raise Failure("to_torch", "".join(traceback.format_exception(error)[-3:]))
    text = json.dumps(program)
    stateful = '"stateful": true' in text
    random = np.random.default_rng(zlib.crc32(text.encode()))
    specs = keras_weights(module).specs
    weights = [harness.random_weight(random, spec, w) * (0.5 if "variance" not in spec.name else 1)
               for spec, w in zip(specs, theirs.get_weights(), strict=True)]
    theirs.set_weights(weights)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it keeps a copy of its weights
    set_keras_weights(module, weights)
    half = "float16" in text
    for layer in theirs.layers if stateful else ():
        if hasattr(layer, "reset_state") and _attempt(layer.reset_state)[1] is not None:
            return  # Keras cannot put the states of several cells back to zero
    want = _run_keras(theirs, inputs)
    with torch.inference_mode():
        got, error = _attempt(lambda: module(*[x.clone() for x in inputs]))
    if error is not None:
        raise Failure("run", "".join(traceback.format_exception(error)[-4:]))
    exact = not differs_by_choice(program)
    for i, (x, y) in enumerate(zip(flatten(got), flatten(want), strict=True)):
        says = ours.graph.flat_outputs[i].dtype  # Keras says float32 of integers that it leaves integers
        if str(x.dtype) != f"torch.{says}":
            _same("real dtype", x.dtype, y.dtype)
        _same("real shape", tuple(x.shape), tuple(y.shape))
        if "float16" in text and "Attention" in text:
            # On torch Keras lowers masked scores by 1e9, past the range of float16, and a query that may look nowhere
            # gives NaN; it means to lower them by 65504 there, and does so on TensorFlow.
            x = torch.where(y.isnan(), y.to(x.dtype), x)
        if exact and not _near(x, y, half) and not _rounding(module, inputs, i, x, y):
            raise Failure("numbers", f"output {i}: largest difference {(x.double() - y.double()).abs().max():.3g} of "
                                     f"{y.double().abs().max():.3g}")
    if exact and not half and not stateful and "float64" not in text:
        _same_gradients(module, theirs, inputs)


def _near(x: torch.Tensor, y: torch.Tensor, half: bool) -> bool:
    if not x.is_floating_point() and not y.is_floating_point():
        return torch.equal(x, y) or half  # what is counted or compared hangs on the last bit
    rtol, atol = (5e-2, 5e-2) if half else (1e-4, 1e-5)
    if y.numel():  # what cancels out is exact to the largest of all
        atol *= max(1.0, float(y.double().nan_to_num(0, 0, 0).abs().max()))
    return torch.allclose(x.to(y.dtype), y, rtol=rtol, atol=atol, equal_nan=True)


def _rounding(module: torch.nn.Module, inputs: list[torch.Tensor], i: int, got: torch.Tensor,
              want: torch.Tensor) -> bool:
    """Whether the difference is one of rounding: not much larger than that to the same module in 64 bits."""
    exact, error = _attempt(lambda: flatten(_in_64_bits(module)(*_wide(inputs)))[i])
    return error is None and bool(((got - want).abs() <= 10 * (got - exact).abs().max() + 1e-5).all())


def _in_64_bits(module: torch.nn.Module) -> torch.nn.Module:
    return copy.deepcopy(module).double()


def _wide(inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    return [x.detach().double() if x.is_floating_point() else x for x in inputs]


def _same_gradients(module: torch.nn.Module, theirs: Any, inputs: list[torch.Tensor]) -> None:
    mine, other = ([x.clone().requires_grad_(x.is_floating_point()) for x in inputs] for _ in range(2))
    with sound_kernels():
        want = live.weighed(theirs(other if len(other) > 1 else other[0], training=False))
    got = live.weighed(module(*mine))
    if want is None or not want.requires_grad or not want.isfinite():
        return
    _, error = _attempt(want.backward)
    if error is not None:
        return
    if got is None or not got.requires_grad:
        raise Failure("gradients", "there are none")
    got.backward()
    free = _trained(theirs)
    wanted = [*(x.grad for x in other), *(w.value.grad if id(w) in free else None for w in theirs.weights)]
    found = [*(x.grad for x in mine), *live.keras_gradients(module)]
    try:
        live.gradients_agree(found, wanted)
    except AssertionError as error:
        exact, failure = _attempt(_exact_gradients, module, inputs)
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


# ---- where numbers differ by choice ----------------------------------------------------------------------------------


def _objects(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        if "object" in value:
            yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


def differs_by_choice(program: Json) -> bool:
    """Where Keras' backends disagree, and the numbers here are those of the other one.

    AveragePooling with padding="same" averages the real elements alone, as TensorFlow does; on torch Keras repeats the
    edge where the padding is not the same on both sides. What normalizes
    integers, PReLU, attention and averages compute in integers there.
    """
    integers = {i for i, x in enumerate(program["inputs"]) if "float" not in x["dtype"]}
    in_integers = ("Normalization", "PReLU", "Attention", "Average")
    if any(integers.intersection(step.get("of", ())) and any(
            name in str(program["layers"][step["layer"]]) for name in in_integers)
           for step in program["steps"] if "layer" in step):
        return True
    return any("AveragePooling" in each["object"] and each["args"].get("padding") == "same"
               for each in _objects(program["layers"]))


def has_glu(program: Json) -> bool:
    """Keras' shape rules say that ``glu`` keeps the last axis, which it halves: we follow the real output."""
    return '"glu"' in json.dumps(program["layers"])


RULE_OF_TRAINING = {"layers.RandomCrop": "in inference it crops nothing, and the rule says what training gives"}
"""Layers whose real shape in inference is neither Keras' rule nor ours."""

NOT_THE_LAYERS_FAULT = {
    "is part of a cycle": "Equalization gives its own input back where the channels are not known: no model takes that",
    '"geqrf_cpu" not implemented': "torch on a CPU cannot make an orthogonal matrix of 16 bits for Keras",
}
"""What is in errors by which Keras refuses what it means to take."""

REFUSED_HERE = {
    "a causal mask and a sliding window run along axis 1 alone":
        "Keras makes that mask by axis 1 whatever is attended along, and adds it where the sizes happen to be equal",
    "and Keras computes no other":
        "RMSNormalization gives torch's kernel for the last axis the size of another, which may happen to be equal",
    "makes another shape, and each step needs its own back":
        "glu in a cell of two units leaves one number, which Keras may broadcast to both",
}
"""What is in our errors where we refuse what Keras computes by chance, and why."""

FOLLOWS_REAL = {
    "layers.MultiHeadAttention": "its scores are (queries, keys), and Keras' rule says (queries, queries)",
    "layers.Bidirectional": "of a backward layer of other units Keras' rule counts the forward ones twice",
    "layers.CategoryEncoding": "of three axes it counts axis 1, and Keras' rule says the last one",
}


# ---- smaller ---------------------------------------------------------------------------------------------------------


def minimised(program: Json, kind: str, tries: int = 120) -> Json:
    """A smaller program that fails in the same way."""
    smaller = True
    while smaller and tries > 0:
        smaller = False
        for candidate in _candidates(program):
            tries -= 1
            outcome, error = _attempt(check, candidate)
            if error is None and outcome.kind == kind:
                program, smaller = candidate, True
                break
            if tries <= 0:
                break
    return program


def _candidates(program: Json) -> Iterator[Json]:
    for i in range(len(program["steps"]) - 1):
        yield pruned({**program, "steps": program["steps"][:i + 1], "outputs": None})
    for output in program["outputs"] or ():
        if len(program["outputs"]) > 1:
            yield pruned({**program, "outputs": [output]})
    for i, layer in enumerate(program["layers"]):
        for smaller in _with_less(layer):
            yield {**program, "layers": [*program["layers"][:i], smaller, *program["layers"][i + 1:]]}
    for i, step in enumerate(program["steps"]):
        for key in step["kwargs"]:
            rest = {name: value for name, value in step["kwargs"].items() if name != key}
            yield {**program, "steps": [*program["steps"][:i], {**step, "kwargs": rest}, *program["steps"][i + 1:]]}


def _with_less(layer: Json) -> Iterator[Json]:
    if "program" in layer:
        for smaller in _candidates(layer["program"]):
            yield {**layer, "program": smaller}
        return
    for key, value in layer["args"].items():
        yield {**layer, "args": {name: item for name, item in layer["args"].items() if name != key}}
        if isinstance(value, dict) and "object" in value:
            for smaller in _with_less(value):
                yield {**layer, "args": {**layer["args"], key: smaller}}


def pruned(program: Json) -> Json:
    """Without the steps and layers that no output needs: Keras counts them in its names, and here they never were."""
    program = copy.deepcopy(program)
    first, steps = len(program["inputs"]), program["steps"]
    ends = [first + sum(step["gives"] for step in steps[:i + 1]) for i in range(len(steps))]
    if program["outputs"] is None:
        program["outputs"] = list(range(ends[-1] - steps[-1]["gives"], ends[-1]))
    needed, kept, moved = set(program["outputs"]), [], {}
    for step, end in zip(reversed(steps), reversed(ends)):
        if needed.intersection(range(end - step["gives"], end)):
            needed.update(_tensors(step))
            kept.append((step, end))
    at = first
    for step, end in reversed(kept):
        moved |= {end - step["gives"] + i: at + i for i in range(step["gives"])}
        at += step["gives"]
    used = sorted({step["layer"] for step, _ in kept if "layer" in step})
    program["steps"] = [_renumbered(step, moved) for step, _ in reversed(kept)]
    program["layers"] = [program["layers"][i] for i in used]
    for step in program["steps"]:
        if "layer" in step:
            step["layer"] = used.index(step["layer"])
    program["outputs"] = [moved.get(i, i) for i in program["outputs"]]
    return program


def _tensors(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        of = value.get("of")
        yield from [of] if isinstance(of, int) else of or ()
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list):
        for item in value:
            yield from _tensors(item)


def _renumbered(value: Any, moved: dict[int, int]) -> Any:
    if isinstance(value, dict):
        found = {key: _renumbered(item, moved) for key, item in value.items() if key != "of"}
        if "of" in value:
            of = value["of"]
            found["of"] = moved.get(of, of) if isinstance(of, int) else [moved.get(i, i) for i in of]
        return found
    return [_renumbered(item, moved) for item in value] if isinstance(value, list) else value


__all__ = ["FINE", "Outcome", "build", "check", "differs_by_choice", "minimised", "pruned"]
