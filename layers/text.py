"""Texts to the indices of their words."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from kerashape_torch.config import argument
from kerashape_torch.errors import ConfigError, ShapeError
from kerashape_torch.kinds import Choice, Kind
from kerashape_torch.layer import Layer
from kerashape_torch.layers.category import encoded_shape
from kerashape_torch.layers.lookup import IdfWeights, OutputMode, StringLookup, Vocabulary, given_batches
from kerashape_torch.shape import Shape, Size, to_text


class _WordOrFunction(Choice):
    """One of some words, a function of the user's, or None."""

    def read(self, value: Any, where: str) -> Any:
        return value if value is None or callable(value) else super().read(value, where)


class _Ngrams(Kind):
    def read(self, value: Any, where: str) -> Any:
        sizes = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(n, int) and n > 0 for n in sizes):
            raise ConfigError(f"{where} must be a positive integer or a tuple of them, got {value!r}")
        return value


class _AsksItsLookup:
    """A vocabulary that lies in a lookup inside the layer."""

    lookup: StringLookup

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words in the order of their indices; ``""`` fills up short texts, ``[UNK]`` is any other word."""
        return self.lookup.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """How many indices there are, the special ones included."""
        return self.lookup.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Sets the words, and with ``tf_idf`` a weight for each, instead of finding them by ``adapt``."""
        self.lookup.set_vocabulary(vocabulary, idf_weights)


class TextVectorization(_AsksItsLookup, Layer):
    """Texts to the indices of their words, or to vectors with the ones or counts of their words.

    A text is made plain (``standardize``), split into words (``split``), which are joined to ``ngrams``, and looked up.
    Case and white space are those of ASCII, as in TensorFlow. In ``int`` mode index 0 fills up short texts, and 1 is
    any word out of the vocabulary; with ``output_sequence_length`` every text has that many indices.

    Texts come as an array or a list of ``str``; all of this happens on the host, and what comes out is a tensor on the
    module's device. ``standardize`` may be a function of an array of ``str``, as in Keras with torch; ``split`` one of
    such an array of one axis that gives a list of words for each text.

    What Keras computes is followed where its shape rule says something else: texts (batch, 1) are counted to (batch,
    words). Vectors are floats, as the rule says, and not the integers that are computed. ``sparse=True`` gives a dense
    tensor. In ``one_hot`` mode Keras' tensor is ragged; here short texts are filled up with zeros. ``ragged=True``
    cannot be had.

    Input shape:  (batch,) or (batch, 1), of strings
    Output shape: (batch, words of the longest text, or ``output_sequence_length``); with ``one_hot`` an axis of
                  vocabulary more; else (batch, vocabulary)

    >>> layer = TextVectorization(vocabulary=["the", "cat"], output_sequence_length=4)
    >>> layer.compute_output_shape((None,))
    (None, 4)
    >>> layer.to_torch()(["The cat.", "the dog sat on the cat"])
    tensor([[2, 3, 0, 0],
            [2, 1, 1, 1]])
    """

    takes_strings = True

    max_tokens: int | None = None
    standardize: Annotated[str | Callable[..., Any] | None, _WordOrFunction(
        "lower_and_strip_punctuation", "lower", "strip_punctuation")] = "lower_and_strip_punctuation"
    split: Annotated[str | Callable[..., Any] | None, _WordOrFunction("whitespace", "character")] = "whitespace"
    ngrams: Annotated[int | tuple[int, ...] | None, _Ngrams()] = None
    output_mode: OutputMode = "int"
    output_sequence_length: int | None = None
    pad_to_max_tokens: bool = False
    vocabulary: Vocabulary = None
    idf_weights: IdfWeights = None
    sparse: bool = False
    ragged: bool = False
    encoding: str = "utf-8"
    frozen_size: int | None = argument(alias="vocabulary_size", default=None)

    def __post_init__(self) -> None:
        length = self.output_sequence_length
        if length is not None and self.output_mode != "int":
            raise ConfigError("TextVectorization(output_sequence_length=...) is for output_mode='int', "
                              f"got {self.output_mode!r}")
        if length is not None and not isinstance(length, int):
            raise ConfigError(f"TextVectorization(output_sequence_length=...) must be an integer, got {length!r}")
        if self.ragged and self.output_mode != "int":
            raise ConfigError(f"TextVectorization(ragged=True) is for output_mode='int', got {self.output_mode!r}")
        self.lookup = StringLookup(
            max_tokens=self.max_tokens, mask_token="", vocabulary=self.vocabulary, idf_weights=self.idf_weights,
            output_mode=self.output_mode, pad_to_max_tokens=self.pad_to_max_tokens, sparse=self.sparse,
            encoding=self.encoding, vocabulary_size=self.frozen_size)

    def sublayers(self) -> Sequence[Layer]:
        """The lookup, which uses up a number among those of its class, as in Keras."""
        return (self.lookup,)

    @property
    def _widths(self) -> tuple[int, ...] | None:
        return tuple(range(1, self.ngrams + 1)) if isinstance(self.ngrams, int) else self.ngrams

    def input_dtype(self) -> str:
        return "string"

    @property
    def variable_dtype(self) -> str:
        """Whatever the policy says: Keras does not ask it here."""
        return "float32"

    def output_dtype(self, dtype: str) -> str:
        return self.lookup.output_dtype(dtype)

    def compute_output_shape(self, shape: Shape) -> Shape:
        if self.split is not None and len(shape) > 1 and shape[-1] not in (1, None):
            raise ShapeError(f"texts to be split are (batch) or (batch, 1), got {to_text(shape)}",
                             hint="split=None takes texts whose words are along the last axis")
        outer = shape[:-1] if self.split is None or len(shape) > 1 else shape
        words = self._words(shape[-1])
        if self.output_mode == "int":
            return (*outer, words if self.output_sequence_length is None else self.output_sequence_length)
        depth = self.lookup._depth()
        if self.split is not None and self.output_mode == "one_hot":
            return (*outer, None, depth)
        if self.split is not None and len(outer) > 1:
            raise ShapeError(f"texts whose words are counted are (batch) or (batch, 1), got {to_text(shape)}")
        return encoded_shape((*outer, words), depth, self.output_mode)

    def _words(self, size: Size) -> Size:
        if self.split is not None or size is None:
            return None
        return size if self._widths is None else sum(max(size - n + 1, 0) for n in self._widths)

    def module(self, shape: Shape) -> Any:
        from kerashape_torch.torch_modules.lookup import StringTable
        from kerashape_torch.torch_modules.text import Vectorize

        if self.ragged:
            raise ConfigError(f"{self.describe()} would give a ragged tensor, and torch has none that Keras' layers "
                              "take. ragged=False fills up short texts with 0")
        if self.lookup._tokens is None:
            raise ConfigError(f"{self.describe()} has no vocabulary: give vocabulary=[...], or call adapt(texts) or "
                              "set_vocabulary([...]) before to_torch()")
        return Vectorize(StringTable(**self.lookup.table()), self.output_sequence_length, **self._how())

    def _how(self) -> dict[str, Any]:
        return {"standardize": self.standardize, "split": self.split, "ngrams": self._widths,
                "encoding": self.encoding}

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Finds the vocabulary in texts: an array or list of them, or batches; the most frequent words come first.

        Of equally frequent ones the last in order comes first. With ``tf_idf`` each text is a document, and the weight
        of a word is ``log(1 + texts / (1 + texts with it))``.

        >>> layer = TextVectorization()
        >>> layer.adapt(["foo bar", "bar baz", "baz bada boom"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'baz', 'bar', 'foo', 'boom', 'bada']
        """
        from kerashape_torch.torch_modules.strings import text_array
        from kerashape_torch.torch_modules.text import tokenize

        self.lookup.refuse_adapting()
        batches = (tokenize(text_array(batch), **self._how())[1] for batch in given_batches(data, steps))
        self.lookup.learn([[self.lookup._as_token(word) for word in row] for row in rows] for rows in batches)

    def get_config(self) -> dict[str, Any]:
        known = self.lookup.get_config()
        size = self.lookup.frozen_size
        return {**super().get_config(), "vocabulary": known["vocabulary"], "idf_weights": known["idf_weights"],
                "vocabulary_size": self.vocabulary_size() if size is None else size}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TextVectorization":
        ngrams = config.get("ngrams")
        return super().from_config({**config, "ngrams": tuple(ngrams) if isinstance(ngrams, list) else ngrams})
