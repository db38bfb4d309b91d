"""What may import what, and what must not be loaded: the direction of the house, and a fast start."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kerashape_torch

PACKAGE = Path(kerashape_torch.__file__).parent
LAYERS = Path(kerashape_torch.layers.__file__).parent

# From the top of the house down: a room may import from rooms above it, and from its own files.
ROOMS = ["errors", "elsewhere", "structure", "tree", "text", "shape", "dtype_policies", "settings", "kinds", "sharing",
         "config", "dtypes", "identifiers", "activations", "initializers", "regularizers", "constraints", "masks",
         "sizes", "graph", "losses", "metrics", "optimizers", "compiling", "compilable", "known", "meta_rule",
         "weights", "user_layers", "costed", "connected", "input_spec", "layer", "inputs", "lambda_source",
         "functional_config", "models", "own_weights", "mixed_precision", "parts", "inner_weights", "composed",
         "following", "by_mode", "subclassed", "standalone", "torch_modules", "ops", "random", "layers", "backend",
         "weight_paths", "shape_table", "opened", "differences", "shape_text", "lowering", "training", "saving",
         "planning", "reports", "port", "utils", "testing", "sources", "cli"]

# Methods that users find on a model or a layer although the work is done further down. These files alone may open such
# doors, inside a function.
DOORS = {"user_layers": {"composed"}, "composed": {"lowering", "torch_modules"},
         "layer": {"composed", "lowering", "reports", "torch_modules"},
         "models": {"lowering", "parts", "reports", "saving", "subclassed"}, "own_weights": {"torch_modules"},
         "inner_weights": {"torch_modules"},
         "shape_table": {"saving", "lowering", "differences"}, "optimizers": {"training"}, "losses": {"training"},
         "metrics": {"training"}, "saving": {"port"}}


def sources() -> list[tuple[str, Path]]:
    found = [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in PACKAGE.rglob("*.py")]
    return [(room, path) for room, path in found if room != "__init__"] + [
        ("layers", path) for path in LAYERS.glob("*.py")]


def imported_rooms(path: Path) -> list[tuple[str, bool]]:
    """Each room that a file imports from, and whether it does so inside a function, or for types alone."""
    tree = ast.parse(path.read_text())
    inside = {id(node) for outer in ast.walk(tree) if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef))
              or (isinstance(outer, ast.If) and ast.unparse(outer.test) == "TYPE_CHECKING") for node in ast.walk(outer)}
    rooms = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kerashape_torch"):
            parts = node.module.split(".")
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [a.name.split(".")[1] for a in node.names if a.name.startswith("kerashape_torch.")]
        rooms += [(name, id(node) in inside) for name in names]
    return rooms


@pytest.mark.parametrize(("room", "path"), [pytest.param(r, p, id=f"{r}/{p.name}") for r, p in sources()])
def test_imports_point_upwards(room: str, path: Path) -> None:
    assert room in ROOMS, f"{room} has no place in the house yet: give it one in ROOMS"
    for other, inside in imported_rooms(path):
        if inside and other in DOORS.get(room, ()):
            continue
        assert ROOMS.index(other) <= ROOMS.index(room), f"{path.name} imports {other}, which is below {room}"


DESCRIBE = """
import sys, io, contextlib
import kerashape_torch as kt
from kerashape_torch.layers import Dense, Conv2D, Flatten
model = kt.Sequential([Conv2D(8, 3, input_shape=(28, 28, 1)), Flatten(), Dense(10, activation="softmax")])
model.input_shape, model.output_shape, [layer.output_shape for layer in model.layers], model.count_params()
with contextlib.redirect_stdout(io.StringIO()):
    model.summary()
model.compile(kt.optimizers.Adam(0.01), loss=kt.losses.CategoricalCrossentropy(), metrics=["accuracy", "auc"])
model.get_config(), model.to_json(), str(kt.shape_table(model))
loaded = [name for name in ("torch", "numpy", "keras", "tensorflow", "h5py") if name in sys.modules]
assert not loaded, loaded
"""


def test_describing_a_model_loads_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", DESCRIBE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


EACH_FIRST = """
import importlib, os, sys, traceback

def fails(name):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] != 0
    try:
        importlib.import_module(name)
        os._exit(0)
    except Exception:
        traceback.print_exc()
        os._exit(1)

failed = [name for name in sys.argv[1:] if fails(name)]
sys.exit(str(failed) if failed else 0)
"""


def test_any_room_can_be_imported_first() -> None:
    """A program may begin with any import. The files of ops refer to one another through the catalog of all ops."""
    rooms = [name for name in kerashape_torch.__all__ if (PACKAGE / f"{name}.py").exists() or name == "layers"]
    names = [f"kerashape_torch.{room}" for room in rooms]
    names += [f"kerashape_torch.ops.{path.stem}" for path in sorted((PACKAGE / "ops").glob("[a-z]*.py"))]
    done = subprocess.run([sys.executable, "-c", EACH_FIRST, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_package_is_installed() -> None:
    """An installed copy has what a checkout has."""
    root = Path(__file__).resolve().parent.parent
    listed = re.search(r"^packages = \[(.*?)\]", (root / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)
    assert listed is not None
    folders = [path.parent.relative_to(root).parts for start in ("kerashape_torch", "layers")
               for path in (root / start).rglob("__init__.py")]
    names = {".".join(("kerashape_torch", *parts) if parts[0] == "layers" else parts) for parts in folders}
    assert set(re.findall(r'"([\w.]+)"', listed.group(1))) == names
