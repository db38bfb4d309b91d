"""A line for each case of ``keras.ops``: the same call in Keras and here. ``o`` is the ops module, the other arguments
name arrays of :func:`arrays`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

Case = Callable[..., Any]

FREE_BATCH = {"x", "y", "i", "j", "b", "p", "v", "n", "u", "img", "vol", "h", "d", "c", "z", "seq", "spd", "sq", "ids",
              "prob", "labels", "qkv", "tall", "one", "start", "end", "labels2", "len", "lengths", "u8", "i8", "i64",
              "w", "r3"}
"""Arrays whose first axis is the batch, which is None in a model; the others are given whole."""


@functools.cache
def arrays() -> dict[str, np.ndarray[Any, Any]]:
    g = np.random.default_rng(3)

    def normal(*shape: int) -> np.ndarray[Any, Any]:
        return g.normal(size=shape).astype("float32")

    x, y = normal(2, 4, 6), normal(2, 4, 6)
    n = normal(2, 4, 6)
    n[0, 1, 2] = n[1, :, 0] = np.nan
    sq = normal(2, 4, 4)
    prob = g.random((2, 4, 6)).astype("float32") + 0.05
    return {
        "x": x, "y": y, "n": n, "p": g.random((2, 4, 6)).astype("float32") + 0.1, "u": normal(2, 4, 6) * 0.3,
        "w": np.stack([x[..., 0], np.inf * x[..., 1], x[..., 2] * np.nan], -1).astype("float32"),
        "i": g.integers(-3, 4, (2, 4, 6)).astype("int32"), "j": g.integers(1, 5, (2, 4, 6)).astype("int32"),
        "u8": g.integers(0, 200, (2, 4, 6)).astype("uint8"), "i8": g.integers(-9, 9, (2, 4, 6)).astype("int8"),
        "i64": g.integers(-9, 9, (2, 4, 6)).astype("int64"),
        "b": g.random((2, 4, 6)) > 0.5, "h": normal(2, 4, 6).astype("float16"), "v": normal(2, 6),
        "c": (normal(2, 4) + 1j * normal(2, 4)).astype("complex64"), "z": normal(2, 4, 2),
        "sq": sq, "spd": sq @ sq.swapaxes(1, 2) + 4 * np.eye(4, dtype="float32"), "tall": normal(2, 5, 3),
        "r3": normal(2, 4, 3),
        "img": g.random((2, 8, 6, 3)).astype("float32"), "vol": normal(2, 5, 6, 4, 2), "seq": normal(2, 64),
        "ids": g.integers(0, 4, (2, 5)).astype("int32"), "d": normal(2, 3, 1, 6),
        "prob": prob / prob.sum(-1, keepdims=True), "labels": g.integers(0, 6, (2, 4)).astype("int32"),
        "qkv": normal(2, 5, 4, 3),
        "row": normal(6), "row4": normal(4), "ints": g.integers(0, 5, (6,)).astype("int32"),
        "edges": np.sort(normal(5)), "m": normal(4, 6), "k33": normal(3, 3, 3, 4), "k3": normal(3, 6, 5),
        "kd": normal(3, 3, 3, 2), "kp": normal(1, 1, 6, 5), "kt": normal(3, 3, 4, 3), "k333": normal(2, 2, 2, 2, 3),
        "pos": g.random(6).astype("float32") + 0.1,
        "one": np.array([[1.1, 0.1, -2, -0.1, 0.9, 1, 0, 0]] * 2, "float32"),
        "start": np.array([[[0, 0], [5, 0], [0, 7], [5, 7]]] * 2, "float32"),
        "end": np.array([[[1, 0], [5, 1], [0, 6], [4, 7]]] * 2, "float32"),
        "coords": (g.random((3, 7)) * 4 - 0.5).astype("float32"), "at": np.array([[0, 1], [2, 3], [3, 5]], "int32"),
        "vals": normal(3), "scale": np.array([0.7, 1.6], "float32"),
        "shift": np.array([0.2, -0.3], "float32"), "seg": np.array([0, 2, 2, 1, 0, 5], "int32"),
        "len": np.array([4, 3], "int32"),
        "two": np.array([0, 1], "int32"), "s64": normal(6).astype("float64"), "lengths": np.array([2, 1], "int32"),
        "labels2": np.array([[1, 2], [3, 0]], "int32"), "cube": normal(4, 5, 6), "six": normal(6, 2),
    }


def _each(names: str, *calls: Callable[[Callable[..., Any], Any], Any]) -> dict[str, list[Case]]:
    """The same calls for several ops."""
    made: dict[str, list[Case]] = {}
    for name in names.split():
        made[name] = [functools.partial(_called, name, call) for call in calls]
    return made


def _joined(*parts: dict[str, list[Case]]) -> dict[str, list[Case]]:
    """Tables in one; an op that stands in several has the cases of all, the last ones first."""
    found: dict[str, list[Case]] = {}
    for part in parts:
        for name, cases in part.items():
            found[name] = [*cases, *found.get(name, [])]
    return found


def _called(name: str, call: Case, o: Any, *tensors: Any) -> Any:
    return call(getattr(o, name), *tensors)


def of(case: Case) -> list[str]:
    """The names of the arrays that a case takes."""
    import inspect

    if isinstance(case, functools.partial):
        return list(inspect.signature(case.args[1]).parameters)[1:]
    return list(inspect.signature(case).parameters)[1:]


ELEMENTWISE: dict[str, list[Case]] = _joined(
    _each("absolute abs negative sign square", lambda f, x: f(x), lambda f, i: f(i), lambda f, h: f(h)),
    _each("exp exp2 expm1 sin cos tan sinh cosh tanh arctan arcsinh sinc deg2rad rad2deg ceil floor fabs "
          "i0 cbrt",
          lambda f, x: f(x),
          lambda f, i: f(i),
          lambda f, b: f(b),
          lambda f, h: f(h)),
    _each("log log1p log2 log10 sqrt reciprocal", lambda f, p: f(p), lambda f, j: f(j)),
    _each("rsqrt", lambda f, p: f(p), lambda f, h: f(abs(h) + 1.0)),
    _each("erf erfc", lambda f, x: f(x), lambda f, h: f(h)),
    _each("arcsin arccos arctanh erfinv", lambda f, u: f(u * 0.5), lambda f, row: f(row * 0.2)),
    _each("arccosh", lambda f, j: f(j), lambda f, p: f(p + 1)),
    _each("isnan isinf isfinite isneginf isposinf logical_not isreal", lambda f, w: f(w), lambda f, x: f(x)),
    _each("signbit", lambda f, x: f(x), lambda f, i: f(i)),
    _each("trunc copy array convert_to_tensor stop_gradient", lambda f, x: f(x), lambda f, i: f(i)),
    _each("real imag angle conj conjugate", lambda f, c: f(c)),
    _each("angle real", lambda f, c: f(c), lambda f, x: f(x)),
    _each("conj conjugate", lambda f, c: f(c), lambda f, x: f(x)),
    {
        "imag": [lambda o, c: o.imag(c), lambda o, c: o.imag(c)[:, 1:]],
    },
    _each("bitwise_not bitwise_invert", lambda f, i: f(i), lambda f, u8: f(u8)),
    {
        "isreal": [lambda o, x: o.isreal(x), lambda o, c: o.isreal(c)],
        "round": [lambda o, x: o.round(x), lambda o, x: o.round(x, decimals=1), lambda o, i: o.round(i, 2)],
        "nan_to_num": [lambda o, n: o.nan_to_num(n), lambda o, w: o.nan_to_num(w, nan=1.0, posinf=5.0, neginf=-5.0)],
        "clip": [lambda o, x: o.clip(x, -0.5, 1), lambda o, i: o.clip(i, 0, 2), lambda o, h: o.clip(h, -1, 1)],
    },
    _each("add subtract multiply",
          lambda f, x, y: f(x, y),
          lambda f, x, v: f(x, v[:, None]),
          lambda f, i: f(i, 2),
          lambda f, i: f(0.5, i),
          lambda f, x, i: f(x, i),
          lambda f, u8, i8: f(u8, i8),
          lambda f, h, i: f(h, i),
          lambda f, h, x: f(h, x),
          lambda f, i, b: f(i, b)),
    _each("divide true_divide divide_no_nan",
          lambda f, x, p: f(x, p),
          lambda f, i: f(i, 2),
          lambda f, p: f(2, p),
          lambda f, i, j: f(i, j),
          lambda f, h, j: f(h, j)),
    {
        "divide_no_nan": [lambda o, x, i: o.divide_no_nan(x, i), lambda o, x: o.divide_no_nan(x, 0.0)],
        "power": [
            lambda o, p, x: o.power(p, x),
            lambda o, i: o.power(i, 2),
            lambda o, x: o.power(2.0, x),
            lambda o, j: o.power(2, j),
            lambda o, x: x ** 2,
            lambda o, x: 2.0 ** x,
        ],
    },
    _each("floor_divide mod fmod",
          lambda f, x, p: f(x, p),
          lambda f, i: f(i, 3),
          lambda f, p: f(2.0, p),
          lambda f, i, j: f(i, j)),
    _each("equal not_equal less less_equal greater greater_equal",
          lambda f, x, y: f(x, y),
          lambda f, i: f(i, 1),
          lambda f, x, i: f(x, i),
          lambda f, j: f(2, j)),
    _each("logical_and logical_or logical_xor", lambda f, b, x: f(b, x > 0), lambda f, i, b: f(i, b)),
    _each("maximum minimum fmax fmin",
          lambda f, x, y: f(x, y),
          lambda f, x: f(x, 0),
          lambda f, i: f(0.5, i),
          lambda f, x, i: f(x, i),
          lambda f, u8, i8: f(u8, i8)),
    _each("arctan2 hypot logaddexp logaddexp2",
          lambda f, x, y: f(x, y),
          lambda f, i, j: f(i, j),
          lambda f, h, x: f(h, x)),
    {
        "heaviside": [lambda o, i, x: o.heaviside(i, x), lambda o, x, y: o.heaviside(x, y)],
        "nextafter": [lambda o, x, y: o.nextafter(x, y), lambda o, i, j: o.nextafter(i, j)],
    },
    _each("gcd lcm", lambda f, i, j: f(i, j), lambda f, i, v, j: f(i, j)),
    {
        "ldexp": [lambda o, x, i: o.ldexp(x, i), lambda o, h, j: o.ldexp(h, j)],
    },
    _each("bitwise_and bitwise_or bitwise_xor",
          lambda f, i, j: f(i, j),
          lambda f, u8, i8: f(u8, i8),
          lambda f, b: f(b, b)),
    _each("left_shift right_shift bitwise_left_shift bitwise_right_shift",
          lambda f, i, j: f(i, j),
          lambda f, i: f(i, 2)),
    {
        "isclose": [
            lambda o, x, y: o.isclose(x, y),
            lambda o, x: o.isclose(x, x + 0.01, rtol=0.1),
            lambda o, n: o.isclose(n, n, equal_nan=True),
            lambda o, i, j: o.isclose(i, j),
        ],
        "allclose": [lambda o, x, y: o.allclose(x, y), lambda o, n: o.allclose(n, n, equal_nan=True)],
        "where": [
            lambda o, b, x, y: o.where(b, x, y),
            lambda o, b, x: o.where(b, x, 0.0),
            lambda o, x, i: o.where(x > 0, i, 2),
            lambda o, i, x: o.where(i, x, 1.5),
            lambda o, b, h, i: o.where(b, h, i),
        ],
        "select": [lambda o, b, x, y: o.select([b, x > 0], [x, y], 0.5), lambda o, b, x: o.select([b], [x])],
        "cast": [lambda o, x: o.cast(x, "float16"), lambda o, x: o.cast(x, "int32"), lambda o, b: o.cast(b, "float32")],
        "saturate_cast": [
            lambda o, x: o.saturate_cast(x * 200.0, "uint8"),
            lambda o, i: o.saturate_cast(i, "uint8"),
            lambda o, x: o.saturate_cast(x * 1e9, "int32"),
            lambda o, x: o.saturate_cast(x, "float16"),
        ],
        "view": [lambda o, x: o.view(x, "int32"), lambda o, i: o.view(i, "float32"), lambda o, x: o.view(x, "int8")],
    },
    _each("zeros_like ones_like", lambda f, x: f(x), lambda f, x: f(x, dtype="int32"), lambda f, b: f(b)),
    {
        "full_like": [
            lambda o, x: o.full_like(x, 2.5),
            lambda o, x: o.full_like(x, 2, dtype="int32"),
            lambda o, x, v: o.full_like(x, v[0]),
        ],
    },
)

ACTIVATIONS: dict[str, list[Case]] = _joined(
    _each("relu relu6 sigmoid softplus softsign silu swish log_sigmoid hard_sigmoid hard_silu hard_swish "
          "selu hard_tanh tanh_shrink sparse_plus sparse_sigmoid elu celu gelu leaky_relu squareplus "
          "soft_shrink hard_shrink",
          lambda f, x: f(x),
          lambda f, h: f(h)),
    {
        "elu": [lambda o, x: o.elu(x, alpha=0.7), lambda o, x: o.elu(x)],
        "celu": [lambda o, x: o.celu(x, 0.7), lambda o, x: o.celu(x)],
        "gelu": [lambda o, x: o.gelu(x), lambda o, x: o.gelu(x, approximate=False)],
        "leaky_relu": [lambda o, x: o.leaky_relu(x, negative_slope=0.05), lambda o, x: o.leaky_relu(x)],
        "squareplus": [lambda o, x: o.squareplus(x, b=2), lambda o, x: o.squareplus(x)],
        "soft_shrink": [lambda o, x: o.soft_shrink(x, 0.3), lambda o, x: o.soft_shrink(x)],
        "hard_shrink": [lambda o, x: o.hard_shrink(x, threshold=0.3), lambda o, x: o.hard_shrink(x)],
        "threshold": [
            lambda o, x: o.threshold(x, 0.1, -1.0),
            lambda o, x: o.threshold(x, threshold=0, default_value=2),
        ],
        "glu": [lambda o, x: o.glu(x), lambda o, x: o.glu(x, axis=1)],
    },
    _each("softmax log_softmax", lambda f, x: f(x), lambda f, x: f(x, axis=1), lambda f, x: f(x, axis=None)),
    {
        "sparsemax": [lambda o, x: o.sparsemax(x), lambda o, x: o.sparsemax(x, axis=1)],
    },
)

_REDUCE = (lambda f, x: f(x), lambda f, x: f(x, axis=-1), lambda f, x: f(x, axis=(1, 2)),
           lambda f, x: f(x, axis=1, keepdims=True), lambda f, i: f(i, axis=1), lambda f, h: f(h, axis=-1))
_NAN = (lambda f, n: f(n), lambda f, n: f(n, axis=-1), lambda f, n: f(n, axis=(1, 2), keepdims=True),
        lambda f, i: f(i, axis=1))

REDUCTIONS: dict[str, list[Case]] = _joined(
    _each("mean sum var std", *_REDUCE, lambda f, u8: f(u8, axis=1), lambda f, b: f(b, axis=1)),
    _each("max min amax amin ptp prod", *_REDUCE),
    {
        "prod": [
            lambda o, p: o.prod(p),
            lambda o, x: o.prod(x, axis=(1, 2)),
            lambda o, i: o.prod(i, axis=-1, keepdims=True),
            lambda o, i8: o.prod(i8, axis=1),
            lambda o, i: o.prod(i, axis=1, dtype="float32"),
        ],
        "max": [lambda o, x: o.max(x, axis=1, initial=0.5), lambda o, i: o.max(i, axis=-1), lambda o, x: o.max(x)],
        "min": [lambda o, x: o.min(x, axis=1, initial=-0.1), lambda o, i: o.min(i, axis=(1, 2)), lambda o, x: o.min(x)],
    },
    _each("any all",
          lambda f, b: f(b),
          lambda f, b: f(b, axis=-1),
          lambda f, x: f(x > 0, axis=1, keepdims=True),
          lambda f, i: f(i, axis=(1, 2))),
    _each("argmax argmin",
          lambda f, x: f(x),
          lambda f, x: f(x, axis=-1),
          lambda f, x: f(x, axis=1, keepdims=True),
          lambda f, b: f(b, axis=1)),
    {
        "count_nonzero": [
            lambda o, i: o.count_nonzero(i),
            lambda o, i: o.count_nonzero(i, axis=1),
            lambda o, b: o.count_nonzero(b, axis=(1, 2)),
        ],
    },
    _each("logsumexp", lambda f, x: f(x), lambda f, x: f(x, axis=-1), lambda f, x: f(x, axis=(1, 2), keepdims=True)),
    {
        "average": [
            lambda o, x: o.average(x),
            lambda o, x: o.average(x, axis=1),
            lambda o, i: o.average(i, axis=-1),
            lambda o, x, row: o.average(x, axis=-1, weights=row),
            lambda o, x, p: o.average(x, axis=-1, weights=p),
        ],
        "moments": [lambda o, x: o.moments(x, axes=[1]), lambda o, x: o.moments(x, axes=[0, 2], keepdims=True)],
    },
    _each("median",
          lambda f, x: f(x),
          lambda f, x: f(x, axis=-1),
          lambda f, x: f(x, axis=(1, 2), keepdims=True),
          lambda f, i: f(i, axis=1)),
    _each("quantile",
          lambda f, x: f(x, 0.3),
          lambda f, x: f(x, [0.25, 0.5], axis=-1),
          lambda f, x: f(x, 0.7, axis=1, method="nearest", keepdims=True),
          lambda f, x: f(x, [0.1, 0.9], axis=(1, 2), keepdims=True)),
    _each("percentile", lambda f, x: f(x, 30), lambda f, x: f(x, [25, 50], axis=-1), lambda f, i: f(i, 40, axis=1)),
    _each("nansum nanmean nanvar nanstd nanprod nanmax nanmin", *_NAN),
    _each("nanmedian", *_NAN[:3]),
    _each("nanargmax nanargmin",
          lambda f, x: f(x),
          lambda f, n: f(n, axis=-1),
          lambda f, n: f(n, axis=2, keepdims=True)),
    _each("nanquantile", lambda f, n: f(n, 0.3), lambda f, n: f(n, [0.25, 0.5], axis=-1)),
    _each("nanpercentile", lambda f, n: f(n, 30), lambda f, n: f(n, [25, 50], axis=-1, keepdims=True)),
    _each("cumsum cumprod",
          lambda f, x: f(x),
          lambda f, x: f(x, axis=1),
          lambda f, i: f(i, axis=-1),
          lambda f, b: f(b, axis=-1),
          lambda f, i: f(i, axis=1, dtype="float32")),
    _each("nancumsum nancumprod", lambda f, n: f(n), lambda f, n: f(n, axis=-1), lambda f, i: f(i, axis=1)),
)

SHAPING: dict[str, list[Case]] = {
    "reshape": [
        lambda o, x: o.reshape(x, (-1, 4, 3, 2)),
        lambda o, x: o.reshape(x, (-1, 3)),
        lambda o, m: o.reshape(m, -1),
    ],
    "ravel": [lambda o, x: o.ravel(x), lambda o, m: o.ravel(m)],
    "transpose": [
        lambda o, x: o.transpose(x, (0, 2, 1)),
        lambda o, x: o.transpose(x, [2, 0, 1]),
        lambda o, m: o.transpose(m),
    ],
    "swapaxes": [lambda o, x: o.swapaxes(x, 1, 2), lambda o, x: o.swapaxes(x, -1, 0)],
    "moveaxis": [lambda o, x: o.moveaxis(x, 1, -1), lambda o, img: o.moveaxis(img, (1, 3), (3, 0))],
    "expand_dims": [lambda o, x: o.expand_dims(x, -1), lambda o, x: o.expand_dims(x, (1, 3))],
    "squeeze": [lambda o, x: o.squeeze(x[:, :1], axis=1), lambda o, d: o.squeeze(d, axis=-2)],
    "broadcast_to": [lambda o, m: o.broadcast_to(m, (3, 4, 6)), lambda o, row: o.broadcast_to(row, (2, 6))],
    "rearrange": [lambda o, m: o.rearrange(m, "a b -> b a"), lambda o, m: o.rearrange(m, "(a c) b -> a (b c)", c=2)],
    "concatenate": [
        lambda o, x, i, p: o.concatenate([x, i, p[:, :2]], axis=1),
        lambda o, x, p: o.concatenate([x, p], -1),
    ],
    "stack": [lambda o, x, p: o.stack([x, p], axis=1), lambda o, v, h: o.stack([v, v], axis=-1)],
    "append": [lambda o, x, y: o.append(x, y), lambda o, x, i: o.append(x, i, axis=1)],
    **_each("hstack vstack dstack", lambda f, x, y: f([x, y]), lambda f, v, i: f([v, v]), lambda f, x, i: f([x, i])),
    "split": [lambda o, x: o.split(x, 3, axis=-1), lambda o, x: o.split(x, [1, 4], axis=2), lambda o, x: o.split(x, 2)],
    "array_split": [lambda o, x: o.array_split(x, 4, axis=-1), lambda o, x: o.array_split(x, 2, axis=1)],
    "hsplit": [lambda o, x: o.hsplit(x, 2), lambda o, x: o.hsplit(x, [1, 3])],
    "vsplit": [lambda o, m: o.vsplit(m, 2), lambda o, m: o.vsplit(m, [1, 3])],
    "dsplit": [lambda o, x: o.dsplit(x, 3), lambda o, x: o.dsplit(x, [2, 3])],
    "unstack": [lambda o, x: o.unstack(x, axis=1), lambda o, x: o.unstack(x, num=6, axis=-1)],
    "meshgrid": [lambda o, row, row4: o.meshgrid(row, row4), lambda o, row, row4: o.meshgrid(row, row4, indexing="ij")],
    "tile": [lambda o, x: o.tile(x, (1, 2, 3)), lambda o, x: o.tile(x, 2), lambda o, row: o.tile(row, (2, 1, 2))],
    "repeat": [
        lambda o, x: o.repeat(x, 2, axis=1),
        lambda o, m: o.repeat(m, 2),
        lambda o, x: o.repeat(x, [1, 0, 2, 3], axis=1),
    ],
    "flip": [lambda o, x: o.flip(x), lambda o, x: o.flip(x, axis=-1), lambda o, x: o.flip(x, axis=(1, 2))],
    **_each("fliplr flipud", lambda f, x: f(x), lambda f, m: f(m)),
    "roll": [
        lambda o, x: o.roll(x, 2),
        lambda o, x: o.roll(x, -1, axis=1),
        lambda o, x: o.roll(x, (1, 2), axis=(1, 2)),
    ],
    "rot90": [
        lambda o, x: o.rot90(x, axes=(1, 2)),
        lambda o, m: o.rot90(m, k=3),
        lambda o, sq: o.rot90(sq, k=2, axes=(1, 2)),
    ],
    "pad": [
        lambda o, x: o.pad(x, ((0, 0), (1, 2), (0, 3))),
        lambda o, x: o.pad(x, ((0, 0), (1, 1), (2, 2)), mode="reflect"),
        lambda o, x: o.pad(x, [[0, 0], [1, 0], [0, 1]], constant_values=2.0),
        lambda o, m: o.pad(m, 1),
        lambda o, m: o.pad(m, (1, 2)),
        lambda o, i: o.pad(i, ((0, 0), (1, 1), (0, 0)), constant_values=7),
        lambda o, x: o.pad(x, ((0, 0), (3, 2), (1, 4)), mode="symmetric"),
    ],
    **_each("tril triu", lambda f, x: f(x), lambda f, x: f(x, k=1), lambda f, i: f(i, k=-1)),
    "diag": [lambda o, row: o.diag(row), lambda o, m: o.diag(m, k=1), lambda o, row: o.diag(row, k=-2)],
    "diagflat": [lambda o, row: o.diagflat(row), lambda o, m: o.diagflat(m, k=1)],
    "diagonal": [
        lambda o, x: o.diagonal(x, axis1=1, axis2=2),
        lambda o, m: o.diagonal(m, offset=-1),
        lambda o, x: o.diagonal(x, 1, -1, -2),
    ],
    "trace": [
        lambda o, x: o.trace(x, axis1=1, axis2=2),
        lambda o, m: o.trace(m, offset=1),
        lambda o, i8: o.trace(i8, 0, 1, 2),
    ],
    "diff": [lambda o, x: o.diff(x), lambda o, x: o.diff(x, n=2, axis=1), lambda o, i: o.diff(i, axis=0)],
    "size": [lambda o, m: o.size(m), lambda o, row: o.size(row)],
    "get_item": [
        lambda o, x: x[:, -2:, 1:9],
        lambda o, x: x[..., None, ::2],
        lambda o, x: o.get_item(x, (slice(None), 1)),
    ],
}

INDEXING: dict[str, list[Case]] = {
    "take": [
        lambda o, x, ints: o.take(x, ints, axis=-1),
        lambda o, x: o.take(x, [0, 2, -1], axis=1),
        lambda o, m: o.take(m, [[0, 5], [7, 23]]),
        lambda o, m, ids: o.take(m, ids, axis=0),
        lambda o, x: o.take(x, 1, axis=1),
    ],
    "take_along_axis": [
        lambda o, x, j: o.take_along_axis(x, j, axis=-1),
        lambda o, x, i: o.take_along_axis(x, i[:, :1], axis=1),
    ],
    "slice": [
        lambda o, m: o.slice(m, [1, 2], [2, 3]),
        lambda o, cube: o.slice(cube, [1, 0, 2], [2, 5, 4]),
        lambda o, m, two: o.slice(m, two, (2, 3)),
    ],
    "slice_update": [
        lambda o, m, at: o.slice_update(m, [1, 2], o.cast(at, "float32")),
        lambda o, m, two, at: o.slice_update(m, two, o.cast(at, "float32")),
    ],
    "scatter": [
        lambda o, at, vals: o.scatter(at, vals, (4, 6)),
        lambda o, at, r3: o.scatter(at[:, :1], r3[0, :3], (5, 3)),
    ],
    "scatter_update": [
        lambda o, m, at, vals: o.scatter_update(m, at, vals),
        lambda o, m, at, vals: o.scatter_update(m, at, vals, reduction="add"),
        lambda o, m, at, vals: o.scatter_update(m, at, vals, reduction="max"),
        lambda o, m, at, vals: o.scatter_update(m, at, vals, reduction="min"),
        lambda o, m, at, vals: o.scatter_update(m, at, vals, reduction="mul"),
    ],
    **_each("sort", lambda f, x: f(x), lambda f, x: f(x, axis=1), lambda f, i: f(i, axis=None)),
    **_each("argsort", lambda f, x: f(x), lambda f, x: f(x, axis=1), lambda f, x: f(x, axis=None), lambda f, i: f(i)),
    "argpartition": [lambda o, x: o.argpartition(x, 2), lambda o, i: o.argpartition(i, 1, axis=1)],
    "top_k": [lambda o, x: o.top_k(x, 3), lambda o, v: o.top_k(v, k=2, sorted=True)],
    "in_top_k": [
        lambda o, two, m: o.in_top_k(two, m[:2, :], k=2),
        lambda o, labels, prob: o.in_top_k(labels[:, 0], prob[:, 0], 3),
    ],
    "searchsorted": [
        lambda o, edges, x: o.searchsorted(edges, x),
        lambda o, edges, m: o.searchsorted(edges, m, side="right"),
    ],
    "digitize": [lambda o, x, edges: o.digitize(x, edges), lambda o, i: o.digitize(i, np.array([-1, 0, 2]))],
    "isin": [lambda o, i: o.isin(i, np.array([1, 2], "int32")), lambda o, i, ints: o.isin(i, ints, invert=True)],
    "unravel_index": [lambda o, ints: o.unravel_index(ints, (3, 4)), lambda o, j: o.unravel_index(j, (2, 3, 4))],
    "one_hot": [
        lambda o, ids: o.one_hot(ids, 4),
        lambda o, ids: o.one_hot(ids, 6, axis=1, dtype="int32"),
        lambda o, i: o.one_hot(o.minimum(i, 2), 3),
    ],
    "multi_hot": [lambda o, ids: o.multi_hot(ids, 4), lambda o, ints: o.multi_hot(ints, num_classes=5)],
    **_each("segment_sum segment_max segment_min segment_prod",
            lambda f, row, seg: f(row, seg, num_segments=4),
            lambda f, six, seg: f(six, seg, 3)),
    "bincount": [lambda o, ints: o.bincount(ints), lambda o, ints: o.bincount(ints, minlength=9)],
    "histogram": [lambda o, row: o.histogram(row), lambda o, row: o.histogram(row, bins=4, range=(-1.0, 1.0))],
    "nonzero": [lambda o, m: o.nonzero(m)[0], lambda o, row: o.nonzero(row)[0]],
    "unique": [lambda o, ints: o.unique(ints, size=4), lambda o, ints: o.unique(ints)],
}

PRODUCTS: dict[str, list[Case]] = {
    "matmul": [
        lambda o, x: o.matmul(x, o.transpose(x, (0, 2, 1))),
        lambda o, x, row: o.matmul(x, row),
        lambda o, i, x: o.matmul(i, o.swapaxes(x, 1, 2)),
        lambda o, i8: o.matmul(i8, o.swapaxes(i8, 1, 2)),
        lambda o, m, row: m @ row,
    ],
    "dot": [
        lambda o, row, pos: o.dot(row, pos),
        lambda o, x, m: o.dot(x, o.transpose(m)),
        lambda o, x: o.dot(x, 2.0),
        lambda o, x, row: o.dot(x, row),
        lambda o, m, cube: o.dot(m, o.transpose(cube, (0, 2, 1))),
    ],
    "inner": [lambda o, row, pos: o.inner(row, pos), lambda o, x, m: o.inner(x, m)],
    "vdot": [lambda o, row, pos: o.vdot(row, pos), lambda o, row, ints: o.vdot(row, ints)],
    "outer": [lambda o, row, row4: o.outer(row, row4), lambda o, v, ints: o.outer(v, ints)],
    "tensordot": [
        lambda o, x, m: o.tensordot(x, m, axes=[[2], [1]]),
        lambda o, x, m: o.tensordot(x, o.transpose(m), axes=1),
        lambda o, m, cube: o.tensordot(m, cube, axes=((0, 1), (0, 2))),
    ],
    "kron": [lambda o, m, sq: o.kron(m, sq[0]), lambda o, row, row4: o.kron(row, row4)],
    "cross": [
        lambda o, r3: o.cross(r3, r3[:, ::1] + 1.0, axis=-1),
        lambda o, r3, v: o.cross(r3, v[:, None, :3], axis=-1),
    ],
    "einsum": [
        lambda o, x, p: o.einsum("bij,bkj->bik", x, p),
        lambda o, x, v: o.einsum("bij,bj->bi", x, v),
        lambda o, x: o.einsum("...ij->...ji", x),
        lambda o, x, m: o.einsum("...i,ji", x, m),
        lambda o, i8: o.einsum("bij,bij->b", i8, i8),
    ],
    "correlate": [
        lambda o, row, row4: o.correlate(row, row4),
        lambda o, row, row4: o.correlate(row, row4, mode="full"),
        lambda o, row, row4: o.correlate(row, row4, mode="same"),
    ],
    "corrcoef": [lambda o, m: o.corrcoef(m), lambda o, sq: o.corrcoef(sq[0])],
    "vander": [lambda o, row: o.vander(row), lambda o, ints: o.vander(ints, N=3, increasing=True)],
    "trapezoid": [
        lambda o, x: o.trapezoid(x),
        lambda o, x: o.trapezoid(x, dx=0.5, axis=1),
        lambda o, x: o.trapezoid(x, x=[0.0, 1.0, 3.0, 4.0, 6.0, 7.0]),
    ],
    "cdist": [lambda o, x, y: o.cdist(x, y), lambda o, x, m: o.cdist(x, m)],
    "det": [lambda o, sq: o.det(sq), lambda o, spd: o.det(spd)],
    "inv": [lambda o, spd: o.inv(spd), lambda o, spd: o.linalg.inv(spd[0])],
    "logdet": [lambda o, spd: o.logdet(spd), lambda o, spd: o.logdet(spd[0])],
    "slogdet": [lambda o, sq: o.slogdet(sq), lambda o, spd: o.slogdet(spd[0])],
    "cholesky": [lambda o, spd: o.cholesky(spd), lambda o, spd: o.cholesky(spd, upper=True)],
    "cholesky_inverse": [
        lambda o, spd: o.cholesky_inverse(o.cholesky(spd)),
        lambda o, spd: o.cholesky_inverse(spd, upper=True),
    ],
    "eig": [lambda o, spd: o.eig(spd)[0], lambda o, spd: o.abs(o.linalg.eig(spd[0])[1])],
    "eigh": [lambda o, spd: o.eigh(spd)[0], lambda o, spd: o.abs(o.eigh(spd)[1])],
    "lu_factor": [lambda o, sq: o.lu_factor(sq), lambda o, tall: o.lu_factor(tall)],
    "norm": [
        lambda o, x: o.norm(x),
        lambda o, x: o.norm(x, ord=1, axis=-1),
        lambda o, x: o.norm(x, ord="fro", axis=(1, 2), keepdims=True),
        lambda o, i: o.norm(i, axis=1),
        lambda o, m: o.norm(m, ord=2),
    ],
    "qr": [lambda o, tall: [abs(a) for a in o.qr(tall)], lambda o, tall: [abs(a) for a in o.qr(tall, mode="complete")]],
    "solve": [lambda o, spd, x: o.solve(spd, x), lambda o, spd: o.solve(spd, spd)],
    "solve_triangular": [
        lambda o, spd, x: o.solve_triangular(o.tril(spd), x, lower=True),
        lambda o, spd, x: o.solve_triangular(o.triu(spd), x),
        lambda o, spd, row4: o.solve_triangular(o.triu(spd[0]), row4),
    ],
    "svd": [
        lambda o, tall: o.svd(tall, compute_uv=False),
        lambda o, tall: [abs(a) for a in o.svd(tall, full_matrices=False)],
    ],
    "lstsq": [lambda o, tall, row: o.lstsq(tall[0], row[:5, ]), lambda o, tall: o.lstsq(tall[0], tall[1])],
    "matrix_rank": [lambda o, tall: o.linalg.matrix_rank(tall), lambda o, sq: o.matrix_rank(sq, tol=10.0)],
    "pinv": [lambda o, tall: o.pinv(tall), lambda o, sq: o.pinv(sq, rcond=1e-4)],
}

SPECTRAL: dict[str, list[Case]] = {
    **_each("fft fft2 ifft2", lambda f, x, y: f((x, y)), lambda f, m: f((m, m))),
    "rfft": [lambda o, x: o.rfft(x), lambda o, x: o.rfft(x, fft_length=8)],
    "irfft": [lambda o, x, y: o.irfft((x, y)), lambda o, x, y: o.irfft((x, y), fft_length=8)],
    "stft": [
        lambda o, seq: o.stft(seq, 8, 4, 16),
        lambda o, seq: o.stft(seq, 8, 4, 8, window="hamming", center=False),
        lambda o, seq: o.stft(o.reshape(seq, (-1, 2, 32)), 8, 4, 8, window=None),
    ],
    "istft": [
        lambda o, seq: o.istft(o.stft(seq, 16, 4, 16), 16, 4, 16),
        lambda o, seq: o.istft(o.stft(seq, 16, 4, 16), 16, 4, 16, length=50),
        lambda o, seq: o.istft(o.stft(seq, 12, 4, 16), 12, 4, 16),
        lambda o, seq: o.istft(o.stft(seq, 16, 8, 16, center=False), 16, 8, 16, center=False),
        lambda o, seq: o.istft(o.stft(seq, 16, 8, 16), 16, 8, 16, window=None),
    ],
    "extract_sequences": [lambda o, seq: o.extract_sequences(seq, 8, 4), lambda o, x: o.extract_sequences(x, 3, 2)],
    "view_as_complex": [lambda o, z: o.view_as_complex(z), lambda o, z: o.abs(o.view_as_complex(z))],
    "view_as_real": [lambda o, c: o.view_as_real(c), lambda o, c: o.view_as_real(o.conj(c))],
    "polar": [lambda o, p, x: o.polar(p, x), lambda o, p: o.polar(p, p)],
}

NEURAL: dict[str, list[Case]] = {
    **_each("max_pool average_pool",
            lambda f, img: f(img, 2),
            lambda f, img: f(img, (3, 2), strides=2, padding="same"),
            lambda f, x: f(x, 2, strides=1, padding="valid", data_format="channels_first"),
            lambda f, vol: f(vol, 2, padding="valid"),
            lambda f, img: f(img, 3, strides=1, padding="same")),
    **_each("adaptive_max_pool adaptive_average_pool",
            lambda f, img: f(img, (3, 2), data_format="channels_first"),
            lambda f, img: f(img, (2, 2))),
    "conv": [
        lambda o, img, k33: o.conv(img, k33),
        lambda o, img, k33: o.conv(img, k33, strides=2, padding="same"),
        lambda o, x, k3: o.conv(x, k3, padding="same", dilation_rate=2),
        lambda o, vol, k333: o.conv(vol, k333, strides=(1, 2, 1)),
        lambda o, img, k33: o.conv(o.transpose(img, (0, 3, 1, 2)), k33, data_format="channels_first"),
    ],
    "depthwise_conv": [
        lambda o, img, kd: o.depthwise_conv(img, kd),
        lambda o, img, kd: o.depthwise_conv(img, kd, strides=2, padding="same"),
    ],
    "separable_conv": [
        lambda o, img, kd, kp: o.separable_conv(img, kd, kp),
        lambda o, img, kd, kp: o.separable_conv(img, kd, kp, padding="same"),
    ],
    "conv_transpose": [
        lambda o, img, kt: o.conv_transpose(img, kt),
        lambda o, img, kt: o.conv_transpose(img, kt, strides=2, padding="same"),
        lambda o, img, kt: o.conv_transpose(img, kt, strides=2, output_padding=1),
        lambda o, img, kt: o.conv_transpose(img, kt, dilation_rate=2),
    ],
    "unfold": [
        lambda o, img: o.unfold(o.transpose(img, (0, 3, 1, 2)), 2),
        lambda o, img: o.unfold(img, (2, 1), padding=1, stride=2),
    ],
    "fold": [lambda o, tall: o.fold(o.tile(tall, (1, 2, 4))[:, :4], (4, 5), 2), lambda o, x: o.fold(x, (3, 4), (2, 2))],
    "depth_to_space": [
        lambda o, img: o.depth_to_space(o.tile(img, (1, 1, 1, 4)), 2),
        lambda o, img: o.depth_to_space(img, 2, data_format="channels_first"),
    ],
    "space_to_depth": [
        lambda o, img: o.space_to_depth(img, 2),
        lambda o, img: o.space_to_depth(o.transpose(img, (0, 3, 1, 2)), 2, data_format="channels_first"),
    ],
    "batch_normalization": [
        lambda o, x, row, pos: o.batch_normalization(x, row, pos, axis=-1),
        lambda o, x, row, pos: o.batch_normalization(x, row, pos, -1, offset=row, scale=pos, epsilon=1e-2),
    ],
    "layer_normalization": [
        lambda o, x: o.layer_normalization(x),
        lambda o, x, row, pos: o.layer_normalization(x, row, pos, epsilon=1e-3),
        lambda o, x, m: o.layer_normalization(x, m, m, axis=(1, 2)),
        lambda o, h: o.layer_normalization(h),
    ],
    "rms_normalization": [
        lambda o, x: o.rms_normalization(x),
        lambda o, x, row: o.rms_normalization(x, scale=row, epsilon=1e-3),
    ],
    "normalize": [
        lambda o, x: o.normalize(x),
        lambda o, x: o.normalize(x, axis=1, order=1),
        lambda o, x: o.normalize(x, axis=(1, 2)),
        lambda o, x: o.normalize(x, order=3),
    ],
    "dot_product_attention": [
        lambda o, qkv: o.dot_product_attention(qkv, qkv, qkv),
        lambda o, qkv: o.dot_product_attention(qkv, qkv, qkv, is_causal=True, scale=0.3),
        lambda o, qkv: o.dot_product_attention(qkv, qkv, qkv, bias=o.transpose(qkv[..., :1], (0, 2, 3, 1))),
        lambda o, qkv: o.dot_product_attention(qkv, qkv, qkv, mask=o.transpose(qkv[..., :1], (0, 2, 3, 1)) > 0),
    ],
    "binary_crossentropy": [
        lambda o, prob, p: o.binary_crossentropy(p * 0.5, prob),
        lambda o, p, x: o.binary_crossentropy(p * 0.5, x, from_logits=True),
    ],
    "categorical_crossentropy": [
        lambda o, prob, p: o.categorical_crossentropy(prob, p),
        lambda o, prob, x: o.categorical_crossentropy(prob, x, from_logits=True),
        lambda o, sq, spd: o.categorical_crossentropy(sq, abs(spd) + 0.1, axis=1),
    ],
    "sparse_categorical_crossentropy": [
        lambda o, labels, prob: o.sparse_categorical_crossentropy(labels, prob),
        lambda o, labels, x: o.sparse_categorical_crossentropy(labels, x, from_logits=True),
    ],
    "ctc_loss": [
        lambda o, labels2, tall, lengths, len: o.ctc_loss(labels2, o.tile(tall, (1, 1, 2)), lengths, len),
        lambda o, labels2, prob, lengths, len: o.ctc_loss(labels2, prob, lengths, len, mask_index=5),
    ],
    "ctc_decode": [
        lambda o, prob, len: o.ctc_decode(prob, len),
        lambda o, x, len: o.ctc_decode(x, len, merge_repeated=False, mask_index=2),
    ],
    "psnr": [lambda o, x, y: o.psnr(x, y, 1.0), lambda o, img: o.psnr(img, img * 0.9, max_val=2.0)],
}

IMAGES: dict[str, list[Case]] = {
    "rgb_to_grayscale": [
        lambda o, img: o.image.rgb_to_grayscale(img),
        lambda o, r3: o.image.rgb_to_grayscale(o.transpose(r3, (2, 0, 1))[:, :, :], data_format="channels_first"),
    ],
    "rgb_to_hsv": [
        lambda o, img: o.image.rgb_to_hsv(img),
        lambda o, img: o.image.rgb_to_hsv(o.transpose(img, (0, 3, 1, 2)), data_format="channels_first"),
    ],
    "hsv_to_rgb": [lambda o, img: o.image.hsv_to_rgb(img), lambda o, img: o.image.hsv_to_rgb(img[0])],
    "resize": [
        lambda o, img: o.image.resize(img, (4, 9)),
        lambda o, img: o.image.resize(img, (5, 5), interpolation="nearest"),
        lambda o, img: o.image.resize(img, (5, 9), interpolation="bicubic"),
        lambda o, img: o.image.resize(img, (4, 3), antialias=True),
        lambda o, img: o.image.resize(img, (4, 4), crop_to_aspect_ratio=True),
        lambda o, img: o.image.resize(img, (4, 4), pad_to_aspect_ratio=True, fill_value=0.5),
        lambda o, img: o.image.resize(o.cast(img * 255.0, "uint8"), (4, 9)),
        lambda o, img: o.image.resize(img[0], (3, 3), data_format="channels_last"),
    ],
    "pad_images": [
        lambda o, img: o.image.pad_images(img, 1, 2, target_height=12, target_width=10),
        lambda o, img: o.image.pad_images(img, 1, 0, 2, 3),
    ],
    "crop_images": [
        lambda o, img: o.image.crop_images(img, 1, 2, target_height=5, target_width=3),
        lambda o, img: o.image.crop_images(img, 1, 0, 2, 3),
    ],
    "extract_patches": [
        lambda o, img: o.image.extract_patches(img, 2),
        lambda o, img: o.image.extract_patches(img, (3, 2), strides=2, padding="same"),
        lambda o, img: o.image.extract_patches(img, 2, strides=1, dilation_rate=2),
    ],
    "extract_patches_3d": [
        lambda o, vol: o.image.extract_patches_3d(vol, 2),
        lambda o, vol: o.image.extract_patches_3d(vol, (2, 3, 2), strides=1),
    ],
    "affine_transform": [
        lambda o, img, one: o.image.affine_transform(img, one),
        lambda o, img, one: o.image.affine_transform(img, one, interpolation="nearest", fill_mode="wrap"),
        lambda o, img, one: o.image.affine_transform(img, one, fill_mode="reflect"),
        lambda o, img, one: o.image.affine_transform(img, one, fill_mode="mirror"),
        lambda o, img, one: o.image.affine_transform(img, one, fill_value=0.5),
    ],
    "perspective_transform": [
        lambda o, img, start, end: o.image.perspective_transform(img, start, end),
        lambda o, img, start, end: (
            o.image.perspective_transform(img, start, end, interpolation="nearest", fill_value=0.3)),
    ],
    "map_coordinates": [
        lambda o, cube, coords: o.image.map_coordinates(cube, coords, 1),
        lambda o, cube, coords: o.image.map_coordinates(cube, coords, order=0, fill_mode="nearest"),
        lambda o, cube, coords: o.image.map_coordinates(cube, coords, order=1, fill_mode="mirror"),
    ],
    "gaussian_blur": [
        lambda o, img: o.image.gaussian_blur(img),
        lambda o, img: o.image.gaussian_blur(img, (5, 5), (1.0, 2.0), data_format="channels_last"),
    ],
    "scale_and_translate": [
        lambda o, img, scale, shift: o.image.scale_and_translate(img[0], (5, 4, 3), scale, shift, (0, 1), "linear"),
        lambda o, img, scale, shift: (
            o.image.scale_and_translate(img[0], (5, 4, 3), scale, shift, (0, 1), "lanczos3", antialias=False)),
        lambda o, img, scale, shift: o.image.scale_and_translate(img[0], (5, 4, 3), scale, shift, (0, 1), "cubic"),
    ],
    "sobel_edges": [
        lambda o, img: o.image.sobel_edges(img),
        lambda o, img: o.image.sobel_edges(img, data_format="channels_first"),
    ],
    "ssim": [
        lambda o, img: o.image.ssim(img, img * 0.9, filter_size=5),
        lambda o, img: o.image.ssim(img[0], img[1], max_val=2.0, filter_size=3, filter_sigma=1.0),
    ],
}

CREATION: dict[str, list[Case]] = {
    "full": [lambda o, row: o.full((3, 6), row), lambda o, row: o.full((2, 6), row, dtype="float16")],
    "linspace": [
        lambda o, row, pos: o.linspace(row, pos, 5),
        lambda o, row: o.linspace(row, row + 1.0, num=4, endpoint=True),
    ],
    "logspace": [lambda o, row, pos: o.logspace(row, pos, 5), lambda o, row: o.logspace(row, row + 1.0, num=4, base=2)],
    "geomspace": [lambda o, pos: o.geomspace(pos, pos + 1.0, 5), lambda o, pos: o.geomspace(pos, pos * 3.0, num=4)],
    "zeros": [lambda o, x: x + o.zeros((4, 6)), lambda o, i: i + o.zeros((6,), dtype="int32")],
    "ones": [lambda o, x: x * o.ones((4, 6)), lambda o, x: o.ones(6) - x],
    "arange": [lambda o, x: x + o.arange(6), lambda o, x: x * o.arange(1.0, 4.0, 0.5)],
    "eye": [lambda o, x: o.matmul(x, o.eye(6)), lambda o, x: o.matmul(x, o.eye(6, 4, k=-1))],
    "identity": [lambda o, x: o.matmul(x, o.identity(6)), lambda o, i: o.matmul(i, o.identity(6, dtype="int32"))],
    "tri": [lambda o, x: o.matmul(x, o.tri(6)), lambda o, x: o.matmul(x, o.tri(6, 4, k=1))],
    "bartlett": [lambda o, x: x * o.bartlett(6), lambda o, seq: seq * o.bartlett(64)],
    "blackman": [lambda o, x: x * o.blackman(6), lambda o, seq: seq * o.blackman(64)],
    "hamming": [lambda o, x: x * o.hamming(6), lambda o, seq: seq * o.hamming(64)],
    "hanning": [lambda o, x: x * o.hanning(6), lambda o, seq: seq * o.hanning(64)],
    "kaiser": [lambda o, x: x * o.kaiser(6, 3.0), lambda o, seq: seq * o.kaiser(64, 8.0)],
    "array_constants": [
        lambda o, x: x + np.ones(6, "float32"),
        lambda o, i: o.maximum(i, np.arange(6, dtype="int32")),
        lambda o, x: o.concatenate([x, np.zeros((2, 4, 1), "float32")], axis=-1),
    ],
}

CASES: dict[str, list[Case]] = {
    **ELEMENTWISE, **ACTIVATIONS, **REDUCTIONS, **SHAPING, **INDEXING, **PRODUCTS, **SPECTRAL, **NEURAL, **IMAGES,
    **CREATION}
