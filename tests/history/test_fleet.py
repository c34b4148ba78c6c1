"""A fleet under load whose servers are replaced one by one, or die: 0 lost, 0 twice (rows P3 and P4)."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.history.fleet import Fleet, fleet_on, room
from tests.support.clients import Refused
from tests.support.resuming import Closed, Resuming, end_links
from tests.support.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CLIENTS, WORKERS, PER_S, SECONDS = 200, 4, 100, 20
DEADLINE_S = 120.0


@pytest.fixture(autouse=True)
async def links_end() -> AsyncIterator[None]:
    yield
    await end_links()


class Member:
    """A client that stays in a room, on whatever server there is."""

    def __init__(self, client: Resuming, servers: list[Server]) -> None:
        self.client = client
        self.servers = servers
        self.got: list[int] = []
        self.outcomes: list[str] = []

    async def stay(self, last: int) -> None:
        """Read until ``last`` has come."""
        turn = itertools.count()
        while not self.got or self.got[-1] != last:
            try:
                self.got += await self.client.numbers(1)
            except Closed:
                await self._come_back(turn)

    def again(self) -> list[int]:
        """What has come twice."""
        return sorted(number for number, count in Counter(self.got).items() if count > 1)

    async def _come_back(self, turn: itertools.count[int]) -> None:
        while True:
            try:
                server = self.servers[next(turn) % len(self.servers)]
                self.outcomes.append(await self.client.back(to=server))
                return
            except (OSError, Refused, Closed):
                await asyncio.sleep(0.05)


async def chat(fleet: Fleet, sender: Server, where: str) -> int:
    """Say ``PER_S`` numbers a second; return the last one."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(1, PER_S * SECONDS + 1):
        await fleet.say(sender, where, number, number)
        await asyncio.sleep(max(0.0, began + number / PER_S - loop.time()))
    return PER_S * SECONDS


@pytest.mark.parametrize("how", ["rolling restart", "one is killed"])
@pytest.mark.parametrize("kind", ["pubsub", "queue", "streams"])
async def test_history_P3_and_P4_a_fleet_under_load(
    redis_url: str, tmp_path: Path, kind: str, how: str
) -> None:
    with fleet_on(kind, redis_url, tmp_path, {"count": 5000, "seconds": 600}) as fleet:
        sender, where = fleet.start(), room("load")
        servers = [fleet.start() for _ in range(WORKERS)]
        members = []
        for number in range(CLIENTS):
            flavour = ("async", "sync")[number % 2]
            client = fleet.client(servers[number % WORKERS], flavour, where)
            members.append(Member(await client.open(), servers))
        last = PER_S * SECONDS
        staying = [asyncio.ensure_future(member.stay(last)) for member in members]
        chatting = asyncio.ensure_future(chat(fleet, sender, where))
        await asyncio.sleep(SECONDS / 4)
        if how == "one is killed":
            await asyncio.to_thread(servers.pop(0).process.stop, signal.SIGKILL)
        else:
            for old in tuple(servers):
                servers.append(await asyncio.to_thread(fleet.start))
                servers.remove(old)
                await asyncio.to_thread(old.process.stop)
        await chatting
        done, missing = await asyncio.wait(staying, timeout=DEADLINE_S)
        assert not missing, f"{len(missing)} of {CLIENTS} have not got all"
        for task in done:
            task.result()
        twice: dict[int, list[int]] = {}
        for index, member in enumerate(members):
            lost = sorted(set(range(1, last + 1)) - set(member.got))
            assert not lost, f"{len(lost)} lost from {lost[0]} on, {member.outcomes} {member.client.why}"
            assert set(member.outcomes) <= {"groups"}
            if again := member.again():
                twice[index] = again
        if how == "rolling restart":
            assert not twice, f"by member: {twice}"
        else:
            most = PER_S * 6 * CLIENTS // WORKERS
            count = sum(map(len, twice.values()))
            assert count <= most, "at most the last seconds of those on the server that died"
