"""A fingerprint of the numbers that a model gives: a few statistics and entries of its outputs, kept as text.

Shapes alone miss a window that has moved by a pixel. The inputs are made up, always the same: numbers from 0 to 1, or
integers that every embedding has a row for. Weights stay as they are in a torch module and where they came from a file;
all others are seeded by their path and shape, so that a new layer leaves those of the other layers alone. The model
runs in evaluation mode, and neither it nor torch's generator of random numbers is changed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.layer import Layer
from kerashape_torch.lowering.module_inputs import Arguments, Asked, Sizes, map_in_order, readings
from kerashape_torch.lowering.module_table import shape_of
from kerashape_torch.lowering.weights import assign, device_of, keras_weights
from kerashape_torch.models import Model
from kerashape_torch.reports.made_up import drawn, made_up_inputs, real_sizes, uniform
from kerashape_torch.saving import load_model
from kerashape_torch.saving.described import of_config
from kerashape_torch.shape import to_text
from kerashape_torch.shape_text import quoted
from kerashape_torch.standalone import alone, built_for, with_batch
from kerashape_torch.structure import flatten, map_structure
from kerashape_torch.text import aligned
from kerashape_torch.weights import WeightSpec

VERSION = "kerashape values 1"
WITHIN = {"float64": 1e-8, "float32": 1e-4, "float16": 5e-3, "bfloat16": 4e-2}
"""How far a number may move, as a part of the output's largest one, by the coarsest dtype that the model computes in.
Integers and booleans may not move."""
_BATCH, _ENTRIES = 2, 8
_NAME = r'"(?:[^"\\]|\\.)*"|\S+'
_HEAD = re.compile(rf"({_NAME}) (\([\d, ]*\)) (\w+), within (\S+)")
_NUMBER = re.compile(r"\s*(\w+|\([\d, ]*\)) ([^\s,]+)(?:,|$)")


class Output(NamedTuple):
    """One output: ``numbers`` are its statistics, and entries by their place."""

    name: str
    shape: str
    dtype: str
    within: float
    numbers: dict[str, float]

    def __str__(self) -> str:
        digits = ".12g" if self.within < 1e-6 else ".7g"
        texts = [f"{what} {value:{digits}}" for what, value in self.numbers.items()]
        places = [text for text in texts if text.startswith("(")]
        statistics = [text for text in texts if not text.startswith("(")]
        head = f"{quoted(self.name)} {self.shape} {self.dtype}, within {self.within:g}"
        return "\n".join([head, *(f"  {', '.join(line)}" for line in (statistics, places) if line)])


class Fingerprint(NamedTuple):
    """The outputs of a model. ``str()`` writes it, and :func:`read` reads it again."""

    made_with: str
    outputs: list[Output]

    def __str__(self) -> str:
        return "\n".join([VERSION, self.made_with, *map(str, self.outputs)])

    def moved_to(self, other: Fingerprint) -> str:
        """What has moved further than it may, as text; nothing where all is as it was."""
        before, after = self.outputs, other.outputs
        if [x.name for x in before] != [x.name for x in after]:
            names = [", ".join(x.name for x in each) for each in (before, after)]
            return f"outputs: {names[0]} -> {names[1]}"
        return "\n".join(filter(None, map(_moved, before, after)))


def _moved(before: Output, after: Output) -> str:
    ends = [f"{x.shape} {x.dtype}" for x in (before, after)]
    if ends[0] != ends[1] or before.numbers.keys() != after.numbers.keys():
        return f"output {before.name}: {ends[0]} -> {ends[1]}"
    largest = max((abs(x) for x in before.numbers.values() if np.isfinite(x)), default=0.0)
    allowed = before.within * largest
    cells = [(what, f"{a:.7g}", "->", f"{b:.7g}") for what, a in before.numbers.items()
             if not _same(a, b := after.numbers[what], allowed)]
    if not cells:
        return ""
    return (f"output {before.name} {before.shape}: {len(cells)} of {len(before.numbers)} numbers moved by more than "
            f"{allowed:.2g} ({before.within:g} of the largest)\n{aligned(cells, indent='    ')}")


def _same(a: float, b: float, allowed: float) -> bool:
    return a == b or (np.isnan(a) and np.isnan(b)) or abs(a - b) <= allowed


def read(text: str, name: str = "the text", first_line: int = 1) -> Fingerprint:
    """The fingerprint of a text that ``str()`` gave.

    Raises:
        ConfigError: the text is none; it names the line.
    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), first_line)
             if line.strip() and not line.startswith("#")]
    if len(lines) < 2 or lines[0][1].strip() != VERSION:
        raise ConfigError(f"{name}, line {first_line}: expected {VERSION!r}, and what the values were made with")
    outputs: list[Output] = []
    for number, line in lines[2:]:
        try:
            if not line.startswith(" "):
                title, shape, dtype, within = _whole(_HEAD, line)
                outputs.append(Output(json.loads(title) if title[0] == '"' else title, shape, dtype, float(within), {}))
                continue
            outputs[-1].numbers.update((what, float(value)) for what, value in _all(_NUMBER, line))
        except (ValueError, IndexError):
            raise ConfigError(f"{name}, line {number}: these are no values of an output: {line.strip()!r}") from None
    return Fingerprint(lines[1][1].strip(), outputs)


def _whole(pattern: re.Pattern[str], line: str) -> tuple[str, ...]:
    match = pattern.fullmatch(line.rstrip())
    if not match:
        raise ValueError
    return match.groups()


def _all(pattern: re.Pattern[str], line: str) -> Iterator[tuple[str, ...]]:
    line, place = line.rstrip(), 0
    while place < len(line):
        match = pattern.match(line, place)
        if not match:
            raise ValueError
        yield match.groups()
        place = match.end()


# ---- running ---------------------------------------------------------------------------------------------------------


def fingerprint(model: Any, input_shape: Any = None, input_dtype: Any = None) -> Fingerprint:
    """The fingerprint of what a model gives for made-up inputs.

    Args:
        model: a model or a layer of ours, a file or config that ``load_model`` reads, or a torch module.
        input_shape: for what has none, or to say the sizes of free axes, which are otherwise 2 for the batch, 64 for
            images and 16 elsewhere.
        input_dtype: of the inputs of a torch module, as ``shape_table`` takes it.

    Raises:
        KerashapeError: the model cannot be run.
    """
    if isinstance(model, nn.Module):
        return _of_module(model, input_shape, input_dtype)
    if isinstance(model, (str, PathLike)):
        model = load_model(model, compile=False)
    elif isinstance(model, Mapping):
        model = of_config(model)
    if not isinstance(model, Layer):
        raise KerashapeError(f"a {type(model).__name__} cannot be run: numbers can be held of a model or layer of "
                             "kerashape_torch, a file or config, and a torch module. A model of Keras can be saved")
    return _of_model(model, input_shape)


def _of_model(layer: Layer, input_shape: Any) -> Fingerprint:
    if not isinstance(layer, Model):
        shape = layer.input_shape if input_shape is None else with_batch(layer, input_shape)
        layer, input_shape = alone(layer, shape), None
    layer, shape = built_for(layer, input_shape)
    if not layer.built:
        raise KerashapeError(f"{layer.name} has no input shape, so it cannot be run: give input_shape")
    with _own_random():
        module = layer.to_torch()
        seeded = _seed(module)
        outputs = _run(module, made_up_inputs(layer, _BATCH, None, shape))
    names = [x.node.layer.name for x in layer.graph.flat_outputs]
    return _described(f"batch {_BATCH}, {seeded}", names, outputs, _coarsest(_dtypes(layer)))


def _dtypes(model: Model) -> Iterator[str]:
    for layer in model.operations:
        yield from (x.dtype for node in layer.nodes for x in flatten(node.outputs))
        if isinstance(layer, Model):
            yield from _dtypes(layer)


def _seed(module: nn.Module) -> str:
    known = keras_weights(module)
    fresh = [spec for spec in known.specs if id(spec) not in known.restored]
    for spec in fresh:
        assign(module, spec, torch.from_numpy(_seeded(spec)))
    return f"{len(fresh)} of {len(known.specs)} weights seeded"


def _seeded(spec: WeightSpec) -> np.ndarray[Any, Any]:
    """Numbers that keep the spread of what goes through: kernels by the number of their inputs, scales and variances
    from 0.5 to 1.5, offsets around 0."""
    if spec.dtype is not None and "int" in spec.dtype:
        return np.zeros(spec.shape, "int64")
    numbers = uniform(f"{spec.full_path} {spec.shape}", spec.shape, "float32")
    if "variance" in spec.name or spec.name in ("gamma", "scale"):
        return numbers + 0.5
    inputs = math.prod(spec.shape[:2] if "depthwise" in spec.name else spec.shape[:-1])
    spread = (6 / max(inputs, 1)) ** 0.5 if len(spec.shape) > 1 and "embeddings" not in spec.name else 0.2
    return (numbers * 2 - 1) * spread


def _of_module(module: nn.Module, input_shape: Any, input_dtype: Any) -> Fingerprint:
    state, device = [*module.parameters(), *module.buffers()], device_of(module)
    rows = min((part.num_embeddings for part in module.modules() if isinstance(part, nn.Embedding)), default=None)
    problem: Exception | None = None
    for asked in _readings(module, input_shape, input_dtype):
        sizes = map_in_order(lambda shape: tuple(real_sizes(shape, _BATCH)), asked.shapes)
        args, kwargs = _filled(asked._replace(shapes=sizes).on(Sizes.alike(_BATCH, 1))(), rows, device)
        try:
            with _own_random(device):
                outputs = _run(module, args, kwargs)
        except Exception as error:  # whatever a module raises on inputs of the wrong dtype
            problem = problem or error
            continue
        names = ["output" if len(outputs) == 1 else f"output_{i}" for i in range(len(outputs))]
        dtypes = [str(dtype).removeprefix("torch.") for dtype in (*(x.dtype for x in state), *asked.dtypes)]
        return _described(f"batch {_BATCH}, weights as they are", names, outputs, _coarsest(dtypes))
    raise KerashapeError(f"{type(module).__name__} fails on made-up inputs: {problem}") from problem


def _readings(module: nn.Module, input_shape: Any, input_dtype: Any) -> Iterator[Asked]:
    """What the module may take: its own shapes and dtypes, if it is a compiled model, or what is asked for."""
    if input_shape is not None:
        yield from readings(module, input_shape, input_dtype)
        return
    nodes = list(module.graph.nodes) if isinstance(module, fx.GraphModule) else []
    places = [node for node in nodes if node.op == "placeholder" and "keras_dtype" in node.meta]
    if not places:
        raise KerashapeError(f"{type(module).__name__} knows no shapes by itself: give input_shape")
    real = next((x.dtype for x in module.parameters() if x.is_floating_point()), torch.float32)
    own = [getattr(torch, node.meta["keras_dtype"]) for node in places]
    yield Asked(module, [shape_of(node) for node in places],
                tuple(real if dtype.is_floating_point else dtype for dtype in own))


def _filled(arguments: Arguments, rows: int | None, device: torch.device) -> Arguments:
    """The same tensors with numbers in them."""
    number = count()

    def fill(x: Tensor) -> Tensor:
        made = drawn(f"input {next(number)}", list(x.shape), x.dtype, None if x.is_floating_point() else rows)
        return made.to(device)

    args, kwargs = arguments
    return map_structure(fill, args), map_structure(fill, kwargs)


@contextmanager
def _own_random(device: torch.device | None = None) -> Iterator[None]:
    """Random numbers that are always the same, and that leave the generators as they were; those of other devices than
    the module's are not touched at all."""
    on_cuda = device is not None and device.type == "cuda"
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if on_cuda else []):
        (torch.manual_seed if on_cuda else torch.default_generator.manual_seed)(0)
        yield


def _run(module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> list[Tensor]:
    """The outputs in evaluation mode. What the module keeps is copied before, so that running changes nothing of it."""
    modes = {part: part.training for part in module.modules()}
    kept = {name: x.clone() for name, x in module.named_buffers()}
    module.eval()
    try:
        with torch.no_grad():
            found = flatten(functional_call(module, kept, tuple(args), dict(kwargs or {})))
    finally:
        for part, training in modes.items():
            part.training = training
    return [x for x in found if isinstance(x, Tensor)]


# ---- describing ------------------------------------------------------------------------------------------------------


def _coarsest(dtypes: Any) -> float:
    return max((WITHIN[dtype] for dtype in dtypes if dtype in WITHIN), default=0.0)


def _described(made_with: str, names: Sequence[str], outputs: Sequence[Tensor], coarsest: float) -> Fingerprint:
    return Fingerprint(made_with, [_output(name, x.detach().cpu(), coarsest) for name, x in zip(names, outputs)])


def _output(name: str, x: Tensor, coarsest: float) -> Output:
    dtype = str(x.dtype).removeprefix("torch.")
    x = torch.view_as_real(x) if x.is_complex() else x
    values = x.double().numpy()
    within = max(coarsest, WITHIN.get(dtype, 0.0)) if x.is_floating_point() else 0.0
    numbers: dict[str, float] = {}
    if values.size:
        with np.errstate(invalid="ignore"):  # of infinities
            numbers = {"mean": values.mean(), "std": values.std(), "min": values.min(), "max": values.max(),
                       "absmax": np.abs(values).max()}
        for place in np.unique(np.linspace(0, values.size - 1, _ENTRIES).astype(int)):
            index = tuple(int(i) for i in np.unravel_index(place, values.shape))
            numbers[to_text(index)] = values[index]
    return Output(name, to_text(tuple(x.shape)), dtype, within, {what: float(value) for what, value in numbers.items()})
