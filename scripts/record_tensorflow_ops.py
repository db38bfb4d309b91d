"""Records tests/data/tensorflow_ops.jsonl.gz: raw operations of TensorFlow as layers of tf_keras, and what they answer.

    pip install tensorflow-cpu tf_keras numpy     (2.21.0 when this was last run; in an environment of its own)
    python scripts/record_tensorflow_ops.py

TensorFlow 2.0 to 2.3 made a TensorFlowOpLayer of each operation on a symbolic tensor. Outside eager mode tf_keras still
does. So each case is a model that it built itself: its config as the class writes it, with constants as lists in JSON,
which is how those versions saved them; inputs that are multiples of 1/16; and outputs, to seven digits.
"""

import gzip
import inspect
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tensorflow_programs import between, booleans, free, integers, normal, programs, random

TARGET = Path(__file__).resolve().parent.parent / "tests" / "data" / "tensorflow_ops.jsonl.gz"
raw = tf.raw_ops


def case(op, inputs, names=None, **attributes):
    """An operation of inputs that it knows by these names, its first one alone where there are none.

    A name with a star has all of them. The other inputs are constants, among the attributes.
    """
    function = getattr(raw, op)
    names = (names or next(iter(inspect.signature(function).parameters))).split()

    def build(*tensors):
        given = {names[0][:-1]: tensors} if names[0].endswith("*") else dict(zip(names, tensors, strict=True))
        return function(**given, **attributes)

    return op, inputs, build


# ---- element by element ----------------------------------------------------------------------------------------------

DOMAINS = {"Acos": (-1, 1), "Asin": (-1, 1), "Atanh": (-0.9375, 0.9375), "Erfinv": (-0.9375, 0.9375), "Acosh": (1, 4),
           "Digamma": (0.0625, 4),
           "Log": (0.0625, 4), "Log1p": (-0.875, 4), "Rsqrt": (0.0625, 4), "Sqrt": (0, 4), "Reciprocal": (0.25, 4),
           "Inv": (-4, -0.25)}
UNARY = ("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Digamma", "Elu", "Erf",
         "Erfc", "Erfinv", "Exp", "Expm1", "Floor", "Identity", "Inv", "L2Loss", "LeakyRelu", "Lgamma", "Log",
         "Log1p", "LogSoftmax", "Neg", "OnesLike", "Reciprocal", "Relu", "Relu6", "Rint", "Round", "Rsqrt", "Selu",
         "Sigmoid", "Sign", "Sin", "Sinh", "Snapshot", "Softmax", "Softplus", "Softsign", "Sqrt", "Square",
         "StopGradient", "Tan", "Tanh", "ZerosLike")
OF_INTEGERS = ("Abs", "Identity", "Invert", "Neg", "OnesLike", "Relu", "Relu6", "Sign", "Square", "ZerosLike")
CASTS = [("float32", "int32"), ("float32", "int64"), ("int32", "float32"), ("bool", "float32"), ("int32", "bool"),
         ("float32", "float16"), ("float32", "uint8"), ("int64", "int32"), ("float32", "float64"), ("float32", "bool")]


def unary():
    for op in UNARY:
        yield case(op, [between(*DOMAINS.get(op, (-3, 3)), 3, 7)])
    halves = np.arange(-10, 10, dtype="float32").reshape(2, 10) / 4
    for op in ("Round", "Rint", "Floor", "Ceil", "Sign"):
        yield case(op, [halves])
    for op in ("Relu6", "Softplus", "Sigmoid"):
        yield case(op, [halves * 16])
    for op in OF_INTEGERS:
        yield case(op, [integers(-9, 9, 2, 6)])
    for op in ("IsFinite", "IsInf", "IsNan"):
        yield case(op, [np.array([[0, np.inf, -np.inf, np.nan, 1]], "float32")])
    yield case("LogicalNot", [booleans(2, 5)])
    yield case("LeakyRelu", [normal(2, 5)], alpha=0.0)
    yield case("LeakyRelu", [normal(2, 5)], alpha=0.3)
    yield case("Softmax", [normal(2, 3, 4)])
    yield case("LogSoftmax", [normal(2, 3, 4)])
    yield case("ZerosLike", [booleans(2, 3)])
    yield case("CheckNumerics", [normal(2, 3)], message="it is no number")
    yield case("EnsureShape", [normal(2, 3)], shape=[None, 3])
    yield case("IdentityN", [normal(2, 3), integers(0, 5, 2, 2)], "input*")
    for op in ("RGBToHSV", "HSVToRGB"):
        yield case(op, [between(0, 1, 2, 2, 3, 3)])
    for before, after in CASTS:
        x = np.abs(normal(2, 5) * 4) if after == "uint8" else normal(2, 5) * 4
        yield case("Cast", [x.astype(before)], DstT=after)


ARITHMETIC = ("Add", "AddV2", "Sub", "Mul", "Maximum", "Minimum", "SquaredDifference")
DIVISIONS = ("Div", "RealDiv", "DivNoNan", "FloorDiv", "FloorMod", "Mod", "TruncateMod", "Xdivy")
COMPARISONS = ("Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual")
OTHERS = ("Atan2", "MulNoNan", "Pow", "Xlogy")
WHOLE = ("Div", "FloorDiv", "FloorMod", "Mod", "TruncateDiv", "TruncateMod")
BITS = ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "LeftShift", "RightShift")


def pairs():
    """Two tensors, and one with a constant in the second place and in the first: a number and a row."""
    for op in (*ARITHMETIC, *DIVISIONS, *COMPARISONS, *OTHERS):
        first, second = list(inspect.signature(getattr(raw, op)).parameters)[:2]
        row = np.float32([-2, 0.5, 1, 3])
        x = np.round(normal(2, 3, 4) * 2) / 2
        if op in ("Pow", "Xlogy"):
            x, row = between(0.25, 3, 2, 3, 4), np.abs(row)
        divisor = np.where(x == 0, 1, x) if op in ("Div", "RealDiv", "FloorDiv") else x
        number = np.float32(3.5 if op in DIVISIONS else 2)
        yield case(op, [x, np.ascontiguousarray(divisor[:, :1, ::-1])], f"{first} {second}")
        for constant in (number, row):
            yield case(op, [x], first, **{second: constant})
            yield case(op, [divisor], second, **{first: constant})
    for op in (*ARITHMETIC, *COMPARISONS, *WHOLE, *BITS):
        x = integers(0, 5, 2, 5) if op in BITS else integers(-9, 9, 2, 5)
        y = integers(1, 5, 2, 5) * (1 if op in BITS else random.choice([-1, 1], (2, 5)).astype("int32"))
        yield case(op, [x, y], "x y")
        yield case(op, [x.astype("int64")], "x", y=np.int64(3))
        yield case(op, [x], "x", y=np.int32([1, 2, 3, 1, 2]))
    yield case("Pow", [integers(1, 4, 2, 4)], "x", y=np.int32(3))
    yield case("Pow", [normal(2, 4)], "x", y=np.float32(2))
    yield case("AddV2", [normal(2, 3).astype("float16")], "x", y=np.float16([1, 2, 3]))
    yield case("AddV2", [integers(0, 9, 2, 2, dtype="int64")], "x", y=np.int64([2**40, 1]))
    yield case("Mul", [normal(2, 3).astype("float16")], "y", x=np.float16(0.5))
    yield case("Sub", [normal(2, 3).astype("float64")], "x", y=np.float64([1, 2, 3]))
    for op in ("LogicalAnd", "LogicalOr"):
        yield case(op, [booleans(3, 5), booleans(3, 1)], "x y")
        yield case(op, [booleans(3, 5)], "x", y=np.array(True))
        yield case(op, [booleans(3, 2)], "y", x=np.array([False, True]))
    for op in ("Equal", "NotEqual"):
        yield case(op, [booleans(3, 5), booleans(3, 5)], "x y")


def several():
    bias = np.float32([1, -2, 3])
    for op in ("BiasAdd", "BiasAddV1"):
        yield case(op, [normal(2, 4, 3)], bias=bias)
    yield case("BiasAdd", [normal(2, 2, 2, 3)], bias=bias, data_format="NHWC")
    low, high = np.float32([[0, 1, -2]] * 2), np.float32([[1, 1, 3]] * 2)
    yield case("ClipByValue", [normal(2, 3)], clip_value_min=-1.0, clip_value_max=1.0)
    yield case("ClipByValue", [normal(2, 3)], clip_value_min=low, clip_value_max=high)
    yield case("ClipByValue", [integers(-9, 9, 2, 4)], clip_value_min=-2, clip_value_max=3)
    yield case("AddN", [normal(2, 3), normal(2, 3), normal(2, 3)], "inputs*")
    yield case("AddN", [normal(2, 3)], "inputs*")
    yield "AddN", [normal(1, 3)], lambda x: raw.AddN(inputs=[np.float32([[1, 2, 3]]), x])
    yield case("AccumulateNV2", [normal(2, 3), normal(2, 3)], "inputs*", shape=[None, 3])
    yield case("Bucketize", [normal(2, 5)], boundaries=[-1.0, 0.0, 0.5, 2.0])
    yield case("Bucketize", [integers(0, 9, 2, 5)], boundaries=[2.0, 4.0, 7.0])
    x, y = normal(3, 3, 2), normal(3, 3, 2)
    for op, names in (("Select", "condition x y"), ("SelectV2", "condition t e")):
        condition, first, second = names.split()
        yield case(op, [booleans(3, 3, 2), x, y], names)
        yield case(op, [x, y], f"{first} {second}", condition=np.array(True))
        yield case(op, [booleans(3, 2), x[:, 0]], f"{condition} {second}", **{first: y[:, 1]})
    yield case("Select", [np.array([True, False, True]), x, y], "condition x y")  # for whole rows: its own old rule
    yield case("Select", [np.array([True, False, True]), x], "condition x", y=y)
    yield case("Select", [np.array([True, False, False]), normal(3), normal(3)], "condition x y")
    yield case("SelectV2", [booleans(3, 1, 2), x], "condition t", e=np.float32(-1))
    yield case("SelectV2", [booleans(3, 3, 2)], "condition", t=np.float32([1, 2]), e=np.float32(0))
    yield case("SelectV2", [booleans(3, 2), integers(0, 9, 3, 2)], "condition t", e=np.int32(7))


# ---- along axes ------------------------------------------------------------------------------------------------------


def reductions():
    for op in ("Sum", "Mean", "Max", "Min", "Prod", "EuclideanNorm", "All", "Any"):
        values = booleans if op in ("All", "Any") else normal
        for axis, keep in ((1, False), (np.int32([-1]), True), (np.int32([1, 2]), False), (np.int64([-1, 1]), True),
                           (np.int32([0, 1, 2]), False), (np.zeros(0, "int32"), False)):
            yield case(op, [values(2, 3, 4)], axis=axis, keep_dims=keep)
        yield case(op, [free(values(2, 3, 4), 1)], axis=1)
    for op in ("Sum", "Mean", "Max", "Min", "Prod"):
        yield case(op, [integers(-4, 9, 2, 3, 4)], axis=np.int32([1, 2]))
    yield case("Mean", [integers(-9, 0, 3, 4)], axis=1, keep_dims=True)
    yield case("Sum", [normal(2, 4).astype("float16")], axis=1)
    yield case("Sum", [integers(0, 5, 2, 4, dtype="int64")], axis=-1)
    yield case("Sum", [integers(0, 200, 2, 4, dtype="uint8")], axis=-1)


def along_axes():
    x = normal(2, 4, 3)
    for op in ("ArgMax", "ArgMin"):
        for axis, dtype in ((1, "int64"), (-1, "int32"), (0, "int64"), (np.int64(2), "int32")):
            yield case(op, [x], dimension=axis, output_type=dtype)
        yield case(op, [integers(0, 3, 3, 6)], dimension=1)  # the first of equals
    for op in ("Cumsum", "Cumprod"):
        for axis, exclusive, reverse in ((1, False, False), (-1, False, True), (np.int32(2), True, False),
                                         (-2, True, True)):
            yield case(op, [x], axis=axis, exclusive=exclusive, reverse=reverse)
        yield case(op, [integers(0, 4, 2, 3)], axis=1)
    for k in (1, 3):
        yield case("TopKV2", [normal(3, 2, 6)], k=k)
    yield case("TopKV2", [integers(0, 3, 2, 6)], k=4, sorted=True)
    yield case("TopKV2", [integers(0, 256, 2, 6, dtype="uint8")], k=3)
    yield "TopKV2", [normal(3, 5)], lambda x: raw.TopKV2(input=x, k=2).indices
    yield case("InTopKV2", [normal(4, 5), integers(0, 5, 4)], "predictions targets", k=2)
    for axis in ([1], [-1, 1], [0]):
        yield case("ReverseV2", [x], axis=axis)
    for shift, axis in ((1, 1), ([2, -1], [1, 2]), (-3, -1)):
        yield case("Roll", [x], shift=shift, axis=axis)


# ---- shapes ----------------------------------------------------------------------------------------------------------


def shapes():
    x = normal(2, 4, 6)
    for shape in ([-1, 24], [-1], [-1, 2, 2, 6], [2, 12, 2], np.int64([-1, 3, 8])):
        yield case("Reshape", [x], shape=shape)
    yield case("Reshape", [normal(1, 5)], shape=[5, 1])
    for perm in ([0, 2, 1], [1, 0, 2], [2, 1, 0]):
        yield case("Transpose", [x], perm=perm)
    for axis in (1, -1, 0, -2, np.int64(3)):
        yield case("ExpandDims", [x], axis=axis)
    for axis in ([1], [-1], [1, 3], []):
        yield case("Squeeze", [normal(2, 1, 3, 1)], axis=axis)
    yield case("Squeeze", [normal(1, 3)], axis=[0])
    for multiples in ([1, 2, 1], [1, 1, 3], [2, 1, 2]):
        yield case("Tile", [x[:, :2, :3]], multiples=multiples)
    for shape in ([2, 3, 4], [5, 2, 3, 4]):
        yield case("BroadcastTo", [normal(2, 3, 1)], shape=shape)
    yield case("BroadcastTo", [normal(1, 3)], shape=[4, 3])
    small, pads = normal(2, 3, 2), [[0, 0], [1, 2], [0, 1]]
    yield case("Pad", [small], paddings=pads)
    yield case("Pad", [integers(0, 9, 2, 3)], paddings=[[0, 0], [2, 0]])
    for value in (1.5, -np.inf, 0.0):
        yield case("PadV2", [small], paddings=pads, constant_values=np.float32(value))
    for mode in ("REFLECT", "SYMMETRIC"):
        yield case("MirrorPad", [small], paddings=pads, mode=mode)
    yield case("MirrorPad", [small], paddings=[[0, 0], [3, 3], [2, 0]], mode="SYMMETRIC")
    for indices, depth, on, off, axis in (
            (integers(-1, 5, 2, 4), 4, 1.0, 0.0, -1), (integers(0, 3, 2, 4), 3, 5.0, -1.0, 1),
            (integers(0, 3, 2), 3, 1.0, 0.0, 0), (integers(0, 3, 2, 2, dtype="int64"), 3, np.int32(1), np.int32(0), -1),
            (integers(0, 3, 2, 2), 3, np.array(True), np.array(False), -1), (integers(0, 3, 2, 2), 3, 0.0, 1.0, -1)):
        yield case("OneHot", [indices], depth=depth, on_value=on, off_value=off, axis=axis)
    for lower, upper in ((1, 0), (-1, 1), (0, -1), (np.int64(0), np.int64(0)), (1, 2)):
        yield case("MatrixBandPart", [normal(2, 4, 3)], num_lower=lower, num_upper=upper)
    yield case("MatrixDiagPart", [normal(2, 3, 4)])
    for op in ("MatrixDiagPartV2", "MatrixDiagPartV3"):
        for k in (0, 1, -2):
            yield case(op, [normal(2, 3, 4)], k=k, padding_value=0.0)


def joined_and_cut():
    x, y, row = normal(2, 3, 4), normal(2, 3, 4), np.float32([[[1, 2, 3, 4]]] * 2)
    for axis in (0, 1, 2, 3, -1, -4):
        yield case("Pack", [x, y], "values*", axis=axis)
    yield case("Pack", [x], "values*", axis=-1)
    yield "Pack", [x], lambda x: raw.Pack(values=[np.zeros_like(y), x, y], axis=1)
    for op, name in (("ConcatV2", "axis"), ("Concat", "concat_dim")):
        for axis in (1, -1, 0):
            yield case(op, [x, y], "values*", **{name: axis})
    yield "ConcatV2", [x], lambda x: raw.ConcatV2(values=[row, x, row], axis=1)
    yield "Concat", [x], lambda x: raw.Concat(concat_dim=1, values=[row, x, row])
    yield case("ConcatV2", [free(x, 1), free(normal(2, 5, 4), 1)], "values*", axis=1)
    for axis, number in ((1, 3), (-1, 4), (-2, 3)):
        yield case("Unpack", [x], num=number, axis=axis)
    yield "Unpack", [x], lambda x: raw.Unpack(value=x, num=3, axis=1)[1]
    yield case("Unpack", [normal(2, 1, 3)], num=1, axis=1)
    for axis, number in ((1, 3), (-1, 2), (2, 4)):
        yield case("Split", [x], "value", axis=axis, num_split=number)
    yield "Split", [x], lambda x: raw.Split(axis=2, value=x, num_split=2)[1]
    yield case("Split", [normal(2, 3)], "value", axis=1, num_split=1)
    for sizes, axis in (([1, 2], 1), ([1, 3], -1), ([1, -1], 2), ([2, 1, 1], 2), ([-1, 3], 2), ([1, -1, 2], -1),
                        ([-1, 1, 0], 1)):
        yield case("SplitV", [x], size_splits=sizes, axis=axis, num_split=len(sizes))
    for begin, size in (([0, 1, 0], [-1, 2, 3]), ([0, 0, 2], [2, -1, -1]), ([0, 1, 1], [-1, -1, 2]),
                        ([1, 0, 0], [1, 3, 4])):
        yield case("Slice", [x], begin=begin, size=size)


KEYS = [np.s_[:, 1], np.s_[:, 1:3], np.s_[..., 0], np.s_[..., -1:], np.s_[:, ::2], np.s_[:, ::-1], np.s_[:, -1, None],
        np.s_[:, None], np.s_[..., None], np.s_[:, 1, 2:], np.s_[:, :-1, ::3], np.s_[:, 3:0:-2], np.s_[None, :, 1],
        np.s_[:, 1:2, ..., 1], np.s_[:, -3:], np.s_[:, 2:9], np.s_[0], np.s_[-1, 1], np.s_[:, 4:2], np.s_[1:],
        np.s_[..., 1, None, :], np.s_[:, -9:2], np.s_[:, :, None, 1]]
MASKS = [{"begin_mask": 3}, {"end_mask": 7}, {"begin_mask": 7, "end_mask": 7}, {"ellipsis_mask": 2},
         {"new_axis_mask": 2, "begin_mask": 1, "end_mask": 1}, {"shrink_axis_mask": 4, "begin_mask": 3, "end_mask": 3},
         {"new_axis_mask": 2, "shrink_axis_mask": 6}, {"ellipsis_mask": 1, "shrink_axis_mask": 5},
         {"ellipsis_mask": 2, "new_axis_mask": 2}]
"""Some of them have bits that say the same thing twice."""


def slices():
    for key in KEYS:
        yield "StridedSlice", [normal(2, 4, 5)], lambda x, key=key: x[key]
    for key in (np.s_[:, -1], np.s_[:, 1:-1]):
        yield "StridedSlice", [free(normal(2, 4, 5), 1)], lambda x, key=key: x[key]
    for masks in MASKS:
        yield case("StridedSlice", [normal(2, 4, 5)], begin=[0, 1, 2], end=[1, 3, 4], strides=[1, 1, 1], **masks)
    begin, end, strides = np.int64([[0, -1], [2, -4], [1, -1]])
    yield case("StridedSlice", [normal(2, 4)], begin=begin, end=end, strides=strides)


def picked():
    x, table = normal(2, 4, 3), normal(6, 3)
    for indices, axis in ((1, 1), ([2, 0], 1), ([[0, 1], [2, 2]], -1), ([1, 0, 1], 0), (np.int64([3]), np.int64(1)),
                          (np.zeros(0, "int32"), 1)):
        yield case("GatherV2", [x], indices=indices, axis=axis, batch_dims=0)
    yield case("GatherV2", [integers(0, 6, 2, 4)], "indices", params=table, axis=0)
    yield case("GatherV2", [integers(0, 3, 2, 4)], "indices", params=table, axis=1)
    yield case("GatherV2", [x, integers(0, 2, 5)], "params indices", axis=0)
    yield case("Gather", [integers(0, 6, 2, 4)], "indices", params=table)
    yield case("ScatterNd", [normal(3, 2)], "updates", indices=[[4], [0], [4]], shape=[5, 2])
    yield case("ScatterNd", [integers(0, 4, 3, 1), normal(3)], "indices updates", shape=[4])
    yield case("TensorScatterUpdate", [normal(3, 2)], indices=[[2], [0]], updates=np.float32([[7, 8], [9, 0]]))
    for op in ("Add", "Max", "Min", "Sub"):
        yield case(f"TensorScatter{op}", [normal(3, 2)], indices=[[2], [0]], updates=np.float32([[7, 8], [-9, 0]]))
    yield case("GatherNd", [x], indices=[[0, 1], [1, 3]])
    yield case("GatherNd", [x, integers(0, 2, 4, 1)], "params indices")
    yield case("GatherV2", [x, integers(0, 4, 2, 2)], "params indices", axis=1, batch_dims=1)
    yield case("ReverseSequence", [x], seq_lengths=[1, 3], seq_dim=1)
    yield case("UnravelIndex", [integers(0, 12, 3)], dims=[4, 3])
    for op in ("UnsortedSegmentSum", "UnsortedSegmentProd", "UnsortedSegmentMax", "UnsortedSegmentMin"):
        yield case(op, [normal(4, 2)], segment_ids=[2, 0, 2, 1], num_segments=4)


# ---- products --------------------------------------------------------------------------------------------------------


def products():
    for a, b in ((False, False), (True, False), (False, True), (True, True)):
        left, right = (3, 2) if a else (2, 3), (4, 3) if b else (3, 4)
        yield case("MatMul", [normal(*left)], "a", b=normal(*right), transpose_a=a, transpose_b=b)
        for op in ("BatchMatMul", "BatchMatMulV2"):
            yield case(op, [normal(2, *left), normal(2, *right)], "x y", adj_x=a, adj_y=b)
    yield case("MatMul", [normal(2, 3)], "b", a=normal(4, 2))
    yield case("MatMul", [integers(0, 5, 2, 3)], "a", b=np.int32([[1, 2], [3, 4], [5, 6]]))
    yield case("BatchMatMulV2", [normal(2, 2, 3)], "x", y=normal(3, 4))
    yield case("BatchMatMulV2", [normal(2, 2, 3)], "y", x=normal(1, 4, 2))
    for equation, *sizes in (("bij,bjk->bik", (2, 2, 3), (2, 3, 4)), ("bhd,bkd->bhk", (2, 2, 3), (2, 4, 3)),
                             ("...ij->...ji", (2, 3, 4)), ("bij->b", (2, 3, 4))):
        yield case("Einsum", [normal(*size) for size in sizes], "inputs*", equation=equation)
    kernel = normal(4, 2)
    yield "Einsum", [normal(2, 3, 4)], lambda x: raw.Einsum(inputs=[x, kernel], equation="abc,cd->abd")
    yield "Einsum", [normal(2, 2)], lambda x: raw.Einsum(inputs=[kernel, x], equation="ij,bj->bi")
    square = normal(2, 3, 3) + 6 * np.eye(3, dtype="float32")
    for adjoint in (False, True):
        yield case("MatrixInverse", [square], adjoint=adjoint)
        yield case("MatrixSolve", [square, normal(2, 3, 2)], "matrix rhs", adjoint=adjoint)
        for lower in (False, True):
            yield case("MatrixTriangularSolve", [square, normal(2, 3, 2)], "matrix rhs", lower=lower, adjoint=adjoint)
    yield case("MatrixDeterminant", [square])
    yield case("MatrixDiag", [normal(2, 3)])
    yield case("MatrixSetDiag", [square, normal(2, 3)], "input diagonal")
    yield case("LogMatrixDeterminant", [square])
    yield case("Cholesky", [square @ square.transpose(0, 2, 1)])
    yield case("Cross", [normal(2, 4, 3), normal(2, 4, 3)], "a b")


# ---- images and windows ----------------------------------------------------------------------------------------------


def four(sizes):
    return [1, *np.broadcast_to(sizes, 2).tolist(), 1]


def windows():
    image, kernel = normal(2, 6, 7, 2), normal(3, 2, 2, 3)
    for padding, strides, dilations in (("SAME", 1, 1), ("VALID", 1, 1), ("SAME", 2, 1), ("VALID", (2, 3), 1),
                                        ("SAME", 1, 2), ("VALID", 1, (1, 2))):
        given = {"strides": four(strides), "padding": padding, "dilations": four(dilations), "filter": kernel}
        yield case("Conv2D", [image], **given)
        if isinstance(strides, int):
            yield case("DepthwiseConv2dNative", [image], **given)
    yield case("Conv2D", [image], filter=kernel, strides=[1, 1, 1, 1], padding="EXPLICIT",
               explicit_paddings=[0, 0, 2, 1, 0, 3, 0, 0])
    yield case("Conv2D", [free(image, 1, 2)], filter=kernel, strides=four(2), padding="SAME")
    volume = normal(2, 3, 4, 4, 1)
    for padding in ("SAME", "VALID"):
        yield case("Conv3D", [volume], filter=normal(2, 2, 3, 1, 2), strides=[1, 1, 2, 2, 1], padding=padding)
        for op in ("MaxPool", "AvgPool"):
            for ksize, strides in ((2, 2), ((3, 2), (1, 2)), (3, 2)):
                yield case(op, [image], ksize=four(ksize), strides=four(strides), padding=padding)
            yield case(f"{op}3D", [volume], ksize=[1, 2, 2, 3, 1], strides=[1, 1, 2, 2, 1], padding=padding)
        yield case("MaxPoolV2", [image], ksize=four(2), strides=four((2, 1)), padding=padding)
        yield case("ExtractImagePatches", [image], ksizes=four((2, 3)), strides=four(2), rates=four(1), padding=padding)
    yield case("ExtractImagePatches", [image], ksizes=four(2), strides=four(1), rates=four(2), padding="VALID")
    for padding, size in (("SAME", [12, 14]), ("SAME", [11, 13]), ("VALID", [14, 15])):
        yield case("Conv2DBackpropInput", [normal(2, 6, 7, 3)], "out_backprop", input_sizes=[2, *size, 2],
                   filter=kernel, strides=four(2), padding=padding)
    yield case("SpaceToBatchND", [image], block_shape=[2, 3], paddings=[[0, 0], [1, 1]])
    yield case("BatchToSpaceND", [normal(8, 2, 3, 2)], block_shape=[2, 2], crops=[[1, 0], [0, 2]])
    yield case("LRN", [normal(2, 2, 2, 7)])
    yield case("LRN", [normal(2, 2, 2, 7)], depth_radius=1, bias=2.0, alpha=0.5, beta=0.75)


def images():
    image = normal(2, 4, 5, 2)
    for op in ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"):
        for size in ([8, 10], [7, 3], [2, 5]):
            yield case(op, [image], size=size, half_pixel_centers=True)
        yield case(op, [integers(0, 255, 1, 3, 3, 1)], size=[5, 5], half_pixel_centers=True)
    for size in ([8, 10], [2, 5], [3, 7]):
        yield case("ResizeArea", [image], size=size)
    colors = between(0, 1, 2, 3, 3, 3)
    yield case("AdjustHue", [colors], delta=0.25)
    yield case("AdjustSaturation", [colors], "images", scale=0.5)
    yield case("CropAndResize", [image], boxes=np.float32([[0, 0, 1, 1], [0.5, 0.25, 0.75, 1]]), box_ind=[0, 1],
               crop_size=[3, 3], extrapolation_value=0.5)
    yield case("AdjustContrastv2", [image], contrast_factor=1.5)
    yield case("DepthToSpace", [normal(2, 2, 3, 8)], block_size=2)
    yield case("SpaceToDepth", [normal(2, 4, 6, 2)], block_size=2)


# ---- recording -------------------------------------------------------------------------------------------------------

FAMILIES = (unary, pairs, several, reductions, along_axes, shapes, joined_and_cut, slices, picked, products, windows,
            images)


def plain(value):
    """A config as the JSON of TensorFlow 2.0 has it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def numbers(array):
    """Values in a row, floats to seven digits."""
    values = np.asarray(array).ravel()
    return [float(f"{value:.7g}") for value in values] if values.dtype.kind == "f" else values.tolist()


def static(tensor):
    """The shape that TensorFlow knows; None where it does not even know the rank."""
    return None if tensor.shape.rank is None else tensor.shape.as_list()


def record(name, given, build, of_operation):
    keras.backend.clear_session()
    given = [item if isinstance(item, tuple) else (item, item.shape[1:]) for item in given]
    inputs = [keras.Input(shape, dtype=array.dtype.name, name=f"x{i}") for i, (array, shape) in enumerate(given)]
    found = build(*inputs)
    outputs = list(found) if isinstance(found, (list, tuple)) else [found]
    model = keras.Model(inputs, outputs, name="m")
    model.use_legacy_config = True
    held = {layer.node_def.op for layer in model.layers if hasattr(layer, "node_def")}
    assert not of_operation or name in held, f"{name} is not among {held}"
    answers = keras.backend.function(inputs, outputs)([array for array, _ in given])
    return {"op" if of_operation else "code": name, "config": plain(model.get_config()), "inputs": [
        {"dtype": array.dtype.name, "shape": array.shape, "values": numbers(array)} for array, _ in given], "outputs": [
        {"dtype": answer.dtype.name, "shape": answer.shape, "static": static(output), "values": numbers(answer)}
        for answer, output in zip(answers, outputs, strict=True)]}


def main():
    tf.compat.v1.disable_eager_execution()
    lines = [json.dumps(record(*found, of_operation), sort_keys=True) for of_operation, families in (
        (True, FAMILIES), (False, (programs,))) for family in families for found in family()]
    with gzip.GzipFile(TARGET, "wb", mtime=0) as file:
        file.write("\n".join(lines).encode() + b"\n")
    print(f"{len(lines)} cases, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
