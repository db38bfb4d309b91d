"""What the passes ask of a graph, and do to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from kerashape_torch.lowering.module_table import shape_of
from kerashape_torch.shape import Shape
from kerashape_torch.torch_modules.mixed import MixedPrecision


class Editor:
    """One graph of a module that may hold others, as the layer of TimeDistributed does.

    Args:
        root: the whole module.
        module: the graph to be changed: the root, or a part of it.
    """

    def __init__(self, root: fx.GraphModule, module: fx.GraphModule) -> None:
        self.module = module
        self.graph = module.graph
        self.uses = _uses(root)

    def calls(self) -> Iterator[tuple[fx.Node, nn.Module]]:
        """The calls of modules, with what computes in them: a module in mixed precision without its wrapper."""
        for node in list(self.graph.nodes):
            part = self.part(node)
            if part is not None:
                yield node, part

    def part(self, node: Any) -> nn.Module | None:
        """The module that a node calls, if it does; None for one that still draws or learns, or is watched by hooks."""
        if not isinstance(node, fx.Node) or node.op != "call_module":
            return None
        found = self.module.get_submodule(str(node.target))
        inner = found.module if isinstance(found, MixedPrecision) else found
        watched = any(x._forward_hooks or x._forward_pre_hooks for x in (found, inner))
        return None if watched or any(x.training for x in inner.modules()) else inner

    def own_part(self, node: Any) -> nn.Module | None:
        """The module that a node calls, if nobody else uses it: its weights may change."""
        part = self.part(node)
        if part is None:
            return None
        return part if self.uses[id(self.module.get_submodule(str(node.target)))] == 1 else None

    def bypass(self, node: fx.Node, by: fx.Node) -> None:
        """Whoever uses a node uses another one from now on, which says of itself what the node did."""
        for name in ("keras_shape", "keras_dtype"):
            if name in node.meta and name not in by.meta:
                by.meta[name] = node.meta[name]
        node.replace_all_uses_with(by)
        self.graph.erase_node(node)

    def call_instead(self, node: fx.Node, module: nn.Module, source: fx.Node, path: str) -> fx.Node:
        """A module of ours in a node's place."""
        path = path.replace(".", "_")
        while hasattr(self.module, path):
            path += "_"
        self.put(path, module)
        with self.graph.inserting_before(node):
            fresh = self.graph.call_module(path, (source,))
        fresh.meta.update(node.meta)
        node.replace_all_uses_with(fresh)
        self.graph.erase_node(node)
        return fresh

    def put(self, path: str, module: nn.Module) -> None:
        """A module of ours at a path that one node calls."""
        self.module.set_submodule(path, module.eval())
        self.uses[id(module)] = 1

    def buffer(self, name: str, value: Tensor) -> str:
        """A tensor as a buffer of the graph's module, which a state dict does not have; gives its name."""
        names = (f"{name}_{i}" for i in range(len(self.module._buffers) + 1))
        free = next(each for each in names if not hasattr(self.module, each))
        self.module.register_buffer(free, value, persistent=False)
        return free

    def clean(self) -> None:
        """Leaves out what nobody uses any more."""
        self.graph.eliminate_dead_code()
        self.module.delete_all_unused_submodules()


def _uses(root: nn.Module) -> Counter[int]:
    """How often each module is called, or held, or looked into, anywhere in a module."""
    graphs = [part for part in root.modules() if isinstance(part, fx.GraphModule)]
    found: Counter[int] = Counter()
    for graph in graphs:
        for node in graph.graph.nodes:
            if node.op == "call_module":
                found[id(graph.get_submodule(str(node.target)))] += 1
            elif node.op == "get_attr":
                above = str(node.target).split(".")[:-1]
                for end in range(1, len(above) + 1):
                    found[id(graph.get_submodule(".".join(above[:end])))] += 1
    held = Counter(id(part) for _, part in root.named_modules(remove_duplicate=False))
    for key, times in held.items():
        found[key] += times - 1
    return found


def rank_of(node: fx.Node) -> int | None:
    shape = shape_of_tensor(node)
    return None if shape is None else len(shape)


def shape_of_tensor(node: fx.Node) -> Shape | None:
    """The shape of a node's value, in Keras' order of axes; None if it is not one tensor, or is not known."""
    shape = shape_of(node)
    return shape if isinstance(shape, tuple) else None


def before_permutes(source: Any, axis: int) -> tuple[fx.Node, int] | None:
    """Where a tensor came from before its axes were permuted for one user alone, and where the axis was there."""
    while isinstance(source, fx.Node) and len(source.users) == 1:
        dims = dims_of(source)
        if dims is None:
            break
        source, axis = source.args[0], dims[axis]
    return (source, axis) if isinstance(source, fx.Node) else None


def dims_of(node: Any) -> tuple[int, ...] | None:
    """The order of axes that a permute gives; None for anything else."""
    if not isinstance(node, fx.Node) or node.target is not torch.permute or len(node.args) != 2:
        return None
    dims: Any = node.args[1]
    whole = isinstance(dims, (list, tuple)) and all(isinstance(axis, int) for axis in dims)
    return tuple(axis % len(dims) for axis in dims) if whole else None
