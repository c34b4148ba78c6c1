"""bench/faults/RESULTS.md, from the rows of a run."""

from __future__ import annotations

import os
import platform
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import NamedTuple

from bench.faults.counts import Counts, Way
from bench.faults.faults import FAULTS, Fault
from bench.faults.systems import PING_S, PONG_S, SYSTEMS, versions

__all__ = ["Row", "write"]

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"
NAMES = {"ours": "channels-compat", "python-socketio": "python-socketio", "socket.io": "Socket.IO"}

NOT_TRIED = "–"  # noqa: RUF001 - as in every table of the documentation

INTRODUCTION = f"""\
# The fault matrix

Written by `bench/faults/run`. [bench/README.md](../README.md#the-fault-matrix) says how it is made, and
[docs/resume.md](../../docs/resume.md#the-fault-matrix) what it means.

Each system has its own server and its own client, which comes back by its own means, over websockets only.
Servers ping every {PING_S:g} s and wait {PONG_S:g} s for the answer. Clients wait half a second at most
between two attempts.
"""

LEGEND = f"""
- "✓": every message came once, in order.
- "lost ↓": messages to the client are missing. "lost ↑": messages to the server are missing.
- "returned ↑": the client's application got frames back that were not acknowledged or could not be sent.
- "unfinished": the handler of a message of the client has begun and not ended.
- "told": the client was told that something may be missing. python-socketio has no word for it; there, a new
  connection counts as told.
- Redis is restarted ten times, and the worst trial counts: how much is lost depends on chance.
- "{NOT_TRIED}": the system has not the part that fails.
"""

COLUMNS = """
## Every trial

- "missing ↓", "missing ↑": how many messages to the client and to the server were lost, of how many.
- "returned": how many frames the client got back, and in parentheses how many of these had arrived.
- "handlers": how often the connect handler and the disconnect handler ran for the one client, up to some
  seconds after its goodbye. A process that is killed runs no disconnect handler.
- "s": seconds, with the start of the client and the wait for the last handler.

| fault | during | system | missing ↓ | missing ↑ | returned | twice | disorder | told | why | handlers | s |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""


class Row(NamedTuple):
    """A trial, and what it has shown."""

    system: str
    fault: str
    moment: str
    counts: Counts

    def line(self) -> str:
        """Return it as a line for the terminal."""
        return (
            f"{self.system:16}{self.fault:10}{self.moment:10}{verdict(self.counts):40}{self.counts.seconds} s"
        )

    def detail(self) -> str:
        """Return it as a row of the long table."""
        down, up, told = self.counts.down, self.counts.up, self.counts.told
        cells = [
            self.fault,
            self.moment,
            NAMES[self.system],
            f"{down.missing} of {down.sent}",
            f"{up.missing} of {up.sent}",
            f"{up.returned} ({up.needlessly})" if up.returned else "0",
            str(down.twice + up.twice),
            str(down.disorder + up.disorder),
            "yes" if told else "no",
            self.counts.why,
            f"{self.counts.connects}, {self.counts.disconnects}",
            str(self.counts.seconds),
        ]
        return f"| {' | '.join(cells)} |"


def verdict(counts: Counts) -> str:
    """Return a trial in some words."""
    if not counts.back:
        return "**does not come back**"
    if counts.complete:
        return "✓"
    said = [
        f"{what} {''.join(arrows)}"
        for what, name in (
            ("lost", "missing"),
            ("twice", "twice"),
            ("out of order", "disorder"),
            ("returned", "returned"),
        )
        if (arrows := [arrow for arrow, one in _ways(counts) if getattr(one, name)])
    ]
    text = ", ".join([*said, "unfinished"] if counts.unfinished else said)
    return f"**{text}; not told**" if counts.silent else f"{text}; told"


def _ways(counts: Counts) -> tuple[tuple[str, Way], tuple[str, Way]]:
    return ("↓", counts.down), ("↑", counts.up)


def summary(rows: list[Row]) -> str:
    """Return the short table: a row for each fault, and for moments with the same outcome."""
    found = {(row.system, row.fault, row.moment): verdict(row.counts) for row in rows}
    names = [system.name for system in SYSTEMS]
    lines = [
        f"| fault | during | {' | '.join(NAMES[name] for name in names)} |",
        "|---" * (2 + len(names)) + "|",
    ]
    for fault in FAULTS:
        lines += _lines(
            fault, [tuple(found.get((n, fault.name, m), NOT_TRIED) for n in names) for m in fault.moments]
        )
    return "\n".join(lines)


def _lines(fault: Fault, cells: list[tuple[str, ...]]) -> list[str]:
    both = sorted(zip(cells, fault.moments, strict=True), key=lambda one: cells.index(one[0]))
    lines = []
    for same, group in groupby(both, key=lambda one: one[0]):
        moments = ", ".join(moment for _, moment in group)
        lines.append(f"| {'' if lines else fault.title} | {moments} | {' | '.join(same)} |")
    return lines


def write(rows: list[Row]) -> None:
    """Write the results."""
    order = [fault.name for fault in FAULTS]
    ordered = sorted(rows, key=lambda row: order.index(row.fault))
    machine = (
        f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, load {os.getloadavg()[2]:.1f}"
    )
    totals = []
    for system in SYSTEMS:
        own = [row.counts for row in rows if row.system == system.name]
        complete, silent = sum(one.complete for one in own), sum(one.silent for one in own)
        totals.append(f"- {NAMES[system.name]}: {len(own)} trials, {complete} complete, {silent} not told")
    parts = [
        INTRODUCTION,
        fill(f"Made with {', '.join(versions())}, on {machine}.", 110) + "\n",
        summary(ordered),
        LEGEND,
        "\n".join(totals),
        COLUMNS + "\n".join(row.detail() for row in ordered) + "\n",
    ]
    RESULTS.write_text("\n".join(parts), encoding="utf-8")
    print(f"written: {RESULTS}")
