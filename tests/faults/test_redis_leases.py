"""A server that is killed leaves its groups within the lease; who stays open stays in, however long."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync

from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.support.clients import Client
from tests.support.layers import close, member
from tests.support.paths import REPO
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.servers import Server, served
from tests.support.waiting import until, until_async

LEASE_S = 4
GROUP_EXPIRY_S = 3
GROUPS = ["room", *(f"room{number}" for number in range(30))]


@contextmanager
def serving(cls: type, url: str, folder: Path, name: str, **options: Any) -> Iterator[Server]:
    command = [sys.executable, "-m", "uvicorn", "tests.faults.member_app:app", "--port", "{port}"]
    env = {
        "LAYER": f"{cls.__module__}.{cls.__qualname__}",
        "REDIS": url,
        "PREFIX": "asgi",
        "OPTIONS": json.dumps(options),
    }
    with served(command, cwd=REPO, log=folder / f"{name}.log", env=env) as server:
        yield server


@pytest.mark.parametrize("cls", [RedisChannelLayer, RedisPubSubChannelLayer])
def test_a_server_is_killed(cls: Any, redis_server: RedisServer, tmp_path: Path) -> None:
    """Nobody else's members are touched, and nothing of it is left in Redis."""
    options = {"lease": LEASE_S}
    with contextlib.ExitStack() as stack:
        dying, staying = (
            stack.enter_context(serving(cls, redis_server.url, tmp_path, name, **options))
            for name in ("dying", "staying")
        )
        wire = stack.enter_context(redis.Redis.from_url(redis_server.url))
        clients = [Client(dying, "/") for _ in range(5)]
        kept = stack.enter_context(Client(staying, "/"))
        sender = cls(hosts=[redis_server.url])

        def sizes() -> set[int]:
            if cls is RedisPubSubChannelLayer:
                return {
                    count for _, count in wire.pubsub_numsub(*(f"asgi__group__{name}" for name in GROUPS))
                }
            return {wire.zcard(f"asgi:group:{name}") for name in GROUPS}

        both, one = ({2}, {1}) if cls is RedisPubSubChannelLayer else ({6}, {1})
        until(lambda: sizes() == both, "all are in")
        dying.process.send_signal(signal.SIGKILL)
        dying.process.wait()
        killed = time.monotonic()
        until(lambda: sizes() == one, "the dead have left", deadline_s=60)
        took = time.monotonic() - killed
        sender.group_send_sync("room", {"type": "numbered", "n": 1})
        assert kept.receive_json() == 1
        if cls is RedisChannelLayer:
            assert wire.zcard("asgi:leases") == 1 and len(wire.keys("asgi:joined:*")) == 1
            assert took < 2 * LEASE_S, "the lease, and one turn of somebody who cleans up"
        for client in clients:
            client.drop()
        async_to_sync(sender.close_pools)()


def test_a_connection_that_is_open_for_three_times_the_expiry(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """With and without traffic; and not because nothing ever expires."""
    options = {"group_expiry": GROUP_EXPIRY_S, "lease": 60}
    with (
        serving(RedisChannelLayer, redis_server.url, tmp_path, "server", **options) as server,
        redis.Redis.from_url(redis_server.url) as wire,
        Client(server, "/") as client,
    ):
        sender = RedisChannelLayer(hosts=[redis_server.url], group_expiry=GROUP_EXPIRY_S)
        until(lambda: wire.zcard("asgi:group:room29") == 1, "it is in")
        sender.group_add_sync("room", "plain")
        ends = time.monotonic() + 3.2 * GROUP_EXPIRY_S
        number = 0
        while time.monotonic() < ends:
            sender.group_send_sync("room", {"type": "numbered", "n": number})
            assert client.receive_json() == number
            number += 1
            time.sleep(0.2)
        assert len(wire.zrange("asgi:group:room", 0, -1)) == 1, "who is read by nobody has expired"
        sender.group_send_sync("room29", {"type": "numbered", "n": "quiet until now"})
        assert client.receive_json() == "quiet until now"
        async_to_sync(sender.close_pools)()


@pytest.mark.parametrize("history", [None, {"room": {"count": 10_000}}], ids=["plain", "history"])
async def test_a_process_that_is_held_up_for_longer_than_its_lease(
    redis_server: RedisServer, history: Any
) -> None:
    """What it has missed lies in a gap, which consumers are told of; a history has it."""
    options: dict[str, Any] = {"hosts": [redis_server.url], "capacity": 100_000, "history": history}
    layer = RedisChannelLayer(**options, lease=1, on_reconnect="back")
    sender = RedisChannelLayer(**options)
    inbox = await member(layer, "room")
    with redis.Redis.from_url(redis_server.url) as wire:
        await until_async(lambda: wire.zcard("asgi:leases"), "it has a lease")
    missed: list[float] = []
    numbers = itertools.count()

    def send() -> None:
        while len(missed) < 3:
            if not sender.group_send_sync("room", {"type": "x", "n": next(numbers)}).delivered:
                missed.append(time.time())

    thread = threading.Thread(target=send)
    thread.start()
    thread.join()  # blocks the event loop, as a paused machine would

    def came() -> list[int]:
        return [event[1]["n"] for event in inbox.events if event[1]["type"] == "x"]

    await until_async(lambda: {"type": "back"} in [event[1] for event in inbox.events], "it is told")
    (gap,) = layer.metrics.gaps
    assert gap.ended is not None and gap.began <= missed[0] and missed[-1] <= gap.ended
    last = next(numbers)
    assert (await sender.group_send("room", {"type": "x", "n": last})).delivered == 1
    await until_async(lambda: last in came(), "it is reached again")
    assert came() == [*range(last + 1 if history else last - 3), *([] if history else [last])]
    await close(layer, sender)


async def ends_until(done: Callable[[], bool], wire: redis.Redis, lease: str) -> set[float]:
    """The ends that a lease had until ``done()``."""
    ends = {wire.zscore("asgi:leases", lease) or 0.0}
    began = wire.zscore("asgi:leases", lease)

    def look() -> bool:
        if done():
            return True
        ends.add(wire.zscore("asgi:leases", lease) or 0.0)
        return False

    await until_async(look, "it is done")
    return ends - {began}


@pytest.mark.parametrize("what", ["the dead are removed", "members are entered again"])
async def test_a_lease_is_renewed_while_much_is_to_do(redis_server: RedisServer, what: str) -> None:
    """Over a slow line: it would run out, and nobody would send to the members of this process."""
    with Proxy(redis_server.port) as proxy, redis.Redis.from_url(redis_server.url) as wire:
        layer = RedisChannelLayer(hosts=[proxy.url], lease=2)
        inbox = await member(layer, "room")
        await until_async(lambda: wire.zcard("asgi:leases"), "it has a lease")
        groups = [f"room{number}" for number in range(3000)]
        if what == "the dead are removed":
            wire.sadd("asgi:joined:dead", *groups)
            proxy.delay_s = 0.01
            wire.zadd("asgi:leases", {"dead": 1})
        else:
            await asyncio.gather(*(layer.group_add(group, inbox.channel) for group in groups))
            proxy.delay_s = 0.05
            wire.delete(*(f"asgi:group:{group}" for group in groups))

        def done() -> bool:
            if what == "the dead are removed":
                return not wire.zscore("asgi:leases", "dead")
            return bool(wire.exists(f"asgi:group:{groups[-1]}"))

        ends = await ends_until(done, wire, layer.client_prefixes()[0])
        assert len(ends) >= 2, "renewed by the turn that finds it, and again"
        proxy.delay_s = 0
        await close(layer)


async def test_groups_whose_keys_hold_foreign_data(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is in them, and they are logged; the other groups of the process, and its lease, go on."""
    with redis.Redis.from_url(redis_server.url) as wire:
        layer = RedisChannelLayer(hosts=[redis_server.url], lease=1)
        inbox = await member(layer, "room", "taken")
        (lease,) = layer.client_prefixes()
        wire.set("asgi:group:foreign", "x")
        with pytest.raises(LayerUnavailable, match="hold foreign data"):
            await layer.group_add("foreign", inbox.channel)
        wire.delete("asgi:group:taken")
        wire.set("asgi:group:taken", "x")
        wire.sadd("asgi:joined:dead", "foreign", "taken", "room")
        wire.zadd("asgi:group:room", {"specific.dead!x": time.time()})
        wire.zadd("asgi:leases", {"dead": 1})

        began = time.time()
        await until_async(lambda: (wire.zscore("asgi:leases", lease) or 0) > began + 1, "it is renewed")
        await until_async(lambda: not wire.exists("asgi:joined:dead"), "the dead are removed")
        assert wire.zrange("asgi:group:room", 0, -1) == [inbox.channel.encode()]
        wire.delete("asgi:group:room")
        await until_async(lambda: wire.zcard("asgi:group:room"), "it is entered again")
        await until_async(lambda: "group taken at" in caplog.text, "it is logged")
        assert "group foreign at" in caplog.text and "hold foreign data" in caplog.text
        wire.delete("asgi:group:taken")
        await until_async(lambda: wire.zcard("asgi:group:taken"), "it is entered where it can be")
        await until_async(lambda: not layer.metrics.is_away(), "no outage remains")
        await close(layer)
