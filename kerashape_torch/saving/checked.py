"""Pre-flight: what a file is, and what of it can be had, before any weight is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kerashape_torch.errors import KerashapeError
from kerashape_torch.saving.containers import local_path
from kerashape_torch.saving.models import model_of
from kerashape_torch.saving.preflight import EXACT, Finding, findings
from kerashape_torch.saving.reading import read
from kerashape_torch.text import aligned


class Checked(NamedTuple):
    """What :func:`check` found. ``str()`` prints it.

    Attributes:
        form: what sort of file it is.
        version: of the Keras that wrote it, as far as it is known.
        layers: each layer, and what it needs.
        notes: what the version's semantics change.
        problem: what is wrong with the model as a whole, or with its weights; empty where nothing is.
        weights: what is known of the weights, of which none has been read.
    """

    file: str
    form: str
    version: str
    layers: list[Finding]
    notes: list[str]
    problem: str
    weights: str

    @property
    def is_exact(self) -> bool:
        """Whether the file can be read as it is."""
        return not self.problem and all(each.verdict == EXACT for each in self.layers)

    def cells(self) -> list[tuple[str, ...]]:
        """A line of cells for each layer."""
        return [("layer", "class", "verdict"), *(each[:3] for each in self.layers)]

    def remarks(self) -> str:
        """What there is to be said beyond the table."""
        lines = [f"{self.file}: {self.form}, {self.version}; weights: {self.weights}"]
        lines += [f"  {note}" for note in self.notes]
        for each in self.layers:
            if each.verdict != EXACT:
                lines += ["", f"{each.layer} {each.verdict}: {each.why}"]
                lines += [f"    {line}" for line in each.way_out.split("\n")]
        lines += ["", f"problem: {self.problem}"] if self.problem else []
        return "\n".join([*lines, "", "exact: it can be read as it is" if self.is_exact else
                          "it cannot be read as it is"])

    def __str__(self) -> str:
        return f"{aligned(self.cells())}\n\n{self.remarks()}"

    def to_dict(self) -> dict[str, Any]:
        """The findings as values that JSON can hold."""
        return {**self._asdict(), "layers": [each._asdict() for each in self.layers], "exact": self.is_exact}


def check(filepath: Any, custom_objects: Mapping[str, Any] | None = None) -> Checked:
    """Says of each layer of a file whether it can be had, before any weight is read.

    Args:
        filepath: any file that :func:`load_model` takes.
        custom_objects: classes and functions of yours, which are then needed no more.

    Raises:
        ConfigError: it is no model file.
    """
    contents = read(filepath)
    found = findings(contents.config, custom_objects, contents.version, contents.backend)
    problem, weights = found.problem, "" if contents.weights is None else "not looked at"
    if not found.open and not problem:
        try:
            model_of(contents, custom_objects)
            weights = weights and "all of the right shape"
        except KerashapeError as error:
            problem = str(error)
    version = contents.version or ".".join(map(str, found.version)) or "unknown"
    return Checked(local_path(filepath).name, contents.form, f"Keras {version}", found.layers,
                   [str(note) for note in found.notes], problem, weights or "none")
