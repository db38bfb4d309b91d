"""The pytest plugin, as the projects that use it see it: each test here is a small project that pytest runs in."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pytest_kerashape

pytest_plugins = ["pytester"]

MODELS = """
import pytest
from kerashape_torch.layers import Conv2D, Dense, Flatten, Input
from kerashape_torch.models import Sequential

def net(filters=4):
    return Sequential([Input((8, 8, 3)), Conv2D(filters, 3, name="conv"), Flatten(name="flat"), Dense(2, name="head")],
                      name="net")
"""
ONE = MODELS + """
def test_net(shape_snapshot):
    shape_snapshot.check(net())
"""
NET = """\
kerashape snapshots of test_net
# To accept what has moved: pytest --shapes-update

=== 1
kerashape shapes 1
net: (None, 8, 8, 3) -> (None, 2), chain
402 parameters = 402 trainable + 0 frozen, 1,608 bytes = 1,608 + 0
conv                    Conv2D              (None, 8, 8, 3) -> (None, 6, 6, 4)              112       kernel (3, 3, 3, 4), bias (4)
flat                    Flatten             (None, 6, 6, 4) -> (None, 144)                  0
head                    Dense               (None, 144) -> (None, 2)                        290       kernel (144, 2), bias (2)
"""  # noqa: E501
Run = Callable[..., pytest.RunResult]


class Imported:
    """What pytest imports while it runs here. pytester would forget it, and torch cannot be imported twice."""

    def __init__(self) -> None:
        self.modules: dict[str, ModuleType] = {}

    def pytest_unconfigure(self) -> None:
        self.modules |= {name: module for name, module in sys.modules.items() if not name.startswith("test_")}

    def give_back(self) -> None:
        for name, module in self.modules.items():
            sys.modules.setdefault(name, module)


@pytest.fixture(autouse=True)
def nobodys_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests may run on a CI themselves, and the small projects are not to see it unless a test says so."""
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture(autouse=True)
def imported() -> Iterator[Imported]:
    found = Imported()
    yield found
    found.give_back()  # again: pytester, which came after this and is gone by now, forgets it all once more


@pytest.fixture
def run(imported: Imported, pytester: pytest.Pytester) -> Run:
    """pytest in the small project, with warnings as errors."""

    def run_here(*options: str) -> pytest.RunResult:
        result = pytester.runpytest_inprocess("-Werror", "--strict-markers", *options, plugins=[imported])
        imported.give_back()
        return result

    return run_here


def kept(pytester: pytest.Pytester) -> list[str]:
    return sorted(path.relative_to(pytester.path).as_posix() for path in pytester.path.rglob("__shapes__/*/*"))


def said(result: pytest.RunResult) -> list[str]:
    """The plugin's lines at the end."""
    return [line for line in result.outlines if line.startswith(("wrote  ", "stale  "))]


# ---- one test --------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_written_when_it_is_asked_for(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_one=ONE)
    missing = run()
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines([
        ">       shape_snapshot.check(net())",
        "E       AssertionError: there is no snapshot 1 of test_net yet. To write it to "
        "__shapes__/test_one/test_net.txt:",
        "E           pytest --shapes-update test_one.py::test_net"])
    assert kept(pytester) == []

    update = run("--shapes-update")
    update.assert_outcomes(passed=1)
    assert said(update) == ["wrote  __shapes__/test_one/test_net.txt: new"]
    assert (pytester.path / "__shapes__/test_one/test_net.txt").read_text() == NET
    for options in ((), ("--shapes-update",), ("--shapes-ci",)):
        again = run(*options)
        again.assert_outcomes(passed=1)
        assert said(again) == []


def test_what_moved_is_told(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_one=ONE)
    run("--shapes-update")
    pytester.makepyfile(test_one=ONE.replace("check(net())", "check(net(filters=5))"))
    moved = run()
    moved.assert_outcomes(failed=1)
    moved.stdout.fnmatch_lines([
        ">       shape_snapshot.check(net(filters=5))",
        "E       AssertionError: shapes moved: snapshot 1 of __shapes__/test_one/test_net.txt",
        "E*conv*",
        "E*(None, 6, 6, 4)*(None, 6, 6, 5)*",
        "E       If this is meant:",
        "E           pytest --shapes-update test_one.py::test_net"])
    assert not any("snapshots.py" in line for line in moved.outlines)  # the user's own line is the last one shown
    assert (pytester.path / "__shapes__/test_one/test_net.txt").read_text() == NET

    assert said(run("--shapes-update")) == ["wrote  __shapes__/test_one/test_net.txt: 1 changed"]
    run().assert_outcomes(passed=1)
    changed = (pytester.path / "__shapes__/test_one/test_net.txt").read_text().splitlines()
    assert sum(a != b for a, b in zip(changed, NET.splitlines(), strict=True)) == 4  # three layers and the totals


@pytest.mark.parametrize("ci", [{"CI": "true"}, {}], ids=["variable", "option"])
def test_nothing_is_written_under_ci(pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch,
                                     ci: dict[str, str]) -> None:
    for name, value in ci.items():
        monkeypatch.setenv(name, value)
    options = () if ci else ("--shapes-ci",)
    pytester.makepyfile(test_one=ONE)
    run(*options).assert_outcomes(failed=1)
    refused = run("--shapes-update", *options)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["*--shapes-update: snapshots are never written under CI*commit them"])
    assert kept(pytester) == []


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_what_is_no_ci(pytester: pytest.Pytester, run: Run, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CI", value)
    pytester.makepyfile(test_one=ONE)
    run("--shapes-update").assert_outcomes(passed=1)


@pytest.mark.parametrize(("old", "new", "message"), [
    ("(None, 6, 6, 4) -> (None, 144)", "(None, 6, 6, 4) -> (None, 144", r"line 9: expected '\)', got '0'"),
    ("=== 1", "<<<<<<< HEAD\n=== 1", r"line 4: expected '=== ' and a name, got '<<<<<<< HEAD'"),
    ("kerashape snapshots of", "shapes of", r"line 1: expected 'kerashape snapshots of ' and the name of a test"),
    ("402 trainable", "403 trainable", r"line 7: the totals do not add up"),
])
def test_a_spoilt_file_names_the_line(pytester: pytest.Pytester, run: Run, old: str, new: str, message: str) -> None:
    pytester.makepyfile(test_one=ONE)
    run("--shapes-update")
    path = pytester.path / "__shapes__/test_one/test_net.txt"
    path.write_text(path.read_text().replace(old, new))
    spoilt = run()
    spoilt.assert_outcomes(failed=1)
    spoilt.stdout.re_match_lines([rf"E  .*ConfigError: test_net\.txt, {message}",
                                  r"E +To write __shapes__/test_one/test_net.txt anew:",
                                  r"E +pytest --shapes-update test_one.py::test_net"], consecutive=True)
    assert "snapshots.py" not in spoilt.stdout.str()  # the test's own line is shown, and none of ours
    run("--shapes-update").assert_outcomes(passed=1)
    assert path.read_text() == NET


def test_snapshots_are_no_doctests(pytester: pytest.Pytester, run: Run) -> None:
    """Of any ``test*.txt`` pytest makes a doctest, and the end of a merge conflict begins like an example."""
    pytester.makepyfile(test_one=ONE)
    run("--shapes-update")
    path = pytester.path / "__shapes__/test_one/test_net.txt"
    path.write_text(NET.replace("flat ", "<<<<<<< HEAD\nflat ").replace("head ", "=======\n>>>>>>> main\nhead "))
    spoilt = run(".")
    spoilt.assert_outcomes(failed=1)
    spoilt.stdout.re_match_lines([r"E  .*ConfigError: test_net\.txt, line 9: "])
    run(".", "--shapes-update").assert_outcomes(passed=1)
    assert path.read_text() == NET


# ---- several ---------------------------------------------------------------------------------------------------------

MANY = MODELS + """
class TestNet:
    @pytest.mark.parametrize("name", ["relu", "ReLU", "a/b:c", "../up", "con", 'q"uote', "x" * 90, "x" * 90 + "y"],
                             ids=str)
    def test_net(self, shape_snapshot, name):
        shape_snapshot.check(net(len(name)))

    class TestInner:
        def test_net(self, shape_snapshot):
            shape_snapshot.check(net())
            shape_snapshot.assert_match(net(), name="named, with a comma")
            shape_snapshot.check(net(5))
"""


def test_parameters_and_classes_and_several_in_a_test(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_many=MANY)
    run("--shapes-update").assert_outcomes(passed=9)
    names = [Path(name).name for name in kept(pytester)]
    assert len({name.lower() for name in names}) == 9 and max(map(len, names)) < 120
    assert {"TestNet.test_net[ReLU].txt", "TestNet.TestInner.test_net.txt", "TestNet.test_net[con].txt"} <= set(names)
    assert all(re.fullmatch(r"[\w.\[\]-]+", name, re.ASCII) for name in names)
    text = (pytester.path / "__shapes__/test_many/TestNet.TestInner.test_net.txt").read_text()
    assert [line for line in text.splitlines() if line.startswith("===")] == [
        "=== 1", '=== "named, with a comma"', "=== 2"]
    again = run()
    again.assert_outcomes(passed=9)
    assert said(again) == []


def test_one_name_twice(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_one=ONE + "    shape_snapshot.check(net(), name='1')\n")
    result = run("--shapes-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*KerashapeError: test_net has two snapshots of the name 1"])


def test_modules_of_one_name_in_several_folders(pytester: pytest.Pytester, run: Run) -> None:
    for folder in ("a", "b/c"):
        (pytester.path / folder).mkdir(parents=True)
        (pytester.path / folder / "__init__.py").touch()
        (pytester.path / folder / "test_one.py").write_text(ONE)
    run("--shapes-update").assert_outcomes(passed=2)
    assert kept(pytester) == ["a/__shapes__/test_one/test_net.txt", "b/c/__shapes__/test_one/test_net.txt"]
    result = run("--rootdir", "b", "b", "a")
    result.assert_outcomes(passed=2)
    assert said(result) == []


# ---- stale -----------------------------------------------------------------------------------------------------------

TWO = ONE + """    shape_snapshot.check(net(), name="again")

def test_other(shape_snapshot):
    shape_snapshot.check(net())
"""
AGAIN = "stale  __shapes__/test_one/test_net.txt: snapshot again, which its test does not use"
STALE = "stale  __shapes__/test_one/test_other.txt: no test uses it"


def test_what_no_test_uses_is_reported_and_removed(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_one=TWO, test_gone=ONE)
    run("--shapes-update").assert_outcomes(passed=3)
    pytester.makepyfile(test_one=ONE)
    (pytester.path / "test_gone.py").unlink()
    result = run()
    result.assert_outcomes(passed=1)
    assert said(result) == [AGAIN, STALE, "stale  __shapes__/test_gone/test_net.txt: no test uses it"]
    result.stdout.fnmatch_lines(["pytest --shapes-update removes what is stale"])
    assert len(kept(pytester)) == 3
    updated = run("--shapes-update")
    assert sorted(said(updated)) == ["wrote  __shapes__/test_gone/test_net.txt: removed",
                                     "wrote  __shapes__/test_one/test_net.txt: 1 removed",
                                     "wrote  __shapes__/test_one/test_other.txt: removed"]
    assert kept(pytester) == ["__shapes__/test_one/test_net.txt"]
    assert said(run()) == []


@pytest.mark.parametrize("options", ["-k net", "test_one.py::test_net", "test_one.py",
                                     "--deselect test_one.py::test_other", "-m usefixtures", "--lf",
                                     "--collect-only", "-x", "--doctest-modules"])
def test_a_selection_makes_nothing_stale(pytester: pytest.Pytester, run: Run, options: str) -> None:
    pytester.makepyfile(test_one=TWO.replace("def test_net", "@pytest.mark.usefixtures('tmp_path')\ndef test_net"))
    pytester.makepyfile(test_three=ONE)
    run("--shapes-update")
    for update in ((), ("--shapes-update",)):
        result = run(*options.split(), *update)
        assert said(result) == [] and result.ret == 0
    assert len(kept(pytester)) == 3


def test_a_test_that_does_not_reach_its_checks_makes_nothing_stale(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_one=TWO)
    run("--shapes-update")
    broken = TWO.replace('    shape_snapshot.check(net(), name="again")', "    assert 0").replace(
        "def test_other", "@pytest.mark.skip\ndef test_other")
    pytester.makepyfile(test_one=broken)
    for options in ((), ("--shapes-update",)):
        result = run(*options)
        result.assert_outcomes(failed=1, skipped=1)
        assert said(result) == []
    for spoilt in ("import nothing_of_this_name", "import pytest\npytest.importorskip('nothing_of_this_name')"):
        pytester.makepyfile(test_one=spoilt, test_three="def test_nothing():\n    pass\n")
        assert said(run("--shapes-update", "--continue-on-collection-errors")) == [] and len(kept(pytester)) == 2


def test_a_test_that_stopped_checking(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_one=ONE)
    run("--shapes-update")
    pytester.makepyfile(test_one="def test_net():\n    pass\n")
    assert said(run()) == ["stale  __shapes__/test_one/test_net.txt: snapshot 1, which its test does not use"]
    run("--shapes-update")
    assert not (pytester.path / "__shapes__").exists()


# ---- beside others ---------------------------------------------------------------------------------------------------


def test_workers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_one=TWO, test_many=MANY)

    def run(*options: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess("-n2", "-Werror", *options)

    update = run("--shapes-update")
    update.assert_outcomes(passed=11)  # and it is the controller that writes
    assert len(said(update)) == 11 and len(kept(pytester)) == 11
    pytester.makepyfile(test_one=ONE)
    result = run("--dist=loadgroup")
    result.assert_outcomes(passed=10)
    assert said(result) == [AGAIN, STALE]


def test_beside_syrupy_and_pytest_regressions(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_one=MODELS + """
def test_all(shape_snapshot, snapshot, data_regression):
    shape_snapshot.check(net())
    assert {"a": 1} == snapshot
    data_regression.check({"b": 2})
""")

    def run(*options: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess("-Werror", *options)

    update = run("--shapes-update", "--snapshot-update", "--regen-all")
    assert said(update) == ["wrote  __shapes__/test_one/test_all.txt: new"]
    names = {path.relative_to(pytester.path).as_posix() for path in pytester.path.rglob("test_*") if path.is_file()}
    assert names >= {"__shapes__/test_one/test_all.txt", "__snapshots__/test_one.ambr", "test_one/test_all.yml"}
    run().assert_outcomes(passed=1)
    assert said(run("--snapshot-update")) == []


def test_the_plugin_loads_nothing_until_it_is_used(pytester: pytest.Pytester) -> None:
    """Every run of pytest imports it, in projects that never heard of it too."""
    pytester.makepyfile(test_one="""
import sys
def test_nothing_is_loaded():
    assert "pytest_kerashape" in sys.modules
    assert not {"kerashape_torch", "torch", "numpy", "rich"} & set(sys.modules)
""")
    pytester.runpytest_subprocess("-pno:hypothesispytest", "-pno:cacheprovider").assert_outcomes(passed=1)
    pytester.makepyfile(test_two=ONE + "    import sys\n    assert 'torch' not in sys.modules\n")
    pytester.runpytest_subprocess("--shapes-update", "test_two.py").assert_outcomes(passed=1)


def test_what_the_plugin_imports() -> None:
    code = "import pytest, sys; before = set(sys.modules); import pytest_kerashape; print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'pytest_kerashape'}"
    assert len(Path(pytest_kerashape.__file__).read_text().splitlines()) < 150


# ---- values ----------------------------------------------------------------------------------------------------------

VALUED = MODELS + """
@pytest.mark.parametrize("as_module", [False, True])
def test_net(shape_snapshot, as_module):
    shape_snapshot.check(net())
    model, shape = net(), None
    if as_module:
        import torch
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.Flatten(), torch.nn.Linear(64, 2))
        shape = (3, 8, 8)
    shape_snapshot.check(model, shape, name="by value", values=True)
"""


def test_values_are_kept_beside_the_shapes(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_one=VALUED)
    run("--shapes-update").assert_outcomes(passed=2)
    path = pytester.path / "__shapes__/test_one/test_net[False].txt"
    kept_text = path.read_text()
    assert ('=== "by value" values\nkerashape values 1\nbatch 2, 4 of 4 weights seeded\n'
            "head (2, 2) float32, within 0.0001\n  mean ") in kept_text
    again = run()
    again.assert_outcomes(passed=2)
    assert said(again) == []

    path.write_text(kept_text.replace("  mean ", "  mean 7"))
    moved = run()
    moved.assert_outcomes(failed=1, passed=1)
    moved.stdout.re_match_lines([
        r"E  .*AssertionError: numbers moved: snapshot \"by value\" values of .*/test_one/test_net\[False\]\.txt",
        r"E  .*output head \(2, 2\): 1 of 9 numbers moved by more than .* of the largest\)",
        r"E  .*mean  7\S* +->  \S+"])
    assert len(said(run("--shapes-update"))) == 1 and path.read_text() == kept_text

    pytester.makepyfile(test_one=VALUED.replace("values=True", "values=False"))
    assert [line.split(": ")[1] for line in said(run())] == [
        'snapshot "by value" values, which its test does not use'] * 2


def test_numbers_that_moved_less_than_they_may_are_left_alone(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_one=VALUED)
    run("--shapes-update")
    path = pytester.path / "__shapes__/test_one/test_net[True].txt"
    nudged = re.sub(r"(mean -?\d+\.\d{3})\d+", r"\g<1>", path.read_text()).replace("within 0.0001", "within 0.1")
    path.write_text(nudged)
    result = run("--shapes-update")
    assert said(result) == [] and path.read_text() == nudged


@pytest.mark.parametrize("sort", ["model", "module"])
def test_a_shift_by_a_pixel_is_caught_although_every_shape_is_the_same(pytester: pytest.Pytester, run: Run,
                                                                      sort: str) -> None:
    """Where the stride is 2, ``same`` pads right and bottom first: padding on all sides is a window that has moved."""
    model = """
    conv = Conv2D(4, 3, strides=2, name="conv")
    layers = [Input((8, 8, 3)), ZeroPadding2D(PAD, name="pad"), conv, Flatten(name="flat"), Dense(2, name="head")]
    shape_snapshot.check(Sequential(layers, name="net"), values=True)
"""
    module = """
    import torch
    from torch import nn
    torch.manual_seed(0)
    net = nn.Sequential(nn.ZeroPad2d(PAD), nn.Conv2d(3, 4, 3, 2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 2))
    before = torch.get_rng_state()
    shape_snapshot.check(net, (3, 8, 8), values=True)
    assert net.training and torch.equal(before, torch.get_rng_state())
"""
    text = (MODELS + "from kerashape_torch.layers import ZeroPadding2D\ndef test_net(shape_snapshot):"
            + {"model": model, "module": module}[sort])
    right, left = {"model": ("((0, 1), (0, 1))", "((1, 0), (1, 0))"), "module": ("(0, 1, 0, 1)", "(1, 0, 1, 0)")}[sort]
    pytester.makepyfile(test_one=text.replace("PAD", right))
    run("--shapes-update").assert_outcomes(passed=1)
    run().assert_outcomes(passed=1)
    pytester.makepyfile(test_one=text.replace("PAD", left))
    shifted = run()
    shifted.assert_outcomes(failed=1)
    shifted.stdout.fnmatch_lines([
        "E       AssertionError: numbers moved: snapshot 1 values of __shapes__/test_one/test_net.txt",
        "E       output * (2, 2): * of 9 numbers moved by more than * (0.0001 of the largest)",
        "E         *->*",
        "E       If this is meant:"])
