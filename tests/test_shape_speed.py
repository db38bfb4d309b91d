"""What makes shapes fast, as counts: how often rules are asked, how the work grows, what a layer takes. No times."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from test_upgrade import graph, op

import kerashape_torch as kt
from kerashape_torch.layers import Add, Dense
from kerashape_torch.models import model_from_json
from kerashape_torch.saving import load_model
from kerashape_torch.structure import without_collecting


def chain(layers: int) -> kt.Model:
    x = inputs = kt.Input((4,))
    for _ in range(layers):
        x = Dense(4)(x)
    return kt.Model(inputs, x)


def residual(layers: int) -> kt.Model:
    x = inputs = kt.Input((4,))
    for _ in range(layers // 2):
        x = Add()([x, Dense(4)(x)])
    return kt.Model(inputs, x)


def sequential(layers: int) -> kt.Model:
    return kt.Sequential([kt.Input((4,)), *[Dense(4) for _ in range(layers)]])


def calls_of(run: Callable[[], Any]) -> int:
    """How many functions, of Python and of C, are called."""
    count = 0

    def look(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    gc.collect()
    with without_collecting():  # what other tests have left behind may call functions when it goes
        sys.setprofile(look)
        try:
            run()
        finally:
            sys.setprofile(before)
    return count


@pytest.mark.parametrize("make", [chain, residual, sequential])
def test_each_rule_is_asked_once_for_a_layer(make: Callable[[int], kt.Model], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Counter[str] = Counter()
    for cls in (Dense, Add):
        for rule in ("compute_output_shape", "weight_specs"):
            stated = getattr(cls, rule)

            def counted(self: Any, *shapes: Any, stated: Any = stated, rule: str = rule) -> Any:
                asked[rule] += 1
                return stated(self, *shapes)

            monkeypatch.setattr(cls, rule, counted)
    layers = make(60).layers
    assert [layer.output_shape for layer in layers] == [(None, 4)] * len(layers)
    made = sum(not isinstance(layer, kt.models.InputLayer) for layer in layers)
    merging = sum(isinstance(layer, Add) for layer in layers)
    assert asked == Counter(compute_output_shape=made, weight_specs=merging)  # those that take one tensor wait
    assert sum(layer.count_params() for layer in layers) == 20 * (made - merging)
    assert asked == Counter(compute_output_shape=made, weight_specs=made + merging)


@pytest.mark.parametrize("make", [chain, residual, sequential])
def test_work_is_linear(make: Callable[[int], kt.Model]) -> None:
    make(10)
    once, twice, four_times = (calls_of(lambda n=n: make(n)) for n in (100, 200, 400))
    assert four_times - twice == pytest.approx(2 * (twice - once), rel=0.05)
    assert (four_times - twice) / 200 < 300, "calls for each layer"


@pytest.mark.parametrize("make", [chain, residual])
def test_work_from_json_is_linear(make: Callable[[int], kt.Model]) -> None:
    texts = {n: make(n).to_json() for n in (10, 100, 200, 400)}
    model_from_json(texts[10])
    once, twice, four_times = (calls_of(lambda n=n: model_from_json(texts[n])) for n in (100, 200, 400))
    assert four_times - twice == pytest.approx(2 * (twice - once), rel=0.05)
    assert (four_times - twice) / 200 < 900, "calls for each layer"


def test_sizes_of_tensors_in_old_files_are_linear() -> None:
    """Each asks for the shape of a tensor while the graph is being read."""

    def old(steps: int) -> Any:
        written, last = [], "x0"
        for i in range(steps):
            written += [op(f"size{i}", "compat.v1.shape", [last, 0, 0, {}]),
                        {**op(f"steps{i}", "__operators__.getitem", [f"size{i}", 0, 0, {"slice_spec": 1}]),
                         "class_name": "SlicingOpLambda"},
                        op(f"x{i + 1}", "reshape", [last, 0, 0, {"shape": [-1, [f"steps{i}", 0, 0], 6]}])]
            last = f"x{i + 1}"
        return graph(*written, outputs=[[last, 0, 0]], features=(4, 6))

    configs = {n: old(n) for n in (10, 50, 100, 200)}
    assert load_model(configs[10]).output_shape == (None, 4, 6)
    once, twice, four_times = (calls_of(lambda n=n: load_model(configs[n])) for n in (50, 100, 200))
    assert four_times - twice == pytest.approx(2 * (twice - once), rel=0.05)


def test_the_table_is_linear() -> None:
    models = {n: chain(n) for n in (10, 100, 200, 400)}
    str(kt.shape_table(models[10]))
    once, twice, four_times = (calls_of(lambda n=n: str(kt.shape_table(models[n]))) for n in (100, 200, 400))
    assert four_times - twice == pytest.approx(2 * (twice - once), rel=0.05)


MEMORY = """
import tracemalloc
import kerashape_torch as kt
from kerashape_torch.layers import Dense

def chain(layers):
    x = inputs = kt.Input((4,))
    for _ in range(layers):
        x = Dense(4)(x)
    return kt.Model(inputs, x)

text = chain(2000).to_json()
kt.models.model_from_json(chain(5).to_json())
tracemalloc.start()
for make in (lambda: chain(2000), lambda: kt.models.model_from_json(text)):
    before = tracemalloc.get_traced_memory()[0]
    model = make()
    print((tracemalloc.get_traced_memory()[0] - before) / 2000)
    del model
"""


def test_a_layer_takes_less_than_5_kib() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    from_python, from_json = map(float, done.stdout.split())
    assert 100 < from_python < 2 * 1024
    assert 100 < from_json < 5 * 1024


def test_a_chain_of_many_layers_meets_no_recursion_limit() -> None:
    text = chain(3000).to_json()
    model = model_from_json(text)
    assert len(model.layers) == 3001
    assert model.output_shape == (None, 4)
    assert model.count_params() == 3000 * 20


def test_the_collector_runs_again_after_a_model_is_read() -> None:
    config = json.loads(chain(2).to_json())
    assert gc.isenabled()
    model_from_json(json.dumps(config))
    assert gc.isenabled()
    with pytest.raises(kt.errors.ConfigError):
        model_from_json('{"class_name": "Functional"}')
    assert gc.isenabled()
    with without_collecting():
        assert not gc.isenabled()
        with without_collecting():
            pass
        assert not gc.isenabled(), "only the outermost turns it on again"
    gc.disable()
    try:
        model_from_json(json.dumps(config))
        assert not gc.isenabled(), "it was off before"
    finally:
        gc.enable()
