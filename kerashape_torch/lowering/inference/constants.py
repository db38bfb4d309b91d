"""What depends on no input is computed once; what is computed twice from the same is computed once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from kerashape_torch.lowering.inference.edit import Editor
from kerashape_torch.torch_modules.recurrent import Recurrent

_LARGEST = 2**20
"""Elements of a constant that may be kept although nothing it is made of is as large."""


def without_constants(editor: Editor) -> None:
    """Parts of the graph that no input reaches become buffers."""
    values = _constants(editor)
    again = _constants(editor)
    for node, value in values.items():
        if node.op == "get_attr" or not isinstance(value, Tensor) or all(user in values for user in node.users):
            continue
        if not _same(value, again[node]) or _is_a_view(value, values) or not _is_worth_keeping(value, values):
            continue
        with editor.graph.inserting_before(node):
            fresh = editor.graph.get_attr(editor.buffer("_folded", value.clone()))
        editor.bypass(node, fresh)


def _constants(editor: Editor) -> dict[fx.Node, Any]:
    """The values of all nodes that depend on no input."""
    values: dict[fx.Node, Any] = {}
    interpreter = fx.Interpreter(editor.module)
    for node in editor.graph.nodes:
        if node.op in ("placeholder", "output") or not all(x in values for x in node.all_input_nodes):
            continue
        if node.op == "call_module" and not _is_pure(editor, node):
            continue
        interpreter.env = values
        with torch.no_grad():
            values[node] = interpreter.run_node(node)
    return values


def _same(first: Tensor, second: Any) -> bool:
    """Whether two runs gave one tensor: random numbers would differ."""
    if first.is_meta:
        return True
    return bool(((first == second) | ((first != first) & (second != second))).all())


def _is_a_view(value: Tensor, values: dict[fx.Node, Any]) -> bool:
    """Whether it costs no memory as it is."""
    own = value.untyped_storage()._cdata
    held = [x for node, x in values.items() if node.op == "get_attr" and isinstance(x, Tensor)]
    return any(x.untyped_storage()._cdata == own for x in held)


def _is_worth_keeping(value: Tensor, values: dict[fx.Node, Any]) -> bool:
    largest = max((x.numel() for x in values.values() if isinstance(x, Tensor) and x is not value), default=0)
    return value.numel() <= max(_LARGEST, largest)


def _is_pure(editor: Editor, node: fx.Node) -> bool:
    """Whether a module gives the same for the same, call after call: torch's own and ours do, in evaluation mode."""
    part = editor.part(node)
    if part is None:
        return False
    known = all(type(x).__module__.startswith(("torch.nn.", "kerashape_torch.torch_modules.")) or
                isinstance(x, fx.GraphModule) for x in part.modules())
    draws = any(type(x).__module__.endswith((".user", ".lambdas")) for x in part.modules())
    return known and not draws and not any(isinstance(x, Recurrent) and x.options.batch for x in part.modules())


# ---- the same twice --------------------------------------------------------------------------------------------------

_SAFE_ROOMS = ("torch.nn.functional", "_operator", "kerashape_torch.torch_modules", "kerashape_torch.activations")


def merge_common(editor: Editor) -> None:
    """One call of a function or a module stands for all with the same arguments. What is given out stays apart."""
    seen: dict[Any, fx.Node] = {}
    given_out = set(editor.graph.output_node().all_input_nodes)
    for node in list(editor.graph.nodes):
        key = _key(editor, node)
        if key is None or node in given_out:
            continue
        first = seen.setdefault(key, node)
        if first is not node:
            editor.bypass(node, first)


def _key(editor: Editor, node: fx.Node) -> Any:
    if node.op == "get_attr" or (node.op == "call_module" and _is_pure(editor, node)) or (
            node.op == "call_method" and node.target == "to") or (
            node.op == "call_function" and _is_a_function_of_its_arguments(node.target)):
        key = (node.op, node.target, _frozen(node.args), _frozen(node.kwargs))
        try:
            hash(key)
        except TypeError:
            return None
        return key
    return None


_DRAWING = ("dropout", "rand", "bernoulli", "multinomial", "normal", "poisson")


def _is_a_function_of_its_arguments(function: Any) -> bool:
    name, room = getattr(function, "__name__", ""), getattr(function, "__module__", None) or ""
    if name.endswith("_") or any(word in name for word in _DRAWING):
        return False
    return getattr(torch, name, None) is function or room.startswith(_SAFE_ROOMS)


def _frozen(value: Any) -> Any:
    """Arguments as something that can be hashed; numbers that are equal but of another kind stay apart."""
    if isinstance(value, dict):
        return ("dict", *((key, _frozen(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *map(_frozen, value))
    if isinstance(value, slice):
        return ("slice", _frozen(value.start), _frozen(value.stop), _frozen(value.step))
    return value if isinstance(value, fx.Node) else (type(value).__name__, repr(value) if isinstance(value, float)
                                                     else value)

