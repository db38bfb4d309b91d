"""Writes ``docs/layers.md``: every layer with its arguments, shape rule, torch module, and what is tested of it.

``python scripts/document_layers.py`` writes the page, ``--check`` says by its status whether it is up to date.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "layers.md"
sys.path.insert(0, str(ROOT / "tests"))

import harness  # noqa: E402  the recorded cases are the tests' own

import kerashape_torch.layers as layers  # noqa: E402
from kerashape_torch.config import REQUIRED  # noqa: E402
from kerashape_torch.errors import KerashapeError  # noqa: E402
from kerashape_torch.layer import Layer  # noqa: E402

HEAD = """# Layers

Every layer of `keras.layers` 3.15, and those of Keras 1 and 2 that Keras 3 dropped. Made by
`python scripts/document_layers.py`; a test holds this page to the code.

*Tested* counts recorded cases of Keras: its shapes, weights and configs, and its numbers. Each case of a layer that
Keras 3 has is also run live against Keras with fresh weights and inputs, outputs and gradients both.

Refused, with the reason and the way out: {refused}.
"""


def page() -> str:
    """The text of the page."""
    names = defaultdict(list)
    for name, cls in Layer.catalog().items():
        if name not in harness.NOT_LAYERS:
            names[cls].append(name)
    families: dict[str, list[type[Layer]]] = defaultdict(list)
    for cls in names:
        families[cls.__module__.rpartition(".")[2]].append(cls)
    shapes = Counter(case["class_name"] for case in harness.layer_cases())
    numbers = Counter(case["class_name"] for case in harness.numeric_cases())
    foreign = [name for name in dir(layers.foreign) if name.endswith(("Layer", "Wrapper")) and name != "Layer"]
    parts = [HEAD.format(refused=", ".join(f"`{name}`" for name in sorted(foreign)))]
    for family, classes in sorted(families.items()):
        title = (inspect.getdoc(sys.modules[classes[0].__module__]) or family).split("\n")[0]
        parts.append(f"## {family.replace('_', ' ')}\n\n{title}\n")
        parts += [_entry(cls, names[cls], shapes, numbers) for cls in sorted(classes, key=lambda cls: cls.__name__)]
    return "\n".join(parts)


def _entry(cls: type[Layer], names: list[str], shapes: Counter[str], numbers: Counter[str]) -> str:
    aliases = [name for name in names if name != cls.__name__]
    also = f" (also {', '.join(f'`{name}`' for name in aliases)})" if aliases else ""
    tested = f"{shapes[cls.__name__]} shape cases, {numbers[cls.__name__]} of numbers"
    if not shapes[cls.__name__]:
        tested = "numbers and shapes recorded from tf_keras" if cls.__module__.endswith(
            tuple(harness.LEGACY)) else "in a test file of its own"
    lines = [f"### {cls.__name__}{also}\n", f"{_summary(cls)}\n", f"- arguments: `{_arguments(cls)}`"]
    said = ((heading, _said(cls, heading)) for heading in ("Input shape", "Output shape"))
    lines += [f"- {heading.lower()}: {text}" for heading, text in said if text]
    lines += [f"- torch: {_modules(cls)}", f"- tested: {tested}\n"]
    return "\n".join(lines)


def _summary(cls: type[Layer]) -> str:
    text = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ").replace("``", "`")
    return re.sub(r":\w+:`([^`]*)`", r"`\1`", text)


def _arguments(cls: type[Layer]) -> str:
    fields = (cls._fields[name] for name in cls._positional)
    return ", ".join(field.name if field.default is REQUIRED else f"{field.name}={field.default!r}" for field in fields)


def _said(cls: type[Layer], heading: str) -> str:
    found = re.search(rf"^{heading}:\s*(.*?)(?=\n\s*\n|\n[A-Z>]\S* ?\w*:|\Z)", inspect.getdoc(cls) or "",
                      re.DOTALL | re.MULTILINE)
    return re.sub(r"\s+", " ", found[1]).replace("``", "`") if found else ""


def _modules(cls: type[Layer]) -> str:
    """What the recorded cases compile to, the most frequent first."""
    found: Counter[str] = Counter()
    for case in (each for each in harness.layer_cases() if each["class_name"] == cls.__name__ and not each["error"]):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                layer = harness.make(case)
                module = harness.as_model(layer, harness.call(case, layer)).to_torch(device="meta")
        except (KerashapeError, KeyError, IndexError):
            continue
        found.update(dict.fromkeys(_called(module), 1) or {"nothing: the tensor goes on as it is": 1})
    return ", ".join(name for name, _ in found.most_common(4)) or "see its docstring"


def _called(module: Any) -> list[str]:
    names = []
    for node in module.graph.nodes:
        if node.op == "call_module":
            names.append(_module_name(type(module.get_submodule(node.target))))
        elif node.op == "call_function" and getattr(node.target, "__name__", "") not in ("permute", "getitem"):
            names.append(f"`{getattr(node.target, '__name__', node.target)}()`")
    return names


def _module_name(kind: type) -> str:
    """``nn.Linear`` of torch itself; ``LSTM``, an ``nn.LSTM``, of what this package makes of it."""
    bases = [base.__name__ for base in kind.__mro__ if base.__module__.startswith("torch.nn.modules")]
    if kind.__module__.startswith("torch."):
        return f"`nn.{kind.__name__}`"
    return f"`{kind.__name__}`" + (f" (an `nn.{bases[0]}`)" if bases[0] not in ("Module", "Identity") else "")


def main() -> int:
    text = page()
    if sys.argv[1:] == ["--check"]:
        return 0 if PAGE.read_text() == text else 1
    PAGE.write_text(text)
    print(f"{PAGE.relative_to(ROOT)}: {text.count('### ')} layers")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
