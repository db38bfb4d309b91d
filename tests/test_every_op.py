"""Every op of ``keras.ops`` against Keras itself: shape, dtype, numbers, and models there and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import harness
import numpy as np
import pytest
import torch
from ops_cases import CASES, FREE_BATCH, arrays, of

from kerashape_torch import Input, Model, ops
from kerashape_torch.errors import KerashapeError
from kerashape_torch.lowering.weights import to_numpy
from kerashape_torch.models import model_from_json
from kerashape_torch.ops.left_out import LEFT_OUT
from kerashape_torch.structure import flatten

NAMESPACES = ("nn", "numpy", "linalg", "image")

# Where Keras' shape rule contradicts what the op computes: here the rule says what is computed.
RULE_DIFFERS = {
    "real": "parts of complex numbers are real", "imag": "parts of complex numbers are real",
    "angle": "angles of complex numbers are real", "view_as_complex": "the length of complex numbers is real",
    "multi_hot": "the dtype is the one asked for, not that of the classes", "corrcoef": "a row for each row",
    "slogdet": "a sign for each matrix", "eig": "eigenvalues are complex", "lu_factor": "pivots are integers",
    "polar": "complex numbers come out", "adaptive_max_pool": "channels last: one axis too many",
    "adaptive_average_pool": "channels last: one axis too many", "meshgrid": "ij: the dtype is forgotten",
    "rot90": "half a turn: the sizes stay", "nonzero": "a row for each axis, in one tensor",
}

# What Keras' torch backend gets wrong, or cannot do: what NumPy or another backend says is right.
BY_NUMPY: dict[tuple[str, int], Callable[..., Any]] = {
    ("saturate_cast", 2): lambda x: np.clip(x.astype("float64") * 1e9, -2**31, 2147483520).astype("int32"),
    ("count_nonzero", 0): np.count_nonzero, ("count_nonzero", 1): lambda i: np.count_nonzero(i, axis=1),
    ("count_nonzero", 2): lambda b: np.count_nonzero(b, axis=(1, 2)),
    ("quantile", 2): lambda x: np.quantile(x, 0.7, axis=1, method="nearest", keepdims=True),
    ("repeat", 2): lambda x: np.repeat(x, [1, 0, 2, 3], axis=1),
    ("pad", 3): lambda m: np.pad(m, 1), ("pad", 4): lambda m: np.pad(m, (1, 2)),
    ("pad", 6): lambda x: np.pad(x, ((0, 0), (3, 2), (1, 4)), mode="symmetric"),
    ("argpartition", 0): lambda x: np.argsort(x, axis=-1, kind="stable"),  # one of the orders that it may give
    ("argpartition", 1): lambda i: np.argsort(i, axis=1, kind="stable"),
    ("histogram", 0): lambda row: np.histogram(row), ("nonzero", 0): lambda m: np.nonzero(m)[0],
    ("histogram", 1): lambda row: np.histogram(row, bins=4, range=(-1.0, 1.0)),
    ("nonzero", 1): lambda row: np.nonzero(row)[0],
    ("dot", 4): lambda m, cube: np.dot(m, cube.transpose(0, 2, 1)),
    ("average_pool", 1): lambda img: _mean_of_real_elements(img, (3, 2), 2),
    **{("conv_transpose", i): None for i in range(4)},  # Keras' op hands its arguments on in the wrong order
    **{("nextafter", i): lambda x, y: np.nextafter(x.astype("float32"), y.astype("float32")) for i in range(2)},
}

# Configs that Keras writes and cannot read again, for it wants a tuple where JSON has a list.
NOT_REREAD = {("adaptive_max_pool", 0), ("adaptive_max_pool", 1), ("adaptive_average_pool", 0),
              ("adaptive_average_pool", 1), ("histogram", 1)}


def _mean_of_real_elements(img: np.ndarray[Any, Any], window: tuple[int, int], stride: int) -> np.ndarray[Any, Any]:
    height, width = (-(-size // stride) for size in img.shape[1:3])
    result = np.zeros((len(img), height, width, img.shape[3]), "float32")
    for y in range(height):
        for x in range(width):
            result[:, y, x] = img[:, y * stride:y * stride + window[0], x * stride:x * stride + window[1]].mean((1, 2))
    return result


def shape_of(name: str) -> tuple[int | None, ...]:
    shape = arrays()[name].shape
    return (None, *shape[1:]) if name in FREE_BATCH else shape


def built(inputs: Any, case: Any, module: Any) -> tuple[list[Any], Any]:
    tensors = [inputs(batch_shape=shape_of(name), dtype=str(arrays()[name].dtype), name=name) for name in of(case)]
    return tensors, case(module, *tensors)


def in_keras(name: str, i: int) -> Any:
    import keras

    keras.backend.clear_session(free_memory=False)
    return keras.Model(*built(keras.Input, CASES[name][i], keras.ops))


def given(name: str, i: int) -> list[Any]:
    return [torch.as_tensor(arrays()[each].copy()) for each in of(CASES[name][i])]  # Keras changes some in place


def numbers(x: Any) -> np.ndarray[Any, Any]:
    return to_numpy(x if isinstance(x, torch.Tensor) else torch.as_tensor(np.array(x)))


def assert_close(results: list[Any], wanted: list[Any]) -> None:
    for result, want in zip(results, wanted, strict=True):
        np.testing.assert_allclose(numbers(result), numbers(want), rtol=1e-4, atol=1e-5)


def expected(name: str, i: int, keras_model: Any) -> list[Any]:
    if (name, i) not in BY_NUMPY:
        return flatten(keras_model(given(name, i)))
    by_numpy = BY_NUMPY[name, i]
    if by_numpy is None:
        import keras

        return flatten(CASES[name][i](keras.ops, *given(name, i)))
    return list(flatten(by_numpy(*(arrays()[each] for each in of(CASES[name][i])))))


@pytest.mark.filterwarnings("ignore:Using torch.cross without specifying the dim")  # both are Keras' own
@pytest.mark.filterwarnings("ignore:NotImplemented should not be used")
@pytest.mark.parametrize(("name", "i"), [(name, i) for name, cases in CASES.items() for i in range(len(cases))])
def test_as_keras(name: str, i: int) -> None:
    """Shape and dtype as Keras says them; its numbers; our config in Keras, and Keras' config here."""
    import keras

    keras_model = in_keras(name, i)
    text = keras_model.to_json()
    inputs, outputs = built(Input, CASES[name][i], ops)
    model = Model(inputs, outputs)
    specs = [(x.shape, x.dtype) for x in flatten(outputs)]
    if name not in RULE_DIFFERS:
        assert specs == [(x.shape, x.dtype) for x in keras_model.outputs]
    results = flatten(model.to_torch()(*given(name, i)))
    for result, (shape, dtype) in zip(results, specs, strict=True):
        assert str(result.dtype) == f"torch.{dtype}"
        assert len(shape) == result.dim() and all(a in (None, b) for a, b in zip(shape, result.shape))
    assert_close(results, expected(name, i, keras_model))

    from_keras = model_from_json(text)
    if harness.plain(from_keras.get_config()) != harness.plain(model.get_config()):  # else it is the same model
        assert_close(flatten(from_keras.to_torch()(*given(name, i))), results)
    if (name, i) in NOT_REREAD:
        with pytest.raises(TypeError):
            keras.models.model_from_json(text)
        return
    again = keras.models.model_from_json(model.to_json())
    assert [tuple(x.shape) for x in again.outputs] == [tuple(x.shape) for x in keras_model.outputs]
    if (name, i) not in BY_NUMPY:
        assert_close(results, flatten(again(given(name, i))))


NEEDS_VALUES = {"bincount", "nonzero", "unique", "ctc_loss"}
"""Their results have as many elements as the values say, or torch has no rule for their shape."""
ONE_BATCH = {("array_constants", 2)}
"""Holds an array of two samples."""


@pytest.mark.parametrize("name", [name for name in CASES if name not in NEEDS_VALUES])
def test_another_batch_on_another_device(name: str) -> None:
    """On the meta device, where a tensor that some op left on the CPU is an error, with five samples."""
    for i, case in enumerate(CASES[name]):
        inputs, outputs = built(Input, case, ops)
        batch = 2 if (name, i) in ONE_BATCH else 5
        tensors = [torch.empty([size or batch for size in x.shape], dtype=getattr(torch, x.dtype), device="meta")
                   for x in inputs]
        results = flatten(Model(inputs, outputs).to_torch(device="meta")(*tensors))
        for result, spec in zip(results, flatten(outputs), strict=True):
            assert result.is_meta
            assert all(a in (None, b) for a, b in zip(spec.shape, result.shape)), (spec, result.shape)


def test_the_tables_are_about_real_cases() -> None:
    assert set(RULE_DIFFERS) <= set(CASES)
    assert all(i < len(CASES[name]) for name, i in {*BY_NUMPY, *NOT_REREAD})


# ---- names -----------------------------------------------------------------------------------------------------------

WITHOUT_A_LAYER = {"shape", "ndim", "dtype", "is_tensor", "convert_to_numpy"}
"""What is asked of a tensor; tested below."""
BY_CHANCE = {"empty", "empty_like", "elastic_transform"}
"""What comes out is anything, or drawn at random; tested below."""

WITH_FUNCTIONS = {"cond", "switch", "while_loop", "fori_loop", "map", "scan", "associative_scan", "vectorized_map"}
"""They take Python functions, and run on real tensors alone: tests/test_idioms.py."""


def test_every_name_of_keras_is_here_or_left_out_for_a_reason() -> None:
    import keras

    public = {name for name in dir(keras.ops) if not name.startswith("_")}
    assert public == {*dir(ops), *NAMESPACES, *LEFT_OUT}
    assert not set(LEFT_OUT) & set(dir(ops))
    for family in NAMESPACES:
        names = {name for name in dir(getattr(keras.ops, family)) if not name.startswith("_")}
        assert names - set(LEFT_OUT) == set(dir(getattr(ops, family)))
    tested = {*CASES, *WITHOUT_A_LAYER, *BY_CHANCE, *WITH_FUNCTIONS}
    assert {*dir(ops), *dir(ops.image)} <= tested
    compared = {*dir(ops), *dir(ops.image)} - WITHOUT_A_LAYER - BY_CHANCE - WITH_FUNCTIONS
    assert all(len(CASES[name]) > 1 for name in compared)


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_says_why(name: str) -> None:
    with pytest.raises(AttributeError, match=r"leaves out .*Python functions.*Way out"):
        getattr(ops, name)


@pytest.mark.parametrize("family", ["", "image"])
def test_arguments_are_keras_own(family: str) -> None:
    """Names, order and defaults; Keras hides some behind ``**kwargs``."""
    import keras

    here, there = (getattr(module, family) if family else module for module in (ops, keras.ops))
    for name in dir(here):
        given_here, given_there = (list(inspect.signature(getattr(module, name)).parameters.values())
                                   for module in (here, there))
        if any(p.kind is p.VAR_KEYWORD for p in given_there):
            given_there = [p for p in given_there if p.kind is not p.VAR_KEYWORD]
            given_here = given_here[:len(given_there)]
        assert [p.name for p in given_here] == [p.name for p in given_there], name
        defaults = [(p.default, q.default) for p, q in zip(given_here, given_there)]
        assert name == "multi_hot" or all(a == b for a, b in defaults), name


# ---- what has no numbers to compare ----------------------------------------------------------------------------------


def test_what_is_asked_of_a_tensor() -> None:
    x = Input((4, 6))
    assert ops.shape(x) == (None, 4, 6) and ops.ndim(x) == 3 and ops.dtype(x) == "float32"
    assert not ops.is_tensor(x) and ops.is_tensor(torch.ones(2)) and not ops.is_tensor(np.ones(2))
    with pytest.raises(KerashapeError, match="no numbers yet"):
        ops.convert_to_numpy(x)
    np.testing.assert_array_equal(ops.convert_to_numpy(torch.ones(2)), np.ones(2))
    assert ops.convert_to_numpy([1, 2]).dtype == "int32"


def test_elastic_transform_moves_pixels_a_little() -> None:
    x = Input((16, 12, 3), name="x")
    still = ops.image.elastic_transform(x, alpha=0.0)
    moved = ops.image.elastic_transform(x, alpha=4.0, sigma=2.0, seed=3)
    images = torch.rand(2, 16, 12, 3)
    unmoved, once = Model(x, [still, moved]).to_torch()(images)
    torch.testing.assert_close(unmoved, images)
    assert 0.001 < (once - images).abs().mean() < 0.4
    assert torch.equal(once, ops.image.elastic_transform(images, alpha=4.0, sigma=2.0, seed=3))
    assert ops.empty_like(x).shape == (None, 16, 12, 3) and ops.empty((2, 3)).shape == (2, 3)


# ---- what is refused -------------------------------------------------------------------------------------------------

REFUSED: dict[str, list[Callable[..., Any]]] = {
    "axes": [lambda o, x: o.mean(x, axis=3), lambda o, x: o.argmax(x, axis=-4), lambda o, x: o.softmax(x, axis=5),
             lambda o, x: o.cumsum(x, axis=3), lambda o, x: o.flip(x, axis=4), lambda o, x: o.swapaxes(x, 0, 3),
             lambda o, x: o.moveaxis(x, (0, 1), (2,)), lambda o, x: o.diagonal(x, 0, 1, 1), lambda o, x: o.sort(x, 3)],
    "sizes": [lambda o, x: o.add(x, x[:, :3]), lambda o, x: o.split(x, 4, axis=-1),
              lambda o, x: o.glu(x[:, :3], axis=1), lambda o, x: o.append(x, x[:, :2], axis=2),
              lambda o, x: o.tensordot(x, x, axes=[[1], [2]]), lambda o, x: o.repeat(x, [1, 2], axis=1),
              lambda o, x: o.pad(x, ((1, 1), (2, 2))), lambda o, x: o.inner(x, x[..., :3]),
              lambda o, x: o.cross(x, x), lambda o, x: o.einsum("bij,bjk", x),
              lambda o, x: o.cdist(x, x[..., :3]), lambda o, x: o.slice(x, [0, 0], [1, 1])],
    "matrices": [lambda o, x: o.inv(x), lambda o, x: o.det(x), lambda o, x: o.cholesky(x), lambda o, x: o.eigh(x),
                 lambda o, x: o.qr(x, mode="half"), lambda o, x: o.norm(x, ord="fro", axis=1)],
    "networks": [lambda o, x: o.conv(x, np.ones((3, 4, 2), "float32")), lambda o, x: o.depth_to_space(x, 2),
                 lambda o, x: o.batch_normalization(x, np.ones(5), np.ones(5), axis=-1), lambda o, x: o.unfold(x, 2),
                 lambda o, x: o.categorical_crossentropy(x, x[:, :2]), lambda o, x: o.max_pool(x, 2, padding="most"),
                 lambda o, x: o.max_pool(x[..., None, None, None], 2), lambda o, x: o.one_hot(x, 3, axis=5)],
    "images": [lambda o, x: o.image.resize(x[:, 0], (2, 2)), lambda o, x: o.image.rgb_to_grayscale(x),
               lambda o, x: o.image.rgb_to_hsv(o.cast(x[..., :3], "int32")), lambda o, x: o.image.pad_images(x, 1),
               lambda o, x: o.image.resize(x, (2, 2), crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
               lambda o, x: o.image.resize(x, (0, 2)), lambda o, x: o.image.sobel_edges(x),
               lambda o, x: o.image.crop_images(x, 5, 0, target_height=6, target_width=6),
               lambda o, x: o.image.map_coordinates(x, np.zeros((2, 5), "float32"), 1)],
    "spectra": [lambda o, x: o.fft(x), lambda o, x: o.rfft(x[..., 0])[0][..., 9], lambda o, x: o.fft((x, x[:, :2])),
                lambda o, x: o.stft(x, 4, 0, 4)],
}


@pytest.mark.filterwarnings("ignore:NotImplemented should not be used")  # Keras' own
@pytest.mark.parametrize(("kind", "i"), [(kind, i) for kind, cases in REFUSED.items() for i in range(len(cases))])
def test_refused_as_in_keras(kind: str, i: int) -> None:
    import keras

    with pytest.raises(KerashapeError) as caught:
        REFUSED[kind][i](ops, Input((4, 6), name="x"))
    assert len(str(caught.value)) > 20
    with pytest.raises((ValueError, TypeError, IndexError, NotImplementedError)):
        REFUSED[kind][i](keras.ops, keras.Input((4, 6)))


# ---- dtypes ----------------------------------------------------------------------------------------------------------

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")


@pytest.mark.parametrize("name", ["add", "divide", "maximum", "power", "mod", "less", "arctan2", "where", "concatenate",
                                  "matmul", "logaddexp", "floor_divide", "stack"])
def test_dtypes_of_two(name: str) -> None:
    """Keras' promotion for every pair of dtypes, and for Python's numbers."""
    import keras

    def call(module: Any, a: Any, b: Any) -> Any:
        function = getattr(module, name)
        if name in ("concatenate", "stack"):
            return function([a, b])
        return function(a > 0, a, b) if name == "where" else function(a, b)

    for first in DTYPES:
        x, keras_x = Input((3, 3), dtype=first), keras.Input((3, 3), dtype=first)
        others: list[Any] = [(Input((3, 3), dtype=d), keras.Input((3, 3), dtype=d)) for d in DTYPES]
        others += [] if name in ("concatenate", "stack", "matmul") else [(2, 2), (0.5, 0.5), (True, True)]
        for other, keras_other in others:
            assert call(ops, x, other).dtype == call(keras.ops, keras_x, keras_other).dtype, (first, other)


@pytest.mark.parametrize("name", ["mean", "sum", "prod", "var", "std", "max", "argmax", "any", "median", "exp",
                                  "square", "floor", "sqrt", "cumsum", "absolute", "sign", "softmax", "logsumexp",
                                  "trunc", "clip"])
@pytest.mark.parametrize("dtype", [d for d in DTYPES if "64" not in d])
def test_dtypes_of_one_come_out_as_said(name: str, dtype: str) -> None:
    """What the rule says is what a compiled module gives."""
    x = Input((3,), dtype=dtype)
    y = ops.clip(x, 0, 1) if name == "clip" else getattr(ops, name)(x)
    result = Model(x, y).to_torch()(torch.ones(2, 3).to(getattr(torch, dtype)))
    assert str(result.dtype) == f"torch.{y.dtype}"


# ---- real tensors and constants --------------------------------------------------------------------------------------


def test_real_arrays_and_numbers_run() -> None:
    assert torch.equal(ops.add(np.ones(2, "float32"), 1), torch.full((2,), 2.0))
    assert ops.add(torch.ones(2, dtype=torch.int64), 1).dtype is torch.int64  # 64 bits stay, as on Keras' torch backend
    assert ops.mean([1, 2]).item() == 1.5 and ops.exp(0.0).item() == 1.0
    assert ops.arange(3).dtype is torch.int32 and ops.zeros((2, 3)).shape == (2, 3)
    assert torch.equal(ops.matmul(torch.ones(2, 3), np.eye(3, dtype="float32")), torch.ones(2, 3))


def test_constants_are_buffers_that_no_state_dict_has() -> None:
    x = Input((4, 6), name="x")
    table = np.arange(6, dtype="float64")
    model = Model(x, ops.matmul(x * table, torch.ones(6, 2)))
    module = model.to_torch(dtype="float64")
    assert not module.state_dict() and [b.dtype for b in module.buffers()] == [torch.float64] * 2
    assert module(torch.ones(2, 4, 6, dtype=torch.float64))[0, 0].tolist() == [15.0, 15.0]
    written = model.get_config()["layers"][1]["inbound_nodes"][0]["args"][1]
    assert written == {"class_name": "__numpy__", "config": {"value": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
                                                             "dtype": "float64"}}
    assert harness.plain(model_from_json(model.to_json()).get_config()) == harness.plain(model.get_config())


def test_constants_among_convolutions_keep_their_axes() -> None:
    from kerashape_torch.layers import Conv2D

    x = Input((5, 4, 3), name="x")
    y = Conv2D(2, 3, padding="same")(x)
    shift = np.random.default_rng(0).normal(size=(1, 5, 4, 2)).astype("float32")
    module = Model(x, [y, y + shift, y * shift[0]]).to_torch()
    plain, moved, scaled = module(torch.rand(2, 5, 4, 3))
    torch.testing.assert_close(moved, plain + torch.as_tensor(shift))
    torch.testing.assert_close(scaled, plain * torch.as_tensor(shift[0]))
