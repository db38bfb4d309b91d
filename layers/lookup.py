"""Vocabularies: strings or integers to indices, and back.

A vocabulary is given as a list, set by ``set_vocabulary``, found by ``adapt``, or comes with a ``.keras`` file. What a
layer knows, it writes into its config, where Keras keeps what it did not get as an argument in a file of its own.

Strings come as an array or a list of ``str`` (or of UTF-8 ``bytes``) on the host, for torch has no tensors of them;
they are looked up there, and a tensor on the module's device comes out. Integers are looked up on the device.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from kerashape_torch.config import argument
from kerashape_torch.errors import ConfigError, UnsafeConfigError
from kerashape_torch.kinds import Choice, Kind
from kerashape_torch.layers.category import Encoder, Salt, encoded_shape, host, refuse_sparse_indices
from kerashape_torch.shape import Shape


class VocabularyKind(Kind):
    """A list of tokens, from any form of array. A path is refused: no file is opened because a config names it."""

    def read(self, value: Any, where: str) -> Any:
        if isinstance(value, (str, bytes)):
            raise UnsafeConfigError(f"{where} is the path {value!r}, and files are not opened on behalf of a config. "
                                    "Read it yourself and give the list: open(path).read().splitlines()")
        found = host(value)
        found = found.tolist() if hasattr(found, "tolist") else found
        if not isinstance(found, (list, tuple)):
            raise ConfigError(f"{where} must be a list of tokens, got {value!r}")
        return list(found)


class _Mode(Choice):
    def read(self, value: Any, where: str) -> Any:
        return super().read({"binary": "multi_hot", "tf-idf": "tf_idf"}.get(value, value), where)


Vocabulary = Annotated[Any, VocabularyKind()]
IdfWeights = Annotated[Any, VocabularyKind()]
OutputMode = Annotated[str, _Mode("int", "one_hot", "multi_hot", "count", "tf_idf")]
OovMethod = Annotated[str, Choice("floormod", "farmhash")]


class HasVocabulary:
    """What a layer with a vocabulary can be asked and told; the names are Keras'."""

    _token: ClassVar[type] = str
    _tokens: list[Any] | None
    _idf: list[float] | None

    # ---- where indices begin -----------------------------------------------------------------------------------------

    def _oov_start(self: Any) -> int:
        return int(self.mask_token is not None and self.output_mode == "int")

    def _token_start(self: Any) -> int:
        return int(self._oov_start() + self.num_oov_indices)

    def _special_tokens(self: Any) -> list[Any]:
        return [self.mask_token] * self._oov_start() + [self.oov_token] * self.num_oov_indices

    # ---- the vocabulary ----------------------------------------------------------------------------------------------

    def vocabulary_size(self) -> int:
        """How many indices there are, those for the mask and for what is out of the vocabulary included."""
        return self._token_start() + len(self._tokens or ())

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens in the order of their indices."""
        return [*(self._special_tokens() if include_special_tokens else ()), *(self._tokens or ())]

    def set_vocabulary(self: Any, vocabulary: Any, idf_weights: Any = None) -> None:
        """Sets the tokens, and with ``tf_idf`` a weight for each, instead of finding them by ``adapt``.

        The mask and the tokens for what is out of the vocabulary may stand in front, or be left out.
        """
        name = type(self).__name__
        if (self.output_mode == "tf_idf") != (idf_weights is not None):
            raise ConfigError(f"{name}: idf_weights belong to output_mode='tf_idf', and it needs them beside "
                              "a vocabulary")
        given = [self._as_token(x) for x in VocabularyKind().read(vocabulary, f"{name}(vocabulary=...)")]
        start, special = self._token_start(), self._special_tokens()
        has_special = given[:start] == special
        tokens = given[start:] if has_special else given
        self._check_tokens(given, tokens, special)
        self._take(tokens)
        if idf_weights is not None:
            self._idf = self._padded_weights(VocabularyKind().read(idf_weights, f"{name}(idf_weights=...)"), len(given),
                                             0 if has_special else start)

    def _check_tokens(self: Any, given: list[Any], tokens: list[Any], special: list[Any]) -> None:
        name = type(self).__name__
        if not given:
            raise ConfigError(f"{name}: the vocabulary is empty")
        repeated = [token for token, count in Counter(tokens).items() if count > 1]
        if repeated:
            raise ConfigError(f"{name}: the vocabulary holds some tokens twice: {repeated[:5]}")
        reserved = [self.mask_token, *([self.oov_token] if self.invert else ())]
        misplaced = [token for token in reserved if token is not None and token in tokens]
        if misplaced:
            raise ConfigError(f"{name}: the vocabulary holds {misplaced[0]!r}, which is reserved. Leave the reserved "
                              f"tokens out, or put all of them in front: {special}")

    def _take(self: Any, tokens: list[Any]) -> None:
        size = self._token_start() + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ConfigError(f"{type(self).__name__}(max_tokens={self.max_tokens}): the vocabulary comes to {size}")
        encoded = self.output_mode != "int" and not self.pad_to_max_tokens
        if encoded and self.frozen_size not in (None, size):
            raise ConfigError(f"{type(self).__name__}: the vocabulary comes to {size}, and was {self.frozen_size}: it "
                              "decides the size of the output. pad_to_max_tokens=True leaves it free")
        self._tokens, self.frozen_size = tokens, size

    def _padded_weights(self: Any, weights: list[Any], tokens: int, front: int) -> list[float]:
        """A weight for each index; those in front get the mean, as nobody counted them."""
        if len(weights) != tokens or not all(isinstance(x, (int, float)) for x in weights):
            raise ConfigError(f"{type(self).__name__}: idf_weights are {tokens} numbers, one for each token, "
                              f"got {len(weights)}")
        return [sum(weights) / len(weights)] * front + weights

    def _as_token(self: Any, value: Any) -> Any:
        if isinstance(value, bytes) and self._token is str:
            return value.decode("utf-8", "surrogateescape")
        whole = self._token is int and not isinstance(value, (str, bytes, bool)) and value == int(value)
        if not whole and not isinstance(value, self._token):
            raise ConfigError(f"{type(self).__name__}: tokens are of type {self._token.__name__}, got {value!r}")
        return self._token(value)

    # ---- adapt -------------------------------------------------------------------------------------------------------

    def adapt(self: Any, data: Any, steps: int | None = None) -> None:
        """Finds the vocabulary: the tokens of an array or list, or of batches of them, the most frequent first.

        Of equally frequent ones the last in order comes first. With ``tf_idf`` each row is a document, and the weight
        of a token is ``log(1 + documents / (1 + documents with it))``. A module compiled from here on knows the
        vocabulary; one that is there already is not changed.
        """
        self.refuse_adapting()
        self.learn(self._documents(batch) for batch in given_batches(data, steps))

    def refuse_adapting(self: Any) -> None:
        if self.vocabulary is not None:
            raise ConfigError(f"{type(self).__name__} was given its vocabulary, and adapt() would change it")

    def learn(self: Any, batches: Iterable[list[list[Any]]]) -> None:
        """Takes the vocabulary from documents, each a list of tokens."""
        counts: Counter[Any] = Counter()
        found_in: Counter[Any] = Counter()
        documents = 0
        for batch in batches:
            for document in batch:
                counts.update(document)
                found_in.update(set(document))
                documents += 1
        for reserved in (self.mask_token, self.oov_token):
            counts.pop(reserved, None)
        tokens = sorted(counts, key=lambda token: (counts[token], token), reverse=True)
        if self.max_tokens:
            tokens = tokens[:self.max_tokens - self._token_start()]
        self._take(tokens if counts else self._tokens or [])
        if self.output_mode == "tf_idf" and tokens:
            import math

            weights = [math.log(1 + documents / (1 + found_in[token])) for token in tokens]
            self._idf = self._padded_weights(weights, len(tokens), self._token_start())

    def _documents(self: Any, batch: Any) -> list[list[Any]]:
        import numpy as np

        array = np.asarray(host(batch), dtype=object)
        rows = array[None] if array.ndim < 2 else array
        return [[self._as_token(x) for x in row.ravel().tolist()] for row in rows]


def given_batches(data: Any, steps: int | None) -> Iterable[Any]:
    """An array, a tensor or a list is one batch, and of one axis each element is a document. Else each item is a batch.
    """
    import numpy as np

    if isinstance(data, (str, bytes, Mapping)) or not (hasattr(data, "__iter__") or hasattr(data, "shape")):
        raise ConfigError(f"adapt() takes an array, a list, or batches of them, got {type(data).__name__}")
    if hasattr(data, "shape") or isinstance(data, (list, tuple)):
        array = np.asarray(host(data), dtype=object)
        yield array[:, None] if array.ndim == 1 else array
        return
    for at, batch in enumerate(data):
        if steps is not None and at >= steps:
            return
        yield batch


class IndexLookup(HasVocabulary, Encoder, catalog=False):
    """What both lookups share. Their arguments come in another order, so each states its own."""

    def __post_init__(self: Any) -> None:
        name = type(self).__name__
        self.dtype, self.given_trainable = None, True  # Keras takes neither
        self._tokens = self._idf = None
        if self.max_tokens is not None and self.max_tokens <= 1:
            raise ConfigError(f"{name}(max_tokens=...) must be 2 or more, got {self.max_tokens}")
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise ConfigError(f"{name}(pad_to_max_tokens=True) needs max_tokens")
        if self.num_oov_indices < 0:
            raise ConfigError(f"{name}(num_oov_indices=...) must be 0 or more, got {self.num_oov_indices}")
        if self.invert and self.output_mode != "int":
            raise ConfigError(f"{name}(invert=True) is for output_mode='int', got {self.output_mode!r}")
        if self.idf_weights is not None and self.output_mode != "tf_idf":
            raise ConfigError(f"{name}(idf_weights=...) is for output_mode='tf_idf', got {self.output_mode!r}")
        refuse_sparse_indices(self)
        if self.vocabulary is not None:
            self.set_vocabulary(self.vocabulary, self.idf_weights)

    def output_dtype(self: Any, dtype: str) -> str:
        if self.output_mode != "int":
            return "float32"
        return "string" if self.invert and self._token is str else "int64"

    def input_dtype(self: Any) -> str:
        return "string" if self._token is str and not self.invert else "int64"

    def _depth(self: Any) -> int | None:
        return self.max_tokens if self.pad_to_max_tokens else self.frozen_size  # type: ignore[no-any-return]

    def compute_output_shape(self: Any, shape: Shape) -> Shape:
        return encoded_shape(shape, self._depth(), self.output_mode)

    def table(self: Any) -> dict[str, Any]:
        """What the torch module is made of: see :class:`torch_modules.lookup.Lookup`."""
        if self._tokens is None:
            raise ConfigError(f"{self.describe()} has no vocabulary: give vocabulary=[...], or call adapt(data) or "
                              "set_vocabulary([...]) before to_torch()")
        idf = self._idf and [*self._idf, *[0.0] * (self._depth() - len(self._idf))]
        return {"tokens": self._tokens, "oov_start": self._oov_start(), "oov_indices": self.num_oov_indices,
                "mask_token": self.mask_token, "salt": self.salt, "depth": self._depth(), "mode": self.output_mode,
                "idf": idf}

    def get_config(self: Any) -> dict[str, Any]:
        written: dict[str, Any] = super().get_config()
        if self.vocabulary is None and self._tokens is not None:
            # Keras writes these into files beside the config
            written.update(vocabulary=self.get_vocabulary(self.output_mode != "int"), idf_weights=self._idf)
        return written


class StringLookup(IndexLookup):
    """The index of each string in a vocabulary; with ``invert=True`` the string at each index.

    Index 0 is for ``mask_token``, if there is one, the next ``num_oov_indices`` for strings out of the vocabulary, by
    their hash where there are several. With another ``output_mode`` the indices are encoded: see
    :mod:`kerashape_torch.layers.category`; the mask then has no index and counts nowhere.

    Strings come as an array or a list of ``str``. Encoded indices are floats, as Keras' shape rule says; what it
    computes are integers. With ``invert=True`` an array of ``str`` comes out, which only a model's output can be.
    ``sparse=True`` gives the same numbers in a dense tensor.

    Input shape:  any, of strings
    Output shape: the same for ``int``; with ``one_hot`` an axis of tokens more; else (batch, tokens)

    >>> layer = StringLookup(vocabulary=["a", "b"])
    >>> layer.to_torch()([["a", "z"], ["b", "b"]])
    tensor([[1, 0],
            [2, 2]])
    >>> layer.get_vocabulary()
    ['[UNK]', 'a', 'b']
    """

    takes_strings = True

    max_tokens: int | None = None
    num_oov_indices: int = 1
    mask_token: str | None = None
    oov_token: str | None = "[UNK]"
    vocabulary: Vocabulary = None
    idf_weights: IdfWeights = None
    invert: bool = False
    output_mode: OutputMode = "int"
    pad_to_max_tokens: bool = False
    sparse: bool = False
    encoding: str = "utf-8"
    salt: Salt = None
    oov_method: OovMethod = "floormod"
    frozen_size: int | None = argument(alias="vocabulary_size", default=None)

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.lookup import StringFromIndex, StringTable

        table = self.table()
        if self.invert:
            return StringFromIndex(self.get_vocabulary(), _needed(self.oov_token))
        return StringTable(**table)


class IntegerLookup(IndexLookup):
    """The index of each integer in a vocabulary; with ``invert=True`` the integer at each index.

    Index 0 is for ``mask_token``, if there is one, the next ``num_oov_indices`` for integers out of the vocabulary:
    where there are several, by their remainder, or by their hash with ``oov_method="farmhash"``. With another
    ``output_mode`` the indices are encoded: see :mod:`kerashape_torch.layers.category`; the mask then has no index and
    counts nowhere.

    Encoded indices are floats, as Keras' shape rule says; what it computes are integers. ``sparse=True`` gives the same
    numbers in a dense tensor.

    Input shape:  any, of integers
    Output shape: the same for ``int``; with ``one_hot`` an axis of tokens more; else (batch, tokens)

    >>> import torch
    >>> layer = IntegerLookup(vocabulary=[12, 36])
    >>> layer.to_torch()(torch.tensor([[12, 7], [36, 36]]))
    tensor([[1, 0],
            [2, 2]])
    """

    _token = int

    max_tokens: int | None = None
    num_oov_indices: int = 1
    mask_token: int | None = None
    oov_token: int | None = -1
    vocabulary: Vocabulary = None
    vocabulary_dtype: Annotated[str, Choice("int64")] = "int64"
    idf_weights: IdfWeights = None
    invert: bool = False
    output_mode: OutputMode = "int"
    sparse: bool = False
    pad_to_max_tokens: bool = False
    oov_method: OovMethod = "floormod"
    salt: Salt = None
    frozen_size: int | None = argument(alias="vocabulary_size", default=None)

    def __post_init__(self) -> None:
        if self.salt is not None and self.oov_method != "farmhash":
            raise ConfigError("IntegerLookup(salt=...) is for oov_method='farmhash'")
        super().__post_init__()

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.lookup import IntegerFromIndex, IntegerTable

        table = self.table()
        if self.invert:
            return IntegerFromIndex(self.get_vocabulary(), _needed(self.oov_token))
        return IntegerTable(hashed=self.oov_method == "farmhash", **table)


def _needed(oov_token: Any) -> Any:
    if oov_token is None:
        raise ConfigError("invert=True needs an oov_token, for indices out of the vocabulary")
    return oov_token
