"""What a compiled model holds in memory, operation by operation.

The lowered graph is run on fake tensors: they have shapes, dtypes and a device, and no numbers, so this takes no memory
whatever the batch. torch itself then says what each operation gives back: which results are views of others and which
are new, what is kept for the gradients, and which of its kernels is chosen. A tensor lives until nothing refers to it,
as in the real run. Rules of our own over the Keras graph would have to repeat all of this, and would drift from it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from kerashape_torch.errors import KerashapeError
from kerashape_torch.lowering.compile import torch_device, torch_dtype
from kerashape_torch.models import Model
from kerashape_torch.optimizers import Optimizer
from kerashape_torch.planning.kernels import adds_bias_in_place, extra_of
from kerashape_torch.structure import flatten
from kerashape_torch.torch_modules import set_at
from kerashape_torch.torch_modules.recurrent import Stock

_BLOCK = {"cuda": 512}
"""torch's allocator gives tensors whole blocks of memory on this kind of device."""


class Held(NamedTuple):
    """What one layer has in memory at the peak: its results, what its gradients wait for, or what it is working on."""

    layer: str
    bytes: int


class Liveness(NamedTuple):
    """What a run holds, in bytes.

    Attributes:
        weights: the parameters and buffers.
        inputs: the tensors that the model is given. Whoever calls it holds them throughout.
        optimizer: what an optimizer keeps for the weights from step to step.
        activations: everything else, at its peak: results, what is kept for gradients, and the gradients themselves.
        during: the layer that was at work then.
        alive: what the activations are made of, the largest first.
    """

    weights: int
    inputs: int
    optimizer: int
    activations: int
    during: str
    alive: list[Held]

    @property
    def total(self) -> int:
        return self.weights + self.inputs + self.optimizer + self.activations


def run_without_numbers(model: Model, shapes: list[tuple[int, ...]], dtype: Any = None, device: str = "cpu",
                        training: bool = False, optimizer: Optimizer | None = None) -> Liveness:
    """Runs a model on inputs of these shapes, with all gradients if ``training``, and says what was in memory.

    Raises:
        KerashapeError: it cannot be run so, as where an operation waits for the numbers of a tensor.
    """
    torch_device(device)  # refuses a device that is not there: fake tensors ask it which kernels it would run
    dtype = torch_dtype(dtype)
    module: Any = model.to_torch(device="meta", dtype=dtype).train(training)
    if any(x.dtype == "string" for x in model.graph.flat_inputs):
        raise KerashapeError(f"{model.name} takes strings, which no tensor holds")
    for part in module.modules():
        if isinstance(part, Stock):
            part.state_is_seen = lambda: False  # type: ignore[method-assign]  # to pack steps takes the mask's numbers
    watch = _Watch(_BLOCK.get(device, 1))
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.set_grad_enabled(training):
            weights = _give_fakes(module, device)
            inputs = [torch.empty(shape, dtype=_input_dtype(x.dtype, dtype), device=device)
                      for x, shape in zip(model.graph.flat_inputs, shapes)]
            for x in (*weights, *inputs):
                watch.know(x)
            with watch:
                results = _Named(module, watch).run(*inputs)
                if training:
                    _backward(results)
            del results
            kept = [watch.size(slot) for slot in _slots(optimizer, weights)] if training else []
            return Liveness(sum(map(watch.size, weights)), sum(map(watch.size, inputs)), sum(kept), *watch.peak())
    except (RuntimeError, NotImplementedError, ZeroDivisionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise KerashapeError(f"{model.name} cannot be run without numbers: {reason}. Way out: kerashape run measures a "
                             "real run") from error


def _input_dtype(own: str, asked: torch.dtype | None) -> torch.dtype:
    kind: torch.dtype = getattr(torch, own)
    return asked if asked is not None and kind.is_floating_point else kind


def _give_fakes(module: nn.Module, device: str) -> list[torch.Tensor]:
    """Makes every parameter and buffer a fake one on the device; one that is shared stays shared."""
    made: dict[int, torch.Tensor] = {}
    parameters = dict(module.named_parameters(remove_duplicate=False))
    for path, x in (*parameters.items(), *module.named_buffers(remove_duplicate=False)):
        if id(x) not in made:
            fake = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=device)
            made[id(x)] = nn.Parameter(fake, x.requires_grad) if path in parameters else fake
        set_at(module, path, made[id(x)])
    return list(made.values())


def _backward(results: Any) -> None:
    """The gradients of the sum of all outputs: a loss takes next to nothing beside the outputs themselves."""
    outputs = [x for x in flatten(results) if isinstance(x, torch.Tensor) and x.requires_grad]
    if not outputs:
        raise KerashapeError("there is nothing to train: no output depends on a trainable weight")
    torch.autograd.backward([x.sum() for x in outputs])


def _slots(optimizer: Optimizer | None, weights: list[torch.Tensor]) -> Iterator[torch.Tensor]:
    for kind in () if optimizer is None else optimizer.slots().values():
        for x in weights:
            if x.requires_grad:
                slot = kind(x) if callable(kind) else x
                yield slot if isinstance(slot, torch.Tensor) else torch.empty(())


class _Named(fx.Interpreter):
    """Runs the graph as its ``forward`` does, letting a value go after its last use, and says which layer it is at."""

    def __init__(self, module: fx.GraphModule, watch: _Watch) -> None:
        super().__init__(module)
        self.watch = watch

    def run_node(self, n: fx.Node) -> Any:
        calls, layer = n.meta.get("keras_calls", ()), n.meta.get("keras_layer") or n.name
        name = f"{calls[-1][0]}.{layer}" if calls else layer
        self.watch.layer, self.watch.last = name, None
        result = super().run_node(n)
        if isinstance(result, torch.Tensor) and result.requires_grad and result.grad_fn is not None:
            result.register_hook(self.watch.say(f"{name}, backward"))  # type: ignore[no-untyped-call]
        return result


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down when the memory of each tensor comes and goes."""

    def __init__(self, block: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.block = block
        self.layer = ""
        self.last: torch.Tensor | None = None  # what the operation before gave, in the same call of a layer
        self.events: list[tuple[int, str, str]] = []  # bytes that came or, less than none, went; whose, and at what
        self.known: set[int] = set()

    def say(self, layer: str) -> Any:
        """A hook that says which layer the gradients have come to."""

        def hook(gradient: torch.Tensor) -> None:
            self.layer = layer

        return hook

    def size(self, x: torch.Tensor) -> int:
        return -(-x.untyped_storage().nbytes() // self.block) * self.block

    def know(self, x: torch.Tensor) -> None:
        """A tensor that does not count: a weight, or an input."""
        self.known.add(x.untyped_storage()._cdata)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if adds_bias_in_place(func, args, self.last):
            result, working = args[0].detach(), 0
        else:
            working, result = extra_of(func, args, func(*args, **(kwargs or {})))
        for x in flatten(result):
            if isinstance(x, torch.Tensor):
                self._came(x)
        if working:
            self.events += [(working, self.layer, self.layer), (-working, self.layer, self.layer)]
        self.last = result if isinstance(result, torch.Tensor) else None
        return result

    def _came(self, x: torch.Tensor) -> None:
        storage: Any = x.untyped_storage()
        key, size, layer = storage._cdata, self.size(x), self.layer
        if key in self.known or not size:
            return
        self.known.add(key)
        self.events.append((size, layer, self.layer))

        def went() -> None:
            self.known.discard(key)
            self.events.append((-size, layer, self.layer))

        weakref.finalize(storage, went).atexit = False

    def peak(self) -> tuple[int, str, list[Held]]:
        """The most that was held at once, what was at work then, and whose it was."""
        now = most = 0
        at = -1
        for i, (size, _, _) in enumerate(self.events):
            now += size
            if now > most:
                most, at = now, i
        held: dict[str, int] = {}
        for size, layer, _ in self.events[:at + 1]:
            held[layer] = held.get(layer, 0) + size
        alive = [Held(*each) for each in sorted(held.items(), key=lambda each: -each[1]) if each[1]]
        return most, self.events[at][2] if self.events else "", alive
