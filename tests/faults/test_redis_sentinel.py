"""Redis fails over by Sentinel: layers find the new master, and groups are whole again."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from compat.engine.parts import inbox_of
from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import until, until_async

WITHIN_S = 30.0
CONFIG = """
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor mymaster 127.0.0.1 {master} 1
sentinel down-after-milliseconds mymaster 500
sentinel failover-timeout mymaster 2000
"""


class Watched:
    """A master with one replica, and the sentinel that watches them."""

    def __init__(self, folder: Path) -> None:
        executable = shutil.which("redis-server")
        if executable is None:
            pytest.skip("this test needs redis-server on PATH (scripts/system redis installs it)")
        self.port = free_port()
        for name in ("master", "replica"):
            (folder / name).mkdir()
        self.master = RedisServer(folder / "master")
        self.replica = RedisServer(folder / "replica", "--replicaof", "127.0.0.1", str(self.master.port))
        config = folder / "sentinel.conf"
        config.write_text(CONFIG.format(port=self.port, folder=folder, master=self.master.port))
        self.sentinel = Process(
            [executable, str(config), "--sentinel"], cwd=folder, log=folder / "sentinel.log"
        )
        self.sentinel.wait_listening(self.port)
        until(self._replica_known, "the sentinel knows the replica", deadline_s=WITHIN_S)

    def _replica_known(self) -> bool:
        with redis.Redis(port=self.port) as sentinel, redis.Redis(port=self.replica.port) as replica:
            try:
                masters: Any = sentinel.sentinel_masters()
                state: Any = replica.info("replication")
            except redis.ConnectionError:  # redis-py 5 does not try again, as its successors do
                return False
            return bool(masters["mymaster"]["num-slaves"] == 1 and state["master_link_status"] == "up")

    def stop(self) -> None:
        self.sentinel.stop()
        self.master.stop()
        self.replica.stop()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize("cls", [RedisChannelLayer, RedisPubSubChannelLayer])
@pytest.mark.parametrize(
    "how", ["the master dies", pytest.param("the sentinel is told to", marks=pytest.mark.slow)]
)
async def test_failover(watched: Watched, cls: Callable[..., Any], how: str) -> None:
    host = {
        "sentinels": [("127.0.0.1", watched.port)],
        "master_name": "mymaster",
        "socket_timeout": 1,
        "socket_connect_timeout": 1,
    }
    reader, sender = cls(hosts=[host], capacity=10_000), cls(hosts=[host], capacity=10_000)
    inboxes = []
    for _ in range(10):
        channel = await reader.new_channel()
        inbox = inbox_of(asyncio.get_running_loop())
        reader.attach(channel, inbox)
        await reader.group_add("room", channel)
        inboxes.append(inbox)
    await sender.group_send("room", {"type": "before"})
    for inbox in inboxes:
        assert (await asyncio.wait_for(inbox.get(), WITHIN_S))["type"] == "before"

    if how == "the master dies":
        await asyncio.to_thread(watched.master.kill)
    else:
        with redis.Redis(port=watched.port) as sentinel:
            sentinel.execute_command("SENTINEL", "FAILOVER", "mymaster")

    def failed_over() -> bool:
        with redis.Redis(port=watched.replica.port) as wire:
            try:
                return wire.role()[0] in (b"master", "master")
            except redis.ConnectionError:  # a Redis that changes its role ends the connections it has
                return False

    await until_async(failed_over, "the replica is the master", deadline_s=WITHIN_S)

    async def sent() -> bool:
        try:
            await sender.group_send("room", {"type": "after"})
        except LayerUnavailable as error:
            assert "the master 'mymaster' of the sentinels at 127.0.0.1:" in str(error)
            return False
        return all(inbox.events for inbox in inboxes)

    deadline = time.monotonic() + WITHIN_S
    while not await sent():
        assert time.monotonic() < deadline, "everybody is reached through the new master"
        await asyncio.sleep(0.05)
    # There may be a second outage: a Redis that becomes a replica ends its connections.
    metrics = reader.metrics
    await until_async(
        lambda: metrics.reconnects and metrics.gaps[-1].ended, "the outage is over", deadline_s=WITHIN_S
    )
    for layer in (reader, sender):
        for station in layer._stations.all():
            await station.aclose()
