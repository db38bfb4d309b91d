"""Random layers and models, held against Keras; and every program that ever failed, again."""

from __future__ import annotations

import json
from typing import Any

import fuzz_graphs
import fuzz_layers
import fuzzing
import pytest
from harness import DATA
from hypothesis import HealthCheck, Phase, given, settings

KEPT = [json.loads(line) for line in (DATA / "fuzz_cases.jsonl").read_text().splitlines()]
quick = settings(deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
                 suppress_health_check=list(HealthCheck))


def hold(program: Any) -> None:
    outcome = fuzzing.check(program)
    assert outcome.kind in fuzzing.FINE, f"{outcome.kind}: {outcome.text}\n{json.dumps(program)}"


@settings(quick, max_examples=300)
@given(fuzz_layers.layer_cases())
def test_layers(program: Any) -> None:
    hold(program)


@settings(quick, max_examples=120)
@given(fuzz_graphs.graph_cases())
def test_graphs(program: Any) -> None:
    hold(program)


@pytest.mark.parametrize("case", KEPT, ids=[f"{i}-{case['kind']}" for i, case in enumerate(KEPT)])
def test_what_failed_once(case: Any) -> None:
    hold(case["program"])
