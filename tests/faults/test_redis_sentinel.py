"""Redis fails over by Sentinel: layers find the new master, and groups are whole again."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync

from compat.engine.parts import inbox_of
from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.faults.rooms import talking
from tests.support.choices import slow_but
from tests.support.layers import close, more_lines, open_lines, unique_prefix
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import until, until_async

WITHIN_S = 30.0
LAYERS = slow_but((RedisChannelLayer,), (RedisChannelLayer, RedisPubSubChannelLayer))
CONFIG = """
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor mymaster 127.0.0.1 {master} {quorum}
sentinel down-after-milliseconds mymaster 500
sentinel failover-timeout mymaster 2000
"""


class Watched:
    """A master with one replica, and the sentinels that watch them."""

    def __init__(self, folder: Path, sentinels: int) -> None:
        executable = shutil.which("redis-server")
        if executable is None:
            pytest.skip("this test needs redis-server on PATH (scripts/system redis installs it)")
        for name in ("master", "replica"):
            (folder / name).mkdir()
        self.master = RedisServer(folder / "master")
        self.replica = RedisServer(folder / "replica", "--replicaof", "127.0.0.1", str(self.master.port))
        self.ports = [free_port() for _ in range(sentinels)]
        self.sentinels = []
        for port in self.ports:
            own = folder / f"sentinel-{port}"
            own.mkdir()
            config = own / "sentinel.conf"
            quorum = sentinels // 2 + 1
            config.write_text(CONFIG.format(port=port, folder=own, master=self.master.port, quorum=quorum))
            sentinel = Process([executable, str(config), "--sentinel"], cwd=own, log=own / "sentinel.log")
            sentinel.wait_listening(port)
            self.sentinels.append(sentinel)
        until(self._all_known, "the sentinels know the replica and one another", deadline_s=WITHIN_S)

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def host(self) -> dict[str, Any]:
        return {"sentinels": [("127.0.0.1", port) for port in self.ports], "master_name": "mymaster"}

    def _all_known(self) -> bool:
        try:
            with redis.Redis(port=self.replica.port) as replica:
                state: Any = replica.info("replication")
            known = state["master_link_status"] == "up"
            for port in self.ports:
                with redis.Redis(port=port) as sentinel:
                    masters: Any = sentinel.sentinel_masters()
                seen = masters["mymaster"]
                known &= seen["num-slaves"] == 1 and seen["num-other-sentinels"] == len(self.ports) - 1
        except redis.ConnectionError:  # redis-py 5 does not try again, as its successors do
            return False
        return bool(known)

    def promoted(self) -> bool:
        """Return True if the replica is the master."""
        with redis.Redis(port=self.replica.port) as wire:
            try:
                return wire.role()[0] in (b"master", "master")
            except redis.ConnectionError:  # a Redis that changes its role ends the connections it has
                return False

    def stop(self) -> None:
        for sentinel in self.sentinels:
            sentinel.send_signal(signal.SIGCONT)
            sentinel.stop()
        self.master.stop()
        self.replica.stop()


@pytest.fixture
def watched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """Watched by one sentinel, or by as many as the test is parametrized with."""
    made = Watched(tmp_path, getattr(request, "param", 1))
    yield made
    made.stop()


@pytest.mark.parametrize("cls", LAYERS)
@pytest.mark.parametrize(
    "how", ["the master dies", pytest.param("the sentinel is told to", marks=pytest.mark.slow)]
)
async def test_failover(watched: Watched, cls: Callable[..., Any], how: str) -> None:
    host = {**watched.host, "socket_timeout": 1, "socket_connect_timeout": 1}
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

    await until_async(watched.promoted, "the replica is the master", deadline_s=WITHIN_S)

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
    await close(reader, sender)


@pytest.mark.parametrize("cls", LAYERS)
async def test_what_is_sent_to_the_old_master_is_in_a_gap(watched: Watched, cls: Callable[..., Any]) -> None:
    """It is alive, and takes messages from whoever has not found the new one yet, as the reader has."""
    reader, sender = cls(hosts=[watched.host], capacity=100_000), cls(hosts=[watched.host])
    async with talking(reader, sender, members=3) as room:
        with redis.Redis(port=watched.port) as sentinel:
            sentinel.execute_command("SENTINEL", "FAILOVER", "mymaster")
        await until_async(watched.promoted, "the replica is the master", deadline_s=WITHIN_S)
        await until_async(lambda: reader.metrics.reconnects, "the outage is over", deadline_s=WITHIN_S)
    print(f"{len(room.account())} are lost, in {list(reader.metrics.gaps)}")
    await close(reader, sender)


@pytest.mark.parametrize("cls", LAYERS)
def test_calls_without_an_event_loop_follow_the_sentinels(watched: Watched, cls: Callable[..., Any]) -> None:
    """Their direct lines lead to a master that is silent: nobody waits until a reply is overdue."""
    pytest.importorskip("hiredis")
    layer = cls(hosts=[{**watched.host, "socket_timeout": WITHIN_S}], prefix=unique_prefix())
    layer.group_send_sync("nobody", {"type": "x"})
    layer.group_send_sync("nobody", {"type": "x"})
    until(lambda: open_lines(layer), "there is a line")
    more_lines(layer, 3)

    def sent() -> bool:
        try:
            layer.group_send_sync("nobody", {"type": "x"})
        except LayerUnavailable as error:
            assert "no answer" not in str(error)
            return False
        return True

    watched.master.pause()
    with pytest.raises(LayerUnavailable, match="its sentinels name another master"):
        layer.group_send_sync("nobody", {"type": "x"})
    assert watched.promoted()
    until(sent, "they use the new master")
    watched.master.resume()
    async_to_sync(layer.close_pools)()


@pytest.mark.parametrize("watched", [3], indirect=True)
@pytest.mark.parametrize("cls", LAYERS)
async def test_faults_redis_01_the_machine_of_the_master_and_the_first_sentinel_is_lost(
    watched: Watched, cls: Callable[..., Any]
) -> None:
    """Both are silent, and refuse nothing; the limits are those that a layer has by itself."""
    layer = cls(hosts=[watched.host])
    channel = await layer.new_channel()
    inbox = inbox_of(asyncio.get_running_loop())
    layer.attach(channel, inbox)
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "before"})
    assert (await asyncio.wait_for(inbox.get(), WITHIN_S))["type"] == "before"

    watched.master.pause()
    watched.sentinels[0].send_signal(signal.SIGSTOP)
    await until_async(watched.promoted, "the replica is the master", deadline_s=WITHIN_S)
    promoted = time.monotonic()

    async def sent() -> bool:
        try:
            await layer.group_send("room", {"type": "after"})
        except LayerUnavailable:
            return False
        return bool(inbox.events)

    deadline = promoted + WITHIN_S
    while not await sent():
        assert time.monotonic() < deadline, "it is reached through the new master"
        await asyncio.sleep(0.05)
    print(f"back {time.monotonic() - promoted:.1f} s after the promotion")
    await close(layer)
