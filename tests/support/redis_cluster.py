"""A Redis Cluster of the tests' own on free loopback ports: its nodes can be killed, its slots moved."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import redis

from tests.support.processes import free_port, listening
from tests.support.redis_server import RedisServer, server_version
from tests.support.waiting import until, within

__all__ = ["RedisCluster", "end_shared_cluster", "shared_cluster"]

SLOTS = 16384
NODE_TIMEOUT_MS = 1000
FORMED_S = 30.0
TRIES, FAILOVER_S = 20, 1.5
"""The masters vote for another replica of a master only after twice the node timeout."""
BUS_ABOVE = 10_000


class RedisCluster:
    """Masters with equal parts of the slots, each with ``replicas`` of its own.

    Replicas may take over: ``masters`` and ``replicas`` are those of the beginning.
    """

    def __init__(
        self,
        folder: Path,
        masters: int = 3,
        replicas: int = 0,
        *,
        node_timeout_ms: int = NODE_TIMEOUT_MS,
    ) -> None:
        self._timeout_ms = node_timeout_ms
        self.masters = [self._node(folder / f"master{number}") for number in range(masters)]
        self.replicas = [self._node(folder / f"replica{number}") for number in range(masters * replicas)]
        self.nodes = [*self.masters, *self.replicas]
        for number, node in enumerate(self.masters):
            first, end = SLOTS * number // masters, SLOTS * (number + 1) // masters
            self.ask(node, "CLUSTER ADDSLOTS", *range(first, end))
            self.ask(node, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            self.ask(node, "CLUSTER MEET", "127.0.0.1", self.masters[0].port, node_bus(self.masters[0]))
        until(self._is_met, "a cluster that knows its nodes", deadline_s=FORMED_S)
        for number, replica in enumerate(self.replicas):
            self.ask(replica, "CLUSTER REPLICATE", self.id_of(self.masters[number % masters]))
        until(self.is_well, "a cluster that is well", deadline_s=FORMED_S)

    def _node(self, folder: Path, attempts: int = 5) -> RedisServer:
        """A new node; others where somebody has taken a port between its choice and its use."""
        folder.mkdir()
        for _ in range(attempts - 1):
            with suppress(AssertionError):
                return self._try_node(folder)
            assert "Address already in use" in (folder / "redis.log").read_text(), "not only a port was taken"
        return self._try_node(folder)

    def _try_node(self, folder: Path) -> RedisServer:
        port, bus = free_port(), free_port()
        chosen: tuple[str, ...] = ("--cluster-port", str(bus))
        if server_version() < 7:  # the port of its bus follows from its own
            while port + BUS_ABOVE > 65535 or listening(port + BUS_ABOVE):
                port = free_port()
            bus, chosen = port + BUS_ABOVE, ()
        (folder / "bus").write_text(str(bus))
        return RedisServer(
            folder,
            *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", *chosen),
            *("--cluster-node-timeout", str(self._timeout_ms), "--repl-diskless-sync-delay", "0"),
            port=port,
        )

    def entry(self, **options: Any) -> dict[str, Any]:
        """The entry of a layer's ``hosts``."""
        return {"cluster": [node.url for node in self.nodes], **options}

    def ask(self, node: RedisServer, *command: Any) -> Any:
        with redis.Redis(port=node.port, socket_timeout=10) as client:
            return client.execute_command(*command)

    def id_of(self, node: RedisServer) -> str:
        answer = self.ask(node, "CLUSTER MYID")
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    def info(self, node: RedisServer) -> dict[str, str]:
        answer = self.ask(node, "CLUSTER INFO")
        if isinstance(answer, bytes):
            lines = answer.decode().splitlines()
            return dict(line.split(":", 1) for line in lines if ":" in line)
        return {str(name): str(value) for name, value in answer.items()}

    def _is_met(self) -> bool:
        return all(self.info(node)["cluster_known_nodes"] == str(len(self.nodes)) for node in self.nodes)

    def role(self, node: RedisServer) -> list[Any]:
        """What a node says of itself: that it is a master, or whose replica it is."""
        return [part.decode() if isinstance(part, bytes) else part for part in self.ask(node, "ROLE")]

    def masters_now(self) -> list[RedisServer]:
        return [node for node in self.nodes if self.role(node)[0] == "master"]

    def replica_of(self, master: RedisServer) -> RedisServer:
        """A replica that a master has now."""
        return next(node for node in self.nodes if self.role(node)[:3:2] == ["slave", master.port])

    def is_well(self, *but: RedisServer) -> bool:
        """All nodes (but some) see all slots served, and all replicas follow their master."""
        for node in self.nodes:
            if node in but:
                continue
            info, role = self.info(node), self.role(node)
            if info["cluster_state"] != "ok" or int(info["cluster_size"]) < len(self.masters):
                return False
            if role[0] == "slave" and role[3] != "connected":
                return False
        return True

    def fail_over(self, replica: RedisServer, *how: str) -> None:
        """Make a replica a master: in order, or as it is and without asking anybody ("TAKEOVER")."""
        port = self.role(replica)[2]
        old = [node for node in self.nodes if node.port == port] if not how else []

        def is_done() -> bool:
            return self.role(replica)[0] == "master" and all(self.role(node)[0] == "slave" for node in old)

        for _ in range(TRIES):
            if self.role(replica)[0] != "master":  # it may be one soon after the last look
                self.ask(replica, "CLUSTER FAILOVER", *how)
            if within(FAILOVER_S, is_done):
                return
        raise AssertionError("a replica has not become the master")

    def cut_off(self, replica: RedisServer, master: RedisServer) -> None:
        """From now on a replica is not told what its master is."""
        replica.pause()
        self.ask(master, "CLIENT KILL", "TYPE", "replica")

    def replace(self, master: RedisServer, replica: RedisServer) -> None:
        """Let a replica that was cut off take over without the last writes; no connection to either ends."""
        master.pause()
        replica.resume()
        self.fail_over(replica, "TAKEOVER")
        master.resume()
        until(lambda: self.role(master)[0] == "slave", "the old master follows the new one")

    def owner(self, slot: int) -> RedisServer:
        """The node that has a slot now."""
        found = self._owner_known_to(self.nodes[0], slot)
        assert found is not None, f"nobody has slot {slot}"
        return found

    def is_taken_over(self, slot: int, victim: RedisServer) -> bool:
        """Another node has the slot now. While none is promoted, nobody has it."""
        other = next(node for node in self.nodes if node is not victim)
        return self._owner_known_to(other, slot) not in (None, victim)

    def _owner_known_to(self, node: RedisServer, slot: int) -> RedisServer | None:
        with redis.Redis(port=node.port) as client:
            client.response_callbacks.clear()
            slots: Any = client.execute_command("CLUSTER SLOTS")
        ports = [node[1] for first, last, node, *_ in slots if first <= slot <= last]
        return next((node for node in self.nodes if node.port in ports), None)

    def begin_move(self, slot: int, target: RedisServer) -> None:
        """The first steps of a move: from now on both nodes refuse some commands."""
        source = self.owner(slot)
        self.ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", self.id_of(source))
        self.ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", self.id_of(target))

    def move(self, slot: int, target: RedisServer) -> None:
        """Move a slot with its keys, as ``redis-cli --cluster reshard`` does."""
        source = self.owner(slot)
        if source is target:
            return
        self.begin_move(slot, target)
        self.move_keys(slot, target)
        self.end_move(slot, source, target)

    def move_keys(self, slot: int, target: RedisServer, most: int = 0) -> None:
        """The keys of a slot whose move has begun: the node that has the slot names the other one (ASK).

        ``most``: only so many of them.
        """
        source = self.owner(slot)
        while keys := self.ask(source, "CLUSTER GETKEYSINSLOT", slot, most or 100):
            self.ask(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            if most:
                return

    def end_move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """The last step of a move, after that of the keys; returns when all nodes know of it.

        They know the owners' epochs then, too: the next target takes an epoch above all that it has
        heard of, and if it had not heard of the last one, two nodes would name each other for good.
        """
        for node in (target, source, *(node for node in self.nodes if node not in (target, source))):
            with suppress(redis.RedisError):  # one that has been killed, or is a replica now
                self.ask(node, "CLUSTER SETSLOT", slot, "NODE", self.id_of(target))
        until(lambda: self._all_know(slot, target), f"all nodes know who has slot {slot}")

    def _all_know(self, slot: int, owner: RedisServer) -> bool:
        for node in self.nodes:
            with suppress(redis.RedisError):  # as above
                if self._owner_known_to(node, slot) is not owner:
                    return False
        return self.agrees()

    def agrees(self) -> bool:
        """All nodes say the same of who has which slots."""
        owners = set()
        for node in self.nodes:
            with suppress(redis.RedisError):  # as above
                owners.add(self._owners_known_to(node))
        return len(owners) == 1

    def _owners_known_to(self, node: RedisServer) -> frozenset[tuple[str, ...]]:
        """Who has slots, by the word of one node: its id, its epoch and its slots."""
        with redis.Redis(port=node.port) as client:
            client.response_callbacks.clear()
            answer: Any = client.execute_command("CLUSTER NODES")
        known = set()
        for line in answer.decode().splitlines():
            name, _, _, _, _, _, epoch, _, *parts = line.split()
            if slots := [part for part in parts if not part.startswith("[")]:  # such a one is a move's
                known.add((name, epoch, *slots))
        return frozenset(known)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


def node_bus(node: RedisServer) -> int:
    """The port on which a node speaks to the others."""
    return int((node.folder / "bus").read_text())


@lru_cache(None)
def shared_cluster() -> RedisCluster:
    """Three masters that the whole run shares; use names that no other test uses."""
    return RedisCluster(Path(tempfile.mkdtemp(prefix="cluster")))


def end_shared_cluster() -> None:
    if shared_cluster.cache_info().currsize:
        shared_cluster().stop()
        shared_cluster.cache_clear()
