"""What happens to the links, the processes and Redis, as the schedule of a run says."""

from __future__ import annotations

import asyncio
import time
from asyncio import to_thread
from collections.abc import Callable
from typing import NamedTuple

from redis.exceptions import RedisError

from tests.chaos.fleet import Fleet
from tests.chaos.record import Finding
from tests.chaos.schedule import Plan, Step
from tests.chaos.servers import EMPTYING, TAKEOVERS, Hosts
from tests.support.proxy import Proxy

__all__ = ["Faults", "Happened"]

BLOCKING = ("hold", "trickle", "stall")
CUTTING = ("cut", "cut everyone", "cut midway", "half-close", "refuse", "strand")
UNNOTICED_S = 35.0
"""After how long at most a client gives up a link on which nothing comes."""


class Happened(NamedTuple):
    """A fault, from its beginning to its end."""

    at: float
    until: float
    lane: str
    what: str
    which: int | None
    """The client that it was about; None if it was not about one of them."""
    process: int | None = None
    """The process that was ended, if it was one."""


class Faults:
    """Plays a plan, and keeps what has happened when."""

    def __init__(self, plan: Plan, fleet: Fleet, proxies: list[Proxy], servers: Hosts) -> None:
        self.happened: list[Happened] = []
        self.failures: list[Finding] = []
        """What has not come back as it should."""
        self._plan = plan
        self._fleet = fleet
        self._proxies = proxies
        self._servers = servers

    async def play(self) -> None:
        """Let all lanes happen at the same time; return when servers, Redis and proxies work again."""
        until = time.monotonic() + self._plan.seconds
        await asyncio.gather(*(self._lane(lane, steps, until) for lane, steps in self._plan.lanes.items()))

    async def cut_everyone(self) -> None:
        """Reset every link."""
        for proxy in self._proxies:
            await to_thread(proxy.cut)

    def blocked(self, which: int) -> list[tuple[float, float]]:
        """When a client's link carried nothing, or hardly anything."""
        return [
            (one.at, one.at + UNNOTICED_S if one.what == "stall" else one.until)
            for one in self.happened
            if one.which == which and one.what in BLOCKING
        ]

    def cuts(self, which: int) -> list[tuple[float, float]]:
        """When a client's link ended, or may have."""
        mine = (one for one in self.happened if one.which in (which, None))
        return [(one.at, one.until) for one in mine if one.what in CUTTING]

    def outages(self) -> list[tuple[float, float]]:
        """When Redis did not answer, or had lost connections or what it had."""
        return self._of_redis(lambda what: True)

    def losses(self) -> list[tuple[float, float]]:
        """Those in which it may have lost something that it had."""
        return self._of_redis(lambda what: what in EMPTYING | TAKEOVERS)

    def takeovers(self) -> list[tuple[float, float]]:
        """Those in which a replica may have taken over without the last of it."""
        return self._of_redis(TAKEOVERS.__contains__)

    def _of_redis(self, wanted: Callable[[str], bool]) -> list[tuple[float, float]]:
        return [(one.at, one.until) for one in self.happened if one.lane == "redis" and wanted(one.what)]

    async def _lane(self, lane: str, steps: list[Step], until: float) -> None:
        for step in steps:
            await asyncio.sleep(step.pause)  # the pace of the schedule
            if time.monotonic() > until:
                return
            which, process = self._client_of(lane, step), None
            began = time.time()
            try:
                if lane == "redis":
                    await self._servers.happen(step)
                elif lane == "processes":
                    process = await self._processes(step)
                elif which is None:
                    await self.cut_everyone()
                else:
                    await _network(step, self._proxies[which])
            except (AssertionError, RedisError) as error:  # something has not come back within its deadline
                self.failures.append(Finding(time.time(), "", f"{step.what}: {error}"))
                return
            finally:
                self.happened.append(Happened(began, time.time(), lane, step.what, which, process))

    def _client_of(self, lane: str, step: Step) -> int | None:
        """The client that a step is about: each lane has every other one."""
        if not lane.startswith("network") or step.what == "cut everyone":
            return None
        mine = range(int(lane[-1]), len(self._proxies), 2)
        return mine[step.which % len(mine)]

    async def _processes(self, step: Step) -> int | None:
        """Return the PID of a process that has ended alone."""
        match step.what:
            case "kill a worker":
                return await to_thread(self._fleet.kill_worker, step.which)
            case "end a worker":
                return await to_thread(self._fleet.end_worker, step.which)
            case "replace the workers":
                await to_thread(self._fleet.replace_workers)
            case "restart":
                await to_thread(self._fleet.stop)
                await asyncio.sleep(step.seconds / 4)
                await to_thread(self._fleet.start)
            case _:
                raise NotImplementedError(step.what)
        return None


async def _network(step: Step, proxy: Proxy) -> None:
    match step.what:
        case "cut":
            await to_thread(proxy.cut)
        case "cut midway":
            proxy.before = _cut_after(step.pieces)
            await asyncio.sleep(step.seconds)
            proxy.before = None
        case "half-close":
            await to_thread(proxy.half_close)
        case "hold":
            await to_thread(proxy.hold)
            await asyncio.sleep(step.seconds)
            proxy.release()
        case "refuse":
            proxy.refuse()
            await to_thread(proxy.cut)
            await asyncio.sleep(step.seconds)
            proxy.accept()
        case "stall":
            await to_thread(proxy.stall)
        case "strand":
            await to_thread(proxy.strand)
        case "trickle":
            proxy.bytes_per_s = 500 * step.pieces
            await asyncio.sleep(step.seconds)
            proxy.bytes_per_s = 0
        case _:
            raise NotImplementedError(step.what)


def _cut_after(count: int) -> Callable[[bytes, bool], bytes | None]:
    """Let ``count - 1`` pieces of data through, in either direction, and end the connection at the next one;
    then again.
    """
    left = count

    def before(data: bytes, to_server: bool) -> bytes | None:
        nonlocal left
        left -= 1
        if left > 0:
            return data
        left = count
        return None

    return before
