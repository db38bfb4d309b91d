"""A compiled module, read as a program: its modules as constructions, its graph as steps, models inside as units."""

from __future__ import annotations

import dataclasses
import operator
import re
import types
from collections import Counter
from collections.abc import Mapping
from types import FunctionType
from typing import Any, NamedTuple

import einops
import torch
from torch import fx, nn

from kerashape_torch.errors import KerashapeError
from kerashape_torch.layer import CHANNELS_FIRST
from kerashape_torch.lowering.marked import ModelCall
from kerashape_torch.lowering.module_table import shape_of
from kerashape_torch.port.construct import made
from kerashape_torch.port.expressions import public_name
from kerashape_torch.port.forward import is_automatic
from kerashape_torch.port.names import identifier, member_names, spoken
from kerashape_torch.port.program import Constant, Made, Part, Step, Unit, Value, values_in
from kerashape_torch.port.stock import as_stock, called_in_torch
from kerashape_torch.port.support import is_ours, refuse_what_needs_more
from kerashape_torch.structure import flatten, map_structure
from kerashape_torch.torch_modules.functions_indexing import get_item
from kerashape_torch.torch_modules.lambdas import UserFunction
from kerashape_torch.torch_modules.normalization import SpectralNorm
from kerashape_torch.torch_modules.places import tensor_at
from kerashape_torch.torch_modules.sized import Called
from kerashape_torch.torch_modules.user import UserCell, UserLayer
from kerashape_torch.torch_modules.weight import InnerWeight

_BY_HAND = "port the models before and after it and write that part by hand"
_HELD_BY_PATH = (SpectralNorm,)
"""Modules that find a weight inside another by its path, so the way there stays."""


class Entry(NamedTuple):
    """A step, and the calls of models inside models that it belongs to."""

    step: Step
    calls: tuple[ModelCall, ...]


def read(module: fx.GraphModule, name: str, reasons: Mapping[str, str] = types.MappingProxyType({})) -> Unit:
    """The program of a compiled module; ``reasons`` says of layers, by name, why nobody could see into them.

    Raises:
        KerashapeError: it holds what cannot be written as source; the layer and the reason are named.
    """
    return _Reader(module, reasons=reasons).unit(name)


class _Reader:
    def __init__(self, module: fx.GraphModule, where: str = "",
                 reasons: Mapping[str, str] = types.MappingProxyType({})) -> None:
        self.module = module
        self.where = where
        self.reasons = reasons
        self.values: dict[fx.Node, Value] = {}
        self.parts: dict[str, Part] = {}
        self.inputs: list[Value] = []
        self.entries: list[Entry] = []
        self.makers: dict[Value, Step] = {}
        self.output: Any = None
        self.seen: set[fx.Node] = set()
        """Nodes that are no step: they pick an item of a structure that is taken apart."""

    def unit(self, name: str) -> Unit:
        optional = iter(getattr(self.module.graph._codegen, "optional", ()))
        for node in self.module.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = Value(str(node.target), shape_of(node), optional=next(optional, False),
                                          dtype=node.meta.get("keras_dtype"))
                self.inputs.append(self.values[node])
            elif node.op == "output":
                self.output = self._filled(node.args[0])
            elif node not in self.values and node not in self.seen:
                self._node(node)
        folding = _Folding(self._alive(), self.output, {node.name: value for node, value in self.values.items()})
        return finished(Unit(name, self.inputs, folding.steps(), self.output, []), "")

    def _alive(self) -> list[Entry]:
        """The steps without those that only pick an item that nobody uses."""
        used = set(values_in(self.output))
        kept: list[Entry] = []
        for entry in reversed(self.entries):
            if entry.step.callee is not operator.getitem or used.intersection(entry.step.given()):
                used.update(entry.step.values())
                kept.append(entry)
        return kept[::-1]

    # ---- nodes -------------------------------------------------------------------------------------------------------

    def _node(self, node: fx.Node) -> None:
        args, kwargs = self._filled(node.args), self._filled(dict(node.kwargs))
        if node.op == "get_attr":
            part = self._part(str(node.target), Constant(getattr(self.module, str(node.target)).detach()))
            self._add(node, Step(part, (), {}, self._value(node)))
        elif node.op == "call_module":
            self._module(node, args, kwargs)
        elif node.target == "to" and self._is_cast_already(args):
            self.values[node] = args[0]
        elif node.target is operator.getitem and isinstance(args[0], (list, tuple)):
            self.values[node] = args[0][args[1]]
        elif node.target is get_item and not _goes_backwards(args[1]):  # files have the key as a list
            self._add(node, Step(operator.getitem, (args[0], tuple(args[1])), kwargs, self._results(node)))
        else:
            _refuse_users_own(node.target, self._name_of(str(node.meta.get("keras_layer", node.name))))
            self._add(node, Step(node.target, args, kwargs, self._results(node)))

    def _is_cast_already(self, args: Any) -> bool:
        maker = self.makers.get(args[0])
        return maker is not None and maker.callee == "to" and maker.args[1:] == args[1:]

    def _module(self, node: fx.Node, args: Any, kwargs: Any) -> None:
        path, module = str(node.target), self.module.get_submodule(str(node.target))
        if isinstance(module, UserFunction) and _is_of_torch(module.function) and not module.takes_training:
            self._add(node, Step(module.function, args, {**module.arguments, **kwargs}, self._results(node)))
            return
        results = self._results(node)
        if isinstance(module, Called):
            for step in called_in_torch(module, args, results, self._name_of(path)):
                self._add(node, step)
            return
        if isinstance(module, InnerWeight):
            for step in self._weight(module, results, self._name_of(path)):
                self._add(node, step)
            return
        stock = as_stock(module, args, kwargs, results, self.makers)
        if stock is None:
            part = self.parts.get(path) or self._part(path, self._read(module, path), node)
            self._add(node, Step(part, args, kwargs, results))
            return
        key = f"{path} stock"  # another call of the same module may need ours
        if key not in self.parts:
            self.parts[key] = self._part(path, made(stock.module, self._name_of(path), self._child(path)), node)
        for step in stock.steps(self.parts[key]):
            self._add(node, step)

    def _weight(self, module: InnerWeight, results: Value, where: str) -> list[Step]:
        """A weight of another part, turned as Keras has it."""
        place, *others = module.spec.places
        tensor = tensor_at(module, place.path)
        for path, each in self.module.named_parameters(remove_duplicate=False):
            owner, _, name = path.rpartition(".")
            part = self.parts.get(owner) or self.parts.get(f"{owner} stock")
            if each is tensor and part is not None and not (others or place.gates or place.entry is not None):
                if not place.pattern:
                    return [Step(part, (), {}, results, reads=name)]
                read = Step(part, (), {}, Value(results.hint), reads=name)
                return [read, *_turned_back(place.pattern, place.sizes, read.results, results)]
        raise KerashapeError(f"{where}: a weight of a layer is read that lies otherwise in torch, which is not written "
                             "as source. Way out: run this part with kerashape_torch, and port what follows it")

    def _add(self, node: fx.Node, step: Step) -> None:
        self.entries.append(Entry(step, node.meta.get("keras_calls", ())))
        self.makers.update(dict.fromkeys(step.given(), step))

    def _part(self, path: str, what: Any, node: fx.Node | None = None) -> Part:
        layer = "" if node is None else str(node.meta.get("keras_layer", ""))
        function = spoken(layer)
        self.parts[path] = Part(path if function == layer else function or path, what)
        return self.parts[path]

    def _filled(self, structure: Any) -> Any:
        if isinstance(structure, (tuple, list)):  # fx has its own sorts of both
            items = [self._filled(item) for item in structure]
            return items if isinstance(structure, list) else tuple(items)
        if isinstance(structure, dict):
            return {key: self._filled(item) for key, item in structure.items()}
        if isinstance(structure, slice):
            return slice(*map(self._filled, (structure.start, structure.stop, structure.step)))
        return self.values[structure] if isinstance(structure, fx.Node) else structure

    def _value(self, node: fx.Node) -> Value:
        value = Value(spoken(str(node.meta.get("keras_layer", node.name))), node.meta.get("keras_shape"),
                      dtype=node.meta.get("keras_dtype"))
        if "keras_order" in node.meta:
            first = node.meta["keras_order"] == CHANNELS_FIRST
            value.note, value.shape = "channels first" if first else "channels last", shape_of(node)
            value.hint = ""  # it belongs to no layer
        self.values[node] = value
        return value

    def _results(self, node: fx.Node) -> Any:
        """The value of a node, or a structure of those of the items that are picked from it."""
        found = _picked([node])
        if not isinstance(found, list):
            return self._value(node)

        def see(each: fx.Node) -> None:
            for user in each.users:
                if user.target is operator.getitem and user not in self.values:
                    self.seen.add(user)
                    see(user)

        def valued(item: Any) -> Any:
            return [valued(each) for each in item] if isinstance(item, list) else self._value(item)

        values = valued(found)
        see(node)
        return values

    # ---- modules -----------------------------------------------------------------------------------------------------

    def _name_of(self, path: str) -> str:
        return f"{self.where}{path}"

    def _child(self, path: str) -> Any:
        return lambda child: self._read(child, path)

    def _read(self, module: nn.Module, path: str, alone: bool = True) -> Any:
        where = self._name_of(path)
        if isinstance(module, fx.GraphModule):
            name = module.__class__.__name__
            unit = _Reader(module, f"{where}.", self.reasons).unit(f"{name}_layer" if is_automatic(name) else name)
            found = (_only_part(unit) if alone else None) or unit
            found.origin = module
            return found
        if isinstance(module, (UserFunction, UserLayer, UserCell)):
            reason = self.reasons.get(where.rpartition(".")[2])
            raise KerashapeError(
                f"{where} runs Python of your own, which is not written as source{f' ({reason})' if reason else ''}. "
                f"Way out: say it with layers or kerashape_torch.ops, or {_BY_HAND}")
        refuse_what_needs_more(type(module), where)
        if isinstance(module, _HELD_BY_PATH):
            return self._held_by_path(module, where, path)
        found = made(module, where, self._child(path))
        for value in flatten(found.arguments):
            _refuse_users_own(value, where)
        return found

    def _held_by_path(self, module: nn.Module, where: str, path: str) -> Made:
        found = made(module, where, lambda child: self._read(child, path, alone=False))
        unit = found.arguments["layer"]
        head, _, rest = found.arguments["path"].partition(".")
        if isinstance(unit, Unit):
            part = next(part for part in unit.parts if identifier(head) == part.name)
            found.arguments["path"] = f"{part.name}.{rest}"
        return found


def _turned_back(pattern: str, sizes: Mapping[str, int], value: Value, result: Value) -> list[Step]:
    """The steps from a weight in torch's layout to Keras', where only axes are permuted; else in einops' words."""
    left, right = (side.split() for side in pattern.split("->"))
    if set(left) == set(right) and not {"(", ")"} & set("".join(left)):
        return [Step(torch.permute, (value, tuple(map(right.index, left))), {}, result)]
    return [Step(einops.rearrange, (value, f"{' '.join(right)} -> {' '.join(left)}"), dict(sizes), result)]


def _picked(nodes: list[fx.Node]) -> Any:
    """The items that are picked from nodes that are one value: lists of nodes, or the node where it is used itself."""
    users = [user for node in nodes for user in node.users]
    if not users or any("keras_shape" in node.meta for node in nodes) or any(
            user.target is not operator.getitem or not isinstance(user.args[1], int) for user in users):
        return nodes[0] if len(nodes) == 1 else None
    by_index: dict[int, list[fx.Node]] = {}
    for user in users:
        by_index.setdefault(user.args[1], []).append(user)  # type: ignore[arg-type]
    items = [_picked(by_index[i]) if i in by_index else None for i in range(len(by_index))]
    return items if all(item is not None for item in items) else nodes[0]


def _refuse_users_own(value: Any, where: str) -> None:
    """
    Raises:
        KerashapeError: the value is a function that the user wrote, as an activation.
    """
    if isinstance(value, FunctionType) and not is_ours(value) and public_name(value) is None:
        raise KerashapeError(
            f"{where} runs {value.__name__!r}, a function of your own, which is not written as source. Way out: a "
            f"layer of your own that says it with kerashape_torch.ops, or {_BY_HAND}")


def _goes_backwards(key: Any) -> bool:
    return any(isinstance(k, slice) and k.step is not None and k.step < 0 for k in key)


def _is_of_torch(function: Any) -> bool:
    name = getattr(function, "__name__", "")
    return any(getattr(home, name, None) is function for home in (torch, torch.nn.functional))


def _only_part(unit: Unit) -> Any:
    """What a unit comes to that only calls one module; a unit inside takes what is given to none of its steps too."""
    if len(unit.steps) == 1 and len(unit.parts) == 1:
        step, what = unit.steps[0], unit.parts[0].what
        if step.callee is unit.parts[0] and not step.kwargs and step.results is unit.output:
            if step.args == tuple(unit.inputs):
                return what
            if isinstance(what, Unit) and len(set(step.args)) == len(step.args) and set(step.args) < {*unit.inputs}:
                inner = dict(zip(step.args, what.inputs))
                what.inputs = [inner.get(value) or dataclasses.replace(value, hint="unused") for value in unit.inputs]
                return what
    return None


# ---- models inside models --------------------------------------------------------------------------------------------


class _Folding:
    """Puts the steps of each call of an inner model into a unit of its own, where that can be."""

    def __init__(self, entries: list[Entry], output: Any, values: Mapping[str, Any]) -> None:
        self.entries = entries
        self.output = output
        self.values = values  # by the names of their nodes
        self.used: dict[Value, list[int]] = {}
        self.callers: dict[Part, list[int]] = {}
        for i, entry in enumerate(entries):
            for value in entry.step.values():
                self.used.setdefault(value, []).append(i)
            if isinstance(entry.step.callee, Part):
                self.callers.setdefault(entry.step.callee, []).append(i)
        for value in values_in(output):
            self.used.setdefault(value, []).append(len(entries))

    def steps(self) -> list[Step]:
        return self._level(0, len(self.entries), 0)

    def _level(self, start: int, end: int, depth: int) -> list[Step]:
        groups = self._groups(start, end, depth)
        calls: dict[str, list[tuple[int, int]]] = {}
        for path, a, b in groups:
            if path is not None:
                calls.setdefault(path, []).append((a, b))
        folded = {path: self._folded(path, spans, depth) for path, spans in calls.items()}
        steps: list[Step] = []
        for path, a, b in groups:
            if path is None:
                steps += [entry.step for entry in self.entries[a:b]]
            else:
                made_of = folded[path]
                steps += self._level(a, b, depth + 1) if made_of is None else [made_of[a]]
        return steps

    def _groups(self, start: int, end: int, depth: int) -> list[tuple[str | None, int, int]]:
        groups: list[tuple[str | None, int, int]] = []
        last: Any = object()
        for i in range(start, end):
            calls = self.entries[i].calls
            call = calls[depth] if len(calls) > depth else None
            if call == last and groups:
                path, a, _ = groups[-1]
                groups[-1] = path, a, i + 1
            else:
                groups.append((call[0] if call else None, i, i + 1))
            last = call
        return groups

    def _folded(self, path: str, spans: list[tuple[int, int]], depth: int) -> dict[int, Step] | None:
        """For each call a step that calls the unit; None where the calls differ or share modules with others."""
        inside = {i for a, b in spans for i in range(a, b)}
        found: dict[int, Step] = {}
        first: Unit | None = None
        part = Part(path, None)
        of_a_class = self.entries[spans[0][0]].calls[depth].of_a_class
        for a, b in spans:
            callees = {entry.step.callee for entry in self.entries[a:b] if isinstance(entry.step.callee, Part)}
            if any(not inside.issuperset(self.callers[callee]) for callee in callees):
                return None
            unit, given, taken = self._unit(a, b, depth)
            if not given or (first is not None and not same_calls(first, unit)):
                return None
            first = first or unit
            part.what = first
            found[a] = Step(part, tuple(taken), {}, given[0] if len(given) == 1 else given)
        finished(part.what, f"{path}.", numbers=not of_a_class)
        return found

    def _unit(self, a: int, b: int, depth: int) -> tuple[Unit, list[Value], list[Value]]:
        """A call as a unit with values of its own at its borders, and the values outside that these are."""
        steps = self._level(a, b, depth + 1)
        own = {value for entry in self.entries[a:b] for value in entry.step.given()}
        taken = list(dict.fromkeys(v for entry in self.entries[a:b] for v in entry.step.values() if v not in own))
        given = [value for entry in self.entries[a:b] for value in entry.step.given()
                 if any(not a <= use < b for use in self.used.get(value, ()))]
        call = self.entries[a].calls[depth]
        names = {self.values.get(node): name for node, name in call.given}
        places = {value: i for i, value in enumerate(names)}
        taken.sort(key=lambda value: places.get(value, len(places)))
        unit = bordered(call.name, steps, taken, given)
        for value, outside in zip(unit.inputs, taken):
            if not is_automatic(name := names.get(outside, "")) or name == "inputs":
                value.hint = name
        return unit, given, taken


def bordered(name: str, steps: list[Step], taken: list[Value], given: list[Value], named: bool = True) -> Unit:
    """Steps as a unit: its values are its own, so that the ones outside can go on. If not ``named``, they forget which
    layers made them."""
    inner: dict[Value, Value] = {}

    def mine(value: Any) -> Any:
        if not isinstance(value, Value):
            return value
        if value not in inner:
            inner[value] = dataclasses.replace(value, hint=value.hint if named else "")
        return inner[value]

    def moved(structure: Any) -> Any:
        if isinstance(structure, slice):
            return slice(*map(moved, (structure.start, structure.stop, structure.step)))
        if isinstance(structure, dict):
            return {key: moved(item) for key, item in structure.items()}
        if isinstance(structure, (list, tuple)):
            items = [moved(item) for item in structure]
            return items if isinstance(structure, list) else tuple(items)
        return mine(structure)

    inputs = [mine(value) for value in taken]
    if len(inputs) == 1:
        inputs[0].hint = ""
    copies = [dataclasses.replace(step, args=moved(step.args), kwargs=moved(step.kwargs), results=moved(step.results))
              for step in steps]
    outputs = [mine(value) for value in given]
    return Unit(name, inputs, copies, outputs[0] if len(outputs) == 1 else outputs, [])


def same_calls(one: Unit, other: Unit) -> bool:
    """Whether two units call the same modules in the same way."""
    return bool(_calls(one) == _calls(other))


def _calls(unit: Unit) -> Any:
    places: dict[Value, int] = {}

    def place(x: Any) -> Any:
        if isinstance(x, Value):
            return "value", places.setdefault(x, len(places))
        if isinstance(x, slice):
            return "slice", place(x.start), place(x.stop), place(x.step)
        return x

    def callee(step: Step) -> Any:
        what = step.callee.what if isinstance(step.callee, Part) else None
        return _calls(what) if isinstance(what, Unit) else step.callee

    return [map_structure(place, unit.inputs), map_structure(place, unit.output), [
        (callee(step), map_structure(place, (step.args, step.kwargs, step.results))) for step in unit.steps]]


def finished(unit: Unit, prefix: str, numbers: bool = False) -> Unit:
    """Gives the unit its parts, in order of use, under names that are free in a module.

    Args:
        unit: with steps.
        prefix: of the names of its parts.
        numbers: whether layers that nobody named are numbered anew, from the first of their kind in the unit: the
            numbers that they have go on from one model to the next, and would set models apart that are alike.
    """
    names = member_names()
    unit.parts = list(dict.fromkeys(step.callee for step in unit.steps if isinstance(step.callee, Part)))
    count: Counter[str] = Counter()
    for part in unit.parts:
        wanted = part.name.removeprefix(prefix).replace(".", "_")
        if numbers and is_automatic(wanted):
            kind = re.sub(r"_\d+$", "", wanted)
            wanted = f"{kind}_{count[kind]}" if count[kind] else kind
            count[kind] += 1
        wanted = "constant" if isinstance(part.what, Constant) else identifier(wanted, "layer")
        part.name = names.take(wanted)
    return unit
