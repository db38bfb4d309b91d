"""TensorFlowOpLayer, which TensorFlow 2.0 to 2.3 made of raw operations: their inputs and attributes as arguments of
the functions that they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kerashape_torch.saving.upgrade.expressions import Array
from kerashape_torch.saving.upgrade.tensorflow.table import dtype_of, is_whole


class Node(NamedTuple):
    """What an operation is: the function, the names of its inputs, and the arguments among its attributes."""

    function: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, str] = {}
    """Attribute names, and what the function calls them."""


def _same(*names: str) -> dict[str, str]:
    """Attributes that the function calls by the same names."""
    return dict(zip(names, names))


_SIMPLE = {
    "Abs": "math.abs", "Acos": "math.acos", "Acosh": "math.acosh", "Asin": "math.asin", "Asinh": "math.asinh",
    "Atan": "math.atan", "Atanh": "math.atanh", "Ceil": "math.ceil", "Cholesky": "linalg.cholesky", "Cos": "math.cos",
    "Cosh": "math.cosh", "Erf": "math.erf", "Erfc": "math.erfc", "Erfinv": "math.erfinv", "Exp": "math.exp",
    "Expm1": "math.expm1", "Floor": "math.floor", "HSVToRGB": "image.hsv_to_rgb", "Inv": "math.reciprocal",
    "Invert": "bitwise.invert", "IsFinite": "math.is_finite", "IsInf": "math.is_inf", "IsNan": "math.is_nan",
    "Log": "math.log", "Log1p": "math.log1p", "LogMatrixDeterminant": "linalg.slogdet",
    "Digamma": "math.digamma", "Lgamma": "math.lgamma",
    "LogicalNot": "math.logical_not", "MatrixDeterminant": "linalg.det", "Neg": "math.negative",
    "RGBToHSV": "image.rgb_to_hsv", "Reciprocal": "math.reciprocal", "Relu": "nn.relu", "Rint": "math.rint",
    "Round": "math.round", "Rsqrt": "math.rsqrt", "Selu": "nn.selu", "Sigmoid": "math.sigmoid", "Sign": "math.sign",
    "Sin": "math.sin", "Sinh": "math.sinh", "Softplus": "math.softplus", "Softsign": "nn.softsign",
    "Sqrt": "math.sqrt", "Square": "math.square", "StopGradient": "stop_gradient", "Tan": "math.tan",
    "Tanh": "math.tanh",
    **dict.fromkeys(("CheckNumerics", "EnsureShape", "Identity", "Snapshot"), "identity"),
}
_PAIRS = {
    "Add": "math.add", "AddV2": "math.add", "BitwiseAnd": "bitwise.bitwise_and",
    "BitwiseOr": "bitwise.bitwise_or", "BitwiseXor": "bitwise.bitwise_xor", "DivNoNan": "math.divide_no_nan",
    "Equal": "math.equal", "FloorDiv": "math.floordiv", "FloorMod": "math.floormod", "Greater": "math.greater",
    "GreaterEqual": "math.greater_equal", "LeftShift": "bitwise.left_shift", "Less": "math.less",
    "LessEqual": "math.less_equal", "LogicalAnd": "math.logical_and", "LogicalOr": "math.logical_or",
    "Maximum": "math.maximum", "Minimum": "math.minimum", "Mod": "truncatemod", "Mul": "math.multiply",
    "MulNoNan": "math.multiply_no_nan", "NotEqual": "math.not_equal", "Pow": "math.pow", "RealDiv": "math.divide",
    "RightShift": "bitwise.right_shift", "SquaredDifference": "math.squared_difference", "Sub": "math.subtract",
    "TruncateDiv": "truncatediv", "TruncateMod": "truncatemod", "Xdivy": "math.xdivy", "Xlogy": "math.xlogy",
}
_REDUCED = {"Sum": "sum", "Mean": "mean", "Max": "max", "Min": "min", "Prod": "prod", "All": "all", "Any": "any",
            "EuclideanNorm": "euclidean_norm"}
_POOLS = {f"{name}Pool{rank}": f"nn.{name.lower()}_pool{rank.lower() or '2d'}"
          for name in ("Avg", "Max") for rank in ("", "3D")}
_RESIZES = {"Bicubic": "bicubic", "Bilinear": "bilinear", "NearestNeighbor": "nearest_neighbor"}

_ELEMENTWISE: dict[str, Node] = {
    **{op: Node(function, ("",)) for op, function in _SIMPLE.items()},
    **{op: Node(function, ("x", "y")) for op, function in _PAIRS.items()},
    "AccumulateNV2": Node("math.accumulate_n", ("inputs*",)), "AddN": Node("math.add_n", ("inputs*",)),
    "Atan2": Node("math.atan2", ("y", "x")), "BiasAdd": Node("nn.bias_add", ("value", "bias"), _same("data_format")),
    "BiasAddV1": Node("nn.bias_add", ("value", "bias")),
    "Bucketize": Node("raw_ops.Bucketize", ("input",), _same("boundaries")),
    "Cast": Node("cast", ("x",), {"DstT": "dtype", "Truncate": "truncate"}),
    "ClipByValue": Node("clip_by_value", ("t", "clip_value_min", "clip_value_max")),
    "Div": Node("raw_ops.Div", ("x", "y"), {"T": "dtype"}), "Elu": Node("nn.elu", ("features",)),
    "IdentityN": Node("identity_n", ("input*",)), "L2Loss": Node("nn.l2_loss", ("t",)),
    "LeakyRelu": Node("nn.leaky_relu", ("features",), _same("alpha")),
    "LogSoftmax": Node("nn.log_softmax", ("logits",)), "OnesLike": Node("ones_like", ("input",)),
    "Relu6": Node("nn.relu6", ("features",), {"T": "dtype"}),
    "Select": Node("raw_ops.Select", ("condition", "x", "y")), "SelectV2": Node("where", ("condition", "x", "y")),
    "Softmax": Node("nn.softmax", ("logits",)), "ZerosLike": Node("zeros_like", ("input",)),
}
_ALONG_AXES: dict[str, Node] = {
    **{op: Node(f"math.reduce_{name}", ("input_tensor", "axis"), {
        "keep_dims": "keepdims", **({"T": "dtype"} if op in ("Sum", "Mean", "Prod") else {})})
       for op, name in _REDUCED.items()},
    **{op: Node(f"math.{op.lower()}", ("input", "axis"), _same("output_type")) for op in ("ArgMax", "ArgMin")},
    **{op: Node(f"math.{op.lower()}", ("x", "axis"), _same("exclusive", "reverse")) for op in ("Cumprod", "Cumsum")},
    "InTopKV2": Node("math.in_top_k", ("predictions", "targets", "k")),
    "ReverseV2": Node("reverse", ("tensor", "axis")), "Roll": Node("roll", ("input", "shift", "axis")),
    "TopKV2": Node("math.top_k", ("input", "k"), {"sorted": "sorted", "T": "dtype"}),
}
_SHAPES: dict[str, Node] = {
    "BroadcastTo": Node("broadcast_to", ("input", "shape")), "Concat": Node("concat", ("axis", "values*")),
    "ConcatV2": Node("concat", ("values*", "axis")), "ExpandDims": Node("expand_dims", ("input", "axis")),
    "BatchToSpaceND": Node("batch_to_space_nd", ("input", "block_shape", "crops")),
    "Fill": Node("fill", ("dims", "value")), "Gather": Node("gather", ("params", "indices")),
    "GatherV2": Node("gather", ("params", "indices", "axis"), _same("batch_dims")),
    "GatherNd": Node("gather_nd", ("params", "indices")),
    "MatrixBandPart": Node("linalg.band_part", ("input", "num_lower", "num_upper")),
    "MatrixDiagPart": Node("linalg.diag_part", ("input",)),
    **dict.fromkeys(("MatrixDiagPartV2", "MatrixDiagPartV3"), Node("linalg.diag_part", (
        "input", "k", "padding_value"))),
    "MirrorPad": Node("pad", ("tensor", "paddings"), _same("mode")),
    "OneHot": Node("one_hot", ("indices", "depth", "on_value", "off_value"), {"axis": "axis", "T": "dtype"}),
    "Pack": Node("stack", ("values*",), _same("axis")), "Pad": Node("pad", ("tensor", "paddings")),
    "PadV2": Node("pad", ("tensor", "paddings", "constant_values")), "Reshape": Node("reshape", ("tensor", "shape")),
    "ScatterNd": Node("scatter_nd", ("indices", "updates", "shape")),
    "Shape": Node("shape", ("input",)), "Size": Node("size", ("input",)),
    "SpaceToBatchND": Node("space_to_batch_nd", ("input", "block_shape", "paddings")),
    "Slice": Node("slice", ("input_", "begin", "size")),
    "Split": Node("split", ("axis", "value"), {"num_split": "num_or_size_splits"}),
    "SplitV": Node("split", ("value", "num_or_size_splits", "axis")),
    "Squeeze": Node("squeeze", ("input",), {"squeeze_dims": "axis"}),
    "StridedSlice": Node("strided_slice", ("input_", "begin", "end", "strides"), _same(
        "begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")),
    **{f"TensorScatter{name}": Node(f"tensor_scatter_nd_{name.lower()}", ("tensor", "indices", "updates"))
       for name in ("Add", "Max", "Min", "Sub", "Update")},
    "Tile": Node("tile", ("input", "multiples")), "Transpose": Node("transpose", ("a", "perm")),
    "Unpack": Node("unstack", ("value",), _same("num", "axis")),
    **{f"UnsortedSegment{name}": Node(f"math.unsorted_segment_{name.lower()}", ("data", "segment_ids", "num_segments"))
       for name in ("Sum", "Prod", "Max", "Min")},
    "Range": Node("range", ("start", "limit", "delta")),
    "ReverseSequence": Node("reverse_sequence", ("input", "seq_lengths"), {
        "seq_dim": "seq_axis", "batch_dim": "batch_axis"}),
    "UnravelIndex": Node("unravel_index", ("indices", "dims")), "MatrixDiag": Node("linalg.diag", ("diagonal",)),
    "MatrixSetDiag": Node("linalg.set_diag", ("input", "diagonal")),
}
_PRODUCTS: dict[str, Node] = {
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2"), Node("linalg.matmul", ("a", "b"), {
        "adj_x": "adjoint_a", "adj_y": "adjoint_b"})),
    "Cross": Node("linalg.cross", ("a", "b")), "Einsum": Node("raw_ops.Einsum", ("inputs*",), _same("equation")),
    "MatMul": Node("linalg.matmul", ("a", "b"), _same("transpose_a", "transpose_b")),
    "MatrixInverse": Node("linalg.inv", ("input",), _same("adjoint")),
    "MatrixSolve": Node("linalg.solve", ("matrix", "rhs"), _same("adjoint")),
    "MatrixTriangularSolve": Node("linalg.triangular_solve", ("matrix", "rhs"), _same("lower", "adjoint")),
}
_WINDOW = _same("ksize", "strides", "padding", "data_format")
_CONV = _same("strides", "padding", "data_format", "dilations", "explicit_paddings")
_IMAGES: dict[str, Node] = {
    **{op: Node(function, ("value" if op == "AvgPool" else "input",), _WINDOW) for op, function in _POOLS.items()},
    **{f"Resize{op}": Node(f"image.resize_{name}", ("images", "size"), {
        **_same("align_corners", "half_pixel_centers"), "T": "dtype"}) for op, name in _RESIZES.items()},
    "AdjustContrastv2": Node("image.adjust_contrast", ("images", "contrast_factor")),
    "Conv2DBackpropInput": Node("nn.conv2d_transpose", ("output_shape", "filters", "input"), _CONV),
    "CropAndResize": Node("image.crop_and_resize", ("image", "boxes", "box_indices", "crop_size"), _same(
        "method", "extrapolation_value")),
    "ResizeArea": Node("image.resize_area", ("images", "size"), _same("align_corners")),
    "AdjustHue": Node("image.adjust_hue", ("image", "delta")),
    "AdjustSaturation": Node("image.adjust_saturation", ("image", "saturation_factor")),
    "Conv2D": Node("nn.conv2d", ("input", "filters"), _CONV), "Conv3D": Node("nn.conv3d", ("input", "filters"), _CONV),
    "DepthwiseConv2dNative": Node("nn.depthwise_conv2d", ("input", "filter"), _CONV),
    "ExtractImagePatches": Node("image.extract_patches", ("images",), {
        **_same("strides", "rates", "padding"), "ksizes": "sizes"}),
    "LRN": Node("nn.lrn", ("input",), _same("depth_radius", "bias", "alpha", "beta")),
    "MaxPoolV2": Node("nn.max_pool2d", ("input", "ksize", "strides"), _same("padding", "data_format")),
    **{op: Node(f"nn.{name}", ("input",), _same("block_size", "data_format"))
       for op, name in (("DepthToSpace", "depth_to_space"), ("SpaceToDepth", "space_to_depth"))},
}
NODES: Mapping[str, Node] = {**_ELEMENTWISE, **_ALONG_AXES, **_SHAPES, **_PRODUCTS, **_IMAGES}
"""Every operation that is known, by its name in ``tf.raw_ops``."""

NEVER: Mapping[str, Node] = {
    "RandomShuffle": Node("random.shuffle", ("value",)), "RandomStandardNormal": Node("random.normal", ("shape",)),
    "RandomUniform": Node("random.uniform", ("shape",)),
    "RandomUniformInt": Node("random.uniform", ("shape", "minval", "maxval")),
    "TruncatedNormal": Node("random.truncated_normal", ("shape",)), "Where": Node("where", ("condition",)),
}
"""Those whose functions say why they cannot be had."""


def arguments_of_node(node: Mapping[str, Any], first: Any,
                      constants: Mapping[Any, Any]) -> tuple[str, Any, dict[str, Any]]:
    """The function of a raw operation with its first argument and the others by name; ``raw_ops.Name`` if not known.

    Constants are given by the places of the inputs that they are. Inputs that an operation only waits for have a ``^``.
    """
    attributes = node.get("attr") or {}
    tensors = first if isinstance(first, list) else [first]
    places = {int(place): _constant(value, attributes) for place, value in constants.items()}
    written = [name for name in node.get("input") or () if not str(name).startswith("^")]
    rest = iter(tensors)
    inputs = [places[i] if i in places else next(rest, None) for i in range(len(written) or len(places) + len(tensors))]
    known = NODES.get(str(node["op"])) or NEVER.get(str(node["op"]))
    if known is None:
        return f"raw_ops.{node['op']}", inputs if len(inputs) > 1 else inputs[0], {}
    given = _by_name(known.inputs, inputs)
    given.update((name, _attribute(attributes[key])) for key, name in known.attributes.items() if key in attributes)
    return known.function, given.pop("", None), given


def _constant(value: Any, attributes: Mapping[str, Any]) -> Any:
    """An array with the dtype of the operation, which is not in the file beside its numbers."""
    dtype = dtype_of(_attribute(attributes["T"])) if "type" in attributes.get("T", {}) else None
    if not isinstance(value, list) or dtype is None:
        return value
    item: Any = value
    while isinstance(item, list) and item:
        item = item[0]
    fits = "float" in dtype if isinstance(item, float) else is_whole(dtype) and type(item) is int
    return Array(value, dtype) if fits else value


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
