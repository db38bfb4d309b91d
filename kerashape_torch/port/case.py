"""The case that is recorded with a ported model: it can be had again, also where random numbers are drawn."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from kerashape_torch.errors import KerashapeError
from kerashape_torch.models import Model
from kerashape_torch.reports.made_up import made_up_inputs
from kerashape_torch.standalone import with_batch
from kerashape_torch.structure import flatten


class Case(NamedTuple):
    """Inputs, as a module takes them, the outputs for them, and whether they depend on torch's seed, which was 0."""

    inputs: list[Tensor]
    outputs: list[Tensor]
    draws: bool


class _OneGenerator(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    """All random numbers come from torch's own generator, whichever one is asked for."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **{name: None if name == "generator" else x for name, x in (kwargs or {}).items()})


def seeded(module: nn.Module, inputs: Any) -> tuple[Any, bool]:
    """What a module gives after ``torch.manual_seed(0)``, and whether that depends on it."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        before = torch.manual_seed(0).get_state()
        with _OneGenerator():  # type: ignore[no-untyped-call]
            outputs = module(*inputs)
        if not torch.equal(torch.get_rng_state(), before):
            return outputs, True
        return module(*inputs), False  # watched, torch may round otherwise


def recorded(model: Model, module: fx.GraphModule, input_shape: Any, dtype: Any) -> Case:
    """A case of a module for made-up inputs.

    Raises:
        KerashapeError: the model takes strings, or does not run on such inputs.
    """
    shape = None if input_shape is None or not model.built else with_batch(model, input_shape)
    kind = None if dtype is None else next((p.dtype for p in module.parameters() if p.is_floating_point()), None)
    made = made_up_inputs(model, 2, kind, shape)
    if not all(isinstance(x, Tensor) for x in made):
        raise KerashapeError(f"{model.name} takes strings, which torch has no tensors of. Way out: port the model that "
                             "follows their lookup")
    signature: Any = module.graph._codegen
    inputs = [_moved(x, tensor.shape, wanted) for x, tensor, wanted in
              zip(made, model.graph.flat_inputs, signature.shapes)]
    try:
        outputs, draws = seeded(module, inputs)
    except (RuntimeError, AssertionError) as error:
        sizes = ", ".join(str(tuple(x.shape)) for x in inputs)
        reason = str(error).strip().partition("\n")[0]
        raise KerashapeError(f"{model.name} does not run on made-up inputs of {sizes}: {reason}. "
                             "Way out: input_shape=... (--input-shape) says sizes of free axes that go together"
                             ) from error
    return Case(inputs, [x.clone() for x in flatten(outputs)], draws)


def _moved(x: Tensor, shape: Any, wanted: Any) -> Tensor:
    """Channels first, where the module takes it so."""
    return x if tuple(shape) == tuple(wanted) else x.movedim(-1, 1).contiguous()
