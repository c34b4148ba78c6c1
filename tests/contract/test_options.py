"""Every option at two values or more: what it changes, and that the rest of a conversation stays as it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
import redis
import redis.asyncio
from redis.asyncio.connection import parse_url

from compat.engine.parts import inbox_of
from compat.exceptions import ChannelFull
from compat.layers import InMemoryChannelLayer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.layers.redis.serializers import JSONSerializer, registry
from tests.support.layers import databases, unique_prefix
from tests.support.waiting import until_async

WITHIN_S = 20.0
KINDS: dict[str, Any] = {
    "memory": InMemoryChannelLayer,
    "queue": RedisChannelLayer,
    "pubsub": RedisPubSubChannelLayer,
}
REDIS = ("queue", "pubsub")
EVERYWHERE = tuple(KINDS)
KEY, OLD_KEY = "a secret of any length", b"\x00\xffold"


class Reversed(JSONSerializer):
    """A serializer as users register them."""

    def as_bytes(self, message: Any, *args: Any, **kwargs: Any) -> bytes:
        return super().as_bytes(message)[::-1]

    def from_bytes(self, message: bytes, *args: Any, **kwargs: Any) -> Any:
        return super().from_bytes(message[::-1])


registry.register_serializer("reversed", Reversed)

VALUES: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (REDIS, {"prefix": "chat"}),
    (REDIS, {"prefix": "with spaces, [brackets] and é:"}),
    (EVERYWHERE, {"expiry": 30}),
    (EVERYWHERE, {"expiry": 900}),
    (("queue",), {"expiry": 30.5}),
    (("memory", "queue"), {"group_expiry": 30}),
    (("memory", "queue"), {"group_expiry": 864_000}),
    (EVERYWHERE, {"capacity": 7}),
    (EVERYWHERE, {"capacity": 5000}),
    (EVERYWHERE, {"channel_capacity": {"spec*": 10, "*": 1000}}),
    (EVERYWHERE, {"channel_capacity": {re.compile(r".*specific"): 10}}),
    (REDIS, {"symmetric_encryption_keys": [KEY]}),
    (REDIS, {"symmetric_encryption_keys": (KEY, OLD_KEY)}),
    (("queue",), {"random_prefix_length": 0}),
    (("queue",), {"random_prefix_length": 40}),
    (REDIS, {"serializer_format": "msgpack"}),
    (REDIS, {"serializer_format": "json"}),
    (REDIS, {"serializer_format": "reversed", "symmetric_encryption_keys": [KEY]}),
    (("queue",), {"lease": 10}),
    (("queue",), {"lease": 600}),
    (EVERYWHERE, {"on_overflow": "drop_oldest"}),
    (EVERYWHERE, {"on_overflow": "close"}),
    (REDIS, {"on_disconnect": "redis.gone", "on_reconnect": "redis.back"}),
    (REDIS, {"on_disconnect": {"type": "redis.gone", "why": 1}, "on_reconnect": None}),
    (REDIS, {"on_reset": "redis.reset"}),
    (REDIS, {"on_reset": {"type": "redis.reset", "why": 1}}),
]
CASES = [pytest.param(kind, options, id=f"{kind}-{options}") for kinds, options in VALUES for kind in kinds]


@pytest_asyncio.fixture
async def make(redis_url: str) -> AsyncIterator[Callable[..., Any]]:
    """Makes layers of a kind; what is not given is of its own."""
    made: list[Any] = []

    def factory(kind: str, **options: Any) -> Any:
        if kind != "memory":
            options = {"hosts": [redis_url], "prefix": unique_prefix(), **options}
        made.append(KINDS[kind](**options))
        return made[-1]

    yield factory
    for layer in made:
        await layer.flush()


async def receive(layer: Any, channel: str) -> Any:
    return await asyncio.wait_for(layer.receive(channel), WITHIN_S)


@pytest.mark.parametrize(("kind", "options"), CASES)
async def test_a_conversation(make: Callable[..., Any], kind: str, options: dict[str, Any]) -> None:
    """Direct and to groups, to mailboxes and to a consumer's inbox, from one process and from another."""
    if "prefix" in options:
        options = {**options, "prefix": f"{unique_prefix()}{options['prefix']}"}
    here = make(kind, **options)
    there = here if kind == "memory" else make(kind, **{"prefix": here.prefix, **options})
    mailbox, pushed = await here.new_channel(), await here.new_channel()
    inbox = inbox_of(asyncio.get_running_loop())
    here.attach(pushed, inbox)
    for channel in (mailbox, pushed):
        await here.group_add("room", channel)
    for number, sender in enumerate((here, there)):
        await sender.send(mailbox, {"type": "direct", "n": number, "text": "é"})
        assert await receive(here, mailbox) == {"type": "direct", "n": number, "text": "é"}
        for n in range(5):
            await sender.group_send("room", {"type": "group", "n": n})
        for n in range(5):
            assert await receive(here, mailbox) == {"type": "group", "n": n}
            assert await asyncio.wait_for(inbox.get(), WITHIN_S) == {"type": "group", "n": n}
    await here.detach(pushed)
    await here.group_discard("room", mailbox)
    assert not here.metrics.dropped and not here.metrics.gaps


@pytest.mark.parametrize("hosts", ["url", "pair", "dict", "address", "url and database", "two", "three"])
@pytest.mark.parametrize("kind", REDIS)
async def test_hosts(make: Callable[..., Any], redis_url: str, kind: str, hosts: str) -> None:
    parts = parse_url(redis_url)
    host, port = parts.get("host", "localhost"), parts.get("port", 6379)
    forms = {
        "url": [redis_url],
        "pair": [(host, port)],
        "dict": [{"host": host, "port": port, "db": 1}],
        "address": [{"address": redis_url, "db": 2}],
        "url and database": databases(redis_url, 4)[3:],
        "two": [(host, port), {"host": host, "port": port, "db": 1}],
        "three": databases(redis_url, 3),
    }
    await test_a_conversation(make, kind, {"hosts": forms[hosts]})


@pytest.mark.parametrize("kind", EVERYWHERE)
@pytest.mark.parametrize("capacity", [1, 4])
@pytest.mark.parametrize("pattern", ["*narrow*", re.compile(r".*narrow")], ids=["glob", "regex"])
async def test_capacity(make: Callable[..., Any], kind: str, capacity: int, pattern: Any) -> None:
    layer = make(kind, capacity=capacity + 1, channel_capacity={pattern: capacity})
    for prefix, limit in (("narrow.", capacity), ("wide.", capacity + 1)):
        channel = await layer.new_channel(prefix)
        for number in range(limit):
            await layer.send(channel, {"type": "x", "n": number})
            if kind == "pubsub":
                await until_async(lambda n=number: layer.depth() == n + 1, "it has arrived")  # type: ignore[misc]
        with pytest.raises(ChannelFull):
            await layer.send(channel, {"type": "one too many"})
        assert [(await receive(layer, channel))["n"] for _ in range(limit)] == list(range(limit))


@pytest.mark.parametrize("kind", EVERYWHERE)
@pytest.mark.parametrize(("expiry", "kept"), [(3, False), (60, True)])
async def test_expiry(make: Callable[..., Any], kind: str, expiry: float, kept: bool) -> None:
    """What waits in this process for longer is not delivered any more, and counted."""
    layer = make(kind, expiry=expiry)
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "old"})
    waiting = asyncio.ensure_future(receive(layer, await layer.new_channel()))  # so that somebody reads
    await until_async(lambda: layer.depth() == 1, "it has arrived")
    await asyncio.sleep(3.1)
    await layer.send(channel, {"type": "new"})
    assert (await receive(layer, channel))["type"] == ("old" if kept else "new")
    assert layer.metrics.dropped == ({} if kept else {"expired": 1})
    waiting.cancel()


@pytest.mark.parametrize("kind", REDIS)
async def test_key_rotation(make: Callable[..., Any], kind: str) -> None:
    """A fleet changes its key without a message lost: all learn the new one, write by it, forget the old."""
    old = make(kind, symmetric_encryption_keys=[OLD_KEY])
    learning = make(kind, prefix=old.prefix, symmetric_encryption_keys=[OLD_KEY, KEY])
    changed = make(kind, prefix=old.prefix, symmetric_encryption_keys=[KEY, OLD_KEY])
    new = make(kind, prefix=old.prefix, symmetric_encryption_keys=[KEY])
    for one, other in ((old, learning), (learning, changed), (changed, new), (old, changed)):
        channel = await other.new_channel()
        await other.group_add("room", channel)
        await one.send(channel, {"type": "direct"})
        await one.group_send("room", {"type": "group"})
        assert [(await receive(other, channel))["type"] for _ in range(2)] == ["direct", "group"]
        await other.group_discard("room", channel)
    channel = await new.new_channel()
    waiting = asyncio.ensure_future(receive(new, channel))
    await old.send(channel, {"type": "by a key that is not known here"})
    await changed.send(channel, {"type": "x"})
    assert await waiting == {"type": "x"}
    assert new.metrics.dropped == {"undecodable": 1}


@pytest.mark.parametrize("length", [0, 12, 30])
async def test_random_prefix_length(make: Callable[..., Any], redis_url: str, length: int) -> None:
    layer = make("queue", random_prefix_length=length, serializer_format="json")
    await layer.send("plain", {"type": "x"})
    async with redis.asyncio.Redis.from_url(redis_url) as wire:
        [member] = await wire.zrange(f"{layer.prefix}plain", 0, -1)
    assert member[length:] == b'{"type": "x"}'


@pytest.mark.parametrize("group_expiry", [30, 3000])
@pytest.mark.parametrize("lease", [5, 50])
async def test_group_expiry_and_lease(
    make: Callable[..., Any], redis_url: str, group_expiry: int, lease: int
) -> None:
    layer = make("queue", group_expiry=group_expiry, lease=lease)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    with redis.Redis.from_url(redis_url) as wire:
        lease_key, group_key = f"{layer.prefix}:leases", f"{layer.prefix}:group:room"
        ends: Any = await until_async(lambda: wire.zscore(lease_key, layer.client_prefix), "it is alive")
        time, left = wire.time()[0], wire.ttl(group_key)
    assert lease - 15 < ends - time <= lease + 1
    assert group_expiry - 15 < left <= group_expiry
