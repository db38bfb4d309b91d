"""The whole file: what it says of itself, imports, the model, what torch lacks, ``load`` and ``check``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import fx

import kerashape_torch
from kerashape_torch.port.case import Case
from kerashape_torch.port.emit import Emitter
from kerashape_torch.port.expressions import double_quoted
from kerashape_torch.port.lines import WIDTH, broken, wrapped
from kerashape_torch.port.names import identifier, plain
from kerashape_torch.port.program import Unit

_STANDARD = ("argparse", "collections", "dataclasses", "functools", "itertools", "math", "operator", "string", "typing",
             "pathlib")


def document(emitter: Emitter, program: Unit, module: fx.GraphModule, origin: str, case: Case,
             layout: str, losses: Sequence[str] = ()) -> str:
    """The text of ``model.py``; ``losses`` are the classes that add to the loss in training, which is not written."""
    support = emitter.support.sources()
    tail = [_LOAD.format(name=emitter.top), _check(program, case)]
    sections = [*emitter.sources]
    if support:
        sections += [f"# ---- what torch lacks {'-' * 96}", *support]
    sections += [f"# ---- weights and the recorded case {'-' * 83}", *tail, _MAIN]
    head = [_docstring(emitter, program, origin, layout, losses), *_imports(emitter, bool(support))]
    return "\n".join(head) + "\n\n\n" + "\n\n\n".join(sections) + "\n"


def _docstring(emitter: Emitter, program: Unit, origin: str, layout: str, losses: Sequence[str]) -> str:
    given = f" from {plain(origin)}" if origin else ""
    order = "as in Keras: (batch, ..., channels)" if layout == "keras" else "as in torch: (batch, channels, ...)"
    called = ", ".join(identifier(value.hint) for value in program.inputs) if len(program.inputs) > 1 else "x"
    missing = f"What {' and '.join(map(plain, losses))} adds to the loss in training, as Keras has it, is not written."
    more = "\n".join(["", *wrapped(missing, WIDTH), ""]) if losses else ""
    return f'''"""{plain(program.name)}, ported{given} by kerashape_torch {kerashape_torch.__version__}.

    from model import load

    model = load()  # with the weights of model.safetensors, in evaluation mode
    y = model({called})

Tensors come and go {order}; the shapes in the comments are written as Keras
writes them. `python model.py --check` runs the case of parity.npz again.
{more}"""
'''


def _imports(emitter: Emitter, annotated: bool) -> list[str]:
    plain_imports: set[str] = {"argparse", "torch"}
    froms: dict[str, set[str]] = {"pathlib": {"Path"}, "torch": {"nn"}}
    aliased: set[str] = set()
    for needed in emitter.support.imports:
        line = needed.replace("from torch.nn import functional as F", "import torch.nn.functional as F")
        words = line.split()
        if words[0] == "import" and " as " in line:
            aliased.add(line)
        elif words[0] == "import":
            plain_imports.add(words[1])
        else:
            froms.setdefault(words[1], set()).add(" ".join(words[3:]))
    for use in emitter.expressions.uses:
        if use == "F":
            aliased.add("import torch.nn.functional as F")
        elif use == "OrderedDict":
            froms.setdefault("collections", set()).add(use)
        elif use not in ("torch", "nn"):
            plain_imports.add(use)
    lines = {f"import {name}" for name in plain_imports} | aliased
    text = sorted(lines, key=lambda line: (line.lower(), line))
    text += [f"from {home} import {', '.join(sorted(names, key=_as_isort))}" for home, names in sorted(froms.items())]
    standard = [line for line in text if line.split()[1].split(".")[0] in _STANDARD]
    others = [line for line in text if line not in standard]
    future = ["from __future__ import annotations", ""] if annotated else []
    return [*future, *standard, "", *others]


def _as_isort(name: str) -> tuple[int, str]:
    return 0 if name.isupper() else 1 if name[0].isupper() else 2, name


_LOAD = '''def load(path=None, device="cpu"):
    """The model with its weights, those beside this file if no other path is given, in evaluation mode."""
    from safetensors.torch import load_file

    model = {name}()
    model.load_state_dict(load_file(path or Path(__file__).with_name("model.safetensors")))
    return model.to(device).eval()'''

_MAIN = '''if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The model, and the case that was recorded when it was ported.")
    parser.add_argument("--check", action="store_true", help="run the recorded case again and compare")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.check:
        difference = check(options.device)
        print(f"largest difference from the recorded output: {difference:.3g}")
        raise SystemExit(not difference <= 1e-3)
    print(load(device=options.device))'''


def _check(program: Unit, case: Case) -> str:
    casts = {f"input_{i}": str(x.dtype) for i, x in enumerate(case.inputs) if str(x.dtype) == "torch.bfloat16"}
    arguments = []
    for i in range(len(case.inputs)):
        cast = f', dtype={casts[f"input_{i}"]}' if f"input_{i}" in casts else ""
        arguments.append(f'torch.tensor(case["input_{i}"]{cast}, device=device)')
    outputs = _leaves(program.output, "found")
    lines = ['def check(device="cpu"):',
             '    """The largest difference between what the model gives now and what was recorded."""',
             "    import numpy as np", "",
             '    case = np.load(Path(__file__).with_name("parity.npz"))', "    inputs = [", *(
                 f"        {argument}," for argument in arguments), "    ]",
             "    model = load(device=device)",
             *(["    torch.manual_seed(0)  # it draws random numbers, others on another device"] if case.draws else []),
             "    with torch.inference_mode():", "        found = model(*inputs)",
             *(f"    {line}" for line in broken(f"outputs = [{', '.join(outputs)}]", WIDTH - 4)),
             "    differences = [0.0]", "    for i, output in enumerate(outputs):",
             '        recorded = torch.from_numpy(case[f"output_{i}"]).to(device, torch.float64)',
             "        differences.append((output.to(torch.float64) - recorded).abs().max().item())",
             "    return max(differences)"]
    return "\n".join(lines)


def _leaves(structure: Any, text: str) -> list[str]:
    """Each output in the order in which Keras flattens them."""
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in _leaves(structure[key], f"{text}[{_key(key)}]")]
    if isinstance(structure, (list, tuple)):
        return [leaf for i, item in enumerate(structure) for leaf in _leaves(item, f"{text}[{i}]")]
    return [text]


def _key(key: Any) -> str:
    return double_quoted(key) if isinstance(key, str) else repr(key)
