"""Compare the results with ``targets.py``, and find targets that are missed by more than noise.

Peers that end with ``BEFORE`` run an earlier checkout, and those that end with one of ``OBSERVED`` are looked
at. What is compared is the interval in which the median of the ratio lies with a confidence of 95 %: it must
include 1, or end below a bound.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from typing import NamedTuple

from bench.figures import RESULTS, Figures, Ratio, read
from bench.peers import BEFORE, OBSERVED
from bench.plots import label
from bench.targets import (
    A3_OVER_A1,
    BELOW_MS,
    LATENCIES,
    LIMITS,
    LOSSLESS,
    STUCK_GROWTH_MIB,
    TARGETS,
    TIMES_P50,
    TIMES_P99,
    Latency,
    Limit,
    Target,
)

__all__ = ["Verdict", "main", "verdicts"]


METRICS = {
    "us": "server CPU",
    "kib": "memory",
    "p50_ms": "p50",
    "p99_ms": "p99",
    "seconds": "time",
    "idle_pct": "idle CPU, % of a core for 10,000",
    "over_bound": "the broadcast's time over its CPU",
    "waited_s": "the longest wait of a client, s",
    "rate_alone": "the rate without the stuck one",
}
"""Words for metrics whose names are not words."""


class Verdict(NamedTuple):
    """The verdict on a target: "met", "noise" (its spread reaches the bound), "missed", or "unknown".

    On what is compared with an earlier checkout it may be "not measurable".
    """

    case: str
    what: str
    bound: str
    found: str
    word: str


WIDEST = 0.03
"""How far an interval may reach from its median for a verdict."""
AS_BEFORE = 1.01
"""The bound of an interval, for an earlier checkout."""
HEADLINES = {"E": "kib", "E-parked": "kib", "F": "seconds", "K": "seconds"}
"""The metric of a case in which it is not the CPU."""


def verdicts(cases: dict[str, Figures]) -> Iterator[Verdict]:
    """Return a verdict for each target."""
    for target in TARGETS:
        figures = cases.get(target.case)
        ratio = figures.ratio(target.above, target.below, target.metric, target.of) if figures else None
        bound = f"{'≤' if target.at_most else '≥'} {target.bound:g}"
        if ratio is None:
            yield Verdict(target.case, _described(target), bound, "-", "unknown")
            continue
        found = f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
        yield Verdict(target.case, _described(target), bound, found, _word(target, ratio))
    yield from (_latency(latency, cases.get(latency.case)) for latency in LATENCIES)
    yield from (_limited(limit, cases.get(limit.case)) for limit in LIMITS)
    yield from _compared(cases)
    yield from _others(cases)


def _limited(limit: Limit, figures: Figures | None) -> Verdict:
    what = f"{METRICS.get(limit.metric, limit.metric)}: {label(limit.peer)}"
    own = figures.by_turn(limit.peer, limit.metric) if figures else {}
    if figures and limit.less:
        what += f" less {label(limit.less)}"
        less = figures.by_turn(limit.less, limit.metric)
        own = {turn: value - less[turn] for turn, value in own.items() if turn in less}
    values = list(own.values())
    bound = f"≤ {limit.bound:g}"
    if not values:
        return Verdict(limit.case, what, bound, "-", "unknown")
    found = statistics.median(values)
    word = "met" if found <= limit.bound else "noise" if min(values) <= limit.bound else "missed"
    return Verdict(limit.case, what, bound, f"{found:.1f} ({min(values):.1f} to {max(values):.1f})", word)


def _latency(latency: Latency, figures: Figures | None) -> Verdict:
    what = f"p50 and p99, ms: {label(latency.peer)} beside {label(latency.floor)}"
    bound = f"≤ {TIMES_P50:g}, {TIMES_P99:g} times"
    own, floor = (
        [figures.by_turn(peer, name) if figures else {} for name in ("p50_ms", "p99_ms")]
        for peer in (latency.peer, latency.floor)
    )
    turns = [turn for turn in own[0] if turn in floor[0]]
    if not turns:
        return Verdict(latency.case, what, bound, "-", "unknown")
    kept = [
        own[1][turn] < BELOW_MS
        or (own[0][turn] <= TIMES_P50 * floor[0][turn] and own[1][turn] <= TIMES_P99 * floor[1][turn])
        for turn in turns
    ]
    ours, theirs = (
        ", ".join(f"{statistics.median(by_turn.values()):.2f}" for by_turn in pair) for pair in (own, floor)
    )
    word = "met" if 2 * sum(kept) > len(kept) else "noise" if any(kept) else "missed"
    return Verdict(latency.case, what, bound, f"{ours} beside {theirs}", word)


def _compared(cases: dict[str, Figures]) -> Iterator[Verdict]:
    for case, figures in cases.items():
        pairs = [
            (peer.removesuffix(BEFORE), peer, AS_BEFORE) for peer in figures.runs if peer.endswith(BEFORE)
        ]
        pairs += [
            (peer, peer.removesuffix(end), bound)
            for end, bound in OBSERVED.items()
            for peer in figures.runs
            if peer.endswith(end)
        ]
        metric = HEADLINES.get(case, "us")
        for peer, other, bound in pairs:
            what = f"{METRICS[metric]}: {label(peer)} / {label(other)}, 95 %"
            text = f"1 inside, or < {bound:g}"
            interval = figures.interval(peer, other, metric)
            if interval is None:
                turns = len(figures.turns(peer, other, metric))
                yield Verdict(case, what, text, f"{turns} turns; 6 are needed", "unknown")
                continue
            found = f"{interval.median:.3f} ({interval.low:.3f} to {interval.high:.3f})"
            yield Verdict(case, what, text, found, _word_on_interval(interval, bound))


def _word_on_interval(interval: Ratio, bound: float) -> str:
    if max(interval.high - interval.median, interval.median - interval.low) > WIDEST:
        return "not measurable"
    return "met" if interval.low <= 1 <= interval.high or interval.high < bound else "missed"


def _described(target: Target) -> str:
    metric = METRICS.get(target.metric, target.metric)
    if target.of is not None:
        metric += f" over {METRICS.get(target.of, target.of)}"
    if target.above == target.below:
        return f"{metric}: {label(target.above)}"
    return f"{metric}: {label(target.above)} / {label(target.below)}"


def _word(target: Target, ratio: Ratio) -> str:
    if target.at_most:
        return "met" if ratio.median <= target.bound else "noise" if ratio.low <= target.bound else "missed"
    return "met" if ratio.median >= target.bound else "noise" if ratio.high >= target.bound else "missed"


def _growth(cases: dict[str, Figures]) -> Ratio | None:
    """Return the cost of a delivery in the largest room over that in the smallest, turn by turn."""
    large, small = (cases[name].by_turn("ours_async", "us") if name in cases else {} for name in ("A3", "A1"))
    turns = [value / small[turn] for turn, value in large.items() if turn in small]
    return Ratio(statistics.median(turns), min(turns), max(turns)) if turns else None


def _others(cases: dict[str, Figures]) -> Iterator[Verdict]:
    growth = _growth(cases)
    if growth is not None:
        target = Target("A3", "ours_async", "ours_async", A3_OVER_A1, at_most=True)
        found = f"{growth.median:.2f} ({growth.low:.2f} to {growth.high:.2f})"
        word = _word(target, growth)
        yield Verdict("A3", f"server CPU: A3 / A1 of {label('ours_async')}", f"≤ {A3_OVER_A1}", found, word)
    if "O" in cases:
        grown = cases["O"].values("ours_async", "grown_mib")
        if grown:
            word = "met" if min(grown) <= STUCK_GROWTH_MIB else "missed"
            yield Verdict("O", "MiB more", f"≤ {STUCK_GROWTH_MIB:g}", f"{max(grown):.1f}", word)
        miscounted = cases["O"].values("ours_async", "miscounted")
        if miscounted:
            word = "missed" if any(miscounted) else "met"
            yield Verdict("O", "dropped, counted wrongly", "0", f"{max(map(abs, miscounted)):g}", word)
    lost = {
        f"{case}, {label(peer)}": int(sum(figures.values(peer, "lost")))
        for case, figures in cases.items()
        for peer in LOSSLESS
        if any(figures.values(peer, "lost"))
    }
    found = ", ".join(f"{where}: {count}" for where, count in lost.items()) or "0"
    yield Verdict("all", "lost messages of channels-compat", "0", found, "missed" if lost else "met")


def main() -> int:
    """Print the verdicts; return 1 if a target is missed."""
    if not RESULTS.exists():
        print(f"nothing measured yet ({RESULTS}); run `make bench`", file=sys.stderr)
        return 2
    missed = 0
    for verdict in verdicts(read(RESULTS)):
        print(f"{verdict.word:14} {verdict.case:8} {verdict.what:70} {verdict.bound:8} {verdict.found}")
        missed += verdict.word == "missed"
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
