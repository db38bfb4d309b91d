"""Arrays that have not been read yet: each knows its shape, and reads its numbers when it is asked for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class Stored(ABC):
    """An array that lies in a file.

    ``np.asarray`` reads it. Copies share it, and a pickle has the numbers.

    Attributes:
        shape: in the layout of the file's Keras.
        where: how errors speak of its place.
        dtype: as the file has it; empty where that does not matter.
        parts: the arrays that it is made of, if it is.
    """

    shape: tuple[int, ...]
    where: str
    dtype: str = ""
    parts: Sequence[Stored] = ()

    def check(self) -> None:
        """Refuses what must not be read, such as a bomb; asked once the shape is found to be right."""
        for part in self.parts:
            part.check()

    def try_out(self) -> None:
        """Makes sure that it can be read, as far as that can be known before; keeps nothing of it.

        Raises:
            WeightsError: it cannot be.
        """
        for part in self.parts:
            part.try_out()
        if not self.parts:
            self.read()

    @abstractmethod
    def read(self) -> np.ndarray[Any, Any]:
        """The numbers, read anew each time.

        Raises:
            WeightsError: the file is damaged, or has changed.
        """

    def blocks(self) -> Iterator[tuple[Any, np.ndarray[Any, Any]]]:
        """The numbers in one piece or several, each with the index of its place, so that few are in memory at once."""
        yield ..., self.read()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self.read()
        return array if dtype is None else array.astype(dtype, copy=False)

    def __deepcopy__(self, memo: Any) -> Stored:
        return self

    def __reduce__(self) -> Any:
        import numpy as np

        return np.array, (self.read(),)


class Made(Stored):
    """An array that is made of others when it is read, such as one kernel of a file's four."""

    def __init__(self, shape: Sequence[int], parts: Sequence[Stored],
                 make: Callable[..., np.ndarray[Any, Any]]) -> None:
        self.shape, self.parts, self._make = tuple(shape), list(parts), make
        self.where = parts[0].where if parts else "nowhere"

    def read(self) -> np.ndarray[Any, Any]:
        import numpy as np

        return np.asarray(self._make(*(part.read() for part in self.parts)), order="C")  # torch takes no negative steps


def zeros(shape: Sequence[int]) -> Stored:
    """Zeros, for what a file leaves out because it adds nothing."""
    import numpy as np

    return Made(shape, (), lambda: np.zeros(tuple(shape), "float32"))


def joined(parts: Sequence[Stored]) -> Stored:
    """Arrays put together along their last axis."""
    import numpy as np

    shape = (*parts[0].shape[:-1], sum(part.shape[-1] for part in parts))
    return Made(shape, parts, lambda *arrays: np.concatenate(arrays, axis=-1))


def transposed(array: Stored, axes: Sequence[int]) -> Stored:
    return Made([array.shape[axis] for axis in axes], (array,), lambda x: x.transpose(axes))
