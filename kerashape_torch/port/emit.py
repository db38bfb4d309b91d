"""A program as the text of a Python file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kerashape_torch.port.expressions import Expressions
from kerashape_torch.port.forward import forward
from kerashape_torch.port.lines import WIDTH, broken, wrapped
from kerashape_torch.port.names import Names, class_name, plain
from kerashape_torch.port.program import Constant, Made, Part, Row, Unit, Value, all_units
from kerashape_torch.port.state import is_literal, settings, settle, tied
from kerashape_torch.port.support import Support
from kerashape_torch.port.templates import Parameter, Template, is_size, skeleton
from kerashape_torch.shape import to_text
from kerashape_torch.structure import map_structure
from kerashape_torch.torch_modules import Function

_SPATIAL = {3: ("steps",), 4: ("height", "width"), 5: ("depth", "height", "width")}


class Emitter:
    """Writes the classes of a program.

    Attributes:
        sources: the text of each class, those that others use first.
        top: the name of the model's class.
    """

    def __init__(self, program: Unit) -> None:
        settle(program)
        names = Names()
        self.program = program
        self.templates: dict[int, Template] = {}
        self._sort(program, names)
        self.support = Support(names)
        self.expressions = Expressions(self.support)
        unique = list({id(t): t for t in self.templates.values()}.values())
        for template in unique:
            self._find_parameters(template)
        for _ in range(2):  # the first time finds the names of ours that the local ones must not hide
            self.sources = [self._class(template) for template in unique]
        self.top = self.templates[id(program)].name

    def _sort(self, program: Unit, names: Names) -> None:
        """Puts units that are alike into one template. The model's own class is named first."""
        known: dict[Any, Template] = {}
        top = names.take(class_name(program.name))
        for unit in all_units(program):
            if id(unit) in self.templates:
                continue
            key = skeleton(unit, lambda inner: self.templates[id(inner)])
            if key not in known or unit is program:
                known[key] = Template(top if unit is program else names.take(class_name(unit.name, "Block")), [])
            known[key].units.append(unit)
            self.templates[id(unit)] = known[key]

    def _find_parameters(self, template: Template) -> None:
        for parts in zip(*(unit.parts for unit in template.units)):
            template.collect([self._as_made(part.what) for part in parts], "")
        template.settle()

    def _as_made(self, what: Any) -> Any:
        if isinstance(what, Unit):
            return Made(Unit, self.templates[id(what)].arguments(what))
        if isinstance(what, Row):
            return [self._as_made(unit) for unit in what.units]
        if isinstance(what, Made):
            return Made(what.cls, {name: self._as_made(value) for name, value in what.arguments.items()})
        if isinstance(what, dict):
            return {name: self._as_made(value) for name, value in what.items()}
        return None if isinstance(what, Constant) else what

    # ---- classes -----------------------------------------------------------------------------------------------------

    def _class(self, template: Template) -> str:
        unit = template.units[0]
        shapes = _Shapes(template)
        names = Names(self.support.given.values())
        names.taken |= {t.name for t in self.templates.values()}
        for value in unit.inputs:  # so that what the others are is said in terms of these
            shapes.text(value)
        arguments, body = forward(unit, self.expressions, shapes.text, names)
        lines = [f"class {template.name}(nn.Module):"]
        lines += [f"    {line}".rstrip() for line in self._docstring(template, shapes)]
        made = self._init(template)
        if made:
            given = ", ".join(["self", *(self._parameter(p) for p in template.parameters)])
            head = broken(f"def __init__({given}):", WIDTH - 4)
            lines += ["", *(f"    {x}" for x in head), "        super().__init__()", *(f"        {x}" for x in made)]
        lines += self._train(unit)
        lines += ["", f"    def forward({', '.join(['self', *arguments])}):", *(f"        {x}" for x in body)]
        return "\n".join(lines)

    def _parameter(self, parameter: Parameter) -> str:
        default = parameter.default
        return parameter.name if default is None else f"{parameter.name}={self.expressions.literal(default)}"

    def _docstring(self, template: Template, shapes: _Shapes) -> list[str]:
        unit = template.units[0]
        said = shapes.structure(unit.inputs if len(unit.inputs) != 1 else unit.inputs[0])
        text = f"{said} to {shapes.structure(unit.output)}"
        title = plain(unit.title)
        if len(text) + len(title) + 15 <= WIDTH:
            return [f'"""{title}{": " if title else ""}{text}."""']
        return ['"""' + (title or "Shapes, as in Keras:"), "", *wrapped(f"{text}.", WIDTH - 8), '"""']

    def _init(self, template: Template) -> list[str]:
        lines: list[str] = []
        for parts in zip(*(unit.parts for unit in template.units)):
            lines += self._member(template, parts)
        unit = template.units[0]
        if unit is self.program:
            lines += tied(unit)
            lines += ["self.requires_grad_(False)"] if unit.frozen else []
            lines += [f"self.to({self.expressions.literal(unit.dtype)})"] if unit.dtype is not None else []
        if any(part.training is not None for part in unit.parts):
            lines.append("self.train()")
        return lines

    def _member(self, template: Template, parts: Sequence[Part]) -> list[str]:
        part = parts[0]
        if isinstance(part.what, Constant):
            return self._constant(part)
        text = self._construction(template, [p.what for p in parts])
        if part.dtype is not None:
            text += f".to({self.expressions.literal(part.dtype)})"
        lines = broken(f"self.{part.name} = {text}", WIDTH - 8)
        absent = part.what.absent if isinstance(part.what, Made) else []
        return [*lines, *(f'self.{part.name}.register_parameter("{name}", None)' for name in absent),
                *settings(part)]

    def _constant(self, part: Part) -> list[str]:
        tensor = part.what.tensor
        dtype = self.expressions.literal(tensor.dtype)
        if is_literal(tensor):
            numbers = self.expressions.literal(_shortest(tensor))
            made = f"torch.tensor({numbers}, dtype={dtype}), persistent=False"
        else:
            made = f"torch.empty({tuple(tensor.shape)}, dtype={dtype})"
        return broken(f'self.register_buffer("{part.name}", {made})', WIDTH - 8)

    def _construction(self, template: Template, whats: Sequence[Any]) -> str:
        """How a class makes a part, given what it is in each unit of the class."""
        first = whats[0]
        if isinstance(first, Unit):
            inner = self.templates[id(first)]
            given = [inner.arguments(what) for what in whats]
            arguments = []
            for parameter in inner.parameters:
                values = [each[parameter.name] for each in given]
                if parameter.default is None or any(value != parameter.default for value in values):
                    text = self._differing(template, values)
                    bare = is_size(parameter.name) or len(given[0]) == 1
                    arguments.append(text if bare else f"{parameter.name}={text}")
            return f"{inner.name}({', '.join(arguments)})"
        if isinstance(first, Row):
            return self._row(template, whats)
        if isinstance(first, Made):
            return self._made(template, whats)
        if type(first) in (list, tuple) and any(isinstance(x, (Made, Unit, list)) for x in first):
            items = ", ".join(self._construction(template, items) for items in zip(*whats))
            return f"[{items}]" if isinstance(first, list) else f"({items},)"
        return self._differing(template, whats)

    def _differing(self, template: Template, values: Sequence[Any]) -> str:
        if all(type(value) is type(values[0]) and value == values[0] for value in values):
            return self.expressions.literal(values[0])
        text = template.text(tuple(values))
        assert text is not None, "what differs is a parameter or a multiple of one"
        return text

    def _made(self, template: Template, whats: Sequence[Made]) -> str:
        first = whats[0]
        cls = self.expressions.function(first.cls)
        unsaid = set.intersection(*(what.unsaid for what in whats))
        given = {name: self._construction(template, [what.arguments[name] for what in whats])
                 for name in first.arguments if name not in unsaid}
        if first.cls in (nn.Sequential, nn.ModuleList):
            if list(given) == [str(i) for i in range(len(given))]:
                items = ", ".join(given.values())
                return f"{cls}({items})" if first.cls is nn.Sequential else f"{cls}([{items}])"
            self.expressions.uses["OrderedDict"] = None
            return f"{cls}(OrderedDict({', '.join(f'{name}={text}' for name, text in given.items())}))"
        shown = [text if (i < first.positional and name not in unsaid) or (first.cls is Function and name.isdigit())
                 else f"{name}={text}" for i, (name, text) in enumerate(given.items())]
        return f"{cls}({', '.join(shown)})"

    def _row(self, template: Template, rows: Sequence[Row]) -> str:
        """Blocks in a row; equal ones are made in a loop."""
        texts = [self._construction(template, units) for units in zip(*(row.units for row in rows))]
        shown = []
        for text, same in itertools.groupby(texts):
            count = len(list(same))
            shown += [f"*({text} for _ in range({count}))"] if count > 2 else [text] * count
        return f"nn.Sequential({', '.join(shown)})"

    @staticmethod
    def _train(unit: Unit) -> list[str]:
        fixed = [part for part in unit.parts if part.training is not None]
        if not fixed:
            return []
        lines = [f"        self.{part.name}.train({part.training})  # the Keras call says training={part.training}"
                 for part in fixed]
        return ["", "    def train(self, mode=True):", "        super().train(mode)", *lines, "        return self"]


class _Shapes:
    """Shapes of a class's values, in Keras' notation; what differs between its units is a parameter or a word."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.words: dict[tuple[Any, ...], str] = {}
        orders = [_values(unit) for unit in template.units]
        self.alike = {id(values[0]): values for values in zip(*orders)}

    def text(self, value: Value) -> str:
        shapes = [each.shape for each in self.alike.get(id(value), (value,))]
        if not isinstance(shapes[0], tuple) or any(not isinstance(x, tuple) for x in shapes[0] if x is not None and
                                                   not isinstance(x, int)):
            return to_text(shapes[0]) if shapes[0] is not None else "?"
        axes = [self._axis(sizes, axis, len(shapes[0])) for axis, sizes in enumerate(zip(*shapes))]
        return f"({', '.join(axes)})"

    def _axis(self, sizes: tuple[Any, ...], axis: int, rank: int) -> str:
        if all(size == sizes[0] for size in sizes):
            return str(sizes[0])
        words = _SPATIAL.get(rank, ())
        if axis == 0 or axis > len(words):
            return self.template.text(sizes) or self._word(sizes, "batch" if axis == 0 else "features")
        return self._word(sizes, words[axis - 1])

    def _word(self, sizes: tuple[Any, ...], word: str) -> str:
        key = (word, *sizes)
        if key in self.words:
            return self.words[key]
        known = [(k[1:], text) for k, text in self.words.items() if k[0] == word]
        for other, text in known:
            for parameter in self.template.parameters:
                if _is_quotient(sizes, other, parameter.values):
                    return self.words.setdefault(key, f"{text} / {parameter.name}")
            for factor in (2, 3, 4):
                if _is_quotient(sizes, other, (factor,) * len(sizes)):
                    return self.words.setdefault(key, f"{text} / {factor}")
                if _is_quotient(other, sizes, (factor,) * len(sizes)):
                    return self.words.setdefault(key, f"{factor} * {text}")
        return self.words.setdefault(key, word if not known else f"{word}{len(known) + 1}")

    def structure(self, structure: Any) -> str:
        if isinstance(structure, Value):
            return self.text(structure)
        if isinstance(structure, dict):
            return "{" + ", ".join(f"{plain(str(k), 40)}: {self.structure(v)}" for k, v in structure.items()) + "}"
        if isinstance(structure, (list, tuple)):
            return ", ".join(self.structure(item) for item in structure)
        return plain(str(structure), 40)


def _shortest(tensor: Tensor) -> Any:
    """The numbers of a constant; of float32, no digits more than tell them apart: 0.1, not 0.10000000149011612."""
    def short(x: float) -> float:
        rounded = float(str(np.float32(x)))
        return rounded if np.float32(rounded) == x else x

    return map_structure(short, tensor.tolist()) if tensor.dtype is torch.float32 else tensor.tolist()


def _is_quotient(sizes: tuple[Any, ...], of: tuple[Any, ...], by: tuple[Any, ...]) -> bool:
    return all(type(x) is int for x in (*sizes, *of, *by)) and all(
        b and a == -(-o // b) for a, o, b in zip(sizes, of, by))


def _values(unit: Unit) -> list[Value]:
    return list(unit.uses())
