"""``RegistryUpkeep``: keeps a registry in Redis true, whatever happens to its servers."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

from compat.manager.backends.base import BaseBackend, CleanupStats, Left, Local
from compat.manager.backends.lease import Lease
from compat.manager.backends.link import RegistryLink
from compat.manager.backends.records import Record, ServerInfo, bounded
from compat.manager.backends.scripts import DEAD, ENTER, FORGET, OVERVIEW, RENEW, RETIRE
from compat.redis.encoding import Argument

__all__ = ["AT_ONCE", "KEPT_FOR_EVER", "RegistryUpkeep", "encoded"]

AT_ONCE = 400
"""How many connections and groups one command reads, adds or removes, or a few more; Redis does nothing else
meanwhile, for some 4 ms."""
LOOKED_AT = 200
"""How many connections are looked at with each sign of life, whether their servers exist."""
KEPT_FOR_EVER = 10 * 365 * 86400

Between = Callable[[], Awaitable[None]]
"""Awaited between two commands of a long work, so that what is due meanwhile is done."""


async def nothing_due() -> None:
    pass


class RegistryUpkeep(BaseBackend):
    """The part of ``RedisBackend`` that tells who is alive, writes what is lost and removes what is left.

    Expiries are in seconds, 0: without limit.
    """

    def __init__(
        self,
        layer: Any,
        host: Any,
        prefix: str,
        *,
        registry_expiry: int,
        group_expiry: int,
        lease: float,
        reconnect_delay: float,
        server_id: str | None,
    ) -> None:
        super().__init__(layer, server_id=server_id)
        self.registry_expiry = registry_expiry
        self.group_expiry = group_expiry
        self.lease_ms = round(lease * 1000)
        shortest = min(registry_expiry or KEPT_FOR_EVER, group_expiry or KEPT_FOR_EVER)
        self.lease = Lease(self, lease, shortest / 3, reconnect_delay)
        self.link = RegistryLink(host, prefix, lost=self.lease.owe, closing=self.lease.leave_loop)
        self._server = ""
        self._pid = 0
        self._looked_at: Any = b"0"
        """How far ``forget_strays`` has come: a cursor of HSCAN."""

    @property
    def server(self) -> str:
        if self._pid != os.getpid():  # made at first use: a forked worker is another server
            self._pid, self._server = os.getpid(), f"{self.server_id}.{uuid.uuid4().hex[:12]}"
        return self._server

    def tell(self, local: Local, holds: Callable[[str], bool], report: Callable[[], dict[str, Any]]) -> None:
        self.lease.tell(local, holds, report)

    def tell_left(self, left: Left) -> None:
        self.lease.tell_left(left)

    async def open(self) -> None:
        await self.lease.renew()
        self.lease.start()

    # This server

    async def renew(self) -> list[Any]:
        """Renew this server's lease; renew.lua says what is returned."""
        reply: list[Any] = await self.link.run(
            RENEW, self.server, self.lease_ms, self.registry_expiry, key="servers"
        )
        return reply

    async def write_report(self, report: str) -> None:
        """Tell the other servers this server's statistics, and keep the registry from expiring."""
        prefix, commands = self.link.prefix, list[Sequence[Argument]]()
        commands.append((b"HSET", f"{prefix}reports", self.server, report))
        if self.registry_expiry:
            for key in ("connections", "reports", "users", f"server:{self.server}"):
                commands.append((b"EXPIRE", prefix + key, self.registry_expiry))
        if self.group_expiry:
            commands.append((b"EXPIRE", f"{prefix}groups", self.group_expiry))
        await self.link.calls(*commands)

    async def enter_all(
        self, local: Local, holds: Callable[[str], bool], between: Between = nothing_due
    ) -> None:
        """Update the registry from ``local``: remove this server's other connections, add these.

        Connections begin and end meanwhile, so each one is read just before its command is sent; the commands
        run in order.
        """
        async for left in self.pages(f"server:{self.server}"):
            while left := [name for name in left if not holds(name.decode())]:
                del left[: (await self._forget(left, self.server, force=True))[0]]
                await between()
        for entries in _batches(local()):
            arguments: list[Any] = []
            for record, groups in entries:
                names = [bounded(group) for group in groups]
                arguments += [record.connection_id, encoded(record), bounded(record.user_id)]
                arguments += [len(names), *names]
            await self.link.run(ENTER, self.server, self.registry_expiry, self.group_expiry, *arguments)
            # One that ended meanwhile may have been removed before, if the command had to be repeated.
            ended = {name for record, _ in entries if not holds(name := record.connection_id)}
            await self.forget(ended, self.server, force=True)
            await between()

    async def leave_all(self, left: Left, between: Between = nothing_due) -> None:
        """Take connections out of groups that they are not in."""
        for connection_id, group in left():
            await self.registry_leave(connection_id, group)
            await between()

    # The others

    async def forget(
        self,
        ids: Iterable[str | bytes],
        server: str,
        *,
        force: bool = False,
        between: Between = nothing_due,
    ) -> tuple[int, int, bool]:
        """Remove connections of ``server``, if its lease has ended or ``force``; those of others stay.

        Returns how many there were, how many users have none left, and whether the server is alive.
        """
        left, removed, users = list(ids), 0, 0
        while left:
            done, connections, last_of_users, alive = await self._forget(left, server, force=force)
            removed, users = removed + connections, users + last_of_users
            if alive:
                return removed, users, True
            del left[:done]
            await between()
        return removed, users, False

    async def _forget(self, ids: Sequence[str | bytes], server: str, *, force: bool) -> list[int]:
        """Remove as many as one command may; forget.lua says what is returned."""
        reply: list[int] = await self.link.run(FORGET, AT_ONCE, server, b"1" if force else b"0", *ids)
        return reply

    async def sweep(
        self, server: str, *, force: bool = False, between: Between = nothing_due
    ) -> tuple[int, int]:
        """Remove a dead server's connections; return how many, and how many users have none left."""
        key, removed, users = f"{self.link.prefix}server:{server}", 0, 0
        while ids := await self.link.call(b"SRANDMEMBER", key, AT_ONCE):
            connections, last_of_users, alive = await self.forget(ids, server, force=force, between=between)
            removed, users = removed + connections, users + last_of_users
            if alive:
                return removed, users
        if await self.link.run(RETIRE, server, b"1" if force else b"0", key="servers"):
            await self.link.call(b"HDEL", f"{self.link.prefix}reports", server)
        return removed, users

    async def forget_strays(self) -> None:
        """Look at some connections, each time others, and remove those whose servers do not exist.

        No sweep finds these. An older version left some in a cluster whose slot moved, and a Redis that has
        lost its last writes may have some.
        """
        prefix, strays = self.link.prefix, dict[str, list[bytes]]()
        self._looked_at, flat = await self.link.call(
            b"HSCAN", f"{prefix}connections", self._looked_at, b"COUNT", LOOKED_AT
        )
        servers = set(await self.link.call(b"ZRANGE", f"{prefix}servers", 0, -1))
        for one, record in zip(flat[::2], flat[1::2], strict=True):
            server = json.loads(record)["s"]
            if server.encode() not in servers:
                strays.setdefault(server, []).append(one)
        for server, ids in strays.items():
            await self.forget(ids, server)

    async def pages(self, key: str) -> AsyncIterator[list[bytes]]:
        """Yield what a set has, a part at a time; what comes or goes meanwhile may be missing or twice."""
        cursor: Any = b"0"
        while True:
            cursor, some = await self.link.call(b"SSCAN", self.link.prefix + key, cursor, b"COUNT", AT_ONCE)
            if some:
                yield some
            if cursor == b"0":
                return

    async def cleanup_stale_connections(
        self,
        server_instance_id: str | None = None,
        timeout: float | None = 30,
    ) -> CleanupStats:
        return await asyncio.wait_for(self._sweep_dead(), timeout)

    async def _sweep_dead(self) -> CleanupStats:
        removed = users = 0
        for server in await self.link.run(DEAD, key="servers"):
            connections, last_of_users = await self.sweep(server.decode())
            removed, users = removed + connections, users + last_of_users
        return CleanupStats(connections_removed=removed, user_mappings_cleaned=users)

    async def registry_servers(self) -> list[ServerInfo]:
        await self.cleanup_stale_connections()
        now, *flat = await self.link.run(OVERVIEW, key="servers")
        names, prefix, commands = flat[::2], self.link.prefix, list[Sequence[Argument]]()
        for name in names:
            commands.append((b"SCARD", f"{prefix}server:{name.decode()}"))
            commands.append((b"HGET", f"{prefix}reports", name))
        told = await self.link.calls(*commands)
        servers = []
        for name, until, connections, report in zip(names, flat[1::2], told[::2], told[1::2], strict=True):
            known = json.loads(report) if report else {}
            instance = known.get("server_instance_id") or name.decode().rpartition(".")[0]
            lease_s, at = max(0.0, (float(until) - now) / 1000), float(known.get("at", 0.0))
            servers.append(ServerInfo(name.decode(), instance, int(connections), lease_s, at, known))
        return servers


def _batches(
    entries: Iterable[tuple[Record, Sequence[str]]],
) -> Iterator[list[tuple[Record, Sequence[str]]]]:
    """Yield connections with their groups as one command takes them, none read earlier than it has to be."""
    batch, size = list[tuple[Record, Sequence[str]]](), 0
    for record, groups in entries:
        batch.append((record, groups))
        size += 1 + len(groups)
        if size >= AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def encoded(record: Record) -> str:
    """Return a record as the registry has it; registry.lua says what is what."""
    return json.dumps(
        {
            "s": record.server,
            "i": record.server_instance_id,
            "k": bounded(record.user_id),
            "u": record.user_id,
            "a": record.address,
            "t": record.connected_at,
        }
    )
