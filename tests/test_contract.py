"""One contract for every layer in the catalog.

Output shape = the module on the meta device at two batch sizes = weight shapes = parameter counts = config round trip =
Keras' numbers, for each case that was recorded from Keras. A layer without cases fails.
"""

from __future__ import annotations

import inspect
from typing import Any

import harness
import keras
import live
import numpy as np
import pytest
import torch
from harness import NOT_REPLAYABLE, Case

import kerashape_torch.layers  # fills the catalog
from kerashape_torch.errors import KerashapeError
from kerashape_torch.layer import Layer
from kerashape_torch.lowering.compile import model_to_torch
from kerashape_torch.models import InputLayer
from kerashape_torch.structure import flatten

CASES = [case for case in harness.layer_cases() if harness.known(case)]
NUMERIC = [case for case in harness.numeric_cases() if harness.known(case)]
GOOD = [case for case in CASES if case["error"] is None]
BAD = [case for case in CASES if case["error"] is not None]
LIVE = [case for case in GOOD if case["backend"] == "torch" and case.get("real_output_shape") is not None
        and not case.get("real_error") and case["class_name"] != "InputLayer" and case["id"] not in harness.LAMBDAS]


def by_id(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case["id"] for case in cases])


# Where Keras' symbolic rule contradicts its own real output, we follow the real one: case id -> what differs.
REAL_SHAPE_INSTEAD: dict[str, str] = {
    "Activation_021": "Keras says that glu keeps the last axis; it halves it",
    "Bidirectional_027": "Keras says 2 x the forward units; the backward layer given has others",
    "CategoryEncoding_011": "Keras says that the last axis is counted; it counts axis 1",
    "EinsumDense_006": "Keras reverses several axes under a left '...'",
    "Hashing_004": "Keras says (batch, bins); each of the hashed elements has a vector",
    **dict.fromkeys(("MelSpectrogram_001", "MelSpectrogram_003", "MelSpectrogram_005"),
                    "Keras says (batch, mels, 1) of three axes; it keeps all before the samples"),
    "MultiHeadAttention_008": "Keras says (queries, queries) of the scores, which are (queries, keys)",
}

# Accepted by Keras' symbolic rule, refused by its computation; we refuse early. Case id -> why it can never run.
REFUSED_EARLY: dict[str, str] = {}


def test_every_layer_has_cases() -> None:
    covered = {case["class_name"] for case in CASES}
    classes = {cls.__name__ for name, cls in Layer.catalog().items() if name not in harness.NOT_LAYERS
               and cls.__module__.split(".")[-1] not in harness.NO_CASES}
    assert sorted(classes - covered) == []


@pytest.mark.parametrize("name", sorted({case["class_name"] for case in CASES}))
def test_arguments_come_in_keras_order(name: str) -> None:
    """By position too; what Keras takes last, a name or a dtype, is given by name here."""
    theirs = [p.name for p in inspect.signature(getattr(keras.layers, name).__init__).parameters.values()
              if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in ("self", "name", "dtype", "input_tensor")]
    ours = [argument for argument in Layer.catalog()[name]._positional if argument != "dtype"]
    if name == "Bidirectional":
        theirs.remove("weights")  # ours takes it by position as well, and says the way out
    assert ours[:len(theirs)] == theirs


@by_id(GOOD)
def test_shapes(case: Case) -> None:
    if case["id"] in REFUSED_EARLY:
        with pytest.raises(KerashapeError):
            harness.call(case, harness.make(case))
        return
    outputs = harness.call(case, harness.make(case))
    expected = case["real_output_shape"] if case["id"] in REAL_SHAPE_INSTEAD else case["output_shape"]
    if case["id"] in REAL_SHAPE_INSTEAD:
        outputs = harness.call(case, harness.make(case), case["real_input_shapes"])
    assert harness.plain(harness.shapes_as_recorded(outputs)) == expected


@by_id(GOOD)
def test_dtypes_and_masks(case: Case) -> None:
    """Of every symbolic output; and whether the layer lets masks through."""
    if case["id"] in REFUSED_EARLY:
        pytest.skip(REFUSED_EARLY[case["id"]])
    layer = harness.make(case)
    outputs = harness.call(case, layer)
    assert [x.dtype for x in flatten(outputs)] == flatten(case["output_dtype"])
    assert layer.supports_masking == case["supports_masking"]


@by_id([case for case in GOOD if case.get("real_output_shape") is not None and not case.get("real_error")])
def test_module_gives_the_shapes(case: Case) -> None:
    """On the meta device, at the recorded batch of 2 and at a batch of 3."""
    layer = harness.make(case)
    if isinstance(layer, InputLayer) or case["id"] in NOT_REPLAYABLE:
        pytest.skip(NOT_REPLAYABLE.get(case["id"], "an input has no module"))
    model = harness.as_model(layer, harness.call(case, layer, case["input_shapes"]))
    module = model.to_torch(device="meta")
    expected = harness.flat_shapes(case["real_output_shape"])
    for batch in (2, 3) if not harness.is_stateful(case) else (2,):
        shapes = _real_shapes(case, model, batch)
        result = module(*[harness.stand_in(s, x.dtype) for s, x in zip(shapes, model.graph.flat_inputs)])
        got = [_by_values(list(x.shape), y, s, model) for x, y, s in zip(flatten(result), model.graph.flat_outputs,
                                                                         expected, strict=True)]
        assert got == [_with_batch(s, x.shape, batch) for s, x in zip(expected, model.graph.flat_outputs)]


def _by_values(got: list[int], symbolic: Any, expected: list[int], model: Any) -> list[int]:
    """An axis that is None though all input axes but the batch are known depends on values, and there are none."""
    if any(None in x.shape[1:] for x in model.graph.flat_inputs):
        return got
    return [want if at and size is None else size_got
            for at, (size_got, want, size) in enumerate(zip(got, expected, symbolic.shape, strict=True))]


def _real_shapes(case: Case, model: Any, batch: int) -> list[list[int]]:
    """The recorded real shapes, and those of tensors given by keyword, at another batch."""
    recorded = list(case["real_input_shapes"])
    for tensor in model.graph.flat_inputs[len(recorded):]:
        recorded.append([2, *tensor.shape[1:]])
    return [_with_batch(s, x.shape, batch) for s, x in zip(recorded, model.graph.flat_inputs)]


def _with_batch(real: list[int], symbolic: Any, batch: int) -> list[int]:
    # recorded at a batch of 2; tensors side by side along the batch axis are twice that
    return [batch * real[0] // 2, *real[1:]] if real and symbolic and symbolic[0] is None else list(real)


@by_id(GOOD)
def test_weights_and_counts(case: Case) -> None:
    layer = harness.make(case)
    if case["id"] in REFUSED_EARLY:
        pytest.skip(REFUSED_EARLY[case["id"]])
    harness.call(case, layer)
    got = [[f"{layer.name}/{spec.full_path}", list(spec.shape)] for spec in layer.weights]
    assert got == [[path, shape] for path, shape, _ in case["weights"]]
    assert layer.count_params(trainable=True) == case["trainable_params"]
    assert layer.count_params(trainable=False) == case["non_trainable_params"]


@by_id(GOOD)
def test_config_round_trip(case: Case) -> None:
    layer = harness.make(case)
    config = layer.get_config()
    assert harness.plain(config) == case["config"]["config"]
    if case["id"] not in harness.LAMBDAS:
        assert harness.plain(type(layer).from_config(config).get_config()) == case["config"]["config"]


@by_id(BAD)
def test_refusals(case: Case) -> None:
    """What Keras refuses is refused, by an error of ours."""
    with pytest.raises(KerashapeError):
        harness.call(case, harness.make(case))


@by_id(NUMERIC)
def test_numbers(case: Case) -> None:
    if case["id"] in NOT_REPLAYABLE:
        pytest.skip(NOT_REPLAYABLE[case["id"]])
    got = harness.run_numeric(case, harness.make(case))
    for array, accepted in zip(got, harness.recorded_outputs(case), strict=True):
        assert harness.agrees(array, accepted), _difference(array, accepted[0])


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning")  # Keras' own
@by_id([case for case in LIVE if "float32" in case["input_dtypes"] and not harness.is_half(case)
        and not harness.is_stateful(case)])  # Keras overwrites the states that its own gradient needs
def test_gradients_are_those_of_keras(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a weighed sum of the outputs, by every input of floats and every weight."""
    if _breaks(case):
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    pair = live.pair(case)
    mine, theirs = ([torch.as_tensor(x).requires_grad_(x.dtype == np.float32) for x in pair.inputs] for _ in range(2))
    got, want = live.weighed(pair.ours(*mine)), live.weighed(pair.call(theirs))
    if want is None or not want.requires_grad:
        assert got is None or not got.requires_grad
        return
    want.backward()
    assert got is not None
    got.backward()
    wanted = [*(x.grad for x in theirs), *(w.value.grad for w in pair.theirs.weights)]
    live.gradients_agree([*(x.grad for x in mine), *live.keras_gradients(pair.ours)], wanted)


def _breaks(case: Case) -> bool:
    """Whether oneDNN writes where it must not on processors without AVX-512: in gradients of kernels of one pixel that
    leave pixels out, of few channels that are last in memory. So it does for ``nn.Conv2d(4, 3, 1, stride=2)`` alone."""
    kernels = [shape for name, shape, _ in case["weights"] if name.endswith("kernel")]
    return "Conv" in case["class_name"] and any(set(shape[:-2]) == {1} for shape in kernels)


def _difference(got: Any, want: Any) -> str:
    if got.shape != want.shape:
        return f"shape {got.shape}, Keras gives {want.shape}"
    return f"largest difference {abs(got.astype('float64') - want).max():.3g} of {abs(want).max():.3g}"


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning")  # Keras' own
@by_id(LIVE)
def test_numbers_of_keras_itself(case: Case) -> None:
    """Numbers that nobody recorded: the layer here and in Keras, with the same random weights and inputs."""
    pair = live.pair(case)
    tensors = [torch.as_tensor(x) for x in pair.inputs]
    with torch.inference_mode():
        got, want = pair.ours(*tensors), pair.call(tensors)
    rtol, atol = (2e-2, 2e-2) if harness.is_half(case) else (1e-4, 1e-5)  # 8 or 11 bits, rounded at other places
    for x, y in zip(flatten(got), flatten(want), strict=True):
        torch.testing.assert_close(x, y, rtol=rtol, atol=atol, equal_nan=True)


def test_exceptions_are_about_real_cases() -> None:
    ids = {case["id"] for case in (*harness.layer_cases(), *harness.numeric_cases())}
    for table in (REAL_SHAPE_INSTEAD, REFUSED_EARLY, NOT_REPLAYABLE, harness.LAMBDAS):
        assert set(table) <= ids


def test_meta_takes_no_memory() -> None:
    model = harness.as_model(*_huge())
    assert all(p.is_meta for p in model_to_torch(model, device="meta").parameters())


def _huge() -> tuple[Any, Any]:
    from kerashape_torch.layers import Dense

    layer = Dense(1 << 20)
    return layer, layer(kerashape_torch.Input((1 << 20,)))
