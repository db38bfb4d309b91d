"""Random calls of every layer of the catalog: arguments by the kind of each field, and an input shape that suits them.

A drawn case is a program of one step, as :mod:`fuzzing` runs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import harness
from hypothesis import strategies as st

import kerashape_torch.layers  # noqa: F401  fills the catalog
from kerashape_torch.layer import Layer

Json = Any
Shape = list[Any]

# Layers that are not drawn, and why.
NOT_DRAWN: dict[str, str] = {
    **dict.fromkeys(("Hashing", "HashedCrossing", "IntegerLookup", "StringLookup", "TextVectorization"),
                    "Keras needs TensorFlow for it; its recorded cases hold it"),
    "InputLayer": "it has no module; every case has some",
    "Lambda": "its argument is a function",
    "MaxNumBoundingBoxes": "it takes a dict of boxes",
    "StackedRNNCells": "drawn as the cell of an RNN",
    **dict.fromkeys(("CutMix", "MixUp"), "they take dicts; on images alone they do nothing"),
}
CLASSES = [name for name, cls in sorted(Layer.catalog().items()) if name == cls.__name__ and name not in NOT_DRAWN
           and name not in harness.NOT_LAYERS and cls.__module__.split(".")[-1] not in harness.NO_CASES]
ACTIVATIONS = ["relu", "tanh", "sigmoid", "linear", "elu", "selu", "gelu", "silu", "softplus", "softsign", "leaky_relu",
               "hard_sigmoid", "hard_silu", "relu6", "mish", "celu", "log_sigmoid", "exponential", "tanh_shrink",
               "squareplus", "soft_shrink", "hard_shrink", "hard_tanh", "sparse_plus", "sparse_sigmoid"]
ALONG_THE_LAST = ["softmax", "log_softmax", "sparsemax"]
OBJECTS = [{"object": "layers.Activation", "args": {"activation": "tanh"}}, {"object": "layers.ReLU", "args": {}},
           {"object": "layers.LeakyReLU", "args": {"negative_slope": 0.1}}]
INITIALIZERS = ["zeros", "ones", "glorot_uniform", "he_normal", "lecun_normal", "random_normal", "truncated_normal",
                {"object": "initializers.Constant", "args": {"value": 0.5}},
                {"object": "initializers.HeUniform", "args": {"seed": 3}},
                {"object": "initializers.VarianceScaling", "args": {"scale": 2.0, "mode": "fan_avg"}}]
REGULARIZERS = ["l1", "l2", "l1l2", {"object": "regularizers.L2", "args": {"l2": 0.05}},
                {"object": "regularizers.L1L2", "args": {"l1": 0.01, "l2": 0.02}}]
CONSTRAINTS = ["non_neg", "unit_norm", {"object": "constraints.MaxNorm", "args": {"max_value": 1.5, "axis": 0}}]
DTYPES = ["float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"]


# Arguments of every layer that are not drawn for some: Keras does not let the first ones be given. The dtype of a
# TimeDistributed is then that of the layer inside, or not, as that has weights; that of a Discretization is not kept.
NOT_GIVEN = [("SpatialDropout", "trainable"), ("Pipeline", "trainable"), ("Pipeline", "dtype"),
             ("Discretization", "trainable"), ("Discretization", "dtype"), ("TimeDistributed", "dtype")]


class Source:
    """What is drawn, in the few forms that are needed here, from choices of one among several."""

    def __init__(self, choose: Callable[[Sequence[Any]], Any]) -> None:
        self.pick = choose

    @classmethod
    def of_hypothesis(cls, draw: Callable[[Any], Any]) -> Source:
        return cls(lambda options: draw(st.sampled_from(options)))

    def int(self, low: int, high: int) -> int:
        return int(self.pick(range(low, high + 1)))

    def chance(self, percent: int) -> bool:
        return bool(self.pick(range(20)) < percent / 5)

    def float(self, low: float, high: float) -> float:
        return round(low + (high - low) * self.int(0, 20) / 20, 3)

    def shuffled(self, options: Sequence[Any]) -> list[Any]:
        left = list(options)
        return [left.pop(self.pick(range(len(left)))) for _ in options]

    def some(self, options: Sequence[Any], at_least: int = 1) -> list[Any]:
        found = [x for x in options if self.chance(50)]
        return found if len(found) >= at_least else list(options[:at_least])

    def shape(self, rank: int, low: int = 2, high: int = 6, free: int = 15) -> Shape:
        """Axes after the batch, some of them None."""
        return [None if self.chance(free) else self.int(low, high) for _ in range(rank)]


def obj(name: str, **args: Any) -> Json:
    return {"object": f"layers.{name}", "args": args}


# ---- arguments by the kind of their field ----------------------------------------------------------------------------


class Place:
    """Where arguments are drawn for: the layer's class, the shape that it is to take, what is drawn already."""

    def __init__(self, source: Source, cls: type[Layer], shape: Shape) -> None:
        self.source = source
        self.cls = cls
        self.shape = shape
        self.args: dict[str, Any] = {}
        self.rank: int = getattr(cls, "rank", None) or max(len(shape) - 2, 1)

    @property
    def channels(self) -> Any:
        return self.shape[1 if self.args.get("data_format") == "channels_first" else -1]


def _sizes(high: int) -> Callable[[Place], Any]:
    def drawn(p: Place) -> Any:
        return p.source.int(1, high) if p.source.chance(60) else [p.source.int(1, high) for _ in range(p.rank)]

    return drawn


def _groups(p: Place) -> int:
    divisors = [n for n in range(1, 5) if p.channels and p.channels % n == 0 and p.args.get("filters", n) % n == 0]
    return p.source.pick(divisors or [1]) if p.source.chance(95) else p.source.int(1, 5)


def _norm_groups(p: Place) -> int:
    axis = p.args.get("axis", -1)
    size = p.shape[axis] if -len(p.shape) <= axis < len(p.shape) else None
    return p.source.pick([n for n in (1, 2, 3, 4, -1) if size and size % n == 0] or [1])


def _axis(p: Place) -> int:
    rank = len(p.shape)
    return p.source.pick([-1, *range(1, rank), *range(1 - rank, 0)]) if p.source.chance(95) else p.source.int(-6, 6)


def _axes(p: Place) -> Any:
    if p.source.chance(60):
        return p.source.pick([-1, len(p.shape) - 1])
    last = p.source.int(1, len(p.shape) - 1)
    return [*range(-last, 0)] if p.source.chance(70) else p.source.some(range(1, len(p.shape)))


def _sides(p: Place) -> Any:
    s, room = p.source, [n if n is None else max(n - 2, 0) for n in _spatial(p)]
    room = [2 if n is None or "Padding" in p.cls.__name__ else n for n in room]
    if s.chance(40):
        return s.int(0, min([2, *(n // 2 for n in room)]) if p.rank > 1 or "Crop" in p.cls.__name__ else 2)
    pairs = []
    for n in room:
        first = s.int(0, min(n, 3))
        pairs.append([first, s.int(0, min(max(n - first, 0), 3))])
    if p.rank == 1:
        return pairs[0] if pairs else 1
    return [a for a, _ in pairs] if s.chance(30) and all(2 * a <= n for (a, _), n in zip(pairs, room)) else pairs


def _spatial(p: Place) -> Shape:
    return p.shape[2:] if p.args.get("data_format") == "channels_first" else p.shape[1:-1]


def _noise_shape(p: Place) -> Any:
    return [None if p.source.chance(50) else p.source.pick([1, n]) for n in p.shape]


def _target_shape(p: Place) -> Any:
    s, known = p.source, [n for n in p.shape[1:] if n is not None]
    total, sizes = math.prod(known), []
    for _ in range(s.int(0, 3)):
        divisor = s.pick([n for n in range(1, total + 1) if total % n == 0] or [1])
        sizes.append(divisor)
        total //= divisor
    sizes.insert(s.int(0, len(sizes)), -1 if len(known) < len(p.shape) - 1 or s.chance(40) else total)
    return sizes if s.chance(95) else [*sizes, 2]


def _order(p: Place) -> Any:
    return p.source.shuffled(range(1, len(p.shape)))


def _limits(p: Place) -> Any:
    low = p.source.float(0, 0.5)
    return low if p.source.chance(60) else [low, p.source.float(low, 1)]


def _number(low: float, high: float) -> Callable[[Place], float]:
    return lambda p: p.source.float(low, high)


def _of(*options: Any) -> Callable[[Place], Any]:
    return lambda p: p.source.pick(options)


def _activation(p: Place) -> Any:
    inside = "LSTM" in p.cls.__name__ or "GRU" in p.cls.__name__ or "RNN" in p.cls.__name__
    return p.source.pick([*ACTIVATIONS, *OBJECTS, "glu", *([] if inside else ALONG_THE_LAST)])


def _values(p: Place) -> Any:
    """A number, or one for each channel."""
    if p.source.chance(70) or p.shape[-1] is None:
        return p.source.float(-2, 2)
    return [p.source.float(-2, 2) for _ in range(p.shape[-1])]


BY_NAME: dict[str, Callable[[Place], Any]] = {
    "activity_regularizer": _of(*REGULARIZERS), "epsilon": _of(1e-3, 1e-5, 0.1), "momentum": _number(0.5, 0.99),
    "rate": _number(0, 0.9), "dropout": _number(0, 0.6), "recurrent_dropout": _number(0, 0.6), "stddev": _number(0, 1),
    "seed": _of(None, 0, 7), "lora_rank": _of(None, None, 1, 2), "lora_alpha": _of(None, None, 3.0),
    "groups": _groups, "axis": _axis, "noise_shape": _noise_shape, "target_shape": _target_shape, "dims": _order,
    "filters": lambda p: p.source.pick([1, 2, 3, 4, 6]), "units": lambda p: p.source.int(1, 5),
    "kernel_size": _sizes(3), "strides": _sizes(3), "dilation_rate": _sizes(2), "pool_size": _sizes(3),
    "size": lambda p: p.source.int(1, 3) if "1D" in p.cls.__name__ else _sizes(3)(p), "output_size": _sizes(4),
    "cropping": _sides, "activation": _activation, "recurrent_activation": _activation,
    "shared_axes": lambda p: p.source.some(range(1, len(p.shape))), "implementation": _of(0, 1, 2),
    "use_cudnn": _of("auto", True, False), "n": lambda p: p.source.int(1, 4), "mask_value": _of(0.0, 1.0, 0),
    "max_value": _of(None, 1.0, 6), "negative_slope": _number(0, 0.5), "threshold": _number(0, 1),
    "alpha": _number(0, 2), "l1": _number(0, 0.1), "l2": _number(0, 0.1),
    "depth_multiplier": lambda p: p.source.int(1, 3),
    "value_range": _of([0, 255], [0, 1], [-1.0, 1.0]), "bins": _of(8, 256), "fill_value": _number(0, 1),
    "height": lambda p: p.source.int(1, 7), "width": lambda p: p.source.int(1, 7),
    "power_iterations": lambda p: p.source.int(1, 3), "sliding_window": _of(None, 1, 2, 3),
    "flash_attention": _of(None, False), "num_heads": lambda p: p.source.int(1, 3),
    "key_dim": lambda p: p.source.int(1, 4), "value_dim": lambda p: p.source.int(1, 4),
    "mode": _of("horizontal", "vertical", "horizontal_and_vertical"), "logit_soft_cap": _of(None, 2.0, 5),
    "reverse_dtype": _of(None), "weights": _of(None), "invert": _of(False, True), "factor": _limits,
    **dict.fromkeys(("renorm", "synchronized", "sparse"), _of(False)), "renorm_clipping": _of(None),
    "quantization_config": _of(None), "gptq_unpacked_column_size": _of(None), "renorm_momentum": _of(0.99),
}
BY_CLASS: dict[tuple[str, str], Callable[[Place], Any]] = {
    ("UpSampling2D", "interpolation"): _of("nearest", "bilinear"),
    ("Resizing", "interpolation"): _of("nearest", "bilinear"),
    ("Resizing", "fill_mode"): _of("constant"),
    ("GroupNormalization", "groups"): _norm_groups,
    ("LayerNormalization", "axis"): _axes, ("UnitNormalization", "axis"): _axes, ("Softmax", "axis"): _axes,
    ("Rescaling", "scale"): _values, ("Rescaling", "offset"): _values,
    ("RandomPerspective", "scale"): _number(0, 1), ("RandomErasing", "scale"): _of(0.3, [0.1, 0.4]),
    ("RandomElasticTransform", "scale"): _of(0.3, 1.0), ("RandomGrayscale", "factor"): _number(0, 1),
    ("RandomErasing", "fill_value"): _of(None, 0.5), ("AugMix", "alpha"): _of(1.0, 0.5),
    ("MultiHeadAttention", "output_shape"): lambda p: p.source.pick([None, 3, [3], [2, 3]]),
    ("MultiHeadAttention", "attention_axes"): lambda p: p.source.pick([None, 1, [1]] if len(p.shape) < 4
                                                                       else [None, 1, 2, [1, 2], [2]]),
    ("ContrastLimitedAdaptiveHistogramEqualization", "tile_grid_size"): _of([2, 2], [1, 2], [3, 2]),
    ("ContrastLimitedAdaptiveHistogramEqualization", "clip_limit"): _number(0, 4),
    ("RandomGaussianBlur", "kernel_size"): _of(3, 5, [3, 5]), ("RandomGaussianBlur", "sigma"): _of(1.0, [0.5, 1.0]),
}
FIRST = ("data_format", "axis", "filters")  # on these the others depend


def _by_kind(field: Any) -> Callable[[Place], Any] | None:
    kind = type(field.kind).__name__
    if hasattr(field.kind, "options"):
        return _of(*field.kind.options)
    if kind == "_CausalPadding":
        return lambda p: p.source.pick(["valid", "same", *(["causal"] if p.rank == 1 or p.source.chance(5) else [])])
    if kind == "FamilyIdentifiers" or kind == "_Initializers":
        return _of(*(INITIALIZERS if kind == "_Initializers" else
                     CONSTRAINTS if field.name.endswith("constraint") else REGULARIZERS))
    if kind == "_Activations":
        return _activation
    if kind == "_Sides":
        return _sides
    if kind in ("_Sizes", "_Positive"):
        return (lambda p: p.source.int(1, 4)) if kind == "_Positive" else (
            lambda p: [p.source.int(0, 2) for _ in range(p.rank)] if p.source.chance(40) else p.source.int(0, 2))
    plain = getattr(field.kind, "kind", None)
    if plain is bool:
        return _of(False, True)
    return _limits if kind == "Limits" else None


def arguments(s: Source, name: str, shape: Shape, **given: Any) -> Json:
    """The arguments of a layer that is to take this shape: those that it needs, and some of the others."""
    cls = Layer.catalog()[name]
    place = Place(s, cls, shape)
    place.args.update(given)
    fields = [f for f in cls._fields.values() if not f.keyword_only and f.name not in given]
    often = s.pick([15, 40, 75])
    for field in sorted(fields, key=lambda f: f.name not in FIRST):
        drawn = BY_CLASS.get((name, field.name)) or BY_NAME.get(field.name) or _by_kind(field)
        required = field.name in cls._required
        if drawn is not None and (required or s.chance(often)):
            place.args[field.name] = drawn(place)
    if name == "RandomCrop":  # Keras draws the seed that it writes in the config
        place.args["seed"] = 3
    return place.args


def common(s: Source) -> Json:
    """What every layer takes: a name, a dtype policy, whether it is frozen."""
    found: dict[str, Any] = {}
    if s.chance(10):
        found["dtype"] = s.pick(DTYPES)
    if s.chance(5):
        found["trainable"] = False
    if s.chance(5):
        found["name"] = s.pick(["one", "my_layer", "conv1"])
    return found


# ---- input shapes ----------------------------------------------------------------------------------------------------

_RANKED = ("1D", "2D", "3D")
IMAGES = {name for name in CLASSES if "image_" in Layer.catalog()[name].__module__}


def rank_of(s: Source, name: str) -> int:
    """How many axes with the batch a layer takes."""
    spatial = next((i + 1 for i, mark in enumerate(_RANKED) if mark in name), None)
    if spatial is not None:
        return spatial + (3 if "ConvLSTM" in name else 2)
    if name in IMAGES:
        return 4 if s.chance(80) else 3
    if name in ("LSTM", "GRU", "SimpleRNN", "RNN", "GroupQueryAttention", "Attention", "AdditiveAttention"):
        return 3
    if name == "MultiHeadAttention":
        return s.pick([3, 3, 3, 4])
    if name == "RepeatVector":
        return 2
    return s.int(2, 5) if name != "EinsumDense" else s.int(2, 4)


def shape_for(s: Source, name: str, channels_first: bool = False) -> Shape:
    """An input shape with its batch axis: channels nearly always known, now and then a wrong rank."""
    rank = rank_of(s, name)
    if s.chance(3):
        rank = max(rank + s.pick([-1, 1]), 2)
    high = 9 if rank < 5 else 5
    if name in IMAGES and rank == 3:
        shape = s.shape(3, 3, high, 0)
        shape[0 if channels_first else -1] = 3
        return shape
    shape = [None, *s.shape(rank - 1, 1 if s.chance(10) else 3, high, s.pick([0, 0, 15, 40]))]
    at = (2 if "ConvLSTM" in name else 1) if channels_first else -1
    if not s.chance(3):
        shape[at] = 3 if name in IMAGES else s.pick([1, 2, 3, 4, 4, 6])
    if "ConvLSTM" in name:
        shape = [n or 4 if i > 1 else n for i, n in enumerate(shape)]
    if name == "UnitNormalization":  # of one number it is a sign, whose gradient is nothing but rounding
        shape = [2 if n == 1 else n for n in shape]
    if name == "Flatten" and s.chance(10):
        shape = shape[:1]
    return shape


def case_of(s: Source, layer: Json, style: str, shapes: list[Shape], dtypes: list[str] | None = None,
            kwargs: Json = None, indices: bool = False) -> Json:
    if dtypes is None:
        dtypes = ["float32"] * len(shapes)
        if s.chance(5) and style != "cell":
            dtypes = [s.pick(["int32", "float64", "float16", "uint8", "bool"])] * len(shapes)
    layer["args"].update(common(s))
    if style == "cell":
        layer["args"].pop("dtype", None)  # Keras' cell without a bias gives the dtype of its input, whatever its own
    for name, argument in NOT_GIVEN:
        if name in layer["object"]:
            layer["args"].pop(argument, None)
    stateful = harness.is_stateful({"config": layer})
    batch = s.pick([1, 2, 3])
    inputs = [{"shape": shape, "dtype": dtype, **({"indices": True} if indices else {})}
              for shape, dtype in zip(shapes, dtypes)]

    def numbered(value: Any) -> Any:
        """A tensor given by keyword is one more input."""
        if isinstance(value, dict) and "tensor" in value:
            inputs.append(value["tensor"])
            return {"of": len(inputs) - 1}
        return [numbered(item) for item in value] if isinstance(value, list) else value

    step = {"layer": 0, "style": style, "of": list(range(len(shapes))),
            "kwargs": {key: numbered(value) for key, value in (kwargs or {}).items()}, "gives": 1}
    if stateful:
        inputs = [{**x, "shape": [batch, *x["shape"][1:]]} for x in inputs]
    return {"inputs": inputs, "layers": [layer], "steps": [step], "outputs": None,
            "sizes": [s.int(3, 7) for _ in range(6)], "batch": batch}


# ---- families --------------------------------------------------------------------------------------------------------


def single(s: Source, name: str) -> Json:
    cls = Layer.catalog()[name]
    given = {"data_format": s.pick(["channels_first", "channels_last"])} if (
        "data_format" in cls._fields and s.chance(60)) else {}
    shape = shape_for(s, name, given.get("data_format") == "channels_first")
    return case_of(s, {"object": f"layers.{name}", "args": arguments(s, name, shape, **given)}, "single", [shape])


def merge(s: Source, name: str) -> Json:
    shape = [None, *s.shape(s.int(1, 3))]
    count = 2 if name == "Subtract" else s.int(2, 4)
    shapes = [list(shape) for _ in range(count)]
    for other in shapes[1:]:
        if name == "Concatenate":
            continue
        for i in range(1, len(other)):
            if s.chance(15):
                other[i] = 1
        if s.chance(10) and len(other) > 2:
            del other[1]
    args: dict[str, Any] = {}
    if name == "Concatenate" and s.chance(60):
        args["axis"] = s.pick([-1, *range(1, len(shape)), -len(shape) + 1])
    if name == "Concatenate":
        for other in shapes[1:]:
            if other[args.get("axis", -1)] is not None:
                other[args.get("axis", -1)] = s.int(1, 5)
    return case_of(s, obj(name, **args), "list", shapes)


def dot(s: Source, _: str) -> Json:
    first, second = ([None, *s.shape(s.int(1, 3), free=5)] for _ in range(2))
    axes = [s.int(1, len(first) - 1), s.int(1, len(second) - 1)]
    if s.chance(90):
        second[axes[1]] = first[axes[0]]
    if s.chance(20):
        axes = [axes[0] - len(first), axes[1] - len(second)]
    same = axes[0] == axes[1] and s.chance(50)
    layer = obj("Dot", axes=axes[0] if same else axes, **({"normalize": True} if s.chance(30) else {}))
    return case_of(s, layer, "list", [first, second])


def einsum(s: Source, _: str) -> Json:
    rank = s.int(2, 4)
    shape = [None, *s.shape(rank - 1)]
    shape[-1] = s.int(2, 5)
    given = "abcd"[:rank]
    new = "xyz"[:s.int(1, 2)]
    contracted = given[-1]
    if rank > 2 and s.chance(25) and shape[-2] is not None:
        contracted = given[-2:]
    kept = given[:-len(contracted)]
    if rank > 3 and s.chance(20) and len(contracted) == 1 and shape[-2] is not None:  # an axis that weights have too
        equation = f"{given},{given[-2]}{contracted}{new}->{kept}{new}"
    elif s.chance(30) and len(contracted) == 1:
        equation = f"...{contracted},{contracted}{new}->...{new}"
    else:
        equation = f"{given},{contracted}{new}->{kept}{new}"
    sizes: list[Any] = [s.int(1, 4) for _ in new]
    if "..." not in equation:
        sizes = [*shape[1:len(kept)], *sizes]
    args = arguments(s, "EinsumDense", shape, equation=equation, output_shape=sizes)
    if s.chance(60):
        args["bias_axes"] = "".join(s.some(new))
    return case_of(s, obj("EinsumDense", **args), "single", [shape])


def embedding(s: Source, name: str) -> Json:
    shape = [None, *s.shape(s.int(0, 2))]
    args = arguments(s, name, shape, input_dim=s.int(2, 6), output_dim=s.int(1, 5))
    kwargs = {}
    dtypes = [s.pick(["int32", "int32", "int64", "float32", "uint8"])]
    if name == "ReversibleEmbedding" and s.chance(40):
        kwargs, shape, dtypes = {"reverse": True}, [None, *s.shape(1), args["output_dim"]], ["float32"]
    return case_of(s, {"object": f"layers.{name}", "args": args}, "single", [shape], dtypes, kwargs, not kwargs)


def encoding(s: Source, name: str) -> Json:
    shape = [None, *s.shape(s.int(0, 2))]
    mode = s.pick(["one_hot", "multi_hot", "count"])
    if name == "Discretization":
        mode = s.pick(["int", "one_hot", "multi_hot", "count"])
        args = {"bin_boundaries": s.pick([[-0.5, 0.5], [0.0], [-1.0, 0.0, 1.0]]), "output_mode": mode}
        return case_of(s, obj(name, **args), "single", [shape], ["float32"])
    kwargs = {}
    if mode == "count" and s.chance(40):
        kwargs = {"count_weights": {"tensor": {"shape": shape, "dtype": "float32"}}}
    return case_of(s, obj(name, num_tokens=s.int(2, 5), output_mode=mode), "single", [shape], ["int32"], kwargs)


def attention(s: Source, name: str) -> Json:
    depth = s.int(2, 5)
    queries, keys = [None, *s.shape(1), depth], [None, *s.shape(1), depth]
    shapes = [queries, keys]
    if s.chance(30):
        shapes.append([None, keys[1], depth])
        shapes[1] = [None, keys[1], s.int(1, 5)] if name == "Attention" else keys
    kwargs: dict[str, Any] = {}
    if s.chance(30):
        kwargs["return_attention_scores"] = True
    if s.chance(30):
        kwargs["use_causal_mask"] = True
    if s.chance(20):
        kwargs["mask"] = [{"tensor": {"shape": shape[:2], "dtype": "bool"}} for shape in shapes[:2]]
    return case_of(s, obj(name, **arguments(s, name, queries)), "list", shapes, None, kwargs)


def heads(s: Source, name: str) -> Json:
    rank = rank_of(s, name)
    queries = [None, *s.shape(rank - 1)]
    queries[-1] = s.int(1, 5)
    values = [None, *(queries[1:-1] if rank > 3 else s.shape(1)), s.int(1, 5)]
    if name == "GroupQueryAttention":
        groups = s.int(1, 2)
        args = arguments(s, name, queries, num_key_value_heads=groups, num_query_heads=groups * s.int(1, 2))
        args["head_dim"] = s.int(1, 4)
    else:
        args = arguments(s, name, queries)
    shapes = [queries, values]
    if s.chance(30):
        shapes.append([*values[:-1], s.int(1, 5)])
    kwargs: dict[str, Any] = {}
    if s.chance(30):
        kwargs["return_attention_scores"] = True
    if s.chance(20):
        kwargs["use_causal_mask"] = True
    if s.chance(20) and rank == 3:
        kwargs["attention_mask"] = {"tensor": {"shape": [None, queries[1], values[1]], "dtype": "bool"}}
    for of, given in (("query", queries), ("value", values)):
        if s.chance(15) and rank == 3:
            kwargs[f"{of}_mask"] = {"tensor": {"shape": given[:2], "dtype": "bool"}}
    return case_of(s, {"object": f"layers.{name}", "args": args}, "args", shapes, None, kwargs)


CELLS = ["LSTMCell", "GRUCell", "SimpleRNNCell"]


def cell(s: Source, name: str) -> Json:
    shape = [None, s.int(1, 5)]
    args = arguments(s, name, shape)
    states = [[None, args["units"]] for _ in range(2 if name == "LSTMCell" else 1)]
    return case_of(s, {"object": f"layers.{name}", "args": args}, "cell", [shape, *states])


def a_cell(s: Source, features: Any) -> Json:
    name = s.pick(CELLS)
    return {"object": f"layers.{name}", "args": arguments(s, name, [None, features])}


def recurrent(s: Source, name: str, shape: Shape | None = None) -> Json:
    shape = shape or shape_for(s, name)
    given: dict[str, Any] = {}
    if name == "RNN":
        given["cell"] = a_cell(s, shape[-1]) if s.chance(60) else [a_cell(s, shape[-1]) for _ in range(s.int(1, 2))]
    args = arguments(s, name, shape, **given)
    kwargs: dict[str, Any] = {}
    if s.chance(25):
        kwargs["mask"] = {"tensor": {"shape": shape[:2], "dtype": "bool"}}
    elif s.chance(25) and name != "RNN":
        states = [{"tensor": {"shape": [None, args["units"]], "dtype": "float32"}}
                  for _ in range(2 if name == "LSTM" else 1)]
        kwargs["initial_state"] = states if name == "LSTM" or s.chance(50) else states[0]
    if args.get("stateful"):
        kwargs.pop("initial_state", None)
        kwargs.pop("mask", None)
    return case_of(s, {"object": f"layers.{name}", "args": args}, "single", [shape], None, kwargs)


def bidirectional(s: Source, name: str) -> Json:
    inner = recurrent(s, s.pick(["LSTM", "GRU", "SimpleRNN", "RNN"]))
    layer, given = inner["layers"][0], inner["inputs"]
    for argument in ("stateful", "name", "dtype"):
        layer["args"].pop(argument, None)
    if not s.chance(10):
        layer["args"].pop("go_backwards", None)
    args: dict[str, Any] = {"layer": layer}
    if s.chance(70):
        args["merge_mode"] = s.pick(["concat", "sum", "mul", "ave", None])
    if s.chance(20):
        other = recurrent(s, s.pick(["LSTM", "GRU", "SimpleRNN"]), given[0]["shape"])["layers"][0]
        for argument in ("return_sequences", "return_state"):
            other["args"][argument] = layer["args"].get(argument, False)
        if layer["args"].get("units"):
            other["args"]["units"] = layer["args"]["units"]
        for argument in ("stateful", "name", "dtype"):
            other["args"].pop(argument, None)
        args["backward_layer"] = {**other, "args": {**other["args"], "go_backwards": True}}
    shape = [None, *given[0]["shape"][1:]]
    kwargs = {"mask": {"tensor": {"shape": shape[:2], "dtype": "bool"}}} if s.chance(25) else {}
    return case_of(s, obj(name, **args), "single", [shape], None, kwargs)


def wrapper(s: Source, name: str) -> Json:
    """TimeDistributed of any layer of one input, SpectralNormalization of those with kernels."""
    inner = s.pick(["Dense", "Conv1D", "Conv2D", "EinsumDense", "DepthwiseConv2D", "Embedding"]
                   if name == "SpectralNormalization" else
                   ["Dense", "Conv1D", "Conv2D", "MaxPooling1D", "Flatten", "LayerNormalization", "BatchNormalization",
                    "LSTM", "GRU", "Dropout", "Activation", "Reshape", "GlobalAveragePooling1D", "Softmax", "Permute"])
    found = FAMILIES.get(inner, single)(s, inner)
    layer, shape = found["layers"][0], found["inputs"][0]["shape"]
    for argument in ("name", "dtype", "stateful"):
        layer["args"].pop(argument, None)
    if name == "TimeDistributed":
        shape = [None, *s.shape(1), *shape[1:]]
    args = {"layer": layer, **({"power_iterations": s.int(1, 3)} if name != "TimeDistributed" and s.chance(40) else {})}
    return case_of(s, obj(name, **args), "single", [shape], [found["inputs"][0]["dtype"]],
                   indices=found["inputs"][0].get("indices", False))


def pipeline(s: Source, name: str) -> Json:
    options = ["Rescaling", "CenterCrop", "Resizing", "RandomFlip", "RandomContrast"]
    names = [s.pick(options) for _ in range(s.int(1, 3))]
    shape = [None, s.int(3, 8), s.int(3, 8), 3]
    layers = [{"object": f"layers.{inner}", "args": arguments(s, inner, shape, **(
        {} if inner == "Rescaling" else {"data_format": "channels_last"}))} for inner in names]
    for layer, inner in zip(layers, names):
        if inner == "RandomContrast":
            layer["args"].pop("data_format")
    return case_of(s, obj(name, layers=layers), "single", [shape])


def normalization(s: Source, name: str) -> Json:
    shape = [None, *s.shape(s.int(1, 3), free=10)]
    axis = s.pick([-1, None, -1, *range(1, len(shape))])
    if axis is not None and s.chance(20):
        axis = s.some(range(1, len(shape)))
    args: dict[str, Any] = {"axis": axis} if axis != -1 or s.chance(50) else {}
    size = 1 if axis is None else (shape[axis] if isinstance(axis, int) else None)
    if s.chance(50) and size:
        args |= {"mean": s.float(-1, 1), "variance": s.float(0.5, 2)} if s.chance(50) or axis is None else {
            "mean": [s.float(-1, 1) for _ in range(size)], "variance": [s.float(0.5, 2) for _ in range(size)]}
    if s.chance(30):
        args["invert"] = True
    return case_of(s, obj(name, **args), "single", [shape])


def spectrogram(s: Source, name: str) -> Json:
    frame = s.pick([8, 16, 20])
    args = arguments(s, name, [None, 64, 1], frame_length=frame)
    if "fft_length" in args:
        args["fft_length"] = s.pick([frame, 32, 64])
    if "frame_step" in args:
        args["frame_step"] = s.pick([4, 8, frame])
    args["window"] = s.pick(["hann", "hamming", None])
    shape = [None, 1, s.int(20, 64)] if args.get("data_format") == "channels_first" else [None, s.int(20, 64), 1]
    return case_of(s, {"object": f"layers.{name}", "args": args}, "single", [shape], ["float32"])


def mel(s: Source, name: str) -> Json:
    length = s.pick([8, 16, 17])
    args: dict[str, Any] = {"fft_length": length, "sequence_stride": s.pick([3, 4, 8]), "num_mel_bins": s.int(1, 5),
                            "sampling_rate": s.pick([64, 100, 8000]), "min_freq": s.pick([0.0, 2.0, 20.0])}
    if s.chance(40):
        args["sequence_length"] = s.pick([8, length])
    if s.chance(40):
        args["power_to_db"] = False
    if s.chance(40):
        args |= {"top_db": s.pick([5.0, 80.0]), "mag_exp": s.pick([1.0, 2.0]), "ref_power": s.pick([1.0, 2.0])}
    args["window"] = s.pick(["hann", "hamming", None])
    shape = [None, *s.shape(s.pick([0, 0, 1]), free=0), s.int(10, 40)]
    return case_of(s, {"object": f"layers.{name}", "args": args}, "single", [shape], ["float32"])


def unary(s: Source, name: str) -> Json:
    shape = [None, *s.shape(s.int(1, 3))]
    activation = s.pick([*ACTIVATIONS, *ALONG_THE_LAST, *OBJECTS, "glu"])
    if activation == "glu" and shape[-1] is not None and shape[-1] % 2:
        shape[-1] += 1
    return case_of(s, obj(name, activation=activation), "single", [shape])


FAMILIES: dict[str, Callable[[Source, str], Json]] = {
    **dict.fromkeys(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"), merge),
    "Dot": dot, "EinsumDense": einsum, "Embedding": embedding, "ReversibleEmbedding": embedding,
    "CategoryEncoding": encoding, "Discretization": encoding, "Attention": attention, "AdditiveAttention": attention,
    "MultiHeadAttention": heads, "GroupQueryAttention": heads, **dict.fromkeys(CELLS, cell),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN"), recurrent), "Bidirectional": bidirectional,
    "TimeDistributed": wrapper, "SpectralNormalization": wrapper, "Pipeline": pipeline,
    "Normalization": normalization, "STFTSpectrogram": spectrogram, "MelSpectrogram": mel,
    "Activation": unary,
}


def layer_case(source: Source) -> Json:
    """A call of any layer."""
    name = source.pick(CLASSES)
    return FAMILIES.get(name, single)(source, name)


@st.composite
def layer_cases(draw: Callable[[Any], Any]) -> Json:
    return layer_case(Source.of_hypothesis(draw))


__all__ = ["CLASSES", "NOT_DRAWN", "Source", "arguments", "layer_case", "layer_cases"]
