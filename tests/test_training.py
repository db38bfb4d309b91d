"""Regularizers, constraints and gradients of compiled modules, held against Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

import kerashape_torch as kt
from kerashape_torch import lowering


def both(k):  # type: ignore[no-untyped-def]
    layers = k.layers
    return k.Sequential([layers.Input((5, 4)), layers.Conv1D(3, 2, kernel_regularizer="l2", activation="tanh"),
                         layers.LSTM(3, recurrent_regularizer=k.regularizers.L1(0.02), bias_regularizer="l1"),
                         layers.Dense(2, kernel_regularizer=k.regularizers.L1L2(0.1, 0.2),
                                      kernel_constraint="max_norm")])


def pair() -> tuple[keras.Sequential, torch.nn.Module]:
    keras.utils.clear_session(free_memory=False)
    theirs, module = both(keras), both(kt).to_torch()
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=w.shape).astype("float32") for w in theirs.weights]
    theirs.set_weights(weights)
    kt.set_keras_weights(module, weights)
    return theirs, module


def test_regularization_loss_is_keras_sum_of_losses() -> None:
    theirs, module = pair()
    want = float(sum(theirs.losses).detach())
    loss = kt.regularization_loss(module)
    assert float(loss.detach()) == pytest.approx(want, rel=1e-5)
    loss.backward()
    assert module.dense.weight.grad is not None


def test_gradients_are_keras_gradients() -> None:
    theirs, module = pair()
    x = np.random.default_rng(1).normal(size=(3, 5, 4)).astype("float32")
    theirs.zero_grad()
    theirs(torch.as_tensor(x)).sum().backward()
    module(torch.as_tensor(x)).sum().backward()
    for variable, spec in zip(theirs.trainable_variables, lowering.keras_weights(module).specs, strict=True):
        parts = [lowering.weights.from_place(lowering.weights.tensor_at(module, p.path).grad, p) for p in spec.places]
        np.testing.assert_allclose(parts[0].numpy(), variable.value.grad.cpu().numpy(), rtol=1e-4, atol=1e-5)


def test_a_constraint_holds_after_each_step() -> None:
    _, module = pair()
    optimizer = torch.optim.SGD(module.parameters(), lr=10.0)
    optimizer.register_step_post_hook(kt.constraint_hook(module))
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.randn(8, 5, 4)).square().sum().backward()
        optimizer.step()
        assert module.dense.weight.norm(dim=1).max() <= 2 + 1e-4


def test_frozen_layers_have_no_gradients_and_no_regularization() -> None:
    model = both(kt)
    model.layers[0].trainable = False
    module = model.to_torch()
    assert [name for name, p in module.named_parameters() if not p.requires_grad and "bias_hh" not in name] == [
        "conv1d.weight", "conv1d.bias"]
