"""Who is here, in Redis: for each group a hash of its people, whose changes are published.

Each event loop has a lease, and renews it; an entry names the loop that it belongs to. When a lease has run
out, because a process was killed or has lost Redis for long, one of the others takes its entries out. A loop
that was taken out by mistake enters its connections again, under another name. So does every loop when
another server answers, which may have lost the last comings and goings: what is left under the former name
goes with its lease.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Awaitable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat.clock import steady
from compat.exceptions import LayerUnavailable
from compat.layers.presence.attendance import Attendance
from compat.layers.presence.people import MAX_ENTRIES, Diff, Entry, Place, Presence, shown
from compat.layers.redis.subscriptions import Subscriptions
from compat.redis.loops import start_apart
from compat.redis.scripts import Script
from compat.redis.waiting import sleep

if TYPE_CHECKING:
    from compat.layers.redis.layer import RedisLayer
    from compat.layers.redis.station import Station
    from compat.redis.servers import Server

__all__ = ["BEAT_S", "LEASE_S", "RedisPeople"]

FOLDER = Path(__file__).parent
COMMON = ("people",)
ENTER = Script(FOLDER, "enter", COMMON)
DEPART = Script(FOLDER, "depart", COMMON)
DROP = Script(FOLDER, "drop", COMMON)
BEAT = Script(FOLDER, "beat", COMMON)
LEAST = Script(FOLDER, "least", COMMON)

LEASE_S, BEAT_S = 10.0, 3.0
"""How long a process is taken to live without a sign of it, and how often it gives one, in seconds."""
CLAIM_MS = 10_000
"""How long nobody else takes a dead process out after somebody has begun to, or gone on; who may die too."""
NO_LEASE = -2
KEEP_S = 24 * 60 * 60
"""Seconds after which Redis forgets a group that nobody renews: all processes have died."""
PING_S = 5.0
AT_ONCE = 200


class RedisPeople:
    """What one event loop sees of the people; a ``People``."""

    def __init__(self, station: Station, layer: RedisLayer[Any], attendance: Attendance) -> None:
        self._station = station
        self._layer = layer
        self._attendance = attendance
        self._topics: dict[str, str] = {}
        """Maps the topics of the groups that are followed to the groups."""
        self._subscriptions = Subscriptions(
            station, PING_S, self._published, self._topics.__contains__, self._confirmed
        )
        self._names: dict[int, str] = {}
        """What this event loop is called on each host where it has a lease, or gets its first one."""
        self._fresh: set[int] = set()
        """The hosts that have not given this name a lease yet."""
        self._former: dict[int, set[str]] = {}
        """What it was called on the hosts on which its connections have to enter again."""
        self._entering: set[str] = set()
        """The names under which they do so."""
        self._servers: dict[int, Server] = {}
        """What has answered last for each host."""
        self._followers: Counter[str] = Counter()
        self._beating: asyncio.Task[None] | None = None
        self._beats: dict[int, asyncio.Task[None]] = {}
        """The beats that are under way, by host."""
        self._renewed: dict[int, float] = {}
        self._refused: set[int] = set()
        """The hosts on which the last beat has failed."""

    def _start(self) -> None:
        """Keep showing that this process is alive, and remove dead processes."""
        if self._beating is None:
            self._beating = start_apart(self._station.loop, self._beat())

    # To write

    def _where(self, group: str) -> tuple[int, str, str]:
        """Return the host of a group's people, their key there, and their topic."""
        keys = self._station.keys
        topic = keys.people_topic(group)
        return keys.shard_in(topic), keys.people(group), topic

    def _name(self, shard: int) -> str:
        name = self._names.get(shard)
        if name is None:
            name = self._names[shard] = uuid.uuid4().hex
            self._fresh.add(shard)
        return name

    def _taken_out(self, shard: int, name: str) -> None:
        """Take another name on a host, and enter there again: what is under this one is not right."""
        if self._names.get(shard) == name:
            del self._names[shard]
            self._former.setdefault(shard, set()).add(name)
            self._attendance.in_background(self._enter_again(shard))

    async def _enter_again(self, shard: int) -> None:
        name = self._name(shard)
        if name in self._entering:
            return
        self._entering.add(name)
        try:
            await self._attendance.again(lambda group: self._where(group)[0] == shard)
        finally:
            self._entering.discard(name)
        if self._names.get(shard) == name:
            self._former.pop(shard, None)

    async def _server(self, shard: int) -> str:
        """Return which server answers for a host ("" if it does not say), and enter again if it is a new one.

        Every enter, departure, beat and reading begins with this. A connection that was cut, and leads to the
        same server, has lost nothing.
        """
        shards = self._station.shards
        if not shards.is_open(shard):
            await shards.call(shard, b"PING")
        server, before = shards.server(shard), self._servers.get(shard)
        if server is None:  # the connection is gone already
            return ""
        if server is not before:
            self._servers[shard] = server
            if before is not None and (server.run_id is None or server.run_id != before.run_id):
                self._taken_out(shard, self._names.get(shard, ""))
        return server.run_id or ""

    async def enter(self, place: Place, meta: str, *, away: bool) -> int:
        """See ``People``."""
        self._start()
        shard, people, topic = self._where(place.group)
        keys, publish = self._station.keys.at(shard), await self._layer._publishing()
        while True:
            server, name = await self._server(shard), self._name(shard)
            there = [people, topic, keys.present(name), keys.processes]
            version: int = await self._station.shards.run(
                shard,
                ENTER,
                [*there, keys.last_version, keys.least_version],
                *(publish, KEEP_S, server, name, *place, int(away), meta),
                *(MAX_ENTRIES, int(LEASE_S * 1000), int(shard in self._fresh)),
            )
            if version == NO_LEASE:
                self._taken_out(shard, name)
            elif self._names.get(shard) == name:  # else it has entered under a name that has been given up
                self._fresh.discard(shard)
                return version

    async def depart(self, place: Place, how: str, *, last: bool) -> tuple[bool, int]:
        """See ``People``."""
        shard, people, topic = self._where(place.group)
        keys = self._station.keys.at(shard)
        told = (await self._layer._publishing(), KEEP_S, await self._server(shard))
        departed, version = await self._station.shards.run(
            shard,
            DEPART,
            [people, topic, keys.present(self._name(shard)), keys.last_version, keys.least_version],
            *(*told, *place, how, int(last)),
        )
        return bool(departed), version

    # To read

    async def read(self, group: str) -> Presence:
        """See ``People``."""
        self._start()
        shard, people, _ = self._where(group)
        least = (self._station.keys.at(shard).least_version, await self._server(shard), KEEP_S)
        reading = ((b"EVAL", LEAST.text, 1, *least), (b"HGETALL", people))
        flat: list[bytes]
        version, flat = await self._station.shards.calls(shard, reading)
        found = dict[str, dict[str, Any]]()
        for start in range(0, len(flat), 2 * AT_ONCE):
            if start:
                await asyncio.sleep(0)  # a crowd must not hold up the event loop
            part = flat[start : start + 2 * AT_ONCE]
            for field, value in zip(part[::2], part[1::2], strict=True):
                if field == b"v":
                    version = max(version, int(value))
                elif person := shown(_entries(value)):
                    found[field[2:].decode()] = person
        return Presence(found, version)

    async def follow(self, group: str) -> None:
        """See ``People``."""
        topic = self._where(group)[2]
        self._followers[topic] += 1
        self._topics[topic] = group
        await self._subscriptions.subscribe(topic)

    def unfollow(self, group: str) -> None:
        """See ``People``."""
        topic = self._where(group)[2]
        self._followers[topic] -= 1
        if self._followers[topic] <= 0:
            del self._followers[topic]
            self._topics.pop(topic, None)
            self._subscriptions.unsubscribe(topic)

    def _published(self, topic: bytes, body: bytes) -> Awaitable[None] | None:
        group = self._topics.get(topic.decode())
        if group is not None:
            try:
                self._attendance.came(group, Diff.read(body))
            except ValueError as error:
                self._layer.count_undecodable(f"the presence of group {group}", error)
        return None

    def _confirmed(self, topics: set[str]) -> None:
        """Read again, because changes may have been missed without a connection."""
        for topic in topics:
            watched = self._attendance.groups.get(self._topics.get(topic, ""))
            if watched is not None:
                watched.lost()

    # Who lives

    async def _beat(self) -> None:
        while True:
            await sleep(BEAT_S)
            self._begin_beats()

    def _begin_beats(self) -> None:
        """Renew the lease on each host; one that has not answered the last beat must not delay the others."""
        groups, silent = self._by_host(), frozenset(self._beats)
        for shard in range(self._station.keys.ring_size):
            if shard not in silent:
                beat = self._station.loop.create_task(self._beat_on(shard, groups.get(shard, ())))
                self._beats[shard] = beat
                beat.add_done_callback(partial(self._beat_ended, shard))
        self._attendance.settle(lambda group: self._where(group)[0], silent)

    def _beat_ended(self, shard: int, beat: asyncio.Task[None]) -> None:
        """Log what was wrong with a beat: twice in a row without an outage, the host refuses it."""
        del self._beats[shard]
        if beat.cancelled():
            return
        error = beat.exception()
        self._attendance.report(error)
        if not isinstance(error, LayerUnavailable):
            self._refused.discard(shard)
        elif shard in self._refused and not self._layer.metrics.is_away():
            self._attendance.refused(error)
        else:
            self._refused.add(shard)

    def _by_host(self) -> dict[int, Collection[str]]:
        groups = self._attendance.groups
        if self._station.keys.ring_size == 1:
            return {0: groups}
        found: dict[int, list[str]] = {}
        for group in groups:
            found.setdefault(self._where(group)[0], []).append(group)
        return {**found}

    async def _beat_on(self, shard: int, mine: Collection[str]) -> None:
        await self._server(shard)
        keys, name = self._station.keys.at(shard), self._name(shard)
        lease_ms = int(LEASE_S * 1000) if mine else 0
        had, *dead = await self._renew(shard, name, lease_ms)
        for former in tuple(self._former.get(shard, ())):  # or those who are still to enter again leave
            dead += (await self._renew(shard, former, lease_ms))[1:]
        if not mine and not self._by_host().get(shard):  # nobody has entered meanwhile
            self._names.pop(shard, None)  # the lease ends, and with it the name
            self._former.pop(shard, None)
        elif not had and shard not in self._fresh:
            self._taken_out(shard, name)
        elif shard in self._former:
            self._attendance.in_background(self._enter_again(shard))
        for process in dead:
            self._attendance.in_background(self._take_out(shard, process.decode()))
        if steady() - self._renewed.setdefault(shard, steady()) > KEEP_S / 4:
            self._renewed[shard] = steady()
            self._attendance.in_background(
                self._keep(
                    shard, [keys.present(name), keys.least_version, *map(self._station.keys.people, mine)]
                )
            )

    async def _renew(self, shard: int, name: str, lease_ms: int) -> list[Any]:
        """Renew a lease; return 1 if there was one, else 0, and the dead processes to take out."""
        keys = self._station.keys.at(shard)
        about = (name, lease_ms, CLAIM_MS)
        return list(await self._station.shards.run(shard, BEAT, [keys.processes, keys.dying], *about))

    async def _keep(self, shard: int, renewed: list[str]) -> None:
        for start in range(0, len(renewed), AT_ONCE):
            calls = (
                self._station.shards.call(shard, b"EXPIRE", key, KEEP_S)
                for key in renewed[start : start + AT_ONCE]
            )
            await asyncio.gather(*calls)

    async def _take_out(self, shard: int, process: str) -> None:
        """Take the entries of a dead process out."""
        keys, shards = self._station.keys, self._station.shards
        at, any_left, claimed = keys.at(shard), False, steady()
        for group in await shards.call(shard, b"SMEMBERS", at.present(process)):
            _, people, topic = self._where(group.decode())
            if steady() - claimed > CLAIM_MS / 2000:
                claimed = steady()
                await shards.call(shard, b"ZADD", at.dying, b"XX", b"INCR", CLAIM_MS // 2, process)
            cursor = b""
            while cursor != b"0":
                cursor, flat = await shards.call(shard, b"HSCAN", people, cursor or b"0", b"COUNT", AT_ONCE)
                found = [
                    field[2:]
                    for field, value in zip(flat[::2], flat[1::2], strict=True)
                    if process.encode() in value
                ]
                if found:
                    any_left = True
                    versions = at.last_version, at.least_version
                    told = (await self._layer._publishing(), KEEP_S, await self._server(shard), process)
                    await shards.run(shard, DROP, [people, topic, *versions], *told, *found)
        await shards.call(shard, b"DEL", at.present(process))
        await shards.call(shard, b"ZREM", at.dying, process)
        if any_left:  # else it had nobody here any more
            self._layer.metrics.count_taken_out()

    async def aclose(self) -> None:
        """End all work; the lease runs out by itself."""
        if self._beating is not None:
            self._beating.cancel()
        for beat in self._beats.values():
            beat.cancel()
        await self._subscriptions.aclose()


def _entries(value: bytes) -> list[Entry]:
    person: Mapping[str, tuple[str, int, int, str, float]] = json.loads(value)
    return [
        Entry(process, bool(away), bool(leaving), meta, int(since))
        for process, away, leaving, meta, since in person.values()
    ]
