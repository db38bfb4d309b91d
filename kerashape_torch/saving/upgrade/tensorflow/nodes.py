"""TensorFlowOpLayer, which TensorFlow 2.0 to 2.3 made of raw operations: their inputs and attributes as arguments of
the functions that they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class _Node(NamedTuple):
    """What an operation is: the function, the names of its inputs, and the arguments among its attributes."""

    function: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, str] = {}
    """Attribute names, and what the function calls them."""


_X, _XY = ("x",), ("x", "y")
_KEEP = {"keep_dims": "keepdims"}
_SIMPLE = {
    "Abs": "math.abs", "Acos": "math.acos", "Acosh": "math.acosh", "Asin": "math.asin", "Asinh": "math.asinh",
    "Atan": "math.atan", "Atanh": "math.atanh", "Ceil": "math.ceil", "Cos": "math.cos", "Cosh": "math.cosh",
    "Erf": "math.erf", "Erfc": "math.erfc", "Exp": "math.exp", "Expm1": "math.expm1", "Floor": "math.floor",
    "Identity": "identity", "Inv": "math.reciprocal", "IsFinite": "math.is_finite", "IsInf": "math.is_inf",
    "IsNan": "math.is_nan", "Log": "math.log", "Log1p": "math.log1p", "LogicalNot": "math.logical_not",
    "Neg": "math.negative", "Reciprocal": "math.reciprocal", "Relu": "nn.relu", "Relu6": "nn.relu6",
    "Rint": "math.rint", "Round": "math.round", "Rsqrt": "math.rsqrt", "Selu": "nn.selu", "Sigmoid": "math.sigmoid",
    "Sign": "math.sign", "Sin": "math.sin", "Sinh": "math.sinh", "Softplus": "math.softplus",
    "Softsign": "nn.softsign", "Sqrt": "math.sqrt", "Square": "math.square", "StopGradient": "stop_gradient",
    "Tan": "math.tan", "Tanh": "math.tanh",
}
_PAIRS = {
    "Add": "math.add", "AddV2": "math.add", "Sub": "math.subtract", "Mul": "math.multiply", "Div": "math.divide",
    "RealDiv": "math.divide", "DivNoNan": "math.divide_no_nan", "FloorDiv": "math.floordiv",
    "FloorMod": "math.floormod", "Pow": "math.pow", "Maximum": "math.maximum", "Minimum": "math.minimum",
    "Greater": "math.greater", "GreaterEqual": "math.greater_equal", "Less": "math.less",
    "LessEqual": "math.less_equal", "Equal": "math.equal", "NotEqual": "math.not_equal",
    "LogicalAnd": "math.logical_and", "LogicalOr": "math.logical_or",
    "SquaredDifference": "math.squared_difference",
}
_REDUCED = {"Sum": "sum", "Mean": "mean", "Max": "max", "Min": "min", "Prod": "prod", "All": "all", "Any": "any"}
_NODES: dict[str, _Node] = {
    **{op: _Node(function, ("",)) for op, function in _SIMPLE.items()},
    **{op: _Node(function, _XY) for op, function in _PAIRS.items()},
    **{op: _Node(f"math.reduce_{name}", ("input_tensor", "axis"), _KEEP) for op, name in _REDUCED.items()},
    "Elu": _Node("nn.elu", ("features",)), "LeakyRelu": _Node("nn.leaky_relu", ("features",), {"alpha": "alpha"}),
    "Softmax": _Node("nn.softmax", ("logits",)), "LogSoftmax": _Node("nn.log_softmax", ("logits",)),
    "Reshape": _Node("reshape", ("tensor", "shape")), "Transpose": _Node("transpose", ("a", "perm")),
    "ExpandDims": _Node("expand_dims", ("input", "axis")), "Squeeze": _Node("squeeze", ("input",),
                                                                          {"squeeze_dims": "axis"}),
    "Tile": _Node("tile", ("input", "multiples")), "Pad": _Node("pad", ("tensor", "paddings")),
    "PadV2": _Node("pad", ("tensor", "paddings", "constant_values")),
    "MirrorPad": _Node("pad", ("tensor", "paddings"), {"mode": "mode"}),
    "Pack": _Node("stack", ("values*",), {"axis": "axis"}), "ConcatV2": _Node("concat", ("values*", "axis")),
    "AddN": _Node("math.add_n", ("inputs*",)), "Unpack": _Node("unstack", ("value",), {"num": "num", "axis": "axis"}),
    "Split": _Node("split", ("axis", "value"), {"num_split": "num_or_size_splits"}),
    "SplitV": _Node("split", ("value", "num_or_size_splits", "axis")),
    "MatMul": _Node("linalg.matmul", ("a", "b"), {"transpose_a": "transpose_a", "transpose_b": "transpose_b"}),
    "BatchMatMul": _Node("linalg.matmul", ("a", "b"), {"adj_x": "adjoint_a", "adj_y": "adjoint_b"}),
    "BatchMatMulV2": _Node("linalg.matmul", ("a", "b"), {"adj_x": "adjoint_a", "adj_y": "adjoint_b"}),
    "Cast": _Node("cast", ("x",), {"DstT": "dtype"}), "ClipByValue": _Node(
        "clip_by_value", ("t", "clip_value_min", "clip_value_max")),
    "Select": _Node("where", ("condition", "x", "y")), "SelectV2": _Node("where", ("condition", "x", "y")),
    "StridedSlice": _Node("strided_slice", ("input_", "begin", "end", "strides"), {
        name: name for name in ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")}),
    "Slice": _Node("slice", ("input_", "begin", "size")),
    "GatherV2": _Node("gather", ("params", "indices", "axis"), {"batch_dims": "batch_dims"}),
    "ArgMax": _Node("math.argmax", ("input", "axis"), {"output_type": "output_type"}),
    "ArgMin": _Node("math.argmin", ("input", "axis"), {"output_type": "output_type"}),
    "BiasAdd": _Node("nn.bias_add", ("value", "bias"), {"data_format": "data_format"}),
    "BroadcastTo": _Node("broadcast_to", ("input", "shape")), "ReverseV2": _Node("reverse", ("tensor", "axis")),
    "DepthToSpace": _Node("nn.depth_to_space", ("input",), {"block_size": "block_size", "data_format": "data_format"}),
    "SpaceToDepth": _Node("nn.space_to_depth", ("input",), {"block_size": "block_size", "data_format": "data_format"}),
    "OneHot": _Node("one_hot", ("indices", "depth", "on_value", "off_value"), {"axis": "axis"}),
    "Cumsum": _Node("math.cumsum", ("x", "axis"), {"exclusive": "exclusive", "reverse": "reverse"}),
    "TopKV2": _Node("math.top_k", ("input", "k"), {"sorted": "sorted"}),
    "ZerosLike": _Node("zeros_like", ("input",)), "OnesLike": _Node("ones_like", ("input",)),
}


def arguments_of_node(node: Mapping[str, Any], first: Any,
                      constants: Mapping[Any, Any]) -> tuple[str, Any, dict[str, Any]]:
    """The function of a raw operation with its first argument and the others by name; ``raw_ops.Name`` if not known.

    Constants are given by the places of the inputs that they are.
    """
    tensors = iter(first if isinstance(first, list) else [first])
    places = {int(place): value for place, value in constants.items()}
    number = len(node.get("input") or ()) or len(places) + (len(first) if isinstance(first, list) else 1)
    inputs = [places[i] if i in places else next(tensors, None) for i in range(number)]
    known = _NODES.get(str(node["op"]))
    if known is None:
        return f"raw_ops.{node['op']}", inputs if len(inputs) > 1 else inputs[0], {}
    given = _by_name(known.inputs, inputs)
    attributes = node.get("attr") or {}
    given.update((name, _attribute(attributes[key])) for key, name in known.attributes.items() if key in attributes)
    if known.inputs == ("",):
        return known.function, given[""], {}
    return known.function, None, given


def _by_name(names: tuple[str, ...], inputs: list[Any]) -> dict[str, Any]:
    """One name may have a star: it has all inputs that the others leave."""
    given: dict[str, Any] = {}
    rest = list(inputs)
    for i, name in enumerate(names):
        if name.endswith("*"):
            end = len(rest) - (len(names) - i - 1)
            given[name[:-1]], rest = rest[:end], rest[end:]
        elif rest:
            given[name] = rest.pop(0)
    return given


_READERS: Mapping[str, Callable[[Any], Any]] = {"i": int, "f": float, "b": bool, "s": str, "type": str}


def _attribute(value: Mapping[str, Any]) -> Any:
    """A value of an attribute as protobuf writes it in JSON: ``{"i": "2"}``, ``{"list": {"i": ["1"]}}``."""
    if "list" in value:
        return [item for kind, items in value["list"].items() for item in map(_READERS.get(kind, str), items)]
    for kind, read in _READERS.items():
        if kind in value:
            return _text(value[kind]) if kind == "s" else read(value[kind])
    return False  # protobuf leaves out what is false or zero


def _text(value: Any) -> str:
    import base64
    import binascii

    try:
        return base64.b64decode(str(value), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return str(value)
