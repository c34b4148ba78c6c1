"""The Redis of a run: one or several servers, or a cluster, and what happens to them."""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

from compat.redis.cluster import slot_of, tags
from tests.chaos.schedule import Plan, Step
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

__all__ = ["EMPTYING", "TAKEOVERS", "Cluster", "Hosts", "servers_of"]

EMPTYING = frozenset(("restart", "flush"))
"""What takes all away that Redis has."""
TAKEOVERS = frozenset(("kill a master", "pause a master", "take over", "lose the last writes"))
"""What may take the last writes away. A slot that moves, and a failover in order, take nothing."""
SHARDS = 4
SLOTS = [slot_of(f"{{{tag}}}") for tag in tags(SHARDS)]
NODE_TIMEOUT_MS = 4000
"""A node that gets no turn for a while on a busy machine is not dead."""
DEADLINE_S = 90.0
LOST_S = 1.0
"""For how long a replica is not told of what is lost then: fewer messages of a group than are known again."""


class Hosts:
    """Redis servers that have nothing to do with one another."""

    def __init__(self, folder: Path, count: int) -> None:
        self.nodes: list[RedisServer] = []
        for number in range(count):
            (folder / f"redis{number}").mkdir()
            self.nodes.append(RedisServer(folder / f"redis{number}"))

    def entries(self) -> list[Any]:
        """The option ``hosts``."""
        return [node.url for node in self.nodes]

    async def happen(self, step: Step) -> None:
        server = self.nodes[step.which % len(self.nodes)]
        match step.what:
            case "pause":
                server.pause()
                await asyncio.sleep(step.seconds)
                server.resume()
            case "drop connections":
                await to_thread(_drop_connections, server.port, _kind(step))
            case "restart":
                await to_thread(server.kill)
                await asyncio.sleep(step.seconds / 4)
                await to_thread(server.start)
            case "flush":
                await to_thread(_flush, server.port)
            case _:
                raise NotImplementedError(step.what)

    def connections(self) -> int:
        """How many there are to all servers together."""
        return sum(map(_connections, self.nodes))

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


class Cluster(Hosts):
    """Three masters with a replica each."""

    def __init__(self, folder: Path, masters: int) -> None:
        self._cluster = RedisCluster(folder, masters, 1, node_timeout_ms=NODE_TIMEOUT_MS)
        self.nodes = self._cluster.nodes

    def entries(self) -> list[Any]:
        return [self._cluster.entry(shards=SHARDS)]

    async def happen(self, step: Step) -> None:
        """Return when all nodes are well, and agree on who has what."""
        cluster, slot = self._cluster, SLOTS[step.which % SHARDS]
        master = await to_thread(cluster.owner, slot)
        heir = await to_thread(cluster.replica_of, master)
        match step.what:
            case "move a slot":
                await self._move(slot, master, step)
            case "fail over":
                await to_thread(cluster.fail_over, heir)
            case "take over":
                await to_thread(cluster.fail_over, heir, "TAKEOVER")
            case "kill a master":
                await to_thread(master.kill)
                await to_thread(cluster.fail_over, heir, "TAKEOVER")
                await asyncio.sleep(step.seconds / 4)
                await to_thread(master.start)
            case "pause a master":
                master.pause()
                await asyncio.sleep(step.seconds)
                master.resume()
            case "lose the last writes":
                await to_thread(cluster.cut_off, heir, master)
                await asyncio.sleep(min(step.seconds, LOST_S))
                await to_thread(cluster.replace, master, heir)
            case "drop connections":
                for node in self.nodes:
                    await to_thread(_drop_connections, node.port, _kind(step))
            case _:
                raise NotImplementedError(step.what)
        await to_thread(until, self._is_whole, "the cluster is whole again", deadline_s=DEADLINE_S)

    def _is_whole(self) -> bool:
        try:
            return self._cluster.is_well() and self._cluster.agrees()
        except redis.RedisError:  # a node that changes its role ends the connections it has
            return False

    async def _move(self, slot: int, source: RedisServer, step: Step) -> None:
        """Move a slot in four steps: it has begun, some keys have been moved, all have, and it has ended."""
        cluster = self._cluster
        others = [node for node in await to_thread(cluster.masters_now) if node is not source]
        target = others[step.pieces % len(others)]
        pause = min(step.seconds / 4, 1.0)
        await to_thread(cluster.begin_move, slot, target)
        await asyncio.sleep(pause)
        await to_thread(cluster.move_keys, slot, target, most=3 * step.pieces)
        await asyncio.sleep(pause)
        await to_thread(cluster.move_keys, slot, target)
        await asyncio.sleep(pause)
        await to_thread(cluster.end_move, slot, source, target)

    def stop(self) -> None:
        self._cluster.stop()


@contextmanager
def servers_of(plan: Plan, folder: Path) -> Iterator[Hosts]:
    """What the plan asks for, until the block ends."""
    servers = Cluster(folder, plan.hosts) if plan.in_cluster else Hosts(folder, plan.hosts)
    try:
        yield servers
    finally:
        servers.stop()


def _kind(step: Step) -> str:
    return ("normal", "pubsub")[step.pieces % 2]


def _drop_connections(port: int, kind: str) -> None:
    with redis.Redis(port=port) as wire:
        wire.client_kill_filter(_type=kind, skipme=True)


def _flush(port: int) -> None:
    with redis.Redis(port=port) as wire:
        wire.flushall()


def _connections(node: RedisServer) -> int:
    wire: Any
    with suppress(redis.RedisError), redis.Redis(port=node.port) as wire:
        return int(wire.info("clients")["connected_clients"])
    return 0  # it has not come back, which is a finding of its own
