"""The counters of all processes: each keeps its own, under a lease, in the Redis of its channel layers.

``processes()`` returns what each has counted, whoever is asked; ``compat.prometheus.endpoint`` rests on it. A
process reports once a second from its start, once this module has been imported, and is forgotten within 5
seconds of its last report. Without a layer on Redis it knows of itself alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from compat import timings
from compat.clock import call_later, wall
from compat.exceptions import LayerUnavailable
from compat.layers import channel_layers
from compat.metrics import Throttle, report_start, snapshot
from compat.redis.loops import start_apart
from compat.redis.waiting import SharedAnswer, within
from compat.types import is_number

__all__ = [
    "EVERY_S",
    "LEASE_S",
    "Fleet",
    "Process",
    "Reported",
    "is_away",
    "meeting_places",
    "others",
    "part",
    "processes",
    "reached_at",
]

log = logging.getLogger("compat.fleet")

EVERY_S, LEASE_S = 1.0, 5.0
"""How often a process reports, and for how long a report counts, in seconds."""
ANSWER_S = 1.0
"""How long the Redis of one layer may take for it."""
IN_A_ROW = 3
"""After how many refusals in a row one is logged; a connection that breaks looks like a single one."""
MOST_BYTES, MOST = 256 * 1024, 2**63
"""The size of a report, as JSON, and of a number in one."""


@dataclass(frozen=True)
class Process:
    """What one process has counted."""

    id: str
    """Unique, and new at each start."""
    host: str
    pid: int
    began: float
    """When it began to count, in seconds since 1970; ``at``: when it reported."""
    at: float
    counters: Mapping[str, Any]
    """What ``compat.metrics.snapshot()`` returned there; a process of another version may lack some of it."""
    mark: str = ""
    """The beginning of the id, while another process reports with the same host and pid; else empty."""
    address: str = ""
    """The channel on which it answers questions (``compat.live``); empty if it does not."""

    @property
    def name(self) -> str:
        """``host:pid``, the same after a restart in a container; that of no other that reports now."""
        return f"{self.host}:{self.pid}{self.mark}"


@dataclass(frozen=True)
class Reported:
    """The processes that have reported."""

    processes: tuple[Process, ...]
    """Sorted by name."""
    whole: bool
    """False if there is no layer on Redis, or none of those answers."""


@dataclass(frozen=True)
class Fleet(Reported):
    """The processes that have reported, and this one, which is the only one without Redis."""

    own: Process
    """That which has asked."""

    def of(self, scope: str) -> list[Process]:
        """Return the processes of a ``scope``: "all", "host" (this machine's) or "process" (this one)."""
        if scope == "process":
            return [self.own]
        return [process for process in self.processes if scope == "all" or process.host == self.own.host]


class _Reporter:
    """This process's reports, and what it has read of the others."""

    def __init__(self) -> None:
        self._pid = 0
        self._id = ""
        self._began = 0.0
        self.address = ""
        """See ``Process.address``."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop on which it reports."""
        self._task: asyncio.Task[None] | None = None
        """The report that is under way, or the last one."""
        self._asking = SharedAnswer(self._read)
        self._throttle = Throttle()
        self._refusals: dict[tuple[Any, bool], int] = {}
        """How often in a row a layer's Redis has answered, and taken no report, or given none to read."""

    def own(self) -> Process:
        """Return this process as it is now."""
        pid = os.getpid()
        if pid != self._pid:  # at first, and in a forked process
            self._pid, self._id, self._began = pid, uuid.uuid4().hex, wall()
            self._loop = self._task = None
            self._asking = SharedAnswer(self._read)
            self.address = ""
        counters = snapshot()
        return Process(
            self._id, socket.gethostname(), pid, self._began, wall(), counters, address=self.address
        )

    def start(self) -> None:
        """Report from now on, as long as the running event loop lives."""
        self.own()
        loop = asyncio.get_running_loop()
        if self._loop is None or self._loop.is_closed() or not self._loop.is_running():
            self._loop = loop
            self._report_soon()

    def _report_soon(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._task = start_apart(self._loop, self._report_now())

    async def _report_now(self) -> None:
        """Report, and set a timer for the next time: a task that waits would outlive its event loop."""
        try:
            await self._exchange(self._report(self.own()), read=False)
        except Exception:
            if self._throttle.due("report"):
                log.exception("this process cannot report what it counts")
        finally:
            call_later(asyncio.get_running_loop(), EVERY_S, self._report_soon)

    async def processes(self) -> Fleet:
        """Return what ``compat.fleet.processes`` does; callers that wait at one time share one question."""
        self.start()
        return await self._asking.get()

    async def _read(self) -> Fleet:
        own = self.own()
        found, whole = await self._exchange(self._report(own), read=True)
        others = [process for process in found if process.id != own.id]
        distinct = _distinct([own, *others])
        return Fleet(distinct, whole, next(process for process in distinct if process.id == own.id))

    async def others(self) -> Reported:
        """Return what ``compat.fleet.others`` does."""
        found, whole = await self._exchange("", read=True)
        return Reported(_distinct(found), whole)

    def _report(self, own: Process) -> str:
        """Return what this process says of itself; nothing if it is too long."""
        text = json.dumps(vars(own), separators=(",", ":"), default=str)
        if len(text) <= MOST_BYTES:
            return text
        if self._throttle.due("size"):
            log.warning(
                "this process's counters are %d bytes as JSON, and at most %d are reported, so other "
                "processes know nothing of it. Which of compat.metrics.snapshot() is so large?",
                *(len(text), MOST_BYTES),
            )
        return ""

    async def _exchange(self, report: str, *, read: bool) -> tuple[list[Process], bool]:
        """Report to each layer on Redis; return what was read there, and whether any has answered."""
        answers = await asyncio.gather(*(self._answer(layer, report, read) for layer in meeting_places()))
        found = [process for answer in answers for text in answer or () if (process := _process(text))]
        return found, any(answer is not None for answer in answers)

    async def _answer(self, layer: Any, report: str, read: bool) -> list[bytes] | None:
        """Return what one layer's Redis has, or None. Of an outage the layer itself speaks."""
        try:
            asking = layer.reports.exchange(self._id, report, LEASE_S, read=read)
            found: list[bytes] = await within(ANSWER_S, asking)
        except asyncio.TimeoutError:
            return None
        except LayerUnavailable as error:
            await self._refused(layer, read, error)
            return None
        self._refusals.pop((layer, read), None)
        return found

    async def _refused(self, layer: Any, read: bool, error: LayerUnavailable) -> None:
        """Log that Redis answers, but takes no report: by its access rules, or because it is full."""
        try:
            await within(ANSWER_S, layer.ping())
        except (LayerUnavailable, asyncio.TimeoutError):
            self._refusals.pop((layer, read), None)
            return
        count = self._refusals[layer, read] = self._refusals.get((layer, read), 0) + 1
        if count >= IN_A_ROW and self._throttle.due(layer):
            log.warning("this process cannot report what it counts: %s", error)


def _process(report: bytes) -> Process | None:
    """Return what a report says; None for one that no process of ours has written."""
    if len(report) > MOST_BYTES:
        return None
    try:
        told = json.loads(report)
        known = {name: told[name] for name in ("id", "host", "pid", "began", "at", "counters")}
        process = Process(**known, address=str(told.get("address", "")))  # another version has none
        process.host.encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    numbers = (process.pid, process.began, process.at)
    if not isinstance(process.id, str) or not isinstance(process.counters, dict):
        return None
    return process if all(is_number(one) and abs(one) < MOST for one in numbers) else None


def _distinct(found: Iterable[Process]) -> tuple[Process, ...]:
    """Return the newest report of each process, sorted by name; all of one host and pid get a mark.

    None of them keeps the plain name: its counters would become those of another when it ends.
    """
    newest: dict[str, Process] = {}
    for process in found:
        if process.id not in newest or newest[process.id].at < process.at:
            newest[process.id] = process
    named = Counter(process.name for process in newest.values())
    marked = [
        replace(process, mark=f"-{process.id[:8]}") if named[process.name] > 1 else process
        for process in newest.values()
    ]
    return tuple(sorted(marked, key=lambda process: (process.name, process.began, process.id)))


def meeting_places() -> list[Any]:
    """Return the channel layers on Redis, where the processes of an application find each other's reports."""
    return [layer for alias in channel_layers if hasattr(layer := channel_layers[alias], "reports")]


def part(counters: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the dict under ``key``, or an empty one: a process of another version may not have it."""
    found = counters.get(key)
    return found if isinstance(found, Mapping) else {}


def is_away(layer: Mapping[str, Any]) -> bool:
    """Return True if a process cannot reach the Redis of a layer, by its counters."""
    gaps = layer.get("gaps")
    listed = gaps if isinstance(gaps, list) else ()
    return any(isinstance(gap, Mapping) and gap.get("ended") is None for gap in listed)


_reporter = _Reporter()
timings.watch()
report_start(_reporter.start)


def reached_at(channel: str) -> None:
    """Report from now on that this process answers questions on ``channel``; empty: that it does not."""
    _reporter.address = channel


async def others() -> Reported:
    """Return what every process has counted that has reported; this one only looks, and is none of them.

    Waits and raises as ``processes`` does.
    """
    return await _reporter.others()


async def processes() -> Fleet:
    """Return what every process has counted that has reported within its lease, and this one now.

    Waits for at most a second for a Redis that does not answer. Raises nothing for an outage: see
    ``Fleet.whole``.
    """
    return await _reporter.processes()
