"""The bench compares turns of one run, and says what it cannot know."""

from __future__ import annotations

from typing import Any

import pytest

from bench.figures import Figures
from bench.peers import app_of, environment_of, fast_of


def row(peer: str, turn: int, us: float, at: str = "1") -> dict[str, Any]:
    return {"at": at, "peer": peer, "turn": turn, "us": us}


def test_a_ratio_is_of_the_same_turn_though_one_has_failed() -> None:
    rows = [row("a", 0, 2), {**row("b", 0, 0), "error": "it died"}, row("b", 1, 10), row("a", 1, 30)]
    rows += [row("a", 0, 8, at="2"), row("b", 0, 2, at="2")]
    assert Figures(rows).turns("a", "b", "us") == [3, 4]


@pytest.mark.parametrize(
    ("turns", "low", "high"), [(5, None, None), (6, 1, 6), (8, 1, 8), (9, 2, 8), (10, 2, 9), (12, 3, 10)]
)
def test_the_interval_is_of_the_ordered_turns(turns: int, low: float | None, high: float | None) -> None:
    """As in tables of the sign test: 95 % are between the second and the ninth of ten."""
    rows = [row("a", turn, turn + 1) for turn in reversed(range(turns))]
    rows += [row("b", turn, 1) for turn in range(turns)]
    interval = Figures(rows).interval("a", "b", "us")
    assert (interval and (interval.low, interval.high)) == (None if low is None else (low, high))


@pytest.mark.parametrize(
    ("peer", "app", "fast"),
    [
        ("ours_async", "ours_async", "1"),
        ("ours_async_plain", "ours_async", "0"),
        ("ours_async_plain_before", "ours_async", "0"),
        ("ours_async_resumable", "ours_async", "1"),
        ("ours_pubsub_no_bridge_resumable_before", "ours_pubsub", "scheduling,reading,write_batching"),
    ],
)
def test_the_name_of_a_peer_says_what_runs(peer: str, app: str, fast: str) -> None:
    assert (app_of(peer), fast_of(peer), environment_of(peer)) == (app, fast, "ours")
