"""Optimizers and learning-rate schedules, held against Keras: the weights after one step and after twenty."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from live import numbers

import kerashape_torch as kt
from kerashape_torch import optimizers
from kerashape_torch.errors import ConfigError, KerashapeError
from kerashape_torch.optimizers import schedules
from kerashape_torch.torch_modules.places import to_place
from kerashape_torch.training.optimizers import variables_of

SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5}),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5, "staircase": True}),
    ("PiecewiseConstantDecay", {"boundaries": [3, 8], "values": [0.1, 0.05, 0.01]}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 8}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 8, "power": 2.0, "end_learning_rate": 0.01,
                         "cycle": True}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 8}),
    ("CosineDecay", {"initial_learning_rate": 0.01, "decay_steps": 9, "alpha": 0.1, "warmup_target": 0.1,
                     "warmup_steps": 4}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 4}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 5, "t_mul": 1.0, "m_mul": 0.5,
                             "alpha": 0.2}),
]

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}), ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}), ("SGD", {"nesterov": True}),
    ("SGD", {"weight_decay": 0.1}), ("SGD", {"clipnorm": 0.1}), ("SGD", {"clipvalue": 0.01}),
    ("SGD", {"global_clipnorm": 0.1}), ("SGD", {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3}),
    ("SGD", {"momentum": 0.5, "gradient_accumulation_steps": 3, "use_ema": True, "ema_overwrite_frequency": 2}),
    ("SGD", {"loss_scale_factor": 8.0}),
    ("Adam", {}), ("Adam", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    ("Adam", {"amsgrad": True, "learning_rate": 0.02}), ("Adam", {"weight_decay": 0.3, "clipnorm": 0.2}),
    ("Adam", {"gradient_accumulation_steps": 2}),
    ("AdamW", {}), ("AdamW", {"learning_rate": 0.02, "weight_decay": 0.2, "amsgrad": True}),
    ("RMSprop", {}), ("RMSprop", {"centered": True, "rho": 0.8}), ("RMSprop", {"momentum": 0.5}),
    ("RMSprop", {"momentum": 0.5, "centered": True, "epsilon": 1e-3, "learning_rate": 0.01}),
    ("Adagrad", {}), ("Adagrad", {"learning_rate": 0.1, "initial_accumulator_value": 0.01, "epsilon": 1e-3}),
    ("Adadelta", {"learning_rate": 1.0}), ("Adadelta", {"learning_rate": 0.5, "rho": 0.8, "clipnorm": 0.5}),
    ("Adamax", {}), ("Adamax", {"learning_rate": 0.02, "beta_1": 0.8}), ("Nadam", {}), ("Nadam", {"beta_1": 0.8}),
    ("Lion", {}), ("Lion", {"beta_1": 0.7, "weight_decay": 0.1}),
    ("Ftrl", {"learning_rate": 0.1}),
    ("Ftrl", {"learning_rate": 0.1, "l1_regularization_strength": 0.01, "l2_regularization_strength": 0.1, "beta": 0.1,
              "l2_shrinkage_regularization_strength": 0.1, "learning_rate_power": -0.7}),
    ("Lamb", {"learning_rate": 0.02}), ("Lamb", {"weight_decay": 0.1}),
    ("Adafactor", {"learning_rate": 0.1}), ("Adafactor", {"clip_threshold": 0.5, "beta_2_decay": -0.5}),
    ("ScheduleFreeAdamW", {}), ("ScheduleFreeAdamW", {"warmup_steps": 5, "weight_decay": 0.1}),
    ("Muon", {"learning_rate": 0.01}), ("Muon", {"nesterov": False, "rms_rate": None, "adam_lr_ratio": 0.5}),
    ("Muon", {"exclude_layers": ["last"], "weight_decay": None}),
]


LEGACY = json.loads((Path(__file__).parent / "data" / "legacy_optimizers.json").read_text())
"""Recorded from tf_keras by scripts/record_legacy_optimizers.py."""


def rounded(written: Any) -> Any:
    """Keras keeps learning rates in float32, and so writes 0.009999999776482582 where 0.01 was said."""
    return json.loads(json.dumps(written), parse_float=lambda text: float(np.float32(text)))


# ---- schedules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "arguments"), SCHEDULES)
def test_schedules_are_those_of_keras(name: str, arguments: dict[str, Any]) -> None:
    ours, theirs = getattr(schedules, name)(**arguments), getattr(keras.optimizers.schedules, name)(**arguments)
    assert schedules.serialize(ours) == keras.optimizers.schedules.serialize(theirs)
    again = schedules.deserialize(json.loads(json.dumps(schedules.serialize(ours))))
    for step in range(31):
        assert ours(step) == again(step) == pytest.approx(float(theirs(step)), rel=1e-5, abs=1e-7), step


def test_a_schedule_of_ones_own() -> None:
    class Half(schedules.LearningRateSchedule):
        start: float = 1.0

        def __call__(self, step: int) -> float:
            return self.start / 2**step

    written = json.loads(json.dumps(optimizers.serialize(optimizers.SGD(Half(2.0)))))
    read = optimizers.deserialize(written, custom_objects={"Half": Half})
    assert isinstance(read.learning_rate, Half) and read.rate_at(2) == 0.5


@pytest.mark.parametrize(("name", "arguments"), [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 0, "decay_rate": 0.5}),
    ("PiecewiseConstantDecay", {"boundaries": [3], "values": [0.1]}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": -1})])
def test_what_is_no_schedule(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=name):
        getattr(schedules, name)(**arguments)


# ---- optimizers ------------------------------------------------------------------------------------------------------


def net(k: Any, dtype: str = "float32") -> Any:
    """Weights of every rank; some lie transposed in torch, and one in two places (the bias of the GRU)."""
    layers, limit = k.layers, k.constraints.MaxNorm(0.875)
    return k.Sequential([layers.Input((5,), dtype="int32"), layers.Embedding(7, 4, dtype=dtype),
                         layers.Conv1D(6, 2, dtype=dtype), layers.GRU(3, dtype=dtype),
                         layers.Dense(3, name="last", kernel_constraint=limit, dtype=dtype)])


def trained(theirs_spec: Any, ours_spec: Any, steps: int,
            dtype: str = "float32") -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The weights after some steps along the same gradients."""
    keras.utils.clear_session(free_memory=False)
    theirs, module = net(keras, dtype), net(kt, dtype).to_torch()
    weights = [(numbers(*w.shape, seed=i) * 0.5).astype(dtype) for i, w in enumerate(theirs.get_weights())]
    theirs.set_weights(weights)
    kt.set_keras_weights(module, weights)
    optimizer, variables = ours_spec.to_torch(module), variables_of(module)
    for step in range(steps):
        gradients = [torch.as_tensor((numbers(*w.shape, seed=100 * step + i) * 0.1).astype(dtype))
                     for i, w in enumerate(weights)]
        theirs_spec.apply([g.clone() for g in gradients], theirs.trainable_variables)
        go(optimizer, variables, gradients)
    assert all(w.dtype == dtype for w in (*theirs.get_weights(), *kt.get_keras_weights(module)))
    return theirs.get_weights(), kt.get_keras_weights(module)


def go(optimizer: Any, variables: list[Any], gradients: list[torch.Tensor]) -> None:
    """A step along gradients in Keras' layout."""
    for variable, gradient in zip(variables, gradients, strict=True):
        for place, parameter in zip(variable.spec.places, variable.parameters):
            parameter.grad = to_place(gradient, place, len(variable.parameters)).reshape(parameter.shape).clone()
    optimizer.step()


def assert_same(theirs: list[np.ndarray], ours: list[np.ndarray], within: float = 1e-5) -> None:
    for x, y in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(y, x, rtol=within, atol=within)


@pytest.mark.parametrize("steps", [1, 20])
@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_weights_after_some_steps_are_those_of_keras(name: str, arguments: dict[str, Any], steps: int) -> None:
    """To 1e-5, which is the rounding of float32: after one step they differ by less than 1e-6, but for Muon."""
    theirs = getattr(keras.optimizers, name)
    if name == "ScheduleFreeAdamW":
        theirs = OutOfPlace
    weights = trained(theirs(**arguments), getattr(optimizers, name)(**arguments), steps)
    if name != "Muon":
        assert_same(*weights, within=1e-5 if steps > 1 else 1e-6)
    else:  # its iteration stretches small singular values 3.4-fold, and their rounding with them, five times in a step
        assert_same(*weights, within=1e-4 if steps > 1 else 1e-5)


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_in_float64_a_step_is_that_of_keras_to_1e_9(name: str, arguments: dict[str, Any]) -> None:
    """Keras keeps the learning rate in float32 always, and what is multiplied with it; so these are powers of 2. Ftrl,
    Adafactor and Muon round more of their numbers to float32."""
    exact = {**arguments, "learning_rate": 2.0**-6}
    exact |= {key: 0.25 for key in ("weight_decay", "beta") if arguments.get(key)}
    exact |= {"adam_weight_decay": 0.25, "weight_decay": arguments.get("weight_decay", 0.5)} if name == "Muon" else {}
    exact |= {"weight_decay": 0.5} if name == "AdamW" else {}
    theirs = OutOfPlace if name == "ScheduleFreeAdamW" else getattr(keras.optimizers, name)
    assert_same(*trained(theirs(**exact), getattr(optimizers, name)(**exact), 1, "float64"),
                within=1e-8 if name in ("Ftrl", "Adafactor", "Muon") else 1e-9)


class OutOfPlace(keras.optimizers.ScheduleFreeAdamW):
    """Keras keeps the variable's last value to use it after the variable has changed. On torch both are one tensor, and
    the numbers differ from those on other backends, which are meant."""

    def assign_sub(self, variable: Any, value: Any) -> None:
        variable._value = (variable.value - value).detach()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adafactor"])
def test_a_schedule_counts_the_steps(name: str) -> None:
    decay = {"initial_learning_rate": 0.1, "decay_steps": 8}
    extra = {"momentum": 0.9} if name == "SGD" else {}
    assert_same(*trained(getattr(keras.optimizers, name)(keras.optimizers.schedules.CosineDecay(**decay), **extra),
                         getattr(optimizers, name)(schedules.CosineDecay(**decay), **extra), 10))


def test_variables_that_do_not_decay() -> None:
    ours, theirs = optimizers.AdamW(weight_decay=0.5), keras.optimizers.AdamW(weight_decay=0.5)
    for spec in (ours, theirs):
        spec.exclude_from_weight_decay(var_names=["bias", "recurrent"])
    assert_same(*trained(theirs, ours, 3))


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS)
def test_configs_are_those_of_keras(name: str, arguments: dict[str, Any]) -> None:
    keras.utils.clear_session(free_memory=False)
    ours, theirs = getattr(optimizers, name)(**arguments), getattr(keras.optimizers, name)(**arguments)
    written = optimizers.serialize(ours)
    assert written["module"] == "keras.optimizers" and written["registered_name"] is None
    expected = {**theirs.get_config(), "name": written["config"]["name"]}
    if name == "Muon":
        expected["exclude_layers"] = expected["exclude_layers"] or None
    assert rounded(written["config"]) == rounded(expected)
    assert rounded(keras.saving.deserialize_keras_object(json.loads(json.dumps(written))).get_config()) == rounded(
        {**expected, "exclude_layers": expected["exclude_layers"] or []} if name == "Muon" else expected)
    read = optimizers.deserialize(json.loads(json.dumps(keras.optimizers.serialize(theirs))))
    assert type(read) is type(ours) and rounded(read.get_config()) == rounded(
        {**expected, "name": theirs.name, **({"exclude_layers": arguments.get("exclude_layers", [])}
                                             if name == "Muon" else {})})


@pytest.mark.parametrize("case", LEGACY["cases"], ids=lambda case: case["optimizer_config"]["class_name"])
def test_optimizers_of_keras_1_and_2_compute_what_they_did(case: dict[str, Any]) -> None:
    model = kt.Sequential([kt.layers.Dense(2, input_shape=(3,))])
    model.compile_from_config({"optimizer_config": case["optimizer_config"], "loss": "mse"})
    module = model.to_torch()
    kt.set_keras_weights(module, in_shapes(LEGACY["start"]))
    optimizer, variables = model.optimizer.to_torch(module), variables_of(module)
    for step, gradients in enumerate(LEGACY["gradients"], 1):
        go(optimizer, variables, [torch.as_tensor(g) for g in in_shapes(gradients)])
        if f"after_{step}" in case:
            assert_same(in_shapes(case[f"after_{step}"]), kt.get_keras_weights(module), within=1e-6 * step)


def in_shapes(arrays: list[list[float]]) -> list[np.ndarray]:
    return [np.array(x, "float32").reshape(shape) for x, shape in zip(arrays, [(3, 2), (2,)], strict=True)]


def test_the_arithmetic_of_keras_2_is_kept_no_longer_than_until_it_is_saved() -> None:
    model = kt.Sequential([kt.layers.Dense(2, input_shape=(3,))])
    model.compile_from_config({"optimizer_config": {"class_name": "Nadam", "config": {
        "lr": 0.002, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "schedule_decay": 0.01}}, "loss": "mse"})
    assert type(model.optimizer) is optimizers.legacy.Nadam and model.optimizer.decay == 0.01
    written = model.get_compile_config()["optimizer"]
    assert written["class_name"] == "Nadam" and "decay" not in written["config"]
    assert keras.saving.deserialize_keras_object(written).epsilon == 1e-8


def test_before_tf_keras_all_gradients_were_clipped_together() -> None:
    def read(config: dict[str, Any]) -> Any:
        model = kt.Sequential([kt.layers.Dense(2, input_shape=(3,))])
        model.compile_from_config({"optimizer_config": {"class_name": "SGD", "config": config}})
        return model.optimizer

    said = {"decay": 0.0, "momentum": 0.0, "nesterov": False, "clipnorm": 0.5}
    assert repr(read({"lr": 0.1, **said})) == "SGD(learning_rate=0.1, global_clipnorm=0.5)"
    assert read({"name": "SGD", "learning_rate": 0.1, **said}).clipnorm == 0.5
    with pytest.raises(ConfigError, match=r"decay=0\.5 beside it"):
        read({"name": "SGD", "decay": 0.5, "learning_rate": schedules.serialize(schedules.CosineDecay(0.1, 5))})


@pytest.mark.parametrize("name", ["sgd", "SGD", "adam", "Adam", "adamw", "AdamW", "rmsprop", "RMSprop", "nadam",
                                  "adadelta", "ADAM", "Custom>Adam"])
def test_names_as_keras_takes_them(name: str) -> None:
    assert type(optimizers.get(name)).__name__.lower() == name.rpartition(">")[2].lower()


def test_stock_classes_where_they_compute_the_same() -> None:
    module = kt.layers.Dense(2, input_shape=(3,)).to_torch()
    assert type(optimizers.SGD(momentum=0.9, nesterov=True).to_torch(module)) is torch.optim.SGD
    assert type(optimizers.Adadelta().to_torch(module)) is torch.optim.Adadelta
    made = [optimizers.SGD(clipnorm=1.0), optimizers.SGD(schedules.CosineDecay(0.1, 5)), optimizers.Adam()]
    assert not any(type(spec.to_torch(module)).__module__.startswith("torch") for spec in made)


def test_the_state_goes_through_a_state_dict() -> None:
    def run(steps: int, load: Any = None) -> tuple[Any, Any]:
        torch.manual_seed(0)
        module = kt.layers.Dense(2, input_shape=(3,), kernel_initializer="ones").to_torch()
        optimizer = optimizers.Nadam(0.1, use_ema=True).to_torch(module)
        if load is not None:
            module.load_state_dict(load[0])
            optimizer.load_state_dict(load[1])
        for step in range(steps):
            optimizer.zero_grad()
            module(torch.full((1, 3), step + 1.0 + (3 if load else 0))).square().sum().backward()
            optimizer.step()
        return {k: v.clone() for k, v in module.state_dict().items()}, optimizer.state_dict()

    whole, halves = run(6)[0], run(3, run(3))[0]
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_a_scheduler_of_torch_moves_the_learning_rate() -> None:
    module = kt.layers.Dense(2, input_shape=(3,)).to_torch()
    optimizer = optimizers.Adam(0.1).to_torch(module)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0.05


@pytest.mark.parametrize(("make", "message"), [
    (lambda: optimizers.get("adm"), "Did you mean 'adam'"),
    (lambda: optimizers.get("MultiOptimizer"), "torch optimizer for each group"),
    (lambda: optimizers.get(kt.regularizers.L1()), "not one of keras.optimizers"),
    (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), "clipnorm and clipvalue"),
    (lambda: optimizers.SGD("fast"), "must be a number"),
    (lambda: optimizers.SGD(momentum=2.0), "between 0 and 1"),
    (lambda: optimizers.AdamW(weight_decay=None), "Adam goes without"),
    (lambda: optimizers.Adam(gradient_accumulation_steps=1), "2 or more"),
    (lambda: optimizers.Adam(lr=0.1), "no argument 'lr'"),
    (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), clipnorm=1.0), "give it to the inner optimizer"),
    (lambda: optimizers.Ftrl(l1_regularization_strength=-1.0), "0 or more"),
    (lambda: optimizers.SGD().to_torch(torch.nn.Linear(2, 2)), "not what to_torch"),
    (lambda: optimizers.SGD().to_torch(kt.layers.Flatten(input_shape=(2, 2)).to_torch()), "nothing to train")])
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(KerashapeError, match=message):
        make()


@pytest.mark.parametrize("room", ["optimizers", "optimizers.base", "optimizers.schedules", "optimizers.scaling",
                                  "optimizers.momentum", "optimizers.legacy", "training.tensors"])
def test_doctests(room: str) -> None:
    module = __import__(f"kerashape_torch.{room}", fromlist=["_"])
    found = doctest.testmod(module)
    assert found.attempted > 0 and found.failed == 0
