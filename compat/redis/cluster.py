"""A Redis Cluster: its shards, the node that has each of them now, and connections to it.

A shard is a part of a layer's keys with one tag in their names, so that all of them are in one slot and a
script can use several. A cluster moves slots between its nodes and replaces nodes that have died; so each new
connection first asks the nodes who has the slot. The rules are those of the Redis Cluster specification.
"""

from __future__ import annotations

import asyncio
import weakref
from binascii import crc_hqx
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from redis.asyncio import Connection, ConnectionPool, SSLConnection
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.exceptions import RedisError

from compat.redis.hosts import CONNECT_TIMEOUT_S, Host, close_pool, create_pool
from compat.redis.loops import start_apart
from compat.redis.reasons import reason_of, redirect_of
from compat.redis.servers import answers, info_of, major_of
from compat.redis.waiting import within

__all__ = ["PLAIN", "Cluster", "PubSub", "commands_of", "make_hosts", "master_of", "slot_of", "tags_of"]

SLOTS = 16384
SHARDS = 12
"""The number of shards unless the option ``shards`` says otherwise."""
MAJORITY_WITHIN_S = 0.5
"""Seconds that the other nodes have to answer, once one has said who has which slots."""
QUESTIONS = (("CLUSTER", "INFO"), ("CLUSTER", "SLOTS"), ("INFO", "server"))

Address = tuple[str, int]


def slot_of(key: str) -> int:
    """Return the slot of a key: CRC16 (XMODEM) of its tag, or of all of it.

    >>> slot_of("123456789"), slot_of("{user1000}.following") == slot_of("user1000")
    (12739, True)
    """
    _, mark, rest = key.partition("{")
    tag, end, _ = rest.partition("}")
    return crc_hqx((tag if mark and end and tag else key).encode(), 0) % SLOTS


def tags(count: int) -> list[str]:
    """Return the tags of ``count`` shards: ``<count>.<number>``, with a slot in each equal part of all slots.

    The numbers are the smallest. Shards of another count have other tags, so their keys never mix.

    >>> [slot_of(tag) * 3 // SLOTS for tag in tags(3)]
    [0, 1, 2]
    """
    found: dict[int, str] = {}
    number = 0
    while len(found) < count:
        tag = f"{count}.{number}"
        found.setdefault(slot_of(tag) * count // SLOTS, tag)
        number += 1
    return [found[part] for part in range(count)]


class PubSub(NamedTuple):
    """The commands of pub/sub."""

    publish: bytes
    subscribe: bytes
    unsubscribe: bytes


PLAIN = PubSub(b"PUBLISH", b"SUBSCRIBE", b"UNSUBSCRIBE")
SHARDED = PubSub(b"SPUBLISH", b"SSUBSCRIBE", b"SUNSUBSCRIBE")


class _Map(NamedTuple):
    """What one node says about its cluster."""

    is_well: bool
    epoch: int
    owners: tuple[tuple[int, int, Address], ...]
    """First slot, last slot, and the master that has them."""
    version: int
    """The major version of the node; 0 if it may not be asked."""


class Cluster:
    """One cluster of the option ``hosts``: an entry with ``cluster``, which ``decode_hosts`` has checked.

    It may be used on any event loop.
    """

    def __init__(self, entry: Mapping[str, Any]) -> None:
        options = dict(entry)
        self.seeds = [_seed(node) for node in options.pop("cluster")]
        self.tags = tags(options.pop("shards", SHARDS))
        self._is_sharded: bool | None = options.pop("sharded", None)
        self.options: dict[str, Any] = {**self.seeds[0], **options}
        """The arguments of a connection, but for the address."""
        self._given = options
        seeds = [f"{seed['host']}:{seed['port']}" for seed in self.seeds]
        self.server = f"the cluster at {', '.join(seeds)}"
        """The cluster's name in messages."""
        self._timeout_s = float(self.options.get("socket_connect_timeout") or CONNECT_TIMEOUT_S)
        self._known: tuple[Address, ...] = ()
        """The masters of the last map."""
        self._asking: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[_Map]] = (
            weakref.WeakKeyDictionary()
        )

    def pool(self, index: int) -> ConnectionPool:
        """Return a new pool whose connections lead to the master that has a shard when they are opened."""
        has_tls = issubclass(self.options.get("connection_class", Connection), SSLConnection)
        made = TlsShardConnection if has_tls or self._given.get("ssl") else ShardConnection
        options = {name: value for name, value in self.options.items() if name != "ssl"}
        return create_pool({**options, "connection_class": made, "master": partial(self.master, index)})

    async def commands(self) -> PubSub:
        """Return the commands of pub/sub: those of shards where all nodes have them (Redis 7)."""
        if self._is_sharded is None:
            await self._look()
        return SHARDED if self._is_sharded else PLAIN

    async def master(self, index: int) -> Address:
        """Return the address of the master that has a shard; raise RedisError if no node can tell."""
        slot = slot_of(f"{{{self.tags[index]}}}")
        for first, last, address in (await self._look()).owners:
            if first <= slot <= last:
                return address
        raise RedisError(f"no node of the cluster has slot {slot}")

    async def _look(self) -> _Map:
        """Ask the nodes for the map of the slots; concurrent callers of one event loop share the answer."""
        loop = asyncio.get_running_loop()
        asking = self._asking.get(loop)
        if asking is None:
            asking = self._asking[loop] = start_apart(loop, self._ask_all())
            asking.add_done_callback(lambda task: self._asked(loop, task))
        return await asyncio.shield(asking)

    def _asked(self, loop: asyncio.AbstractEventLoop, asking: asyncio.Task[_Map]) -> None:
        del self._asking[loop]
        if not asking.cancelled():
            asking.exception()  # marks it as retrieved; the waiting callers get it too

    async def _ask_all(self) -> _Map:
        """Ask all known nodes at once; believe the newest answer of a majority, or of the quick."""
        found = {(host, port): {**self.options, "host": host, "port": port} for host, port in self._known}
        nodes = {**found, **{(seed["host"], seed["port"]): {**seed, **self._given} for seed in self.seeds}}
        left = {asyncio.ensure_future(_ask(options, self._timeout_s)) for options in nodes.values()}
        enough, maps, reasons = len(left) // 2 + 1, list[_Map](), list[str]()
        done = left
        try:
            while left and done and len(maps) < enough:
                time_s = MAJORITY_WITHIN_S if maps else None
                done, left = await asyncio.wait(left, timeout=time_s, return_when=asyncio.FIRST_COMPLETED)
                for answer in (task.result() for task in done):
                    if isinstance(answer, str):
                        reasons.append(answer)
                    else:
                        maps.append(answer)
        finally:
            for task in left:
                task.cancel()
        if not maps:
            raise RedisError(f"no node of the cluster answers ({'; '.join(sorted(reasons))})")
        newest = max(maps, key=lambda one: (one.is_well, one.epoch))
        self._known = tuple(dict.fromkeys(address for _, _, address in newest.owners))
        if self._is_sharded is None:
            self._is_sharded = all(one.version >= 7 for one in maps)
        return newest


async def _ask(options: Mapping[str, Any], timeout_s: float) -> _Map | str:
    """Return what a node says about its cluster, or why it does not within ``timeout_s``."""
    where = f"{options['host']}:{options['port']}"
    pool = create_pool(options)
    connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]

    async def ask() -> list[Any]:
        await connection.connect()  # type: ignore[no-untyped-call]
        return [reply async for reply in answers(connection, QUESTIONS)]

    try:
        state, slots, about = await within(timeout_s, ask())
    except asyncio.TimeoutError:
        return f"{where}: no answer within {timeout_s:g} s"
    except (RedisError, OSError) as error:
        return f"{where}: {reason_of(error)}"
    finally:
        await connection.disconnect(nowait=True)
        await close_pool(pool)
    if isinstance(slots, Exception):
        return f"{where}: {reason_of(slots)}"
    info = info_of(state)
    owners = tuple(
        (int(first), int(last), (_text(node[0]) or options["host"], int(node[1])))
        for first, last, node, *_ in slots
    )
    epoch = int(info.get("cluster_current_epoch", 0))
    return _Map(info.get("cluster_state") == "ok", epoch, owners, major_of(info_of(about)))


def _text(address: bytes | None) -> str:
    """Return a node's address; empty if it does not know its own, or has been told not to say it."""
    return "" if address in (None, b"?") else address.decode()


def _seed(node: str | Sequence[Any]) -> dict[str, Any]:
    """Return the arguments of a connection to one node of the entry: a URL, or a (host, port) pair."""
    if isinstance(node, str):
        return {"host": "localhost", "port": 6379, **parse_url(node)}
    return {"host": node[0], "port": int(node[1])}


class _ToMaster:
    """A connection whose ``connect`` first asks ``master()`` for the address."""

    def __init__(self, *, master: Callable[[], Awaitable[Address]], **options: Any) -> None:
        super().__init__(**options)
        self._master = master

    async def connect(self: Any) -> None:
        if not self.is_connected:
            self.host, self.port = await self._master()
        await super().connect()  # type: ignore[misc]


class ShardConnection(_ToMaster, Connection):
    pass


class TlsShardConnection(_ToMaster, SSLConnection):
    pass


class Shard(Host):
    """A shard of a cluster: a host that may be another node with each connection."""

    __slots__ = ("cluster",)
    is_shard = True

    def __init__(self, cluster: Cluster, index: int) -> None:
        self.cluster = cluster
        super().__init__(cluster.options, index)
        self.where = f"shard {index} of {cluster.server}"

    @property
    def server(self) -> str:
        return self.cluster.server

    def pool(self) -> ConnectionPool:
        return self.cluster.pool(self.index)

    def redirect_of(self, error: Exception) -> str | None:
        return redirect_of(error)


def tags_of(hosts: Sequence[Host]) -> list[str]:
    """Return the tag of each host that is a shard of a cluster; an empty list for other hosts."""
    return hosts[0].cluster.tags if isinstance(hosts[0], Shard) else []


def make_hosts(entries: Sequence[Mapping[str, Any]]) -> list[Host]:
    """Return the hosts of ``decode_hosts``: one for each entry, or for each shard of a cluster."""
    if "cluster" not in entries[0]:
        return [Host(entry, index) for index, entry in enumerate(entries)]
    cluster = Cluster(entries[0])
    return [Shard(cluster, index) for index in range(len(cluster.tags))]


async def master_of(host: Host) -> str:
    """Return the address of a host, in a cluster that of the master that has it now; may raise RedisError."""
    if not isinstance(host, Shard):
        return host.where
    name, port = await host.cluster.master(host.index)
    return f"{name}:{port}"


async def commands_of(hosts: Sequence[Host]) -> PubSub:
    """Return the commands of pub/sub for the hosts of ``make_hosts``; raise RedisError if no node answers."""
    return await hosts[0].cluster.commands() if isinstance(hosts[0], Shard) else PLAIN
