"""One run: servers, clients, faults, and the record of all of it."""

from __future__ import annotations

import asyncio
import time
from asyncio import to_thread
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import httpx

from tests.chaos.faults import Faults, Happened
from tests.chaos.fleet import Fleet
from tests.chaos.members import CLIENTS, Member
from tests.chaos.record import Finding, Looked, Record, from_notes
from tests.chaos.rules import judge, logged
from tests.chaos.rules_of_rooms import owed
from tests.chaos.schedule import ROOMS, Plan
from tests.chaos.servers import Hosts, servers_of
from tests.support.files import notes_in
from tests.support.proxy import Proxy
from tests.support.waiting import until_async, until_awaited

__all__ = ["Outcome", "run"]

DEADLINE_S = 90.0
MORE_CONNECTIONS = 20
LOOKS, PACE_S = 6, 0.5
"""How often in a row the servers must say who is present; and between two questions until they do."""


@dataclass
class Outcome:
    """What has come of a run."""

    plan: Plan
    record: Record
    happened: list[Happened]
    findings: list[Finding]
    """All that is wrong."""


async def run(plan: Plan, folder: Path) -> Outcome:
    """Play a plan; ``folder`` gets the logs and the notes of the servers."""
    with ExitStack() as stack:
        servers = stack.enter_context(servers_of(plan, folder))
        fleet = Fleet(plan, folder, servers.entries())
        stack.callback(fleet.end)
        proxies = [stack.enter_context(Proxy(fleet.port)) for _ in CLIENTS]
        members = [Member(plan, index, proxy, fleet.origin) for index, proxy in enumerate(proxies)]
        faults = Faults(plan, fleet, proxies, servers)
        return await _Run(plan, fleet, members, faults, servers).play()


class _Run:
    def __init__(
        self, plan: Plan, fleet: Fleet, members: list[Member], faults: Faults, servers: Hosts
    ) -> None:
        self._plan = plan
        self._servers = servers
        self._fleet = fleet
        self._members = members
        self._faults = faults
        self._settled = 0.0
        self._looks: list[Looked] = []

    async def play(self) -> Outcome:
        await asyncio.gather(*(member.open() for member in self._members))
        for member in self._members:
            member.begin()
        connections = await to_thread(self._servers.connections)
        await self._faults.play()
        for member in self._members:
            await member.rest()
        found = [*self._faults.failures, *await self._settle()]
        found += await to_thread(self._counted, connections)
        await self._look({room: self._in(room) for room in ROOMS})
        await asyncio.gather(*(member.leave() for member in self._members))
        await self._look(dict.fromkeys(ROOMS, frozenset()))
        try:
            await to_thread(self._fleet.stop)
        except AssertionError as error:
            found.append(Finding(time.time(), "", str(error)))
        record = self._record()
        found += judge(record)
        found += logged(self._fleet.log(), time.time())
        return Outcome(self._plan, record, self._faults.happened, found)

    async def _settle(self) -> list[Finding]:
        """Wait until each client is back, and has got what it is owed, which ``judge`` says else."""
        opened = [member.opened for member in self._members]
        await self._faults.cut_everyone()  # what is stalled or stranded would be noticed late
        found = []
        for member, before in zip(self._members, opened, strict=True):
            try:
                await until_async(partial(member.is_back, before), "it is back", deadline_s=DEADLINE_S)
            except AssertionError as error:
                found.append(Finding(time.time(), member.record.name, str(error)))
        self._settled = time.time()
        with suppress(AssertionError):
            await until_awaited(self._count_owed, 0, deadline_s=DEADLINE_S)
        return found

    def _counted(self, before: int) -> list[Finding]:
        """Whether the faults have left connections behind; some are opened when they are needed first."""
        now = self._servers.connections()
        if now <= 2 * before + MORE_CONNECTIONS:
            return []
        return [Finding(time.time(), "", f"Redis has {now} connections, at the beginning it had {before}")]

    def _in(self, room: str) -> frozenset[str]:
        """The clients whose consumers are in the room."""
        records = [member.record for member in self._members if member.state == "open"]
        return frozenset(one.name for one in records if one.room == room and one.kind != "plain")

    async def _look(self, due: dict[str, frozenset[str]]) -> None:
        """Wait until all processes say that those who are due are present, which ``judge`` says else."""
        found: dict[str, frozenset[str]] = {}

        async def look() -> bool:
            nonlocal found
            for _ in range(LOOKS):  # each time another process may answer
                found = await self._present()
                if found != due:
                    await asyncio.sleep(PACE_S)
                    return False
            return True

        with suppress(AssertionError):
            await until_awaited(look, True, deadline_s=DEADLINE_S)
        self._looks += [Looked(time.time(), room, due[room], found[room]) for room in ROOMS]

    async def _present(self) -> dict[str, frozenset[str]]:
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=DEADLINE_S) as client:
            answer = await client.get(f"{self._fleet.origin}/present")
        return {room: frozenset(here) for room, here in answer.raise_for_status().json().items()}

    async def _count_owed(self) -> int:
        return len(await to_thread(lambda: owed(self._record())))

    def _record(self) -> Record:
        """What there is by now."""
        clients = []
        for index, member in enumerate(self._members):
            member.record.blocked = self._faults.blocked(index)
            member.record.cuts = self._faults.cuts(index)
            clients.append(replace(member.record, log=list(member.record.log)))
        # After the clients' logs, which go on meanwhile: a consumer notes that it is there before its hello.
        consumers, messages = from_notes(notes_in(self._fleet.notes))
        return Record(
            *(clients, consumers, messages, self._fleet.killed),
            *(self._faults.outages(), self._faults.losses(), self._faults.takeovers()),
            *(self._looks, self._settled),
        )
