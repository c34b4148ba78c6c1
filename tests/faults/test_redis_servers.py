"""An address that leads to another Redis than before: restarted, promoted, demoted; and the limits it has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.engine.inbox import Inbox
from compat.exceptions import LayerUnavailable, MessageTooLarge
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.support.layers import close, member, unique_prefix
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

BOTH = pytest.mark.parametrize("cls", [RedisChannelLayer, RedisPubSubChannelLayer])
Make = Callable[..., Any]
WITHIN_S = 20.0


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    """Makes layers; what they have open is closed at the end."""
    made: list[Any] = []

    def factory(cls: Any, url: str, **options: Any) -> Any:
        made.append(cls(hosts=[url], **options))
        return made[-1]

    yield factory
    await close(*made)


async def comes(sender: Any, inbox: Inbox, what: str) -> None:
    """Send to the group until one of these messages has come."""
    deadline = time.monotonic() + WITHIN_S
    while not any(event[1].get("what") == what for event in inbox.events):
        assert time.monotonic() < deadline, what
        with contextlib.suppress(LayerUnavailable):
            await sender.group_send("room", {"type": "x", "what": what})
        await asyncio.sleep(0.05)
    inbox.own().clear()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A master and its replica."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    master = RedisServer(tmp_path / "one")
    replica = RedisServer(tmp_path / "two", "--replicaof", "127.0.0.1", str(master.port))
    yield master, replica
    master.stop()
    replica.stop()


@BOTH
async def test_faults_redis_02_a_stranger_keeps_its_connection(
    cls: Any, make: Make, redis_server: RedisServer
) -> None:
    """The ids of connections begin again with a new Redis: the old one of a reader is now somebody else's."""
    with Proxy(redis_server.port) as proxy:
        layer = make(cls, proxy.url)
        inbox = await member(layer, "room")
        proxy.refuse()
        await asyncio.to_thread(redis_server.restart)
        strangers = [redis.Redis(port=redis_server.port, single_connection_client=True) for _ in range(40)]
        ids = [stranger.client_id() for stranger in strangers]
        assert min(ids) < 10
        proxy.accept()
        await comes(layer, inbox, "the layer is back")
        with redis.Redis(port=redis_server.port) as wire:
            there = {int(client["id"]) for client in wire.client_list()}
        assert there.issuperset(ids)
        for stranger in strangers:
            stranger.close()


async def test_faults_redis_02_the_readers_own_old_connection_ends(
    make: Make, redis_server: RedisServer
) -> None:
    """One that Redis believes to be open would still be given messages."""
    with Proxy(redis_server.port) as proxy, redis.Redis(port=redis_server.port) as wire:

        def blocked() -> list[str]:
            return [client["id"] for client in wire.client_list() if client["cmd"] == "bzpopmin"]

        layer = make(RedisChannelLayer, proxy.url)
        inbox = await member(layer, "room")
        await until_async(blocked, "the reader waits")
        (old,) = blocked()
        await asyncio.to_thread(proxy.half_close)
        await comes(layer, inbox, "the layer is back")
        assert old not in [client["id"] for client in wire.client_list()]


@BOTH
async def test_faults_redis_05_an_address_leads_to_another_master(
    cls: Any, make: Make, pair: tuple[RedisServer, RedisServer]
) -> None:
    """Connections stay with the old master, which is a replica now: it would take messages for nobody."""
    old, new = pair
    with Proxy(old.port) as proxy:
        reader, sender = make(cls, proxy.url), make(cls, proxy.url)
        inbox = await member(reader, "room")
        await comes(sender, inbox, "through the first master")
        with redis.Redis(port=new.port) as wire:
            replicating = lambda: wire.info("replication")["master_link_status"] == "up"  # noqa: E731
            await until_async(replicating, "it replicates", deadline_s=WITHIN_S)
        proxy.target = new.port
        with redis.Redis(port=new.port) as wire:
            wire.replicaof("NO", "ONE")
        with redis.Redis(port=old.port) as wire:
            wire.replicaof("127.0.0.1", new.port)

        later = await member(make(cls, new.url), "room")
        await comes(sender, later, "who joined at the new master is reached")
        await comes(sender, inbox, "and who was there before")
        await until_async(lambda: reader.metrics.gaps, "the time in between is told", deadline_s=WITHIN_S)


async def test_faults_redis_05_only_the_commands_go_elsewhere(
    make: Make, pair: tuple[RedisServer, RedisServer]
) -> None:
    """Both are masters: a load balancer has moved one connection, and the subscription stayed behind."""
    one, two = pair
    with Proxy(one.port) as proxy:
        layer = make(RedisPubSubChannelLayer, proxy.url)
        inbox = await member(layer, "room")
        await comes(layer, inbox, "through the first")
        with redis.Redis(port=two.port) as wire:
            wire.replicaof("NO", "ONE")
        proxy.target = two.port
        (station,) = layer._stations.all()
        station.shards._links[0].end("moved away")
        await comes(layer, inbox, "through the other")


@BOTH
async def test_faults_redis_12_what_redis_would_not_take_is_refused_here(
    cls: Any, make: Make, redis_server: RedisServer
) -> None:
    """Redis closes the connection of a message that is too long, and with it those of all others."""
    with redis.Redis(port=redis_server.port) as wire:
        wire.config_set("proto-max-bulk-len", 1 << 20)
    layer = make(cls, redis_server.url)
    inbox = await member(layer, "room")
    good = [layer.group_send("room", {"type": "x", "n": number}) for number in range(20)]
    results = await asyncio.gather(
        *good[:10],
        layer.group_send("room", {"type": "x", "text": "x" * (1 << 20)}),
        *good[10:],
        return_exceptions=True,
    )
    (refused,) = [result for result in results if isinstance(result, BaseException)]
    assert isinstance(refused, MessageTooLarge) and "raise proto-max-bulk-len" in str(refused)
    await until_async(lambda: len(inbox.events) == 20, "the others come")
    with pytest.raises(MessageTooLarge):  # over a line of its own, without an event loop
        await asyncio.to_thread(layer.group_send_sync, "room", {"type": "x", "text": "x" * (1 << 20)})


@BOTH
async def test_faults_redis_08_a_clock_that_differs_is_told(
    cls: Any, make: Make, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "compat.layers")

    def two_minutes_behind(data: bytes, to_server: bool) -> bytes:
        """Change the reply of TIME, the first one on a connection that has asked for it."""
        if not to_server and data.startswith(b"*2\r\n$10\r\n"):
            return data[:9] + b"%010d" % (int(data[9:19]) - 120) + data[19:]
        return data

    with Proxy(redis_server.port) as proxy:
        proxy.before = two_minutes_behind
        layer = make(cls, proxy.url, prefix=unique_prefix())
        await comes(layer, await member(layer, "room"), "it works")
    told = [record.getMessage() for record in caplog.records if "clock" in record.getMessage()]
    assert len(told) == 1 and "is 120 s ahead of that of Redis at 127.0.0.1:" in told[0]


async def test_faults_redis_02_a_stranger_is_not_woken(
    make: Make, pair: tuple[RedisServer, RedisServer]
) -> None:
    """The commands go to another Redis, where a stranger has the id of the blocked reader."""
    here, there = pair
    wire, other = (redis.Redis(port=server.port) for server in pair)
    with Proxy(here.port) as proxy, wire, other:

        def blocked() -> list[int]:
            return [int(client["id"]) for client in wire.client_list() if client["cmd"] == "bzpopmin"]

        other.replicaof("NO", "ONE")
        for _ in range(20):  # the ids of the other one shall be behind
            redis.Redis(port=here.port).ping()
        layer = make(RedisChannelLayer, proxy.url)
        receiving = asyncio.ensure_future(layer.receive("one"))
        (mine,) = await until_async(blocked, "the reader waits")
        strangers = [redis.Redis(port=there.port, single_connection_client=True)]
        while strangers[-1].client_id() < mine:
            strangers.append(redis.Redis(port=there.port, single_connection_client=True))
        assert strangers[-1].client_id() == mine
        waiting = asyncio.ensure_future(asyncio.to_thread(strangers[-1].blpop, ["theirs"], 20))
        theirs = lambda: [client for client in other.client_list() if client["cmd"] == "blpop"]  # noqa: E731
        await until_async(theirs, "the stranger waits")

        proxy.target = there.port
        (station,) = layer._stations.all()
        more = asyncio.ensure_future(layer.receive("two"))  # another queue to read: the reader is interrupted
        await until_async(lambda: station.shards.is_open(0), "commands go to the other one")
        assert await station.shards.call(0, b"ECHO", "asked") == b"asked"
        other.rpush("theirs", "for the stranger")
        assert await waiting == (b"theirs", b"for the stranger")
        for task in (receiving, more):
            task.cancel()
        await asyncio.wait((receiving, more))
        for stranger in strangers:
            stranger.close()


async def test_a_script_that_blocks_redis_for_a_while_is_no_outage_later(
    make: Make, redis_server: RedisServer
) -> None:
    """Redis does not say who it is to the connection that commands get meanwhile, and which stays open."""
    with redis.Redis(port=redis_server.port, socket_timeout=WITHIN_S) as wire:
        wire.config_set("lua-time-limit", 1)
        layer = make(RedisPubSubChannelLayer, redis_server.url)
        inbox = await member(layer, "room")
        (station,) = layer._stations.all()
        blocking = asyncio.ensure_future(asyncio.to_thread(_run_for_ever, redis_server))
        with redis.Redis(port=redis_server.port) as other:
            await until_async(lambda: _is_busy(other), "a script blocks it")
            with pytest.raises(LayerUnavailable, match="BUSY"):
                await layer.group_send("room", {"type": "x"})
            assert station.shards.server(0).run_id is None
            other.script_kill()
        await blocking
        await comes(layer, inbox, "it is served again")
        (subscriber,) = station.subscriptions._subscribers.values()
        gaps, checked = len(layer.metrics.gaps), subscriber.sure_until
        await until_async(lambda: subscriber.sure_until > checked, "it is looked whether all is well")
        assert len(layer.metrics.gaps) == gaps


def _run_for_ever(server: RedisServer) -> None:
    with redis.Redis(port=server.port) as wire, contextlib.suppress(redis.ResponseError):
        wire.eval("while true do end", 0)


def _is_busy(wire: Any) -> bool:
    try:
        wire.ping()
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False
