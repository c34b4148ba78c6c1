"""Servers, links and Redis fail at random, and no client that is told it has missed nothing has missed any.

The faults, and when they happen, are drawn from CHAOS_SEED, which is printed; without it each run has another
one. They go on for CHAOS_SECONDS (40) on each layer, and on each one once more on a Redis Cluster. What comes
of a seed is up to the machine too: to see a failure again, give its seed several times.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import SystemRandom

import pytest

from tests.chaos.report import report, summary
from tests.chaos.run import run
from tests.chaos.schedule import CLUSTERS, LAYERS, drawn

SECONDS = float(os.environ.get("CHAOS_SECONDS", "40"))
SEED = int(os.environ.get("CHAOS_SEED") or SystemRandom().randrange(1_000_000))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 400)
@pytest.mark.parametrize("layer", LAYERS + CLUSTERS)
async def test_chaos(layer: str, tmp_path: Path) -> None:
    plan = drawn(SEED, layer, SECONDS)
    print(plan)
    outcome = await run(plan, tmp_path)
    print(summary(outcome))
    if outcome.findings:
        pytest.fail(report(outcome, tmp_path), pytrace=False)


def test_a_seed_draws_the_same_plan_again() -> None:
    assert drawn(7, "queue", 60) == drawn(7, "queue", 60) != drawn(8, "queue", 60)


@pytest.mark.parametrize("layer", LAYERS + CLUSTERS)
def test_a_longer_run_begins_as_a_shorter_one(layer: str) -> None:
    short, long = drawn(7, layer, 60), drawn(7, layer, 600)
    for lane, steps in short.lanes.items():
        assert long.lanes[lane][: len(steps)] == steps
        assert sum(step.pause for step in steps) >= 60
