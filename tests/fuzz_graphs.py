"""Random functional models: branches, merges, shared layers, nested models, masks, ops, several inputs and outputs.

A graph is drawn while it is built here, so that each layer gets a shape that it can take. What is refused here is the
last step: Keras must refuse it as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fuzz_layers import ALONG_THE_LAST, Source, a_cell, arguments, obj
from fuzz_programs import made, result_of
from fuzz_smaller import pruned
from hypothesis import strategies as st

import kerashape_torch as kt
from kerashape_torch.models import Model
from kerashape_torch.structure import flatten

Json = Any

ANY_RANK = ["Activation", "Dropout", "LayerNormalization", "BatchNormalization", "ReLU", "LeakyReLU", "ELU", "PReLU",
            "Softmax", "Dense", "Dense", "Identity", "GaussianNoise", "UnitNormalization", "RMSNormalization",
            "GroupNormalization", "Reshape", "Permute", "Flatten", "Rescaling", "SpectralNormalization",
            "ActivityRegularization"]
OF_RANK: dict[int, list[str]] = {
    2: ["RepeatVector", "Dense", "EinsumDense", "Reshape"],
    3: ["LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "TimeDistributed", "Conv1D", "SeparableConv1D",
        "DepthwiseConv1D", "Conv1DTranspose", "MaxPooling1D", "AveragePooling1D", "GlobalAveragePooling1D",
        "GlobalMaxPooling1D", "MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention",
        "UpSampling1D", "ZeroPadding1D", "Cropping1D", "SpatialDropout1D", "Masking", "EinsumDense",
        "AdaptiveAveragePooling1D", "AdaptiveMaxPooling1D"],
    4: ["Conv2D", "Conv2D", "SeparableConv2D", "DepthwiseConv2D", "Conv2DTranspose", "MaxPooling2D",
        "AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "UpSampling2D", "ZeroPadding2D",
        "Cropping2D", "SpatialDropout2D", "TimeDistributed", "ConvLSTM1D", "Resizing", "CenterCrop",
        "AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D", "MultiHeadAttention"],
    5: ["Conv3D", "Conv3DTranspose", "MaxPooling3D", "AveragePooling3D", "GlobalAveragePooling3D",
        "GlobalMaxPooling3D", "UpSampling3D", "ZeroPadding3D", "Cropping3D", "SpatialDropout3D", "TimeDistributed",
        "ConvLSTM2D"],
}
MERGES = ["Add", "Multiply", "Average", "Maximum", "Minimum", "Subtract", "Concatenate"]
UNARY = ["relu", "tanh", "sigmoid", "softplus", "sin", "cos", "square", "absolute", "negative", "silu", "gelu", "erf",
         "softmax", "log_softmax", "leaky_relu", "elu", "expm1", "arctan", "hard_sigmoid"]
BINARY = ["+", "-", "*", "add", "subtract", "multiply", "maximum", "minimum"]
REDUCTIONS = ["mean", "sum", "max", "min", "var", "std"]


class Drawn:
    """A program as far as it is drawn, and its tensors here."""

    def __init__(self, s: Source, inputs: list[Json]) -> None:
        self.s = s
        self.program: Json = {"inputs": inputs, "layers": [], "steps": [], "outputs": None,
                              "sizes": [s.int(3, 6) for _ in range(6)], "batch": s.pick([1, 2, 3])}
        self.tensors: list[Any] = [kt.Input(batch_shape=tuple(x["shape"]), dtype=x["dtype"]) for x in inputs]
        self.layers: list[Any] = []
        self.refused = False

    def shape(self, at: int) -> list[Any]:
        return list(self.tensors[at].shape)

    def floats(self) -> list[int]:
        return [i for i, x in enumerate(self.tensors) if "float" in x.dtype and len(x.shape) > 1]

    def at(self) -> int:
        """A tensor, most often one of the last."""
        floats = self.floats()
        return floats[-1] if self.s.chance(50) else self.s.pick(floats[-5:] if self.s.chance(70) else floats)

    def like(self, at: int, same: Callable[[list[Any], list[Any]], bool]) -> list[int]:
        return [i for i in self.floats() if i != at and same(self.shape(i), self.shape(at))]

    def step(self, step: Json) -> None:
        """Builds one step here; what is refused ends the program."""
        self.program["steps"].append(step)
        step["gives"] = 1
        try:
            given = flatten(result_of(kt, step, self.tensors, self.layers.__getitem__))
            step["gives"] = len(given)
            self.tensors += given
        except Exception:  # of any class: the check says whether it is the right one
            self.refused = True

    def add(self, layer: Json) -> int:
        self.program["layers"].append(layer)
        self.layers.append(None)
        try:
            self.layers[-1] = made(kt, layer)
        except Exception:
            self.refused = True
        return len(self.layers) - 1

    def call(self, layer: Json, of: list[int], style: str = "single", **kwargs: Any) -> None:
        index = self.add(layer)
        self.step({"layer": index, "style": style, "of": of, "kwargs": kwargs})

    def op(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.step({"op": name, "args": list(args), "kwargs": kwargs})


def t(at: int) -> Json:
    return {"of": at}


def _data_format(s: Source, name: str, shape: list[Any]) -> Json:
    cls = kt.layers.Layer.catalog()[name]
    if "data_format" not in cls._fields or not s.chance(50):
        return {}
    first = "channels_first" if s.chance(35) else "channels_last"
    channels = shape[2 if "ConvLSTM" in name else 1] if first == "channels_first" else shape[-1]
    return {"data_format": first} if channels is not None else {}


def a_layer(d: Drawn) -> None:
    s, at = d.s, d.at()
    shape = d.shape(at)
    name = s.pick(OF_RANK.get(len(shape), ["Dense"])) if s.chance(65) and len(shape) < 6 else s.pick(ANY_RANK)
    if len(shape) < 3 and name in ("LayerNormalization", "BatchNormalization", "GroupNormalization") and s.chance(50):
        name = "Dense"
    special = SPECIAL.get(name)
    if special is not None:
        special(d, at, name)
        return
    args = arguments(s, name, shape, **_data_format(s, name, shape))
    for argument in ("stateful", "seed"):
        args.pop(argument, None)
    if name in ("Flatten", "GlobalAveragePooling1D") and s.chance(80):
        args.pop("data_format", None)
    if args.get("activation") == "exponential":
        args["activation"] = "tanh"
    if name == "Activation" and s.chance(20):
        args["activation"] = s.pick(ALONG_THE_LAST)
    d.call({"object": f"layers.{name}", "args": args}, [at])


def a_recurrent(d: Drawn, at: int, name: str) -> None:
    s, shape = d.s, d.shape(at)
    given = {} if name != "RNN" else {"cell": [a_cell(s, shape[-1]) for _ in range(2)] if s.chance(40)
                                      else a_cell(s, shape[-1])}
    args = arguments(s, name, shape, **given)
    for argument in ("stateful", "seed"):
        args.pop(argument, None)
    kwargs: dict[str, Any] = {}
    if name in ("LSTM", "GRU", "SimpleRNN") and s.chance(20):
        states = [i for i in d.floats() if len(d.shape(i)) == 2 and d.shape(i)[1] == args["units"]]
        if states:
            kwargs["initial_state"] = [t(s.pick(states)) for _ in range(2 if name == "LSTM" else 1)]
    d.call({"object": f"layers.{name}", "args": args}, [at], **kwargs)


def a_wrapped(d: Drawn, at: int, name: str) -> None:
    s, shape = d.s, d.shape(at)
    if name == "Bidirectional":
        inner = s.pick(["LSTM", "GRU", "SimpleRNN"])
        args = arguments(s, inner, shape)
        for argument in ("stateful", "go_backwards", "seed"):
            args.pop(argument, None)
        mode = {"merge_mode": s.pick(["concat", "sum", "mul", "ave", None])} if s.chance(50) else {}
        d.call(obj(name, layer={"object": f"layers.{inner}", "args": args}, **mode), [at])
        return
    if name == "SpectralNormalization":
        inner, within = s.pick({4: ["Conv2D", "Dense"], 3: ["Conv1D", "Dense"]}.get(len(shape), ["Dense"])), shape
    else:
        within = [shape[0], *shape[2:]]
        inner = s.pick({4: ["Conv2D", "Dense", "MaxPooling2D"], 3: ["LSTM", "Conv1D", "Dense", "Flatten"]}
                       .get(len(within), ["Dense", "Activation", "LayerNormalization"]))
    args = arguments(s, inner, within)
    for argument in ("stateful", "seed"):
        args.pop(argument, None)
    d.call(obj(name, layer={"object": f"layers.{inner}", "args": args}), [at])


def an_attention(d: Drawn, at: int, name: str) -> None:
    s, shape = d.s, d.shape(at)
    heads = name in ("MultiHeadAttention", "GroupQueryAttention")
    others = [at, *d.like(at, lambda a, b: len(a) == len(b) and (a[-1] == b[-1] or heads)
                          and (a[1:-2] == b[1:-2]))]
    given: dict[str, Any] = {}
    if name == "GroupQueryAttention":
        groups = s.int(1, 2)
        given = {"num_key_value_heads": groups, "num_query_heads": groups * s.int(1, 2), "head_dim": s.int(1, 3)}
    args = arguments(s, name, shape, **given)
    args.pop("seed", None)
    kwargs: dict[str, Any] = {}
    if s.chance(20):
        kwargs["use_causal_mask"] = True
    of = [at, s.pick(others)] if s.chance(70) else [at, at]
    if s.chance(15) and len(shape) == 3 and of[0] == of[1]:  # of others Keras' rule says a shape that they do not have
        kwargs["return_attention_scores"] = True
    d.call({"object": f"layers.{name}", "args": args}, of, "args" if heads else "list", **kwargs)


def an_einsum(d: Drawn, at: int, name: str) -> None:
    shape = d.shape(at)
    letters = "abcd"[:len(shape)]
    args = {"equation": f"{letters},{letters[-1]}z->{letters[:-1]}z", "output_shape": [*shape[1:-1], d.s.int(1, 4)]}
    d.call(obj("EinsumDense", **args, **({"bias_axes": "z"} if d.s.chance(60) else {})), [at])


SPECIAL: dict[str, Callable[[Drawn, int, str], None]] = {
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN"), a_recurrent),
    **dict.fromkeys(("Bidirectional", "TimeDistributed", "SpectralNormalization"), a_wrapped),
    **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention"), an_attention),
    "EinsumDense": an_einsum,
}


def a_merge(d: Drawn) -> None:
    s, at = d.s, d.at()
    name = s.pick(MERGES)
    if name == "Concatenate":
        axis = s.pick([-1, *range(1, len(d.shape(at)))])
        others = d.like(at, lambda a, b: len(a) == len(b) and [n for i, n in enumerate(a) if i != axis % len(b)]
                        == [n for i, n in enumerate(b) if i != axis % len(b)])
        args = {"axis": axis} if axis != -1 else {}
    else:
        others, args = d.like(at, lambda a, b: a == b), {}
        if not others or s.chance(10):
            others = d.like(at, lambda a, b: len(a) == len(b) and all(x == y or 1 in (x, y) for x, y in zip(a, b)))
    of = [at, *(s.pick(others) for _ in range(1 if name == "Subtract" else s.int(1, 2)))] if others else [at, at]
    if s.chance(25) and of[0] != of[-1]:
        of.reverse()
    d.call(obj(name, **args), of, "list")


def an_op(d: Drawn) -> None:
    s, at = d.s, d.at()
    shape = d.shape(at)
    choice = s.int(0, 9)
    axes = range(1, len(shape))
    if choice < 2:
        d.op(s.pick(UNARY), t(at))
    elif choice < 5:
        others = d.like(at, lambda a, b: a == b or (len(a) == len(b) and all(
            x == y or 1 in (x, y) for x, y in zip(a, b))))
        other = t(s.pick(others)) if others and s.chance(60) else s.pick([2.0, 0.5, -1.0, 3])
        d.op(s.pick(BINARY), *([t(at), other] if s.chance(70) else [other, t(at)]))
    elif choice < 6:
        axis = s.pick([-1, *axes, list(axes)])
        d.op(s.pick(REDUCTIONS), t(at), axis=axis, **({"keepdims": True} if s.chance(60) or len(shape) < 3 else {}))
    elif choice < 7 and len(shape) > 2:
        d.op("transpose", t(at), axes=[0, *s.shuffled(axes)])
    elif choice < 8:
        at_axis = s.pick(axes)
        size = shape[at_axis] or 3
        part = s.pick([{"slice": [None, None, 2]}, {"slice": [1, None, None]}, {"slice": [None, -1, None]},
                       *([s.int(0, size - 1), -1] if len(shape) > 2 else [])])
        key = [{"slice": [None, None, None]} for _ in range(at_axis)]
        if size > 1:
            d.op("[]", t(at), [*key, part] if at_axis < len(shape) - 1 or s.chance(50) else [{"ellipsis": True}, part])
    elif choice < 9 and len(shape) < 5:
        d.op("expand_dims", t(at), axis=s.pick([1, -1, len(shape)]))
    else:
        others = [at, *d.like(at, lambda a, b: a == b)]
        pair = [t(at), t(s.pick(others))]
        if s.chance(50) or len(shape) > 4:
            d.op("concatenate", pair, axis=s.pick([-1, *axes]))
        else:
            d.op("stack", pair, axis=s.pick([1, -1]))


def shared(d: Drawn) -> None:
    """A layer once more, on another tensor of a shape that it takes, or on its own output."""
    s = d.s
    known = [(i, step) for i, step in enumerate(d.program["steps"]) if step.get("style") == "single"
             and not step["kwargs"]]
    if not known:
        a_layer(d)
        return
    _, step = s.pick(known)
    others = d.like(step["of"][0], lambda a, b: a == b)
    d.step({**step, "of": [s.pick(others or step["of"])]})


def nested(d: Drawn) -> None:
    """A functional model of its own, once or twice."""
    s, at = d.s, d.at()
    inner = drawn(s, [{"shape": d.shape(at), "dtype": d.tensors[at].dtype}], s.int(1, 3), deep=False)
    if inner.refused or not inner.program["steps"]:
        return
    program = finished(inner)
    index = d.add({"program": program, **({"name": "part"} if s.chance(30) else {})})
    if not d.refused and isinstance(d.layers[index], Model):
        d.step({"layer": index, "style": "single", "of": [at], "kwargs": {}})
        if s.chance(25):
            d.step({"layer": index, "style": "single", "of": [s.pick([at, *d.like(at, lambda a, b: a == b)])],
                    "kwargs": {}})


def drawn(s: Source, inputs: list[Json], count: int, deep: bool = True) -> Drawn:
    d = Drawn(s, inputs)
    for i, x in enumerate(inputs):
        if x["dtype"] == "int32":
            d.call(obj("Embedding", input_dim=s.int(2, 5), output_dim=s.pick([2, 3, 4]),
                       **({"mask_zero": True} if s.chance(75) else {})), [i])
        elif len(x["shape"]) == 3 and s.chance(15) and deep:
            d.call(obj("Masking"), [i])
    for _ in range(count):
        if d.refused or not d.floats():
            break
        choice = s.int(0, 19)
        if choice < 10:
            a_layer(d)
        elif choice < 13:
            a_merge(d)
        elif choice < 16:
            an_op(d)
        elif choice < 18:
            shared(d)
        else:
            (nested if deep else a_layer)(d)
        if not d.refused and any(n is not None and n > 40 for x in d.tensors for n in x.shape[1:]):
            break
    return d


def finished(d: Drawn) -> Json:
    """The program with its outputs: the last tensors, and now and then one from the middle."""
    s, count = d.s, len(d.program["inputs"])
    if d.refused:
        return pruned(d.program)
    outputs = [len(d.tensors) - 1]
    made = range(count, len(d.tensors) - 1)
    for _ in range(s.int(0, 2)):
        if made and s.chance(60):
            outputs.append(s.pick(made))
    d.program["outputs"] = list(dict.fromkeys(outputs))
    return pruned(d.program)


def an_input(s: Source) -> Json:
    rank = s.pick([2, 3, 3, 3, 4, 4, 5])
    if rank == 3 and s.chance(40):
        return {"shape": [None, *s.shape(1, 3, 6, 30)], "dtype": "int32"}
    shape = [None, *s.shape(rank - 1, 3, 7 if rank < 5 else 4, s.pick([0, 0, 25]))]
    shape[-1] = s.pick([2, 3, 4, 4])
    return {"shape": shape, "dtype": "float32"}


def graph_case(s: Source) -> Json:
    """A functional model of three to ten layers."""
    inputs = [an_input(s)]
    while len(inputs) < 3 and s.chance(30):
        inputs.append(an_input(s) if s.chance(50) else dict(inputs[0]))
    return finished(drawn(s, inputs, s.int(2, 9)))


@st.composite
def graph_cases(draw: Callable[[Any], Any]) -> Json:
    return graph_case(Source.of_hypothesis(draw))


__all__ = ["graph_case", "graph_cases"]
