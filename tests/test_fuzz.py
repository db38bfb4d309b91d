"""Random layers and models, held against Keras; and every program that ever failed, again."""

from __future__ import annotations

import json
import random
from typing import Any

import fuzz_graphs
import fuzz_layers
import fuzzing
import pytest
from harness import DATA

KEPT = [json.loads(line) for line in (DATA / "fuzz_cases.jsonl").read_text().splitlines()]

def hold(program: Any) -> None:
    outcome = fuzzing.check(program)
    assert outcome.kind in fuzzing.FINE, f"{outcome.kind}: {outcome.text}\n{json.dumps(program)}"


@pytest.mark.parametrize("group", range(10))
def test_layers(group: int) -> None:
    """The same draws on every machine; ``scripts/fuzz.py`` lets hypothesis draw others."""
    for seed in range(30 * group, 30 * group + 30):
        hold(fuzz_layers.layer_case(fuzz_layers.Source(random.Random(seed).choice)))


@pytest.mark.parametrize("group", range(8))
def test_graphs(group: int) -> None:
    for seed in range(15 * group, 15 * group + 15):
        hold(fuzz_graphs.graph_case(fuzz_layers.Source(random.Random(seed).choice)))


@pytest.mark.parametrize("case", KEPT, ids=[f"{i}-{case['kind']}" for i, case in enumerate(KEPT)])
def test_what_failed_once(case: Any) -> None:
    hold(case["program"])
