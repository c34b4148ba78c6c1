"""Processes with the real channels_redis and processes with ours in the same groups, while a fleet is ported.

Every message in both directions arrives once. With several hosts, upstream's direct sends go to the host of
the hash of the whole channel name, where its own processes do not listen; ours do.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import redis

from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer
from compat.layers.redis.keys import Keys, shard_of
from tests.support.choices import slow_but
from tests.support.environments import environment
from tests.support.layers import databases, moving, unique_prefix
from tests.support.paths import REPO
from tests.support.processes import child_environment

PEER = Path(__file__).parent / "upstream_peer.py"
QUIET_S = 0.5
COUNT = 20
OURS: dict[str, Any] = {
    "channels_redis.core.RedisChannelLayer": RedisChannelLayer,
    "channels_redis.pubsub.RedisPubSubChannelLayer": RedisPubSubChannelLayer,
}
QUEUE, PUBSUB = OURS
OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "defaults": ({}, {}),
    "json": ({"serializer_format": "json"}, {"serializer_format": "json"}),
    "encrypted": ({"symmetric_encryption_keys": ["key"]}, {"symmetric_encryption_keys": ["key"]}),
    "rotating keys": (
        {"symmetric_encryption_keys": ["new", "old"]},
        {"symmetric_encryption_keys": ["old", "new"]},
    ),
    "encrypted json": (
        {"serializer_format": "json", "symmetric_encryption_keys": ["key"]},
        {"serializer_format": "json", "symmetric_encryption_keys": ["key"]},
    ),
}


class Peer:
    """The layer in the other process; its methods are coroutines like those of ours."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def call(self, method: str, *arguments: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, arguments]).encode() + b"\n")
        return await self.answer()

    async def answer(self) -> Any:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 30)
        answer = json.loads(line) if line else {"error": "it has ended"}
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda *arguments: self.call(method, *arguments)


@pytest.fixture(params=[QUEUE, PUBSUB], ids=["queue", "pubsub"])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


SETTINGS = [*((1, name) for name in OPTIONS), (3, "defaults"), (3, "rotating keys"), (3, "encrypted json")]
QUICK_SETTINGS = [(1, "defaults"), (3, "rotating keys")]
PLAIN_SETTINGS = [(1, "defaults"), (3, "defaults")]
plain_settings = pytest.mark.parametrize("setting", PLAIN_SETTINGS, indirect=True, ids=str)


@pytest.fixture(params=slow_but(QUICK_SETTINGS, SETTINGS), ids=str)
def setting(request: pytest.FixtureRequest) -> tuple[int, str]:
    """Number of hosts, name of options."""
    count, name = request.param
    return count, name


@pytest.fixture
def hosts(setting: tuple[int, str], redis_url: str) -> list[str]:
    return databases(redis_url, setting[0])


@pytest_asyncio.fixture
async def fleet(path: str, hosts: list[str], setting: tuple[int, str]) -> AsyncIterator[Any]:
    """(our layer, theirs) with the same hosts and prefix."""
    options = OPTIONS[setting[1]]
    upstream = environment("channels")
    prefix = unique_prefix()
    ours = OURS[path](hosts=hosts, prefix=prefix, **options[0])
    # redis-py 8 ends a blocking read after 5 s, which the real channels_redis takes for a failure
    theirs = {"hosts": [f"{url}?socket_timeout=30" for url in hosts], "prefix": prefix, **options[1]}
    process = await asyncio.create_subprocess_exec(
        *(upstream.python, str(PEER), path, json.dumps(theirs)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=REPO,
        env=child_environment(),
    )
    peer = Peer(process)
    try:
        await peer.answer()
        yield ours, peer
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await ours.flush()


async def take(layer: Any, channel: str, count: int) -> list[Any]:
    """So many messages, and then none."""
    got = [await asyncio.wait_for(layer.receive(channel), 20) for _ in range(count)]
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(layer.receive(channel), 0.1)
    return got


def numbered(sender: str, number: int) -> dict[str, Any]:
    return {"type": "numbered", "from": sender, "n": number, "text": "é", "list": [1, {"a": None}]}


async def test_groups(fleet: Any) -> None:
    """Members on both sides get what both sides send, each message once and each sender's in order."""
    ours, theirs = fleet
    mine = [await ours.new_channel() for _ in range(3)]
    foreign = [await theirs.new_channel() for _ in range(3)]
    for channel in mine:
        await ours.group_add("room", channel)
    for channel in foreign:
        await theirs.group_add("room", channel)
    await theirs.listen(foreign)
    for number in range(COUNT):
        await ours.group_send("room", numbered("ours", number))
    there = await theirs.heard_since(QUIET_S, len(foreign) * COUNT)
    for number in range(COUNT):
        await theirs.group_send("room", numbered("theirs", number))
    here = {channel: await take(ours, channel, 2 * COUNT) for channel in mine}
    there_too = await theirs.heard_since(QUIET_S, len(foreign) * COUNT)
    sent = [numbered(sender, number) for sender in ("ours", "theirs") for number in range(COUNT)]
    for channel in mine:
        assert here[channel] == sent
    for channel in foreign:
        assert there[channel] + there_too[channel] == sent


async def test_history_H8_what_channels_redis_sends_is_not_in_the_history(
    path: str, hosts: list[str], setting: tuple[int, str], fleet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Each side gets what the other one sends; the history says what it does not know."""
    plain, theirs = fleet
    kept = {"room*": {"count": 10, "on_join": 5}}
    ours = OURS[path](hosts=hosts, prefix=plain.prefix, history=kept, **OPTIONS[setting[1]][0])
    mine, foreign = await ours.new_channel(), await theirs.new_channel()
    await ours.group_add("room", mine)
    await theirs.group_add("room", foreign)
    await theirs.listen([foreign])
    sent, here = [], []
    for number in range(3):
        for sender, layer in (("ours", ours), ("theirs", theirs)):
            sent.append(numbered(sender, number))
            await layer.group_send("room", sent[-1])
            here.append(await asyncio.wait_for(ours.receive(mine), 20))
    assert here + await take(ours, mine, 0) == sent
    there = (await theirs.heard_since(QUIET_S, len(sent)))[foreign]
    marks = [message.pop("__compat__", None) for message in there]
    assert there == sent, "a handler there sees one more key"
    assert [mark is not None for mark in marks] == [True, False] * 3
    assert await ours.history("room") == sent[::2]
    assert sum("keeps no history" in record.message for record in caplog.records) == 1
    part = (await ours.recordings.read(ours._stations.all()[0].shards, "room", 0)).part
    assert part.tainted >= 3, "positions before the last message of theirs are not claimed"
    await ours.flush()


async def test_direct_messages(fleet: Any) -> None:
    ours, theirs = fleet
    mine = [await ours.new_channel() for _ in range(COUNT)]
    foreign = [await theirs.new_channel() for _ in range(COUNT)]
    await theirs.listen(foreign)
    for number, channel in enumerate(foreign):
        await ours.send(channel, numbered("ours", number))
    there = await theirs.heard_since(QUIET_S, COUNT)
    assert [there[channel] for channel in foreign] == [[numbered("ours", n)] for n in range(COUNT)]

    for number, channel in enumerate(mine):
        await theirs.send(channel, numbered("theirs", number))
    for number, channel in enumerate(mine):
        assert await take(ours, channel, 1) == [numbered("theirs", number)]


@plain_settings
async def test_what_upstream_loses_by_itself(path: str, hosts: list[str], fleet: Any) -> None:
    """Between two processes with channels_redis; the same sends reach a process with ours, as seen above."""
    theirs = fleet[1]
    foreign = [await theirs.new_channel() for _ in range(COUNT)]
    await theirs.listen(foreign)
    for number, channel in enumerate(foreign):
        await theirs.send(channel, numbered("theirs", number))
    keys = Keys("", len(hosts))
    # Upstream's choice of host, and where whoever made the channel listens.
    lost = [
        path == QUEUE and shard_of(channel, len(hosts)) != keys.queue_shard(channel) for channel in foreign
    ]
    there = await theirs.heard_since(QUIET_S, lost.count(False))
    for number, channel in enumerate(foreign):
        assert there[channel] == ([] if lost[number] else [numbered("theirs", number)])


@plain_settings
async def test_plain_channels(path: str, hosts: list[str], fleet: Any) -> None:
    """Queues that nobody owns; on several hosts upstream's receive looks at one of them at a time."""
    if path == PUBSUB or len(hosts) > 1:
        pytest.skip("pub/sub keeps nothing, and upstream's receive from several hosts waits at the wrong one")
    ours, theirs = fleet
    for number in range(COUNT):
        await ours.send("tasks", numbered("ours", number))
    await theirs.listen(["tasks"])
    there = await theirs.heard_since(QUIET_S, COUNT)
    assert there == {"tasks": [numbered("ours", n) for n in range(COUNT)]}
    for number in range(COUNT):
        await theirs.send("others", numbered("theirs", number))
    assert await take(ours, "others", COUNT) == [numbered("theirs", n) for n in range(COUNT)]


@plain_settings
async def test_a_plain_channel_that_both_read(path: str, hosts: list[str], fleet: Any) -> None:
    """Each job is done once. What ours has taken ahead was put back at each read of theirs."""
    if path == PUBSUB or len(hosts) > 1:
        pytest.skip("pub/sub keeps nothing, and upstream's receive from several hosts waits at the wrong one")
    ours, theirs = fleet
    sent = [numbered("ours", number) for number in range(2 * COUNT)]
    for message in sent:
        await ours.send("tasks", message)
    here = [await asyncio.wait_for(ours.receive("tasks"), 20) for _ in range(8)]  # and 7 more are taken
    await theirs.listen(["tasks"])
    there = (await theirs.heard_since(QUIET_S, len(sent) - len(here)))["tasks"]
    assert sorted(message["n"] for message in here + there) == [*range(2 * COUNT)]


@plain_settings
async def test_what_a_dead_worker_of_theirs_had(
    path: str, hosts: list[str], fleet: Any, redis_url: str
) -> None:
    """Ours puts it back: it lies where channels_redis keeps what it has not acknowledged."""
    if path == PUBSUB or len(hosts) > 1:
        pytest.skip("pub/sub keeps nothing, and upstream's receive from several hosts waits at the wrong one")
    ours, theirs = fleet
    await theirs.send("tasks", numbered("theirs", 0))
    with redis.Redis.from_url(redis_url) as wire:
        popped: Any = wire.zpopmin(f"{ours.prefix}tasks")
        wire.zadd(f"{ours.prefix}tasks$inflight", dict(popped))
    assert await take(ours, "tasks", 1) == [numbered("theirs", 0)]


@plain_settings
async def test_exclude(path: str, fleet: Any) -> None:
    """The queue's wire names its receivers; pub/sub's cannot, so channels_redis' members get it anyway."""
    ours, theirs = fleet
    mine, foreign = await ours.new_channel(), await theirs.new_channel()
    await ours.group_add("room", mine)
    await theirs.group_add("room", foreign)
    await theirs.listen([foreign])
    await ours.group_send("room", {"type": "x"}, exclude=[mine, foreign])
    there = (await theirs.heard_since(QUIET_S, 0 if path == QUEUE else 1))[foreign]
    assert there == ([] if path == QUEUE else [{"type": "x", "__exclude__": [mine, foreign]}])
    assert await take(ours, mine, 0) == []


@plain_settings
async def test_leaving(fleet: Any) -> None:
    ours, theirs = fleet
    mine, foreign = await ours.new_channel(), await theirs.new_channel()
    await ours.group_add("room", mine)
    await theirs.group_add("room", foreign)
    await ours.group_discard("room", mine)
    await theirs.group_discard("room", foreign)
    await theirs.listen([foreign])
    await theirs.group_send("room", {"type": "x"})
    await ours.group_send("room", {"type": "x"})
    assert await take(ours, mine, 0) == []
    assert await theirs.heard_since(QUIET_S) == {foreign: []}


@plain_settings
async def test_the_first_restart_of_a_move_beside_channels_redis(fleet: Any, redis_url: str) -> None:
    """A process that listens on streams too is to those with channels_redis what it was before."""
    old, theirs = fleet
    ours = moving(old, RedisStreamsChannelLayer(hosts=[redis_url], prefix=unique_prefix()), "old")
    mine, foreign = await ours.new_channel(), await theirs.new_channel()
    await ours.group_add("room", mine)
    await theirs.group_add("room", foreign)
    await theirs.listen([foreign])
    await ours.group_send("room", numbered("ours", 0))
    await theirs.group_send("room", numbered("theirs", 0))
    await theirs.send(mine, numbered("theirs", 1))
    await ours.send(foreign, numbered("ours", 1))
    here, there = await take(ours, mine, 3), (await theirs.heard_since(QUIET_S, 3))[foreign]
    assert sorted((got["from"], got["n"]) for got in here) == [("ours", 0), ("theirs", 0), ("theirs", 1)]
    assert sorted((got["from"], got["n"]) for got in there) == [("ours", 0), ("ours", 1), ("theirs", 0)]
    await ours.group_discard("room", mine)
    await ours.new.flush()
