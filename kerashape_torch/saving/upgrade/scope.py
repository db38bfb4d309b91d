"""What every step of an upgrade is told, and where it leaves what it has to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NoReturn

from kerashape_torch.errors import ConfigError

if TYPE_CHECKING:
    from kerashape_torch.saving.upgrade.origin import Origin


class Note(NamedTuple):
    """What a layer of a file means, where the same words mean something else today.

    >>> print(Note("lstm", "it is old"))
    lstm: it is old
    """

    layer: str
    text: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.text}"


class Scope:
    """One upgrade: who wrote the config, the notes so far, and the layers that had to take other names."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.notes: list[Note] = []
        self.renamed: dict[str, str] = {}

    def note(self, layer: str, text: str) -> None:
        if Note(layer, text) not in self.notes:
            self.notes.append(Note(layer, text))

    def name(self, old: str) -> str:
        """The name of a layer today: Keras 3 has no ``/`` in it."""
        new = old.replace("/", "_") if isinstance(old, str) else old
        if new != old:
            self.renamed[new] = old
        return new


def refuse(layer: str, fact: str, way_out: str = "rebuild that part in the Keras that wrote it") -> NoReturn:
    """Says what of an old layer cannot be had today.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(f"{layer}: {fact}. Way out: {way_out}")
