"""Layers of a user's own whose ``build`` adds to lists, is called by another layer's, or by a shape rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from harness import TORCH
from test_idioms import check

import kerashape_torch as kt
from kerashape_torch.errors import ShapeError


def kernels_in_a_list(k: Any) -> Any:
    """As cross networks of recommenders have them."""
    class Cross(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, depth: int = 2, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.depth = depth

        def build(self, shape: Any) -> None:
            self.kernels = [self.add_weight(name=f"kernel{i}", shape=(shape[-1], 1)) for i in range(self.depth)]
            self.biases = {"all": [self.add_weight(name="bias", shape=(shape[-1],)) for _ in range(self.depth)]}

        def call(self, x0: Any) -> Any:
            x = x0
            for kernel, bias in zip(self.kernels, self.biases["all"]):
                x = x0 * k.ops.matmul(x, kernel) + bias + x
            return x

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "depth": self.depth}

    x = k.Input((5,))
    return k.Model(x, Cross(3)(Cross(name="first")(x)))


def layers_added_by_build(k: Any) -> Any:
    """Lists and dicts that ``__init__`` makes and ``build`` fills, and one with layers and weights in it."""
    class Tower(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, units: int = 4, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units, self.steps, self.scales = units, [], []

        def build(self, shape: Any) -> None:
            for _ in range(2):
                self.steps.append(k.layers.Dense(self.units, activation="tanh"))
                self.scales.append(self.add_weight((self.units,), "ones", name=f"s{len(self.scales)}"))

        def call(self, x: Any) -> Any:
            for step, scale in zip(self.steps, self.scales):
                x = step(x) * scale
            return x

    x = k.Input((4,))
    tower = Tower(4)
    return k.Model(x, tower(tower(x)))


def build_of_a_layer_inside(k: Any) -> Any:
    """As Keras 3 asks for it: a layer builds those inside it."""
    class Gate(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.steps = []

        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(shape=(shape[-1],), name="scale")
            self.steps.append(k.layers.Dense(shape[-1], name="inner"))
            self.steps[-1].build(shape)
            self.width = shape[-1]
            self.built = True

        def call(self, x: Any) -> Any:
            for step in self.steps:
                x = step(x)
            return x * self.scale / self.width

    class Block(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.gate = Gate(name="gate")
            self.dense = k.layers.Dense(3)

        def build(self, shape: Any) -> None:
            self.gate.build(shape)
            self.dense.build((*shape[:-1], self.gate.width))
            self.built = True

        def call(self, x: Any) -> Any:
            return self.dense(self.gate(x))

    x = k.Input((7, 6))
    return k.Model(x, Block()(x))


def shapes_that_build_finds(k: Any) -> Any:
    """The rule of a layer says what its ``build`` has found, for a batch of any size."""
    class Residual(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, units: int = 4, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units
            self.conv = k.layers.Conv1D(units, 3, padding="same")

        def build(self, shape: Any) -> None:
            self.conv.build(shape)
            self.found = self.conv.compute_output_shape(shape)

        def compute_output_shape(self, shape: Any) -> Any:
            return [self.found, self.found]

        def call(self, x: Any) -> Any:
            y = self.conv(x)
            return [k.ops.relu(y), y]

    class Chain(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.blocks = []
            self.end = None

        def build(self, shape: Any) -> None:
            self.blocks, self.end = [], shape
            for _ in range(2):
                self.blocks.append(Residual(4))
                self.blocks[-1].build(self.end)
                self.end = self.blocks[-1].found

        def compute_output_shape(self, shape: Any) -> Any:
            if not self.built:
                self.build(shape)
            return tuple(self.end)

        def call(self, x: Any) -> Any:
            skipped = []
            for block in self.blocks:
                x, skip = block(x)
                skipped.append(skip)
            return skipped[0] + skipped[1]

    return k.Sequential([k.layers.Input((9, 3)), Chain(), k.layers.GlobalMaxPooling1D()])


def a_rule_that_asks_what_build_found(k: Any) -> Any:
    """As the attention that is copied most: the rule of the shape reads an attribute that ``build`` sets."""
    class Attention(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, **kwargs: Any) -> None:
            self.features = 0
            super().__init__(**kwargs)

        def build(self, shape: Any) -> None:
            self.w = self.add_weight(shape=(shape[-1],), name="w")
            self.features = shape[-1]

        def call(self, x: Any) -> Any:
            weights = k.ops.softmax(k.ops.sum(x * self.w, axis=-1), axis=1)
            return k.ops.sum(x * k.ops.expand_dims(weights, -1), axis=1)

        def compute_output_shape(self, shape: Any) -> Any:
            return shape[0], self.features

    x = k.Input((5, 6))
    return k.Model(x, k.layers.Dense(2)(Attention()(x)))


def test_a_rule_does_without_sizes_that_weights_need() -> None:
    class Pooled(kt.layers.Layer):
        def build(self, shape: Any) -> None:
            self.w = self.add_weight(shape=(shape[1], 1))

        def call(self, x: Any) -> Any:
            return kt.ops.sum(x * self.w, axis=1)

        def compute_output_shape(self, shape: Any) -> Any:
            return shape[0], shape[-1]

    assert Pooled().compute_output_shape((None, None, 3)) == (None, 3)


@pytest.mark.parametrize("program", [
    a_rule_that_asks_what_build_found, kernels_in_a_list, layers_added_by_build, build_of_a_layer_inside,
    shapes_that_build_finds])
def test_each_is_built_once_as_in_keras(program: Any, tmp_path: Any) -> None:
    theirs, ours = check(program)
    assert ours.count_params() == theirs.count_params()
    classes = {type(layer).__name__: type(layer) for layer in ours.layers if layer.is_users_own()}
    if program is not shapes_that_build_finds:  # a class whose rule asks for build cannot be read by Keras either
        theirs.save(tmp_path / "theirs.keras")
        found = kt.load_model(tmp_path / "theirs.keras", custom_objects=classes)
        x = np.random.default_rng(2).normal(size=(2, *theirs.input_shape[1:])).astype("float32")
        expected = theirs(x).detach()
        torch.testing.assert_close(found.to_torch()(torch.from_numpy(x)).detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("program", [kernels_in_a_list, layers_added_by_build, build_of_a_layer_inside])
def test_they_are_ported(program: Any, tmp_path: Any) -> None:
    kt.saving.port(program(kt), tmp_path / "out")
    assert "import kerashape" not in (tmp_path / "out" / "model.py").read_text()


def test_weights_in_lists_are_parameters_of_the_module() -> None:
    module = kernels_in_a_list(kt).to_torch()
    names = [name for name, _ in module.named_parameters()]
    assert names[:4] == ["first.kernels_0", "first.kernels_1", "first.biases_all_0", "first.biases_all_1"]
    x = torch.ones(2, 5)
    module(x).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    torch.testing.assert_close(torch.compile(module, backend="eager", fullgraph=TORCH >= (2, 11))(x), module(x))


class Positions(kt.layers.Layer):
    """Numbers that ``__init__`` and ``build`` make go where the module goes, and into no file."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = kt.ops.convert_to_tensor([0.5])

    def build(self, shape: Any) -> None:
        self.waves = kt.backend.constant(np.sin(np.arange(shape[1] * shape[2])).reshape(1, shape[1], shape[2]))
        self.steps = kt.ops.arange(shape[1])
        self.w = self.add_weight((shape[2],), "ones", name="w")

    def call(self, x: Any) -> Any:
        return x * self.w + self.waves * self.scale + kt.ops.cast(self.steps, "float32")[:, None]


def test_numbers_that_build_makes_are_kept() -> None:
    x = kt.Input((3, 4))
    module = kt.Model(x, Positions()(x)).to_torch()
    expected = np.sin(np.arange(12)).reshape(1, 3, 4) * 0.5 + np.arange(3)[:, None] + 1
    np.testing.assert_allclose(module(torch.ones(2, 3, 4)).detach(), np.tile(expected, (2, 1, 1)), rtol=1e-4, atol=1e-5)
    assert list(module.state_dict()) == ["positions.w"]
    assert {name for name, _ in module.named_buffers()} == {"positions.scale", "positions.waves", "positions.steps"}
    elsewhere = kt.Model(x, Positions()(x)).to_torch(device="meta")
    assert elsewhere(torch.ones(2, 3, 4, device="meta")).shape == (2, 3, 4)


def test_an_array_that_meets_a_tensor_is_named() -> None:
    class Shifted(kt.layers.Layer):
        def call(self, x: Any) -> Any:
            return x + np.arange(4.0)

    with pytest.raises(ShapeError, match=r"a NumPy array meets a tensor: ops.convert_to_tensor\(array\) makes one of"):
        Shifted()(kt.Input((4,)))


def layers_with_models_without_a_shape(k: Any) -> Any:
    """As the feed forward of a transformer is written: a Sequential that is told no shape, two layers deep."""
    class FeedForward(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, units: int = 6, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.supports_masking = True
            self.seq = k.Sequential([k.layers.Dense(5, activation="relu"), k.layers.Dense(units)])
            self.add = k.layers.Add()

        def call(self, x: Any) -> Any:
            return self.add([x, self.seq(x)])

    class Block(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.supports_masking = True
            self.ffn = FeedForward(6)

        def call(self, x: Any) -> Any:
            return self.ffn(x)

    class Blocks(k.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.supports_masking = True
            self.blocks = [Block() for _ in range(2)]

        def call(self, x: Any) -> Any:
            for block in self.blocks:
                x = block(x)
            return x

    x = k.Input((7,), dtype="int32")
    return k.Model(x, Blocks()(k.layers.Embedding(9, 6, mask_zero=True)(x)))


@pytest.mark.filterwarnings("ignore:(?s).*was passed an input with a mask")  # which Keras says of its Sequential
def test_models_without_a_shape_lie_two_layers_deep() -> None:
    from test_idioms import both, same

    theirs, ours = both(layers_with_models_without_a_shape)
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs.weights]
    words = np.array([[1, 2, 3, 0, 0, 0, 0], [4, 5, 6, 7, 8, 1, 2]], "int32")
    module = ours.to_torch()
    kt.set_keras_weights(module, theirs.get_weights())
    same(module(torch.from_numpy(words)), theirs(words))


class Scored(kt.layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = kt.layers.Dense(4)

    def call(self, x: Any) -> Any:
        self.scores = kt.ops.softmax(self.dense(x))
        return x * self.scores


class Around(kt.layers.Layer):
    def __init__(self, uses: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.uses, self.inner = uses, Scored()

    def call(self, x: Any) -> Any:
        x = self.inner(x)
        self.scores = self.inner.scores
        return x + self.scores if self.uses else x


def test_what_a_call_inside_sets_may_be_handed_on_and_not_used() -> None:
    x = kt.Input((4,))
    module = kt.Model(x, Around()(x)).to_torch()
    assert module(torch.ones(2, 4)).shape == (2, 4)
    with pytest.raises(ShapeError, match=r"sets 'scores' in its call, and only what a call returns is kept. Way out"):
        Around(uses=True)(x)


def test_a_sequential_without_layers_is_refused_with_the_way_out() -> None:
    class Shortcut(kt.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.same = kt.Sequential()

        def call(self, x: Any) -> Any:
            return x + self.same(x)

    with pytest.raises(ShapeError, match=r"sequential has no layers to build.*layers.Identity\(\) gives back what"):
        Shortcut()(kt.Input((4,)))


def weights_standardized(k: Any) -> Any:
    """A layer of Keras extended, whose attributes are Keras': sizes for each axis, functions for names."""
    class Standardized(k.layers.Conv2D):  # type: ignore[misc, name-defined]
        def build(self, shape: Any) -> None:
            super().build(shape)
            self.scale = self.add_weight(shape=self.kernel_size + (1, self.filters), name="scale",
                                         initializer=self.kernel_initializer, regularizer=self.kernel_regularizer)

        def call(self, x: Any) -> Any:
            kernel = self.kernel - k.ops.mean(self.kernel, axis=(0, 1, 2), keepdims=True)
            y = k.ops.conv(x, kernel * self.scale, strides=self.strides, padding=self.padding,
                           data_format=self.data_format, dilation_rate=self.dilation_rate)
            y = y + self.bias if self.use_bias else y
            return self.activation(y) if self.activation is not None else y

    class Cosine(k.layers.Dense):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:
            return self.activation(k.ops.matmul(x, self.kernel) / (1 + k.ops.sum(k.ops.abs(self.kernel), axis=0)))

    x = k.Input((9, 9, 3))
    h = Standardized(4, 3, strides=2, padding="same", activation="relu")(x)
    return k.Model(x, Cosine(2, activation="tanh")(Cosine(3)(k.layers.Flatten()(Standardized(2, 2)(h)))))


def test_a_layer_of_keras_that_is_extended_has_keras_attributes() -> None:
    _, ours = check(weights_standardized)
    assert "activation='relu'" in repr(ours.layers[1]) and ours.layers[1].get_config()["activation"] == "relu"
    assert "activation='relu'" in str(ours.to_torch())
