"""What torch lacks, as source: the classes and functions of this package that a program uses, and what they need."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kerashape_torch.errors import KerashapeError
from kerashape_torch.port.names import Names

_PACKAGE = "kerashape_torch"
_INSTEAD = {("kerashape_torch.errors", "KerashapeError"): "ValueError",
            ("kerashape_torch.errors", "ShapeError"): "ValueError"}
"""What stands in a ported file for a name of ours."""
_MAY_IMPORT = {"__future__", "torch", "einops", "math", "functools", "itertools", "operator", "string", "typing",
               "collections", "dataclasses"}
_IGNORES = re.compile(r"  # type: ignore\[[^\]]*\](  # .*)?")
Key = tuple[str, str]


@dataclass
class Definition:
    """A name at the top of one of our files: its source, the names in it that mean something, and their places."""

    key: Key
    source: str
    uses: dict[str, list[tuple[int, int]]]  # name -> (line in source, column)
    is_constant: bool = False


@dataclass
class File:
    """One of our files: what it defines, and what it imports, by the name that it goes by there."""

    definitions: dict[str, Definition]
    imports: dict[str, tuple[str, str | None]]


@functools.cache
def _file(module: str) -> File:
    source = inspect.getsource(importlib.import_module(module))
    lines = source.splitlines()
    definitions: dict[str, Definition] = {}
    imports: dict[str, tuple[str, str | None]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.If):  # if TYPE_CHECKING
            for inner in node.body:
                imports.update(_imported(inner))
        imports.update(_imported(node))
        for name in _defined(node):
            definitions[name] = _definition((module, name), node, lines)
    return File(definitions, imports)


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _imported(node: ast.stmt) -> dict[str, tuple[str, str | None]]:
    if isinstance(node, ast.Import):
        return {alias.asname or alias.name: (alias.name, None) for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and node.module != "__future__":
        return {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    return {}


def _definition(key: Key, node: ast.stmt, lines: list[str]) -> Definition:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
    kept = {i: lines[i - 1] for i in range(first, (node.end_lineno or first) + 1)}
    places: dict[str, list[tuple[int, int]]] = {}
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Import, ast.ImportFrom)):  # the file imports it at its top
            kept.pop(inner.lineno)
            if kept.get(inner.lineno + 1, "x").strip() == "":
                kept.pop(inner.lineno + 1)
    for found in _global_names(node, frozenset()):
        places.setdefault(found.id, []).append((found.lineno, found.col_offset))
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        places.setdefault(node.name, []).append((node.lineno, lines[node.lineno - 1].index(node.name)))
    numbers = {line: i for i, line in enumerate(kept)}
    uses = {name: [(numbers[line], column) for line, column in at if line in numbers] for name, at in places.items()}
    return Definition(key, "\n".join(kept.values()), uses, isinstance(node, (ast.Assign, ast.AnnAssign)))


def _global_names(node: ast.AST, local: frozenset[str]) -> Iterator[ast.Name]:
    """The names that are looked up outside of the functions around them."""
    if isinstance(node, ast.Name):
        if node.id not in local:
            yield node
        return
    inside = local
    if isinstance(node, (ast.FunctionDef, ast.Lambda)):
        arguments = [x.arg for x in ast.walk(node.args) if isinstance(x, ast.arg)]
        body = node.body if isinstance(node.body, list) else []
        stored = [x.id for statement in body for x in ast.walk(statement)
                  if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store)]
        inner = [x.name for statement in body for x in ast.walk(statement) if isinstance(x, ast.FunctionDef)]
        inside = local | {*arguments, *stored, *inner}
        for outside in (*getattr(node, "decorator_list", ()), node.args, getattr(node, "returns", None)):
            if outside is not None:
                yield from _global_names(outside, local)
        for statement in body or [node.body]:  # type: ignore[list-item]
            yield from _global_names(statement, inside)
        return
    if isinstance(node, (ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)):
        inside = local | {x.id for generator in node.generators for x in ast.walk(generator.target)
                          if isinstance(x, ast.Name)}
    for child in ast.iter_child_nodes(node):
        yield from _global_names(child, inside)


def _resolved(module: str, name: str) -> Key | tuple[str, None] | None:
    """What a name in one of our files stands for: something of ours, an import, or nothing of the file's."""
    file = _file(module)
    if name in file.definitions:
        return module, name
    if name not in file.imports:
        return None
    home, inner = file.imports[name]
    if not home.startswith(_PACKAGE):
        line = f"import {home}" if inner is None else f"from {home} import {inner}"
        return line if name in (home, inner) else f"{line} as {name}", None
    if inner is None:
        raise KerashapeError(f"{module} imports {home} as a whole")
    return _resolved(home, inner) or (home, inner)


@functools.cache
def _closure(key: Key) -> tuple[tuple[Key, ...], tuple[str, ...]]:
    """Everything that a definition depends on, itself among it, and the imports that they need."""
    keys: dict[Key, None] = {}
    imports: dict[str, None] = {}
    queue = [key]
    for current in queue:
        if current in keys:
            continue
        keys[current] = None
        module, name = current
        for used in _file(module).definitions[name].uses:
            found = _resolved(module, used)
            if found is None:
                continue
            if found[1] is None:
                imports[found[0]] = None
            elif found not in _INSTEAD:
                queue.append(found)
    return tuple(keys), tuple(imports)


def is_ours(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).startswith(_PACKAGE)


def key_of(thing: Any) -> Key:
    module, name = thing.__module__, thing.__qualname__
    if name not in _file(module).definitions:
        raise KerashapeError(f"{name} of {module} is made while a layer is made, and has no source of its own")
    return module, name


def refuse_what_needs_more(thing: Any, where: str) -> None:
    """
    Raises:
        KerashapeError: the thing is of ours and needs more than torch.
    """
    if not is_ours(thing):
        return
    for line in _closure(key_of(thing))[1]:
        library = line.split()[1].split(".")[0]
        if library not in _MAY_IMPORT:
            raise KerashapeError(f"{where}: {thing.__name__} computes with {library}, and a ported file has torch "
                                 "alone. Way out: run this layer with kerashape_torch, and port what follows it")


@dataclass
class Support:
    """The definitions that a file needs so far, under names that are free in it."""

    names: Names
    given: dict[Key, str] = field(default_factory=dict)
    imports: dict[str, None] = field(default_factory=dict)

    def name(self, thing: Any) -> str:
        """What a class or function of ours is called in the file; its source is added."""
        key = key_of(thing)
        keys, imports = _closure(key)
        self.imports.update(dict.fromkeys(imports))
        for each in keys:
            if each not in self.given:
                self.given[each] = self.names.take(each[1])
        return self.given[key]

    def sources(self) -> list[str]:
        """The definitions in an order in which Python can read them."""
        ordered: dict[Key, None] = {}
        for key in sorted(self.given, key=_place):
            self._before(key, ordered, set())
        return [self._source(key) for key in ordered]

    def _before(self, key: Key, ordered: dict[Key, None], above: set[Key]) -> None:
        if key in ordered or key in above:
            return
        module, name = key
        definition = _file(module).definitions[name]
        for used in definition.uses:
            found = _resolved(module, used)
            if found in self.given and (definition.is_constant or _file(found[0]).definitions[found[1]].is_constant
                                        or _is_at_top(definition, used)):
                self._before(found, ordered, above | {key})
        ordered[key] = None

    def _source(self, key: Key) -> str:
        module, name = key
        definition = _file(module).definitions[name]
        lines = definition.source.split("\n")
        changes: list[tuple[int, int, str, str]] = []
        for used, places in definition.uses.items():
            found = _resolved(module, used)
            new = _INSTEAD.get(found) or self.given.get(found)  # type: ignore[arg-type]
            if new and new != used:
                changes += [(line, column, used, new) for line, column in places]
        for line, column, old, new in sorted(changes, reverse=True):
            text = lines[line]
            assert text[column:column + len(old)] == old
            lines[line] = text[:column] + new + text[column + len(old):]
        return "\n".join(_IGNORES.sub("", line).rstrip() for line in lines)


def _is_at_top(definition: Definition, name: str) -> bool:
    """Whether Python looks the name up when it reads the definition: a base, a default, a value in a class."""
    node = ast.parse(definition.source).body[0]
    if isinstance(node, ast.FunctionDef):
        looked_up: list[ast.AST] = [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
    elif isinstance(node, ast.ClassDef):
        looked_up = [*node.bases, *node.decorator_list]
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef):
                looked_up += [*inner.decorator_list, *inner.args.defaults, *filter(None, inner.args.kw_defaults)]
            elif isinstance(inner, (ast.Assign, ast.AnnAssign)) and inner.value is not None:
                looked_up.append(inner.value)
    else:
        looked_up = [node]
    return any(isinstance(x, ast.Name) and x.id == name for each in looked_up for x in ast.walk(each))


def _place(key: Key) -> tuple[str, int]:
    module, name = key
    return module, list(_file(module).definitions).index(name)
