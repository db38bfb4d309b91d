"""Numbers and strings to categories: bins, hashes, and vectors of ones or counts.

An index can come out as it is (``int``), as a vector with a one at its place (``one_hot``), or together with the others
of its sample as a vector of ones (``multi_hot``) or counts (``count``). For inputs of rank 3 Keras' own shape rules do
not agree with what Keras computes: ``multi_hot`` and ``count`` put axis 1 together, whatever the rank. What is computed
is followed here.

Keras can give sparse tensors under TensorFlow. Here ``sparse=True`` gives the same numbers in a dense tensor.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from kerashape_torch.dtypes import is_float
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.kinds import Choice, Kind
from kerashape_torch.layer import Layer
from kerashape_torch.shape import Shape, to_text
from kerashape_torch.structure import flatten

if TYPE_CHECKING:
    from kerashape_torch.torch_modules.category import Dtypes


def encoded_shape(shape: Shape, depth: int | None, mode: str) -> Shape:
    """The shape of encoded indices.

    >>> encoded_shape((None, 4), 6, "one_hot"), encoded_shape((None, 1), 6, "one_hot")
    ((None, 4, 6), (None, 6))
    >>> encoded_shape((None, 4), 6, "count")
    (None, 6)
    """
    if mode == "int":
        return shape
    shape = shape or (1,)
    if mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*shape[:1], *shape[2:], depth) if len(shape) > 1 else (depth,)


def refuse_sparse_indices(layer: Any) -> None:
    """Indices are never sparse."""
    if layer.sparse and layer.output_mode == "int":
        raise ConfigError(f"{type(layer).__name__}(sparse=True) is for output_mode 'one_hot', 'multi_hot' or 'count', "
                          "not for 'int'")


class Encoder(Layer, catalog=False):
    """A layer that gives indices, or vectors made of them."""

    takes_integers = True

    _integers = "int64"
    """The dtype of the indices."""

    @property
    def compute_dtype(self) -> str:
        """The dtype that comes out."""
        if getattr(self, "output_mode", "") == "int" and not self.dtype:
            return self._integers
        return super().compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The float dtype of the module."""
        return super().variable_dtype if is_float(super().variable_dtype) else "float32"

    def output_dtype(self, dtype: str) -> str:
        return self.compute_dtype

    def _dtypes(self, vectors: str = "", weighted: str = "") -> "Dtypes":
        """What the module gives. Vectors have the dtype of the layer's weights, if nothing else is said."""
        import torch

        from kerashape_torch.torch_modules.category import Dtypes

        def other(dtype: str) -> torch.dtype | None:
            return getattr(torch, dtype) if dtype and dtype != self.variable_dtype else None

        indices = "int64" if is_float(self.compute_dtype) else self.compute_dtype
        return Dtypes(getattr(torch, self.variable_dtype), getattr(torch, indices),
                      other(vectors or super().variable_dtype), other(weighted))


# ---- bins of numbers -------------------------------------------------------------------------------------------------


class Discretization(Encoder):
    """The index of the bin that each number falls into: how many boundaries are not greater than it.

    The boundaries are given, or found by :meth:`adapt` so that ``num_bins`` bins hold about as many numbers each.

    Input shape:  any
    Output shape: the same for ``int``; with ``one_hot`` an axis of bins more; with ``multi_hot`` and ``count``
                  (batch, bins)

    >>> Discretization([0.0, 1.0], output_mode="one_hot").compute_output_shape((None, 4))
    (None, 4, 3)
    >>> import torch
    >>> Discretization([0.0, 1.0]).to_torch()(torch.tensor([[-1.5, 0.0, 3.0]]))
    tensor([[0, 1, 2]], dtype=torch.int32)
    """

    bin_boundaries: Any = None
    num_bins: int | None = None
    epsilon: float = 0.01
    output_mode: Annotated[str, Choice("int", "one_hot", "multi_hot", "count")] = "int"
    sparse: bool = False
    _integers = "int32"

    def __post_init__(self) -> None:
        refuse_sparse_indices(self)
        if self.sparse:
            raise ConfigError("Discretization(sparse=True) is not to be had with torch, nor is it in Keras. "
                              "sparse=False gives the same numbers")
        if self.num_bins is not None and self.num_bins < 0:
            raise ConfigError(f"Discretization(num_bins=...) must be 0 or more, got {self.num_bins}")
        if (self.num_bins is None) == (self.bin_boundaries is None):
            given = "neither" if self.num_bins is None else "both"
            raise ConfigError(f"Discretization takes bin_boundaries, or num_bins for adapt(); {given} is given")
        if self.bin_boundaries is not None:
            self.bin_boundaries = _numbers(self.bin_boundaries, "Discretization(bin_boundaries=...)")
        self._summary: Any = None

    @property
    def compute_dtype(self) -> str:
        return self._integers if self.output_mode == "int" else super().compute_dtype

    def input_dtype(self) -> str:
        return "float32"

    def compute_output_shape(self, shape: Shape) -> Shape:
        bins = len(self.bin_boundaries) + 1 if self.bin_boundaries is not None else self.num_bins
        return encoded_shape(shape, bins, self.output_mode)

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.category import Bucketize

        if self.bin_boundaries is None:
            raise ConfigError(f"{self.describe()} has no boundaries yet: adapt(data) finds them")
        return Bucketize(self.bin_boundaries, self.output_mode, self._dtypes(vectors=self.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        written = super().get_config()
        del written["trainable"]
        return {**written, "dtype": self.dtype or "float32"}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Discretization":
        if config.get("bin_boundaries") is None or config.get("num_bins") is None:
            return super().from_config(config)
        layer = super().from_config({name: value for name, value in config.items() if name != "bin_boundaries"})
        layer.bin_boundaries = _numbers(config["bin_boundaries"], "bin_boundaries")  # both: adapt() found them
        return layer

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Finds the boundaries of ``num_bins`` bins from an array or tensor, or from batches of them.

        >>> import numpy as np
        >>> layer = Discretization(num_bins=4)
        >>> layer.adapt(np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]]))
        >>> layer.bin_boundaries
        [0.0, 0.5, 1.2999999523162842]
        """
        if self.num_bins is None:
            raise ConfigError(f"{self.describe()} was given its boundaries, and adapt() would change them. "
                              "Give num_bins instead")
        import numpy as np

        self._summary = np.zeros((2, 0), np.float32)
        for at, batch in enumerate(batches(data)):
            if steps is not None and at >= steps:
                break
            self._merge(batch)
        found = _compressed(self._summary, 1.0 / self.num_bins) if self.num_bins else self._summary
        self.bin_boundaries = found[0, :-1].tolist()

    def _merge(self, batch: Any) -> None:
        import numpy as np

        values = np.sort(np.asarray(host(batch), np.float32), axis=None)
        step = max(values.size * self.epsilon, 1)
        kept = values[int(step - 1)::int(step)]
        both = np.concatenate(([kept, np.ones_like(kept) * step], self._summary), axis=1)
        self._summary = _compressed(both[:, np.argsort(both[0])], self.epsilon)


def _numbers(value: Any, where: str) -> list[float]:
    found = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(x, (int, float)) for x in found):
        raise ConfigError(f"{where} must be a list of numbers, got {value!r}")
    return list(found)


def _compressed(summary: Any, epsilon: float) -> Any:
    """Values and how many numbers each stands for, at even shares of all numbers; between them, on straight lines."""
    import numpy as np

    if summary.shape[1] * epsilon < 1:
        return summary
    counted = summary[1].cumsum()
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    values, reached = (np.interp(shares, counted / counted[-1], column) for column in (summary[0], counted))
    return np.stack((values, np.diff(reached, prepend=0.0))).astype(np.float32)


def batches(data: Any) -> Iterable[Any]:
    """An array or tensor is one batch; of anything else each item is one."""
    if hasattr(data, "shape") or hasattr(data, "detach"):
        return [data]
    if isinstance(data, (str, bytes, Mapping)) or not isinstance(data, Iterable):
        raise ConfigError(f"adapt() takes an array or batches of arrays, got {type(data).__name__}")
    return data


def host(batch: Any) -> Any:
    """A tensor as an array; anything else as it is."""
    return batch.detach().cpu().numpy() if hasattr(batch, "detach") else batch


# ---- categories ------------------------------------------------------------------------------------------------------


class _EncodingMode(Choice):
    def read(self, value: Any, where: str) -> Any:
        return super().read("multi_hot" if value == "binary" else value, where)


class CategoryEncoding(Encoder):
    """Indices as vectors: one for each index, or one for each sample with the ones or counts of its indices.

    In ``count`` mode a call takes ``count_weights``, a weight for each index. An index outside ``0 ... num_tokens - 1``
    counts nowhere, as in Keras under TensorFlow.

    Input shape:  (batch, indices), or any
    Output shape: (batch, num_tokens); with ``one_hot`` an axis of ``num_tokens`` more

    >>> CategoryEncoding(4).compute_output_shape((None, 2))
    (None, 4)
    >>> import torch
    >>> CategoryEncoding(4, output_mode="count").to_torch()(torch.tensor([[0, 1, 1]]))
    tensor([[1., 2., 0., 0.]])
    """

    call_arguments = ("inputs", "count_weights")
    unwritten = ("sparse",)

    num_tokens: int | None = None
    output_mode: Annotated[str, _EncodingMode("one_hot", "multi_hot", "count")] = "multi_hot"
    sparse: bool = False

    def __post_init__(self) -> None:
        if self.num_tokens is None or self.num_tokens < 1:
            raise ConfigError(f"CategoryEncoding(num_tokens=...) must be 1 or more, got {self.num_tokens}. "
                              "IntegerLookup finds out how many there are")

    def compute_output_shape(self, shape: Shape) -> Shape:
        return encoded_shape(shape, self.num_tokens, self.output_mode)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        bound = super().bind(args, kwargs)
        if bound.get("count_weights") is not None and self.output_mode != "count":
            raise ConfigError(f"{self.describe()}: count_weights are for output_mode='count'")
        return bound

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.category import Encode

        return Encode(self.num_tokens, self.output_mode, self._dtypes(weighted=self.compute_dtype))


# ---- hashes ----------------------------------------------------------------------------------------------------------


class SaltKind(Kind):
    """The key of a hash: two integers, or one for both."""

    def read(self, value: Any, where: str) -> Any:
        pair = [value, value] if isinstance(value, int) else list(value) if isinstance(value, (list, tuple)) else []
        if len(pair) != 2 or not all(isinstance(x, int) for x in pair):
            raise ConfigError(f"{where} must be an integer or two of them, got {value!r}")
        return pair


Salt = Annotated[list[int] | None, SaltKind()]


class Hashing(Encoder):
    """The bin of each string or integer by its hash: the same bin that TensorFlow finds.

    The hash is FarmHash's fingerprint, or SipHash with a ``salt``; an integer is hashed as its decimal digits. With
    ``mask_value`` bin 0 is for that value alone. Strings come as an array or a list of ``str``; hashes are computed on
    the host, and what comes out is a tensor on the module's device.

    Keras' shape rule says (batch, num_bins) for ``one_hot``; what it computes, and what is said here, has the axis of
    the inputs as well.

    Input shape:  any, of strings or integers
    Output shape: the same for ``int``; with ``one_hot`` an axis of bins more; with ``multi_hot`` and ``count``
                  (batch, bins)

    >>> Hashing(3).to_torch()([["A"], ["B"], ["C"]])
    tensor([[1],
            [0],
            [1]])
    >>> Hashing(5, output_mode="one_hot").compute_output_shape((None, 4))
    (None, 4, 5)
    """

    takes_strings = True

    num_bins: int
    mask_value: Any = None
    salt: Salt = None
    output_mode: Annotated[str, Choice("int", "one_hot", "multi_hot", "count")] = "int"
    sparse: bool = False

    def __post_init__(self) -> None:
        if self.num_bins is None or self.num_bins <= 0:
            raise ConfigError(f"Hashing(num_bins=...) must be a positive integer, got {self.num_bins}")
        if self.output_mode == "int" and self.dtype not in (None, "int32", "int64"):
            raise ConfigError(f"Hashing(dtype=...) must be 'int32' or 'int64' for output_mode='int', "
                              f"got {self.dtype!r}")
        refuse_sparse_indices(self)

    def input_dtype(self) -> str:
        return "string"

    def compute_output_shape(self, shape: Shape) -> Shape:
        if self.output_mode == "one_hot" and shape[-1:] == (1,):
            shape = shape[:-1]
        return encoded_shape(shape, self.num_bins, self.output_mode)

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.category import HashBins

        return HashBins(self.num_bins, self.mask_value, self.salt, self.output_mode, self._dtypes())

    def get_config(self) -> dict[str, Any]:
        field = self._fields["dtype"]
        return {**super().get_config(), "dtype": field.kind.write(self.dtype or self.compute_dtype, self)
                if field.kind is not None else self.dtype}


class HashedCrossing(Encoder):
    """Two features to one bin by the hash of both: the same bin that TensorFlow finds.

    Input shape:  two of (batch,) or (batch, 1), of strings or integers
    Output shape: the same; with ``one_hot`` (batch, num_bins)

    >>> import torch
    >>> layer = HashedCrossing(5)
    >>> layer.compute_output_shape([(None, 1), (None, 1)])
    (None, 1)
    >>> layer.to_torch()([["A", "B", "A"], torch.tensor([101, 101, 102])])
    tensor([1, 4, 3])
    """

    takes_strings = True

    num_bins: int
    output_mode: Annotated[str, Choice("int", "one_hot")] = "int"
    sparse: bool = False

    def __post_init__(self) -> None:
        if self.num_bins < 0:
            raise ConfigError(f"HashedCrossing(num_bins=...) must be 0 or more, got {self.num_bins}")

    def input_dtype(self) -> str:
        return "string"

    def compute_output_shape(self, shapes: Sequence[Shape]) -> Shape:
        shapes = [tuple(shape) for shape in shapes] if all(isinstance(s, (tuple, list)) for s in shapes) else []
        if len(shapes) != 2:
            raise ShapeError("it crosses two features: call it on a list of two tensors")
        first, second = shapes
        if len(first) > 2 or (len(first) == 2 and first[1] not in (1, None)):
            raise ShapeError(f"each feature is (batch) or (batch, 1), got {to_text(first)}")
        if len(first) != len(second) or any(None not in pair and len(set(pair)) > 1 for pair in zip(first, second)):
            raise ShapeError(f"the two features must have one shape, got {to_text(first)} and {to_text(second)}")
        return encoded_shape(first, self.num_bins, self.output_mode)

    def outputs_for(self, specs: list[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        for x in flatten(specs):
            if is_float(x.dtype):
                raise ShapeError(f"features are integers or strings, got {x.dtype}")
        return super().outputs_for(specs, args, kwargs)

    def module(self, shapes: Any) -> Any:
        from kerashape_torch.torch_modules.category import CrossBins

        return CrossBins(self.num_bins, self.output_mode, self._dtypes())

    def get_config(self) -> dict[str, Any]:
        written = super().get_config()
        del written["trainable"]
        return {**written, "dtype": self.dtype or self.compute_dtype}
