"""The ``kerashape`` command: what the library says, on the command line.

Every command gives a :class:`Report`, which is printed as a table on a terminal, as plain text in a pipe, or as JSON.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import kerashape_torch
from kerashape_torch import sources
from kerashape_torch.config import custom_object, custom_object_scope
from kerashape_torch.errors import ConfigError, KerashapeError, UnknownLayerError, did_you_mean
from kerashape_torch.layer import Layer
from kerashape_torch.models import Model
from kerashape_torch.shape_table import shape_table


class Report(NamedTuple):
    """What a command found, in the forms that it can be printed in, and the exit status that it asks for."""

    data: dict[str, Any]
    text: str
    on_terminal: Callable[[], None] | None = None
    status: int = 0

    def print(self, as_json: bool) -> None:
        if as_json:
            print(json.dumps(self.data, indent=2))
        elif self.on_terminal is not None and sys.stdout.isatty():
            self.on_terminal()
        else:
            print(self.text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; gives 0, 1 where something differs, 2 after an error, which is one message and no traceback."""
    options = _options(arguments)
    status = 0
    try:
        with custom_object_scope(sources.custom_objects(options.custom_objects)):
            report = options.command(options)
        status = report.status
        report.print(options.json)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (KerashapeError, OSError) as error:
        way = ". On the command line: --custom-objects FILE.py" if "custom_objects=" in str(error) else ""
        print(f"kerashape: {error}{way}", file=sys.stderr)
        return 2
    return status


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What is asked for. argparse reads the NAME=VALUEs up to the next option and leaves over those after it."""
    options, left = _parser().parse_known_args(arguments)
    unknown = left if "arguments" not in options else [each for each in left if each.startswith("-")]
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if left:
        options.arguments += left
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "kerashape", description="Keras models: their shapes, explained, drawn, and run on torch.")
    parser.add_argument("--version", action="version", version=f"kerashape_torch {kerashape_torch.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(function: Callable[[argparse.Namespace], Report], text: str,
                more: str | None = None) -> argparse.ArgumentParser:
        made = commands.add_parser(function.__name__, help=text, description=text, epilog=more)
        made.set_defaults(command=function, parser=made)
        made.add_argument("--json", action="store_true", help="print JSON")
        made.add_argument("--custom-objects", action="append", default=[], metavar="FILE.py[:NAMES]",
                          help="code of yours, which is run: its public classes and functions, or those named, are "
                          "then known; a dict among NAMES holds objects by the names that files have for them")
        return made

    def takes_file(made: argparse.ArgumentParser) -> None:
        made.add_argument("file", metavar="FILE", help="a .keras file, or the JSON of a model")

    def takes_shape(made: argparse.ArgumentParser) -> None:
        made.add_argument("--input-shape", type=value, metavar="SHAPE",
                          help='for a model that has none, or for free axes: "(224, 224, 3)"')

    made = command(summary, "Shows every layer with its shapes and parameters.")
    takes_file(made)
    takes_shape(made)
    made.add_argument("--line-length", type=int, metavar="N", help="of the table on a terminal")
    made.add_argument("--expand-nested", action="store_true", help="show the layers of nested models")

    made = command(explain, "Explains a layer: its arguments, shapes and weights.",
                   """input_shape=3 is the shape of one sample, input_shape="(5, 3)" has two axes, and
                   input_shape="[(5, 3), (7, 3)]" is for two inputs. Layers may be values: "layer=LSTM(4)".""")
    made.add_argument("layer", metavar="LAYER", help="the name of a layer class: Dense")
    made.add_argument("arguments", nargs="*", metavar="NAME=VALUE", help="as in Keras: units=4 input_shape=3")

    made = command(plot, "Draws a model.")
    takes_file(made)
    made.add_argument("-o", "--output", default="model.png", metavar="PICTURE", help="default: model.png")
    made.add_argument("--show-shapes", action="store_true", help="write the shapes into the boxes")

    made = command(port, "Writes a model as PyTorch source that needs kerashape_torch no more, with its weights.",
                   "python OUT/model.py --check runs the case again that was recorded beside it.")
    takes_file(made)
    takes_shape(made)
    made.add_argument("-o", "--output", required=True, metavar="OUT", help="a directory: new, or empty")
    made.add_argument("--layout", choices=("keras", "torch"), default="keras",
                      help="torch: tensors come and go channels first; default: keras")
    made.add_argument("--dtype", help="of the weights: float32, bfloat16, float16; default: the model's own")
    made.add_argument("--force", action="store_true", help="replace a directory that is not empty")

    made = command(run, "Runs a model on made-up inputs, and measures; or on your own with --input.")
    takes_file(made)
    takes_shape(made)
    made.add_argument("--input", metavar="DATA", help="an array, .npy, or several, .npz, by the names of the inputs")
    made.add_argument("-o", "--output", metavar="OUT.npz", help="where the outputs go, by their layers' names")
    made.add_argument("--optimize", action="store_true", help="optimize the module for inference first")
    made.add_argument("--cuda-graph", action="store_true", help="with --input: one CUDA graph for all batches")
    made.add_argument("--batch", type=int, default=32, metavar="N", help="samples at a time; default: 32")
    made.add_argument("--device", default="auto", help="auto, cpu or cuda; default: auto")
    made.add_argument("--dtype", help="of the weights: float32, bfloat16, float16; default: the model's own")
    made.add_argument("--repeat", type=int, default=10, metavar="N", help="timed runs; default: 10")

    made = command(plan, "Says how much memory a model takes, and the largest batch that fits.",
                   "Nothing is run and no memory is taken. Exit status: 1 where not even one sample fits.")
    takes_file(made)
    takes_shape(made)
    made.add_argument("--memory", metavar="SIZE", help="the limit: 16GiB, 500MB")
    made.add_argument("--batch", type=int, metavar="N", help="what is asked about, in place of the largest that fits")
    made.add_argument("--dtype", help="of the weights: float32, bfloat16, float16; default: the model's own")
    made.add_argument("--training", action="store_true", help="with gradients")
    made.add_argument("--optimizer", metavar="NAME", help="count what it keeps for the weights; it says --training")
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="whose kernels are run; default: cpu")

    made = command(check, "Says what of a file can be had, layer by layer, before any weight is read.",
                   """Exit status: 0 where all is exact, 1 where a layer needs something of yours or is refused. With
                   --shapes: 0 where all agree, 1 where one departs, 2 where the file carries none.""")
    takes_file(made)
    made.add_argument("--shapes", action="store_true", help="hold every shape that Keras wrote into the file against "
                      "the one that is inferred here; no Keras is needed")

    made = command(diff, "Shows what moved between two models: where it started, and what follows.",
                   """A model is a file that Keras wrote, the JSON of a model, or a snapshot of shapes (.txt). With
                   --import it may be Python code of yours, which is run: package.module:NAME or FILE.py:NAME, where
                   NAME is a model or makes one without arguments. Exit status: 0 where nothing moved, 1 where something
                   did, 2 after an error.""")
    made.add_argument("before", metavar="BEFORE", help="a model")
    made.add_argument("after", metavar="AFTER", help="another one")
    made.add_argument("--input-shape", type=value, metavar="SHAPE",
                      help="for what knows none; where one is a torch module, for that, in its order of axes")
    made.add_argument("--layout", choices=("any",),
                      help="any: a port to another framework is the same up to the place of the channels")
    made.add_argument("--map", metavar="NAMES", help='JSON of layers that belong together: {"before": "after"}')
    made.add_argument("--write-map", metavar="NAMES", help="write which layers go by two names, to be reviewed")
    made.add_argument("--import", dest="may_import", action="store_true", help="BEFORE and AFTER may be code of yours")
    made.add_argument("--github", action="store_true", help="print annotations for a pull request on GitHub")

    made = command(verify, "Compares shapes and numbers with real Keras, layer by layer.",
                   "Exit status: 0 where all agree, 1 where a layer departs, 2 where nothing can be compared.")
    takes_file(made)
    made.add_argument("--against", metavar="CASE", help="a recorded case, .npz with input_0, output_0 and so on, "
                      "in place of an installed Keras")
    made.add_argument("--batch", type=int, default=2, metavar="N", help="made-up samples; default: 2")
    return parser


# ---- commands: each is named as it is called -------------------------------------------------------------------------


def summary(options: argparse.Namespace) -> Report:
    table = shape_table(options.file, options.input_shape)
    shown = table if options.expand_nested else table.without_nested()

    def on_terminal() -> None:
        from kerashape_torch.reports import print_summary

        print_summary(table, options.line_length, expand_nested=options.expand_nested)

    return Report(table.to_dict(), str(shown), on_terminal)


def explain(options: argparse.Namespace) -> Report:
    from kerashape_torch.reports import explanation

    given: dict[str, Any] = {}
    for argument in options.arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise ConfigError(f"arguments of a layer are written NAME=VALUE, got {argument!r}")
        if name in given:
            raise ConfigError(f"{name} is given twice")
        given[name] = value(text)
    cls = _layer_class(options.layer)
    if issubclass(cls, Model):
        raise ConfigError(f"{options.layer} is a model of layers: kerashape summary FILE shows one")
    shape = given.pop("input_shape", None)
    found = explanation(cls(**given), shape)

    def on_terminal() -> None:
        for block in found.blocks():
            _print_table(block, box=False)
            print()
        print(found.total)

    return Report(found.to_dict(), str(found), on_terminal)


def plot(options: argparse.Namespace) -> Report:
    from kerashape_torch.utils import plot_model

    model = kerashape_torch.load_model(options.file, weights=False)
    file = options.output if Path(options.output).suffix else f"{options.output}.png"
    plot_model(model, to_file=file, show_shapes=options.show_shapes)
    return Report({"file": file}, f"drawn: {file}")


def port(options: argparse.Namespace) -> Report:
    from kerashape_torch.port import FILES
    from kerashape_torch.port import port as write

    where = write(options.file, options.output, input_shape=options.input_shape, layout=options.layout,
                  dtype=options.dtype, overwrite=options.force)
    return Report({"directory": str(where), "files": list(FILES)}, f"written: {where}: {', '.join(FILES)}")


def run(options: argparse.Namespace) -> Report:
    model = kerashape_torch.load_model(options.file)
    if not model.built and options.input_shape is None:
        raise ConfigError(f"{model.name} has no input shape yet: give it one with --input-shape")
    from kerashape_torch.reports.on_data import run_on
    from kerashape_torch.reports.trial import trial

    optimize = "inference" if options.optimize else None
    if options.input is None and (options.output is not None or options.cuda_graph):
        raise ConfigError("--output and --cuda-graph are for a run on data: give it with --input")
    if options.input is not None:
        done = run_on(model, options.input, options.output, options.batch, options.device, options.dtype,
                      options.input_shape, optimize, options.cuda_graph)
        return Report(done.to_dict(), str(done), lambda: _print_table(done.cells(), box=True))
    found = trial(model, options.batch, options.device, options.dtype, options.repeat, options.input_shape, optimize)
    return Report(found.to_dict(), str(found), lambda: _print_table(found.cells(), box=True))


def plan(options: argparse.Namespace) -> Report:
    from kerashape_torch.planning import plan

    model = kerashape_torch.load_model(options.file, weights=False)
    found = plan(model, options.memory, options.batch, dtype=options.dtype, training=options.training,
                 optimizer=options.optimizer, device=options.device, input_shape=options.input_shape)
    return Report(found.to_dict(), str(found), lambda: _print_table(found.cells(), box=False), int(not found.fits))


def check(options: argparse.Namespace) -> Report:
    if options.shapes:
        from kerashape_torch.saving.recorded_shapes import check_recorded_shapes

        held = check_recorded_shapes(options.file)
        report = _judged(held, held.verdict, held.agrees)
        return report if held.rows else report._replace(status=2)
    from kerashape_torch.saving import check

    found = check(options.file)
    return _judged(found, found.remarks(), found.is_exact)


def verify(options: argparse.Namespace) -> Report:
    from kerashape_torch.testing import verify

    found = verify(options.file, options.against, options.batch)
    return _judged(found, found.verdict, found.agrees)


def diff(options: argparse.Namespace) -> Report:
    from kerashape_torch.differences import TableDiff
    from kerashape_torch.differences.github import command_lines
    from kerashape_torch.differences.lines import print_diff

    tables = sources.read_both(options.before, options.after, options.input_shape, options.layout, options.may_import)
    found = TableDiff(*tables, layout=options.layout, names=sources.read_names(options.map) if options.map else None)
    if options.write_map:
        sources.write_names(options.write_map, found.names)
    if options.github:
        file = options.after if Path(options.after).exists() else None
        return Report(found.to_dict(), command_lines(found, file) or str(found), status=int(bool(found)))
    return Report(found.to_dict(), str(found), lambda: print_diff(found), int(bool(found)))


def _judged(found: Any, below: str, holds: bool) -> Report:
    """A table with a text below it, and exit status 1 where what was asked does not hold."""

    def on_terminal() -> None:
        if rows := found.cells():
            _print_table(rows, box=False)
            print()
        print(below)

    return Report(found.to_dict(), str(found), on_terminal, int(not holds))


def _print_table(rows: Sequence[Sequence[str]], box: bool) -> None:
    """Rows that keep to the width of the terminal: long cells go on in a column of their own."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False) if box else Table.grid(padding=(0, 2))
    for cells in rows:
        table.add_row(*cells)
    Console(highlight=False, markup=False).print(table)


# ---- values ----------------------------------------------------------------------------------------------------------


def value(text: str) -> Any:
    """An argument as Python would read it, or the text itself. Layers may stand in it.

    >>> value("(5, 3)"), value("relu"), value("Dense(4)")
    ((5, 3), 'relu', Dense(units=4))
    """
    try:
        return _read(ast.parse(text, mode="eval").body)
    except KerashapeError:
        raise
    except (SyntaxError, ValueError):
        return text


def _read(tree: ast.expr) -> Any:
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        keywords = {keyword.arg: _read(keyword.value) for keyword in tree.keywords if keyword.arg}
        return _layer_class(tree.func.id)(*map(_read, tree.args), **keywords)
    if isinstance(tree, ast.List):
        return [_read(item) for item in tree.elts]
    return ast.literal_eval(tree)


def _layer_class(name: str) -> type[Layer]:
    own = custom_object(name)
    found = own if isinstance(own, type) and issubclass(own, Layer) else Layer.catalog().get(name)
    if found is None:
        raise UnknownLayerError(f"there is no layer {name!r}.{did_you_mean(name, Layer.catalog())}")
    return found


if __name__ == "__main__":
    sys.exit(main())
