"""The pytest plugin of kerashape_torch: the fixture ``shape_snapshot``, and what is said of it at the end of a run.

It stands outside the package because every run of pytest imports it: the package is loaded when a test asks for the
fixture, and torch when a module is held or numbers are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kerashape_torch.testing.snapshots import Settled, ShapeSnapshot

_NAME = "kerashape"
_SNAPSHOTS = "__shapes__"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup(_NAME, "snapshots of shapes (kerashape_torch)")
    group.addoption("--shapes-update", action="store_true",
                    help="write the snapshots of the tests that run, and remove those that no test uses")
    group.addoption("--shapes-ci", action="store_true",
                    help="refuse to write any snapshot, as if the environment variable CI were set")


def pytest_configure(config: pytest.Config) -> None:
    update = config.getoption("shapes_update")
    is_ci = config.getoption("shapes_ci") or os.environ.get("CI", "").lower() not in ("", "0", "false")
    if update and is_ci:
        raise pytest.UsageError("--shapes-update: snapshots are never written under CI (--shapes-ci, or CI is set in "
                                "the environment). Update them where you work, and commit them")
    config.pluginmanager.register(_Shapes(config, update), f"{_NAME}-session")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Snapshots are no tests: of ``test*.txt`` pytest makes doctests, and one with marks of a merge ends its run."""
    return True if collection_path.name == _SNAPSHOTS else None


@pytest.fixture
def shape_snapshot(request: pytest.FixtureRequest) -> Iterator[ShapeSnapshot]:
    """Holds shapes against a text file beside the test: ``shape_snapshot.check(model, input_shape=None, name=None,
    values=False)``."""
    from kerashape_torch.testing.snapshots import ShapeSnapshot

    shapes: Any = request.config.pluginmanager.get_plugin(f"{_NAME}-session")
    folder, test = _place(request.node)
    snapshot = ShapeSnapshot(Path(folder), test, request.node.nodeid, shapes.update)
    yield snapshot
    shapes.used.append((folder, test, snapshot.used))
    shapes.fresh.append((folder, test, snapshot.fresh))


def _folder(path: Path) -> Path:
    return path.parent / _SNAPSHOTS / path.stem


def _place(item: pytest.Item) -> tuple[str, str]:
    """The folder of a test's snapshots, and its name with the classes around it."""
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    return str(_folder(item.path)), ".".join([*classes, item.name])


class _Shapes:
    """What is seen of one session: by itself, in a worker of xdist, or of all workers together."""

    def __init__(self, config: pytest.Config, update: bool) -> None:
        self.config = config
        self.update = update
        # A selection by node id, and the last failures alone, leave tests uncollected; -k and -m do not.
        self.all_known = not config.getoption("lf", False) and not any("::" in arg for arg in config.args)
        self.collected: dict[str, tuple[str, list[str]]] = {}  # the folder and the tests of a module, by its node id
        self.passed: list[tuple[str, str]] = []
        self.used: list[tuple[str, str, list[str]]] = []
        self.fresh: list[tuple[str, str, dict[str, str]]] = []
        self.of_workers: list[str] = []
        self.settled: Settled | None = None

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        if isinstance(collector, pytest.Module) and (folder := _folder(collector.path)).parent.is_dir():
            self.collected.setdefault(collector.nodeid, (str(folder), []))  # its doctests may be collected apart

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        if (module := item.nodeid.partition("::")[0]) in self.collected:
            self.collected[module][1].append(_place(item)[1])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:  # a module that is skipped, or that cannot be imported
            self.collected.pop(report.nodeid.partition("::")[0], None)

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
        if call.when == "call" and call.excinfo is None:
            self.passed.append(_place(item))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        found = getattr(node, "workeroutput", {}).get(_NAME)
        self.of_workers += [found] if found else []  # one that crashed has none; another one has run its tests

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        collected = {folder: tests if self.all_known else None for folder, tests in self.collected.values()}
        used = {(folder, test) for folder, test, _ in self.used}
        passed = [(folder, test) for folder, test in self.passed if folder in collected or (folder, test) in used]
        seen = [collected, passed, self.used, self.fresh]
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput[_NAME] = json.dumps(seen)
        elif not self.config.getoption("collectonly", False):
            everything = [seen, *map(json.loads, self.of_workers)]
            if any(any(each) for each in everything):
                from kerashape_torch.testing.snapshots import Ran, settle

                self.settled = settle([Ran(*each) for each in everything], self.update)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.settled is None or not any(self.settled):
            return
        terminalreporter.section("snapshots of shapes")
        for path, what in self.settled.wrote:
            terminalreporter.line(f"wrote  {_relative(path, self.config.rootpath)}: {what}")
        for path, what in self.settled.stale:
            terminalreporter.line(f"stale  {_relative(path, self.config.rootpath)}: {what}")
        if self.settled.stale:
            terminalreporter.line("pytest --shapes-update removes what is stale")


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
