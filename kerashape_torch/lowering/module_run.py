"""One run of a torch module on tensors without data: what each part takes and gives, and where it comes from.

The module itself is never run or touched: a twin of it is, whose tensors are all on the meta device, where they take
no memory and nothing is computed.
"""

from __future__ import annotations

import copy
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.overrides import TorchFunctionMode

from kerashape_torch.shape_table import Connection, bare
from kerashape_torch.structure import flatten, map_structure

_LIBRARIES = (str(Path(torch.__file__).parent), str(Path(__file__).parent.parent))


class Called(NamedTuple):
    """A part of a module in one run.

    Attributes:
        took, gave: the shapes in its last call, arranged as the call has them. What takes none stands as what it gives.
        connected_to: the tensors that all its calls take.
        is_leaf: whether no other part ran inside it.
    """

    took: Any
    gave: Any
    connected_to: dict[Connection, None]
    is_leaf: bool


class Failure(NamedTuple):
    """Where and why a run ended early.

    Attributes:
        path: of the innermost part that was running, and the shapes that it took.
        line: the innermost line that is neither torch's nor ours, with its place; None where there is none.
        function: of torch, that could not run.
        needs_numbers: whether it asks for numbers, of which there are none.
    """

    error: Exception
    path: str
    took: Any
    line: str | None
    function: str
    needs_numbers: bool

    @property
    def is_deliberate(self) -> bool:
        """Whether a line outside torch raised it."""
        return self.line is not None and self.line.startswith(("raise", "assert"))

    @property
    def fact(self) -> str:
        """What went wrong, with the line that did it."""
        said, name = str(self.error).strip().partition("\n")[0].strip(" ."), type(self.error).__name__
        if not said or isinstance(self.error, (LookupError, AttributeError)):  # which may say no more than a key
            said = f"{name}: {said}" if said else name
        if self.needs_numbers:
            said = f"its shapes depend on numbers, and here are none: {self.function.strip('_') or said}"
        return f"{said}, in: {self.line}" if self.line else said


class _Open(NamedTuple):
    """A call that goes on."""

    path: str
    took: Any
    sources: dict[Connection, None]
    inner: list[str]


class Run(TorchFunctionMode):
    """Runs a module, and sees each call of a part and of a function of torch.

    Attributes:
        calls: the parts that ran, by path, in the order in which they first ended.
        used: the weights that were an operand of some function, by name.
        failure: None where the run came to its end.
    """

    def __init__(self, module: nn.Module, arrange: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]) -> None:
        super().__init__()
        self.calls: dict[str, Called] = {}
        self.failure: Failure | None = None
        self._title = type(module).__name__
        self._open: list[_Open] = []
        self._counts: dict[str, int] = {}
        self._sources: dict[int, tuple[Tensor, dict[Connection, None]]] = {}  # by id, which is the tensor's while kept
        self._operands: set[int] = set()
        self._raised = ""
        twin = twin_of(module)
        for path, part in parts_of(twin):
            part.register_forward_pre_hook(self._entering(path), with_kwargs=True)
            part.register_forward_hook(self._leaving(path), with_kwargs=True)
        try:
            with torch.no_grad(), torch.device("meta"), self:
                args, kwargs = arrange()
                twin(*args, **kwargs)
        except Exception as error:  # whatever the module raises on tensors that it cannot take
            self.failure = self._failure(error)
        named = (*twin.named_parameters(remove_duplicate=False), *twin.named_buffers(remove_duplicate=False))
        self.used = {name for name, x in named if id(x) in self._operands}

    # ---- parts -------------------------------------------------------------------------------------------------------

    def _entering(self, path: str) -> Callable[..., None]:
        def note(_: nn.Module, args: Any, kwargs: Any) -> None:
            given = [*args, *kwargs.values()]
            if self._open:
                self._open[-1].inner.append(path)
            self._open.append(_Open(path, shapes_in(given), self._sources_of(tensors_in(given)), []))

        return note

    def _leaving(self, path: str) -> Callable[..., None]:
        def note(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            while (call := self._open.pop()).path != path:  # calls that were left by an error that somebody caught
                pass
            before = self.calls.get(path)
            gave = shapes_in(output)
            self.calls[path] = Called(gave if call.took is None else call.took, gave,
                                      {**(before.connected_to if before else {}), **call.sources}, not call.inner)
            number = self._counts[path] = self._counts.get(path, -1) + 1
            if not call.inner:
                for i, x in enumerate(tensors_in(output)):
                    self._sources[id(x)] = x, {Connection(path or self._title, number, i): None}

        return note

    # ---- functions ---------------------------------------------------------------------------------------------------

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        func, args, kwargs = _on_meta(func, args, kwargs or {})
        operands = list(tensors_in([args, kwargs]))
        self._operands.update(map(id, operands))
        try:
            result = _SHORTER[func](func, *args, **kwargs) if func in _SHORTER else func(*args, **kwargs)
        except Exception:
            self._raised = getattr(func, "__name__", str(func))
            raise
        sources = self._sources_of(operands)
        changed = operands[:1] if func is Tensor.__setitem__ else tensors_in(result)
        if sources:
            self._sources.update((id(x), (x, sources)) for x in changed)
        return result

    def _sources_of(self, tensors: Iterable[Tensor]) -> dict[Connection, None]:
        return {source: None for x in tensors for source in self._sources.get(id(x), (x, {}))[1]}

    def _failure(self, error: Exception) -> Failure:
        call = self._open[-1] if self._open else _Open("", None, {}, [])
        outside = [frame for frame in traceback.extract_tb(error.__traceback__)
                   if not frame.filename.startswith((*_LIBRARIES, "<"))]
        line = f"{outside[-1].line} ({Path(outside[-1].filename).name}, line {outside[-1].lineno})" if outside else None
        return Failure(error, call.path, call.took, line, self._raised,
                       bool(re.search(r"\bmeta\b|register_meta", str(error), re.IGNORECASE)))


def parts_of(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """All parts with their paths, but for what makes a weight out of others: that belongs to the part whose it is."""
    makers = [path for path, part in module.named_modules() if isinstance(part, ParametrizationList)]
    for path, part in module.named_modules():
        if not any(path == maker or path.startswith(f"{maker}.") for maker in makers):
            yield path, part


def twin_of(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose tensors are on the meta device. No number is copied; what cannot be is shared."""
    memo: dict[int, Any] = {}
    with torch.no_grad():
        for part in module.modules():
            memo |= {id(x): _without_data(x) for x in _held(vars(part))}
    try:
        return copy.deepcopy(module, dict(memo)).eval()
    except Exception:  # whatever raises an attribute that cannot be copied, such as a lock or a random generator
        for part in module.modules():
            memo |= {id(value): value for value in vars(part).values() if not _is_copied(value, memo)}
        return copy.deepcopy(module, memo).eval()


def _is_copied(value: Any, memo: dict[int, Any]) -> bool:
    if isinstance(value, (Tensor, dict)):
        return True
    try:
        copy.deepcopy(value, dict(memo))
    except Exception:  # the same
        return False
    return True


def _held(value: Any) -> Iterator[Tensor]:
    """The tensors in the attributes of a module, however nested in containers."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _held(item)


def _without_data(x: Tensor) -> Tensor:
    empty = x.to("meta")
    return nn.Parameter(empty, x.requires_grad) if isinstance(x, nn.Parameter) else empty


def _on_meta(func: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any]:
    """A call of a function of torch with all devices, those named and those of tensors, made the one without data."""
    if kwargs.get("device") is not None:
        kwargs = {**kwargs, "device": "meta"}
    if func in (Tensor.cpu, Tensor.cuda):
        return Tensor.to, (args[0], "meta"), {}
    if func is Tensor.to:
        return func, (args[0], *("meta" if isinstance(x, (str, torch.device)) else x for x in args[1:])), kwargs
    devices = {x.device.type for x in tensors_in([args, kwargs])}
    if len(devices) > 1 and "meta" in devices:
        args, kwargs = map_structure(lambda x: x.to("meta") if isinstance(x, Tensor) else x, (args, kwargs))
    return func, args, kwargs


def _recurrent(func: Any, x: Tensor, state: Any, weights: Any, *options: Any) -> Any:
    """A fused recurrent layer. On the meta device torch takes its steps one by one: here one is taken for all."""
    axis = int(options[-1])  # batch_first
    if not isinstance(weights, list) or not x.shape[axis]:  # of a packed sequence, which has no axis of steps
        return func(x, state, weights, *options)
    first, *states = func(x.narrow(axis, 0, 1), state, weights, *options)
    return first.new_empty([*first.shape[:axis], x.shape[axis], *first.shape[axis + 1:]]), *states


def _batch_norm(func: Any, x: Tensor, *others: Any, **options: Any) -> Tensor:
    """A batch normalization. On the meta device torch takes it apart in Python, slower than all the rest of a model."""
    vectors = [each for each in (*others, *options.values()) if isinstance(each, Tensor)]
    if x.dim() < 2 or any(tuple(each.shape) != (x.shape[1],) for each in vectors):
        result: Tensor = func(x, *others, **options)  # which says what is wrong
        return result
    return torch.empty_like(x)


_SHORTER: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu), _recurrent),
    **dict.fromkeys((torch.batch_norm, nn.functional.batch_norm), _batch_norm)}
"""What stands for functions that take long on the meta device."""


# ---- structures ------------------------------------------------------------------------------------------------------


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in what a module takes or gives."""
    return (x for x in flatten(_opened(value)) if isinstance(x, Tensor))


def shapes_in(value: Any) -> Any:
    """The shapes of the tensors in what a module takes or gives: one shape, or a list or dict of them, or None."""
    value = _opened(value)
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, dict):
        return {key: shapes for key, item in value.items() if (shapes := shapes_in(item)) is not None} or None
    if not isinstance(value, (list, tuple)):
        return None
    found = [shapes for item in value if (shapes := shapes_in(item)) is not None]
    flat = [shape for shapes in found for shape in (shapes if isinstance(shapes, list) else [shapes])]
    return bare(flat) if flat else None


def _opened(value: Any) -> Any:
    """Mappings and dataclasses as dicts, one level deep; what they hold is opened where it is looked at."""
    if isinstance(value, (list, tuple)):
        return [_opened(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _opened(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _opened(getattr(value, field.name)) for field in fields(value)}
    return value
