"""``channels-compat top``: what the processes of an application do, second by second."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from compat import fleet
from compat.cli.layers import configured
from compat.cli.printable import printable
from compat.exceptions import CompatError

try:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text
except ModuleNotFoundError as error:
    raise ImportError(
        "channels-compat top needs rich. Install it with: pip install 'channels-compat[top]'"
    ) from error

__all__ = ["NobodyReports", "show"]

COLUMNS = ("process", "up", "sockets", "new/s", "sent/s", "delivered/s", "lost", "waiting", "parked", "away")
SUM = "all"


class NobodyReports(CompatError):
    """No process of the application can be seen."""


@dataclass(frozen=True)
class Line:
    """The numbers of a process, or of all together; what is counted since its start, and what is now."""

    up_s: float = 0
    sockets: int = 0
    accepted: int = 0
    sent: int = 0
    delivered: int = 0
    lost: int = 0
    waiting: int = 0
    parked: int = 0
    away: tuple[str, ...] = ()
    """The layers whose Redis it cannot reach."""

    def __add__(self, other: Line) -> Line:
        return Line(
            max(self.up_s, other.up_s),
            self.sockets + other.sockets,
            self.accepted + other.accepted,
            self.sent + other.sent,
            self.delivered + other.delivered,
            self.lost + other.lost,
            self.waiting + other.waiting,
            self.parked + other.parked,
            tuple(sorted({*self.away, *other.away})),
        )


def show(
    application: str | None = None, *, every_s: float = 2.0, once: bool = False, as_json: bool = False
) -> None:
    """Print a table of the processes, again every ``every_s`` seconds until Ctrl-C, unless ``once``.

    ``as_json``: each time one line of JSON, ``{"at", "whole", "processes": [{"name", "host", "pid", "began",
    "at", "counters"}]}``. ``application``: as for ``layers.show``. Raises NoLayers, NobodyReports.
    """
    options = (["--once"] if once else []) + (["--json"] if as_json else [])
    configured(application, " ".join(["top", *options]))
    with_redis = fleet.meeting_places()
    if not with_redis:
        raise NobodyReports("no channel layer is on Redis, where the processes of an application meet")
    try:
        asyncio.run(_shown(with_redis, every_s, once=once, as_json=as_json))
    except KeyboardInterrupt:
        pass


async def _shown(layers: Iterable[Any], every_s: float, *, once: bool, as_json: bool) -> None:
    try:
        await _show_them(every_s, once=once, as_json=as_json)
    finally:
        for layer in layers:
            await layer.close_pools()


async def _show_them(every_s: float, *, once: bool, as_json: bool) -> None:
    console = Console(highlight=False)
    before = found = await fleet.others()
    if not found.processes:
        raise NobodyReports(_why_nobody(found))
    in_place = console.is_terminal and not once and not as_json
    with Live(console=console, auto_refresh=False, screen=True) if in_place else nullcontext() as live:
        while True:
            if live is not None:
                live.update(_table(found, before), refresh=True)
            elif as_json:
                print(_json(found), flush=True)
            else:
                console.print(_table(found, before))
            if once:
                return
            await asyncio.sleep(every_s)
            before, found = found, await fleet.others()


def _why_nobody(found: fleet.Reported) -> str:
    if not found.whole:
        return "Redis does not answer: channels-compat layers says more"
    return (
        "no process reports. A process does if its application imports compat.fleet, as one does that has a "
        "page of compat.prometheus; and it must have the same CHANNEL_LAYERS, with the same prefix"
    )


def _json(found: fleet.Reported) -> str:
    processes = [
        {
            "name": process.name,
            **{key: value for key, value in vars(process).items() if key not in ("id", "mark", "address")},
        }
        for process in found.processes
    ]
    return json.dumps({"at": time.time(), "whole": found.whole, "processes": processes})


def _table(found: fleet.Reported, before: fleet.Reported) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("process", "away") else "right", no_wrap=True)
    earlier = {process.id: process for process in before.processes}
    lines = [(process, _line(process)) for process in found.processes]
    for process, line in lines:
        was = earlier.get(process.id, process)
        rates = _rates(line, _line(was), process.at - was.at)
        table.add_row(*_cells(process.name, line, rates))
    if len(lines) > 1:
        known = [(line, _line(earlier[process.id])) for process, line in lines if process.id in earlier]
        spans = [process.at - earlier[process.id].at for process, _ in lines if process.id in earlier]
        now = sum((line for line, _ in known), Line())
        was_then = sum((line for _, line in known), Line())
        whole = sum((line for _, line in lines), Line())
        rates = _rates(now, was_then, max(spans, default=0.0))
        table.add_row(*_cells(SUM, whole, rates), style="bold")
    if not found.whole:
        table.caption = Text("Redis does not answer")
    return table


def _rates(line: Line, was: Line, seconds: float) -> list[str]:
    """Return the accepted sockets, sent and delivered messages per second; dashes at the first look."""
    counted = ((line.accepted, was.accepted), (line.sent, was.sent), (line.delivered, was.delivered))
    if seconds <= 0:
        return ["-"] * len(counted)
    return [f"{(now - then) / seconds:.0f}" for now, then in counted]


def _cells(name: str, line: Line, rates: Iterable[str]) -> Iterator[Text]:
    cells = [
        *(printable(name), _duration(line.up_s), str(line.sockets), *rates),
        *(str(line.lost), str(line.waiting), str(line.parked), printable(", ".join(line.away))),
    ]
    return map(Text, cells)


def _line(process: fleet.Process) -> Line:
    counters = process.counters
    layers = {
        alias: layer for alias, layer in fleet.part(counters, "layers").items() if isinstance(layer, Mapping)
    }
    dropped = [fleet.part(layer, "dropped") for layer in layers.values()]
    return Line(
        process.at - process.began,
        _number(fleet.part(counters, "connections"), "current"),
        _number(fleet.part(counters, "connections"), "total"),
        sum(_number(layer, "sent") for layer in layers.values()),
        sum(_number(layer, "delivered") for layer in layers.values()),
        sum(_number(lost, reason) for lost in dropped for reason in lost),
        sum(_number(layer, "depth") for layer in layers.values()),
        _number(fleet.part(counters, "resumable"), "parked"),
        tuple(alias for alias, layer in layers.items() if fleet.is_away(layer)),
    )


def _number(counters: Mapping[str, Any], key: str) -> int:
    found = counters.get(key)
    return found if isinstance(found, int) else 0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours}:{minutes:02}:{rest:02}"
