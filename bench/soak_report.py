"""The page and the plots of a soak, from its samples."""

from __future__ import annotations

import json
import platform
import statistics
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from bench.plots import FLOOR, OURS, WIDTH

__all__ = ["shown", "write"]

Row = dict[str, Any]

NAMES = {"pubsub": "pub/sub", "queue": "queue", "streams": "streams"}
MIB = 2**20
NONE = "-"
MOST_PCT_AN_HOUR = 1.0
"""Memory that grows less is flat."""
WARM_S = 600.0
"""The first samples do not count for the slope; of a run shorter than two times this, the first third."""
JUDGED_S = 3600.0

PANEL_WIDTH, PANEL_HEIGHT = WIDTH // 2, 170
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 42, 24
"""The margins of a panel."""


class Panel(NamedTuple):
    """One figure over time; ``per`` is its unit in those of the samples."""

    title: str
    key: str
    per: float = 1.0


PANELS = (
    Panel("memory of the server, MiB", "rss", MIB),
    Panel("open descriptors of the server", "fds"),
    Panel("keys in Redis", "keys"),
    Panel("p99 of a delivery, ms", "p99_ms"),
)


class Slope(NamedTuple):
    """How a figure grows: in % of where it begins and in its unit, both an hour, and from which second on."""

    pct: float
    amount: float
    since_s: float


class Found:
    """What the samples of one layer say."""

    def __init__(self, layer: str, rows: Sequence[Row]) -> None:
        self.layer = layer
        self.rows = rows[:-1]
        self.end = rows[-1]
        self.seconds: float = self.rows[-1]["at"]
        warm_s = WARM_S if self.seconds >= 2 * WARM_S else self.seconds / 3
        self.slope = _slope(self.rows, "rss", warm_s)
        self.in_use = _slope(self.rows, "in_use", warm_s)
        self.blocks = _slope(self.rows, "blocks", warm_s)
        self.late = _slope(self.rows, "rss", self.seconds / 2)
        """The slope of the second half: a leak goes on there, and what has to settle has settled."""
        missed = self.end["missed_lost"] + self.end["slow_lost"]
        self.uncounted = max(0, missed - self.end["counted"])
        self.beyond = max(0, self.end["counted"] - missed)
        """Drops that were counted of others, or in an outage: they might hide as many that were not."""

    def failure(self) -> str:
        """Return why the target is missed; empty if it is met."""
        why = []
        if self.uncounted:
            why.append(f"{self.uncounted} messages were lost without a count")
        if self.is_judged() and self.slope is not None and self.slope.pct >= MOST_PCT_AN_HOUR:
            why.append(f"memory grows by {self.slope.pct:.2f} % an hour")
        return "; ".join(why)

    def is_judged(self) -> bool:
        """Return True if the run was long enough to judge its memory."""
        return self.seconds >= JUDGED_S

    def values(self, key: str) -> list[float]:
        """Return the values of ``key`` in all samples that have it."""
        return [row[key] for row in self.rows if row[key] is not None]


def write(samples: Path, home: Path) -> int:
    """Write SOAK.md and its plots into ``home``, and print what was found; return 1 if a target is missed."""
    by_layer: dict[str, list[Row]] = defaultdict(list)
    for line in samples.read_text().splitlines():
        row = json.loads(line)
        by_layer[row["layer"]].append(row)
    found = [Found(layer, rows) for layer, rows in by_layer.items()]
    (home / "plots").mkdir(parents=True, exist_ok=True)
    for one in found:
        (home / "plots" / f"soak-{one.layer}.svg").write_text(_plot(one))
    (home / "SOAK.md").write_text(_page(found))
    for one in found:
        print(f"{one.layer}: {_verdict(one)}")
    return int(any(one.failure() for one in found))


def shown(row: Row) -> str:
    """Return a line for the terminal."""
    latency = "" if row["p99_ms"] is None else f"  p50={row['p50_ms']:.1f}  p99={row['p99_ms']:.1f} ms"
    keys = (
        "fds",
        "keys",
        "deliveries",
        "missed_refused",
        "missed_in_gap",
        "missed_lost",
        "slow_lost",
        "counted",
    )
    values = "  ".join(f"{key}={row[key]}" for key in keys)
    loads = f"server={row['server_cpu_pct']:.0f} %  load={row['client_cpu_pct']:.0f} %"
    return f"{row['at']:6.0f} s  {row['layer']:8}{row['rss'] / MIB:.1f} MiB{latency}  {values}  {loads}"


def _slope(rows: Sequence[Row], key: str, since_s: float) -> Slope | None:
    """Return the slope of ``key`` by least squares; None of a very short run."""
    points = [(row["at"], row[key]) for row in rows if row["at"] >= since_s and row[key] is not None]
    if len(points) < 3:
        return None
    slope, intercept = statistics.linear_regression(*zip(*points, strict=True))
    an_hour = 3600 * slope
    return Slope(100 * an_hour / (intercept + slope * since_s), an_hour, since_s)


def _verdict(found: Found) -> str:
    slope = found.slope
    grows = "too short to have a slope"
    if slope is not None:
        grows = f"memory grows by {slope.pct:.2f} % an hour after {slope.since_s / 60:.1f} minutes"
        grows += "" if found.is_judged() else " (too short to judge)"
    return (
        f"{'MISSED' if found.failure() else 'met'}: {grows}; {found.uncounted} messages lost without a count"
    )


# The page


def _page(found: Sequence[Found]) -> str:
    minutes = max(one.seconds for one in found) / 60
    lines = [
        "# Report of the soak",
        "",
        "Written by `make soak`. [soaking.py](soaking.py) says what the clients do, and "
        "[soak_rooms.py](soak_rooms.py) how it is known what they miss. "
        f"{minutes:.3g} minutes of all layers at the same time, on one core for the servers and another for "
        f"their Redis and the load. Python {platform.python_version()}.",
        "",
        "| layer | memory, MiB | its slope, % an hour | in the second half | descriptors | Redis keys "
        "| Redis, MiB | p99, ms: median, worst | server CPU, % |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(_resources, found),
        "",
        _about_slope(found),
        "",
        "| layer | C's heap in use, MiB | its slope, % an hour | Python's blocks, thousands "
        "| their slope, % an hour |",
        "|---|---|---|---|---|",
        *map(_uses, found),
        "",
        "These are of what is in use, so they do not depend on what the allocators keep. The heap is without "
        "the messages that wait for slow clients.",
        "",
        "| layer | clients that came | deliveries | kills | outages, s | missed by witnesses: refused "
        "| in a gap | lost | lost by slow clients | counted by the server | uncounted |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *map(_messages, found),
        "",
        '"Refused": the sender got an error. "In a gap": sent while the layer had no connection to Redis; it '
        'records when that was, not how many messages. What is "lost", by slow clients too, must be in the '
        "server's own count of drops.",
        *(f"\n{NAMES[one.layer]}: {note}" for one in found if (note := _note(one))),
        "",
        f"The load took {_mean(found[0], 'client_cpu_pct'):.0f} % of its core.",
        "",
    ]
    for one in found:
        name = NAMES[one.layer]
        lines += [
            f"![Memory, descriptors, Redis keys and p99 of the {name} layer over time.]"
            f"(plots/soak-{one.layer}.svg)",
            "",
        ]
    return "\n".join(lines)


def _resources(found: Found) -> str:
    rows = found.rows
    first, last = rows[0], rows[-1]
    p99 = found.values("p99_ms")
    cells = [
        NAMES[found.layer],
        f"{first['rss'] / MIB:.1f} → {last['rss'] / MIB:.1f}",
        *(
            NONE if one is None else f"{one.pct:.2f} ({one.amount / MIB:+.2f} MiB)"
            for one in (found.slope, found.late)
        ),
        f"{first['fds']} → {last['fds']}",
        f"{first['keys']} → {last['keys']}",
        f"{first['redis_bytes'] / MIB:.1f} → {last['redis_bytes'] / MIB:.1f}",
        f"{statistics.median(p99):.1f}, {max(p99):.1f}" if p99 else NONE,
        f"{_mean(found, 'server_cpu_pct'):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _uses(found: Found) -> str:
    cells = [NAMES[found.layer]]
    for key, unit, slope in (("in_use", MIB, found.in_use), ("blocks", 1000, found.blocks)):
        values = found.values(key)
        cells.append(f"{values[0] / unit:.1f} → {values[-1] / unit:.1f}" if values else NONE)
        cells.append(NONE if slope is None else f"{slope.pct:.2f} ({slope.amount / unit:+.2f})")
    return f"| {' | '.join(cells)} |"


def _messages(found: Found) -> str:
    end = found.end
    done = [f"{end[key]:,}" for key in ("came", "deliveries", "kills")]
    losses = ("missed_refused", "missed_in_gap", "missed_lost", "slow_lost", "counted")
    cells = [NAMES[found.layer], *done, f"{end['gaps_s']:.1f}"]
    cells += [*(f"{end[key]:,}" for key in losses), f"{found.uncounted:,}"]
    return f"| {' | '.join(cells)} |"


def _about_slope(found: Sequence[Found]) -> str:
    one = found[0]
    if one.slope is None:
        return "The run was too short for a slope."
    text = (
        f"The slope is that of least squares after the first {one.slope.since_s / 60:.1f} minutes. "
        "A leak goes on in the second half; what has to settle has settled by then. "
    )
    return text + (
        f"The target is less than {MOST_PCT_AN_HOUR:g} % an hour."
        if one.is_judged()
        else "The run was too short to judge it."
    )


def _note(found: Found) -> str:
    """Return what the table leaves out."""
    end = found.end
    told = {
        "outages were recorded": end["reconnects"],
        "handshakes were refused, and tried again": end["turned_away"],
        "clients that did not send were closed by the server": end["cut"],
        "slow clients did not read everything in time": end["slow_unfinished"],
        "messages came twice": end["twice"],
        "drops were counted beyond what witnesses and slow clients have lost": found.beyond,
        "messages to clients that had just left were counted as gone": end["dropped"].get("gone", 0),
    }
    return "; ".join(f"{count:,} {what}" for what, count in told.items() if count)


def _mean(found: Found, key: str) -> float:
    return statistics.fmean(found.values(key))


# The plots


def _plot(found: Found) -> str:
    """Return an SVG text with four panels."""
    height = 2 * PANEL_HEIGHT + 30
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-weight="bold">{escape(NAMES[found.layer])}: '
        f"{found.seconds / 60:.0f} minutes; grey lines are kills of all connections to Redis</text>",
    ]
    for index, panel in enumerate(PANELS):
        x, y = PANEL_WIDTH * (index % 2), 30 + PANEL_HEIGHT * (index // 2)
        lines += [f'<g transform="translate({x},{y})">', *_panel(found, panel), "</g>"]
    return "\n".join([*lines, "</svg>", ""])


def _panel(found: Found, panel: Panel) -> list[str]:
    points = [(row["at"], row[panel.key] / panel.per) for row in found.rows if row[panel.key] is not None]
    most = 1.1 * max((value for _, value in points), default=0) or 1.0
    right, bottom = PANEL_WIDTH - RIGHT, PANEL_HEIGHT - BOTTOM

    def x(seconds: float) -> float:
        return LEFT + (right - LEFT) * seconds / found.seconds

    def y(value: float) -> float:
        return bottom - (bottom - TOP) * value / most

    line = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
    kills = [row["at"] for before, row in pairwise(found.rows) if row["kills"] > before["kills"]]
    small = 'font-size="11"'
    return [
        f'<text x="{LEFT}" y="{TOP - 14}">{escape(panel.title)}</text>',
        *(f'<path d="M{x(at):.1f} {TOP}V{bottom}" stroke="{FLOOR}" stroke-opacity="0.4"/>' for at in kills),
        *(
            f'<path d="M{LEFT} {y(value):.1f}H{right}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" {small}>{value:,.4g}</text>'
            for value in _ticks(most)
        ),
        f'<polyline points="{line}" fill="none" stroke="{OURS}" stroke-width="1.5"/>',
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="black"/>',
        f'<text x="{LEFT}" y="{bottom + 16}" {small}>0</text>',
        f'<text x="{right}" y="{bottom + 16}" text-anchor="end" {small}>{found.seconds / 60:.3g} min</text>',
    ]


def _ticks(most: float) -> list[float]:
    """Return up to five round values from 0 to ``most``."""
    step = 10.0 ** (len(f"{most:.0f}") - 1) if most >= 1 else most / 2
    while most / step < 2:
        step /= 2
    while most / step > 4:
        step *= 2
    return [index * step for index in range(int(most / step) + 1)]
