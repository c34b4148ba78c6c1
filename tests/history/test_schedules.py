"""Any order of sending, joining, leaving, coming back and being cut: rows H2 and H3, step by step."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.exceptions import LayerUnavailable
from tests.history.fleet import Fleet, fleet_on, room
from tests.support.layers import ON_REDIS, close, unique_prefix
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.resuming import Resuming, end_links, number_of
from tests.support.servers import Server
from tests.support.waiting import until_async

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WITHIN_S = 30.0
GROUP = "chat_x"
SCHEDULES = settings(
    max_examples=20,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def insist(call: Callable[[], Awaitable[Any]]) -> Any:
    """What the call returns once Redis is there for it; a client that is refused comes again, too."""
    end = time.monotonic() + WITHIN_S
    while True:
        try:
            return await call()
        except LayerUnavailable:
            assert time.monotonic() < end, f"not within {WITHIN_S} s"
            await asyncio.sleep(0.02)


class Members:
    """The members of a room in one process, and what each must have got."""

    def __init__(self, layer: Any, on_join: int) -> None:
        self._layer = layer
        self._on_join = on_join
        self._expected: dict[str, list[int]] = {}
        self._boxes: dict[str, Inbox] = {}
        self.said: list[int] = []

    def say(self) -> int:
        self.said.append(len(self.said))
        for expected in self._expected.values():
            expected.append(self.said[-1])
        return self.said[-1]

    async def join(self) -> None:
        channel = await insist(self._layer.new_channel)
        inbox = self._boxes[channel] = inbox_of(asyncio.get_running_loop())
        self._layer.attach(channel, inbox)
        await insist(lambda: self._layer.group_add(GROUP, channel))
        self._expected[channel] = self.said[-self._on_join :] if self._on_join else []

    async def leave(self) -> None:
        if self._expected:
            channel = next(iter(self._expected))
            await self.have_all(channel)
            del self._expected[channel]
            await insist(lambda: self._layer.group_discard(GROUP, channel))

    async def have_all(self, *channels: str) -> None:
        """Each has what it must have, in order; before that may be what was under way when it joined."""
        for channel in channels or tuple(self._expected):
            inbox, least = self._boxes[channel], len(self._expected[channel])
            await until_async(partial(has, inbox, self._expected[channel]), "they come", deadline_s=WITHIN_S)
            got = [event[1]["n"] for event in inbox.events]
            before = self._expected[channel][0] if least else len(self.said)
            assert got == list(range(before - (len(got) - least), before + least))


def has(inbox: Inbox, expected: list[int]) -> bool:
    return len(inbox.events) >= len(expected) and all(
        inbox.events[-1][1]["n"] == last for last in expected[-1:]
    )


@pytest.mark.parametrize("kind", sorted(ON_REDIS))
def test_history_H2_with_cuts_at_every_step(kind: str, redis_server: RedisServer) -> None:
    """The process with the members loses all of its connections to Redis wherever the schedule says so."""

    async def go_through(steps: list[str], on_join: int) -> None:
        rule = {"chat_*": {"count": 1000, "on_join": on_join}}
        with Proxy(redis_server.port) as proxy:
            options: dict[str, Any] = {"prefix": unique_prefix(), "capacity": 1000, "history": rule}
            here = ON_REDIS[kind](hosts=[f"{proxy.url}?socket_timeout=1"], **options)
            there = ON_REDIS[kind](hosts=[redis_server.url], **options)
            members = Members(here, on_join)
            for step in steps:
                if step == "say":
                    await there.group_send(GROUP, {"type": "chat.message", "n": members.say()})
                elif step == "join":
                    await members.join()
                elif step == "leave":
                    await members.leave()
                else:
                    await asyncio.to_thread(proxy.cut)
            await members.have_all()
            assert not here.metrics.dropped, here.metrics.dropped
            await close(here, there)

    @settings(SCHEDULES, max_examples=100)
    @given(
        st.lists(st.sampled_from(["say", "join", "leave", "cut"]), min_size=3, max_size=14), st.integers(0, 3)
    )
    def check(steps: list[str], on_join: int) -> None:
        asyncio.run(go_through(["join", *steps], on_join))

    check()


class Traveller:
    """A client that goes from server to server, and what it has seen of its room."""

    COUNT, ON_JOIN = 5, 2

    def __init__(self, fleet: Fleet, servers: list[Server]) -> None:
        self._fleet = fleet
        self._servers = servers
        self._where = room("travel")
        self._home = servers[0]
        self._said = 0
        self._seen = 0
        self._lost = False
        self._again = False
        """What it has seen may come again, because its ticket may be older."""
        self.client: Resuming

    async def open(self) -> None:
        self.client = await self._fleet.client(self._home, "async", self._where).open()
        await self.read()

    async def say(self, count: int) -> None:
        if not count:
            return
        speaker = next(server for server in self._servers if server is not self._home)
        await self._fleet.say(speaker, self._where, self._said + 1, self._said + count)
        self._said += count

    async def read(self) -> None:
        """Read up to the last one; they come in order, and none is missing."""
        while self._seen < self._said:
            (number,) = await self.client.numbers(1)
            self._see(number)

    def _see(self, number: int) -> None:
        follows = number == self._seen + 1 or (self._again and number <= self._seen)
        assert follows, f"{number} after {self._seen}, of {self._said}"
        self._seen, self._again = number, False

    def cut(self) -> None:
        self.client.cut()
        while self.client.frames:  # what has come already
            self._see(number_of(self.client.frames.popleft()))

    async def lose_the_server(self) -> None:
        """The home is killed; another server takes its place."""
        self._home.process.stop(signal.SIGKILL)
        self._servers[self._servers.index(self._home)] = self._fleet.start()
        # The one that goes on may not be among the last two, which the next schedule takes.
        self._fleet.servers.sort(key=self._servers.__contains__)
        self._lost = True

    async def back(self, number: int) -> None:
        to = self._servers[number]
        missed = self._said - self._seen
        verdict = await self.client.back(to=to)
        event(f"came back to {verdict!r} {self.client.why}")
        if not self._lost:
            assert verdict == "all", self.client.why
            return
        self._home, self._lost = to, False
        if verdict == "groups":
            assert missed <= self.COUNT, "what is gone is never claimed"
            self._again = True
        else:
            assert verdict == ""
            self._seen = max(0, self._said - self.ON_JOIN)


STEPS = st.tuples(st.sampled_from(["say", "read", "move", "kill"]), st.integers(0, 7))
"""What happens, and how many messages are said then; while a client moves or its server dies it is away."""


@pytest.fixture(params=["pubsub", "queue", "streams"])
def fleet(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """Two servers, and those that take their places."""
    rule = {"count": Traveller.COUNT, "on_join": Traveller.ON_JOIN}
    with fleet_on(request.param, redis_url, tmp_path, rule) as made:
        yield made
        made.no_failure()


@SCHEDULES
@given(schedule=st.lists(STEPS, min_size=2, max_size=7))
async def test_history_H3_with_cuts_at_every_step(fleet: Fleet, schedule: list[tuple[str, int]]) -> None:
    """What a client is told of its groups is true, wherever it was cut and whichever server has died."""
    while len(fleet.servers) < 2:
        fleet.start()
    traveller = Traveller(fleet, fleet.servers[-2:])
    await traveller.open()
    for step, count in [*schedule, ("move", 1)]:
        if step in ("move", "kill"):
            traveller.cut()
        await traveller.say(count)
        if step == "read":
            await traveller.read()
        if step == "kill":
            await traveller.lose_the_server()
        if step in ("move", "kill"):
            await traveller.back(count % 2)
    await traveller.read()
    await end_links()
