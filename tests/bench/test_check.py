"""What the bench says of its targets."""

from __future__ import annotations

import pytest

from bench.check import verdicts
from bench.figures import Figures
from bench.peers import DEFAULT_PEERS, LEVELS, app_of
from bench.targets import LATENCIES, LIMITS, OPEN_LOOPS, TARGETS
from tests.support.paths import REPO


def word(case: str, what: str, figures: dict[str, list[float]], metric: str = "us") -> str:
    rows = [
        {"at": "1", "peer": peer, "turn": turn, metric: value}
        for peer, values in figures.items()
        for turn, value in enumerate(values)
    ]
    [found] = [verdict for verdict in verdicts({case: Figures(rows)}) if what in verdict.what]
    return found.word


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ([1.0] * 10, "met"),
        ([0.9] * 10, "met"),
        ([1.005] * 10, "met"),
        ([1.02] * 10, "missed"),
        ([1.0, 1.005, *[1.02] * 8], "missed"),
        ([0.99, 0.99, 0.99, *[1.005] * 4, 1.02, 1.02, 1.02], "met"),
        ([*[0.9] * 3, *[1.0] * 4, *[1.1] * 3], "not measurable"),
        ([1.0] * 5, "unknown"),
    ],
)
def test_a_tree_is_compared_with_an_earlier_one(own: list[float], said: str) -> None:
    before = {"ours_async_before": [1.0] * len(own), "ours_async": own}
    assert word("A1", "before", before) == said


@pytest.mark.parametrize(
    ("peer", "own", "said"),
    [
        ("metrics", 0.99, "met"),
        ("metrics", 1.009, "met"),
        ("metrics", 1.012, "missed"),
        ("traced", 1.012, "met"),
        ("traced", 1.03, "missed"),
    ],
)
def test_what_it_costs_to_be_looked_at(peer: str, own: float, said: str) -> None:
    figures = {"ours_async": [1.0] * 10, f"ours_async_{peer}": [own - 0.0001 * turn for turn in range(10)]}
    assert word("A1", peer, figures) == said


@pytest.mark.parametrize(("own", "said"), [([24, 25], "met"), ([24, 26], "noise"), ([26, 27], "missed")])
def test_a_limit_is_of_the_difference(own: list[float], said: str) -> None:
    figures = {"ours_async": [22.0, 22.0], "ours_async_resumable": own}
    if said == "noise":
        figures["ours_async_resumable"] = [24, 27]
    assert word("E", "less", figures, "kib") == said


def test_the_peers_of_the_targets_take_part_in_their_cases() -> None:
    """Else a target is for ever "unknown", which looks like one that could not be measured this time."""
    named = {(target.case, peer) for target in TARGETS for peer in (target.above, target.below)}
    named |= {(limit.case, limit.peer) for limit in LIMITS} | {(one.case, one.peer) for one in LATENCIES}
    points = {f"{case}-{level}": case for case, *_ in OPEN_LOOPS for level in LEVELS}
    for row, peer in named:
        case = points.get(row, row)
        assert case not in DEFAULT_PEERS or peer in DEFAULT_PEERS[case], f"{peer} in {case}"


def test_the_peers_have_an_application() -> None:
    for peer in {peer for peers in DEFAULT_PEERS.values() for peer in peers}:
        assert (REPO / "bench" / "apps" / f"{app_of(peer)}.py").is_file(), peer
