"""Write bench/REPORT.md and its plots from the results."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from pathlib import Path
from typing import NamedTuple

from bench.cases import CASES, TITLES, rows_of
from bench.check import verdicts
from bench.figures import RESULTS, Figures, read
from bench.looking import LOOKED_AT
from bench.peers import BEFORE, FAST, app_of
from bench.plots import Bar, chart, curves, label
from bench.servers import HERE, python_of

__all__ = ["main"]

PLOTS = HERE / "plots"
HEADLINE = {
    "D": ("us", "µs of server CPU per connection"),
    "E": ("kib", "KiB"),
    "E-parked": ("kib", "KiB"),
    "I1": ("kib", "KiB"),
    "I2": ("rate", "connects/s"),
    "I3": ("rate", "returns/s"),
    "K": ("seconds", "s"),
    "F": ("seconds", "s"),
    "H": ("rate", "sends/s"),
    "N-flood": ("p50_ms", "ms until an echo comes, median"),
    "N-slow": ("p50_ms", "ms until an echo comes, median"),
    "O": ("rate", "messages/s"),
    "R": ("us", "µs of server CPU per return, or per connection"),
    "S-live": ("now_ms", "ms"),
    "S-presence": ("join_us", "µs of server CPU per join"),
}
LATENCY = ("p50_ms", "p99_ms", "p999_ms")
COLUMNS = {
    "E": ("kib", "base_mib"),
    "F": ("seconds",),
    "H": ("rate", "us"),
    "O": ("rate", "rate_alone", "grown_mib", "sent", "stuck_got", "counted", "lost"),
    "D": ("us", "rate"),
    "E-parked": ("kib", "base_mib"),
    "I1": (
        *("kib", "base_mib", "idle_pct", "seconds", "bound_s", "over_bound", "us", "connect_s"),
        *("connect_us", "lost"),
    ),
    "I2": ("rate", "seconds", "us", "p50_ms", "p99_ms", "lost", "server_cpu_pct", "client_cpu_pct"),
    "I3": ("rate", "seconds", "away_s", "returns", "waited_s", "us", "start_ms", "lost", "client_cpu_pct"),
    "K": ("seconds", "us", "lost", "server_cpu_pct", "client_cpu_pct"),
    "R": ("us", "rate", "lost", "server_cpu_pct", "client_cpu_pct"),
    "S-shards": ("us", "rate", "redis_us", "busiest_us", "busiest_commands", "busiest_bytes"),
    "S-members": ("us", "rate", "redis_us", "bytes"),
    "S-groups": ("us", "redis_us", "join_us", "join_redis_us", "group_bytes", "redis_bytes"),
    "S-history": ("us", "redis_us", "redis_alone_us", "join_us", "joins_s", "join_redis_us"),
    "S-presence": ("join_us", "growth", "join_redis_us", "list_ms", "churn_us", "churn_redis_us", "agree_s"),
    "S-live": ("now_ms", "now_max_ms", "find_ms", *LOOKED_AT),
    "N-flood": (*LATENCY, "rate", "flood_bytes", "server_cpu_pct", "client_cpu_pct"),
    "N-slow": (*LATENCY, "rate", "server_cpu_pct", "client_cpu_pct"),
    "M": ("us", "rate", "p50_ms", "p99_ms", "sleeps", "lost"),
}
DEFAULT_COLUMNS = ("us", "rate", *LATENCY, "offered", "together", "lost", "server_cpu_pct", "client_cpu_pct")
HEADS = {
    "us": "server CPU, µs",
    "rate": "per second",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "p999_ms": "p99.9, ms",
    "offered": "messages sent a second",
    "together": "ticks too late, %",
    "kib": "KiB per client",
    "base_mib": "MiB before",
    "rate_alone": "without the stuck one",
    "grown_mib": "MiB more",
    "stuck_got": "the stuck one got",
    "counted": "dropped, by its own count",
    "redis_us": "CPU of Redis for a send, µs",
    "redis_alone_us": "of one without others, µs",
    "joins_s": "seconds for all joins",
    "growth": "of the last fifth, over that of the first",
    "list_ms": "CPU of a list, ms",
    "churn_us": "CPU of one that comes and one that goes, µs",
    "churn_redis_us": "of Redis, µs",
    "agree_s": "seconds until both agree",
    "busiest_us": "of the busiest server, µs",
    "busiest_commands": "its commands for a send",
    "busiest_bytes": "its bytes for a send",
    "bytes": "bytes for a send",
    "idle_pct": "idle, % of a core for 10,000",
    "bound_s": "CPU of the broadcast, s",
    "over_bound": "its time over its CPU",
    "connect_s": "to connect all, s",
    "connect_us": "CPU of a connect, µs",
    "waited_s": "the longest wait of a client, s",
    "away_s": "s with a client away",
    "start_ms": "CPU of a start, ms",
    "now_ms": "the page, ms",
    "now_max_ms": "at most, ms",
    "find_ms": "to look for a user, ms",
    "stall_ms": "the server's loop held up for, at most, ms",
    "stall_alone_ms": "without the page, ms",
    "stall_first_ms": "at the first look, with the collection that the connects left due, ms",
    "echo_max_ms": "the longest echo of a client beside it, ms",
    "echo_alone_ms": "without, ms",
    "join_us": "CPU for a group_add, µs",
    "join_redis_us": "of Redis, µs",
    "group_bytes": "bytes for a group",
    "redis_bytes": "in Redis",
    "server_cpu_pct": "server busy, %",
    "client_cpu_pct": "load busy, %",
}


class Curve(NamedTuple):
    """A file of ``plots``: the medians of a series over its points."""

    file: str
    case: str
    metric: str
    title: str
    across: str
    up: str


CURVES = (
    Curve("size", "A", "us", "What a delivery costs", "members of the room", "µs of server CPU"),
    *(
        Curve(
            f"load-{case}",
            case,
            "p99_ms",
            f"How long a message takes, room of {size}",
            "load, % of what bare Starlette carries",
            "p99, ms",
        )
        for case, size in (("L2", "100"), ("L3", "1,000"))
    ),
)
PACKAGES = (
    "uvicorn",
    "uvloop",
    "websockets",
    "starlette",
    "asgiref",
    "redis",
    "hiredis",
    "django",
    "channels",
)
PACKAGES += ("channels-redis", "fast-channels", "chanx", "broadcaster", "python-socketio")
INTRODUCTION = """# Report of the bench

Written by `make bench`; [README.md](README.md) says what is measured and how. Medians, and in brackets the
range from the lowest run to the highest. Compare within a case, whose peers ran interleaved, and not across
cases or days.
"""


def main() -> None:
    """Write the files."""
    cases = read(RESULTS, lambda row: not row["options"] and not row["peer"].endswith(BEFORE))
    PLOTS.mkdir(exist_ok=True)
    parts = [INTRODUCTION, machine()]
    parts.append(
        '## Targets\n\nA ratio is taken per turn of a case; "noise" means that some turn meets the target.\n'
    )
    parts.append("| case | ratio | target | found | |\n|---|---|---|---|---|")
    parts += [
        f"| {row.case} | {row.what} | {row.bound} | {row.found} | {row.word} |" for row in verdicts(cases)
    ]
    parts.append(gains(cases))
    rows = [row for case in CASES for row in rows_of(case)]
    parts += [section(row, cases[row]) for row in rows if row in cases]
    for curve in CURVES:
        draw(curve, cases)
    parts.append(names(cases))
    (HERE / "REPORT.md").write_text("\n".join(parts) + "\n")


def draw(curve: Curve, cases: dict[str, Figures]) -> None:
    """Write the file of a curve, if it has been measured."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows_of(curve.case):
        figures = cases.get(row, Figures([]))
        for peer in figures.runs:
            median = figures.median(peer, curve.metric)
            if median:
                lines.setdefault(peer, []).append((float(row.removeprefix(f"{curve.case}-")), median))
    if lines:
        (PLOTS / f"{curve.file}.svg").write_text(curves(curve.title, curve.across, curve.up, lines))


def gains(cases: dict[str, Figures]) -> str:
    """Return the gains of the engine's fast parts, in each case that was measured without them or without
    one.
    """
    lines = ["\n## The fast parts of the engine\n", "The headline of a case with all of them, and without.\n"]
    lines += ["| case | peer | | with all | without | | over with all |", "|---" * 7 + "|"]
    for case in CASES:
        metric, unit = HEADLINE.get(case, ("us", HEADS["us"]))
        figures = cases.get(case, Figures([]))
        for less in [name for name in figures.runs if name.endswith(tuple(FAST))]:
            peer = app_of(less)
            ratio = figures.ratio(less, peer, metric)
            if ratio is None:
                continue
            without = less.removeprefix(peer).replace("_plain", "all").removeprefix("_no_")
            with_all, found = (cell(figures.values(name, metric), spread=True) for name in (peer, less))
            over = f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
            lines.append(f"| {case} | {label(peer)} | {unit} | {with_all} | {without} | {found} | {over} |")
    return "\n".join(lines)


def names(cases: dict[str, Figures]) -> str:
    """Return the table of the peers' titles and names."""
    lines = ["\n## Names\n", "`make bench PEERS=…` takes these names.\n", "| peer | name |\n|---|---|"]
    peers = {peer for figures in cases.values() for peer in figures.runs}
    lines += [f"| {label(peer)} | `{peer}` |" for peer in sorted(peers, key=label)]
    return "\n".join(lines)


def section(case: str, figures: Figures) -> str:
    """Return the table and the plot of a case."""
    columns = [
        name
        for name in COLUMNS.get(case, DEFAULT_COLUMNS)
        if any(figures.values(p, name) for p in figures.runs)
    ]
    lines = [f"\n## {case}: {TITLES[case]}\n"]
    metric, unit = HEADLINE.get(case, ("us", "µs of server CPU per delivery"))
    bars = []
    for peer in figures.runs:
        values = figures.values(peer, metric)
        if not values:  # overloaded before it could be measured
            continue
        bars.append(Bar(peer, figures.median(peer, metric) or 0, min(values), max(values)))
    if bars:
        file = PLOTS / f"{case}.svg"
        file.write_text(chart(f"{case}: {TITLES[case]}", unit, bars))
        lines.append(f"![{case}]({file.relative_to(HERE)})\n")
    if all(row.get("slices") for rows in figures.runs.values() for row in rows):
        lines.append("The servers ran side by side, loaded in turn.\n")
    lines.append("| peer | runs | " + " | ".join(HEADS.get(name, name) for name in columns) + " |")
    lines.append("|---" * (len(columns) + 2) + "|")
    for peer, rows in figures.runs.items():
        cells = [cell(figures.values(peer, name), spread=name == metric) for name in columns]
        lines.append(f"| {label(peer)} | {len(rows)} | " + " | ".join(cells) + " |")
    failed = ((peer, error) for peer, error in figures.errors.items() if peer not in figures.runs)
    lines += [f"| {label(peer)} | | {error} |" for peer, error in failed]
    return "\n".join(lines)


def cell(values: list[float], *, spread: bool) -> str:
    """Return the median, with the range if requested."""
    if not values:
        return "-"
    text = short(statistics.median(values))
    return f"{text} ({short(min(values))} to {short(max(values))})" if spread and len(values) > 1 else text


def short(value: float) -> str:
    """Return a number with three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def machine() -> str:
    """Describe the machine and the software."""
    cpu = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        "?",
    )
    found: dict[str, str] = {}
    for environment in ("ours", "channels", "others"):
        out = subprocess.run(
            [python_of(environment), "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"],
            capture_output=True,
            text=True,
        ).stdout
        found |= dict(line.lower().split("==", 1) for line in out.splitlines() if "==" in line)
    versions = ", ".join(f"{name} {found[name]}" for name in PACKAGES if name in found)
    return f"{os.cpu_count()} cores of {cpu}, Python {platform.python_version()}. {versions}.\n"


def _lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
