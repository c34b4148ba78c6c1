"""A fleet moves to another layer: at each step two kinds of processes hear each other, each message once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import async_to_sync

from compat.engine.inbox import Inbox
from compat.generic.websocket import WebsocketConsumer
from compat.layers import register_channel_layer, unregister_channel_layer
from compat.layers.moving import MovingChannelLayer
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer
from compat.testing.websocket import WebsocketCommunicator
from tests.support.layers import member, moving, unique_prefix
from tests.support.redis_cluster import shared_cluster
from tests.support.waiting import until_async

Make = Callable[[int], Any]
MOVES = {
    "queue-to-streams": (RedisChannelLayer, RedisStreamsChannelLayer, False),
    "pubsub-to-streams": (RedisPubSubChannelLayer, RedisStreamsChannelLayer, False),
    "queue-to-pubsub": (RedisChannelLayer, RedisPubSubChannelLayer, False),
    "queue-to-cluster": (RedisChannelLayer, RedisChannelLayer, True),
    "pubsub-to-cluster": (RedisPubSubChannelLayer, RedisPubSubChannelLayer, True),
}
STEPS = ("old alone", "sends by the old", "sends by the new", "new alone")
WITHIN_S = 20.0
CAPACITY = 5000
"""Nothing is lost because the test itself reads too late."""


@pytest_asyncio.fixture(params=MOVES)
async def process(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Make]:
    """Makes the layer of one more process of the fleet, at a step of the move."""
    old, new, to_cluster = MOVES[request.param]
    there = [shared_cluster().entry(shards=3)] if to_cluster else [redis_url]
    before, after = unique_prefix(), unique_prefix()
    made: list[Any] = []

    def make(step: int) -> Any:
        one = old(hosts=[redis_url], prefix=before, capacity=CAPACITY)
        other = new(hosts=there, prefix=after, capacity=CAPACITY)
        made.extend((one, other))
        return (one, moving(one, other, "old"), moving(one, other, "new"), other)[step]

    yield make
    for layer in made:
        await layer.flush()


def numbers(inbox: Inbox) -> list[int]:
    return [event[1]["n"] for event in inbox.events]


async def come(inbox: Inbox, wanted: set[int]) -> None:
    await until_async(lambda: wanted.issubset(numbers(inbox)), f"{wanted} have come")


@pytest.mark.parametrize("step", [0, 1, 2], ids=["0-1", "1-2", "2-3"])
async def test_neighbours_hear_each_other_once(process: Make, step: int) -> None:
    fleet = [process(step), process(step), process(step + 1), process(step + 1)]
    inboxes = [await member(layer, "room") for layer in fleet]
    for number, layer in enumerate(fleet):
        await layer.group_send("room", {"type": "x", "n": number})
    for number, layer in enumerate(fleet):
        await layer.group_send("room", {"type": "x", "n": 10 + number}, exclude=[inboxes[number].channel])
    for number, layer in enumerate(fleet):
        for inbox in inboxes:
            await layer.send(inbox.channel, {"type": "x", "n": 20 + number})
    expected = [{0, 1, 2, 3, 20, 21, 22, 23} | {10, 11, 12, 13} - {10 + number} for number in range(4)]
    for inbox, wanted in zip(inboxes, expected, strict=True):
        await come(inbox, wanted)
    for inbox, layer in zip(inboxes, fleet, strict=True):
        await layer.group_discard("room", inbox.channel)
    await fleet[0].group_send("room", {"type": "x", "n": 99})
    await fleet[3].group_send("room", {"type": "x", "n": 99})
    for number, layer in enumerate(fleet):
        await layer.send(inboxes[number].channel, {"type": "x", "n": 100})
        inbox = inboxes[number]
        await come(inbox, {100})
        assert sorted(numbers(inbox)) == sorted({*expected[number], 100}), "once, and nothing after leaving"
        await layer.detach(inbox.channel)


@pytest.mark.parametrize("step", [0, 1, 2], ids=["0-1", "1-2", "2-3"])
async def test_a_job_is_taken_once_by_either_kind(process: Make, step: int) -> None:
    fleet = [process(step), process(step + 1)]
    if any(isinstance(layer, RedisPubSubChannelLayer) for layer in (process(0), process(3))):
        pytest.skip("pub/sub stores no jobs")
    done: list[int] = []

    async def work(layer: Any) -> None:
        while True:
            done.append((await layer.receive("jobs"))["n"])

    for number in range(20):
        await fleet[number % 2].send("jobs", {"type": "x", "n": number})
    workers = [asyncio.ensure_future(work(layer)) for layer in fleet]
    for number in range(20, 60):
        await fleet[number % 2].send("jobs", {"type": "x", "n": number})
    await until_async(lambda: len(done) >= 60, "all jobs are done")
    for worker in workers:
        worker.cancel()
    await asyncio.wait(workers)
    assert sorted(done) == list(range(60))


async def test_a_worker_acknowledges_what_it_has_taken(process: Make) -> None:
    layer = process(1)
    if any(isinstance(one, RedisPubSubChannelLayer) for one in (layer.old, layer.new)):
        pytest.skip("pub/sub stores no jobs")
    for number, side in enumerate((layer.old, layer.new)):
        await side.send("jobs", {"type": "x", "n": number})
    jobs = [await asyncio.wait_for(layer.take("jobs"), WITHIN_S) for _ in range(2)]
    assert sorted(job.message["n"] for job in jobs) == [0, 1]
    for job in jobs:
        job.put_back()
    again = [await asyncio.wait_for(layer.take("jobs"), WITHIN_S) for _ in range(2)]
    assert sorted(job.message["n"] for job in again) == [0, 1]
    for job in again:
        job.acknowledge()


class SyncMember(WebsocketConsumer):
    def connect(self) -> None:
        async_to_sync(self.channel_layer.group_add)("room", self.channel_name)
        self.accept()

    def x(self, event: Any) -> None:
        self.send(text_data=str(event["n"]))

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)("room", self.channel_name)


async def test_a_sync_consumer_hears_both_kinds(process: Make) -> None:
    here = process(1)
    register_channel_layer("default", here)
    try:
        client = WebsocketCommunicator(SyncMember.as_asgi(), "/")
        assert (await client.connect(timeout=WITHIN_S))[0]
        for step in (0, 1, 2):
            sender = process(step)
            await sender.group_send("room", {"type": "x", "n": step})
            assert await client.receive_from(timeout=WITHIN_S) == str(step)
        await client.disconnect(timeout=WITHIN_S)
        assert not here._own
    finally:
        unregister_channel_layer("default")


async def test_a_rolling_restart_loses_nothing(process: Make) -> None:
    """Three processes go through all steps, one after another, while each of them sends."""
    fleet = [process(0) for _ in range(3)]
    inboxes = [await member(layer, "room") for layer in fleet]
    got: list[list[int]] = [[] for _ in fleet]
    sent = 0
    goes_on = True

    async def read(number: int) -> None:
        while True:
            got[number].append((await inboxes[number].get())["n"])

    async def talk() -> None:
        nonlocal sent
        while goes_on:
            await fleet[sent % 3].group_send("room", {"type": "x", "n": sent})
            sent += 1

    async def heard(number: int, last: int) -> None:
        """All that was sent since the process began has come, and nothing twice."""
        wanted = list(range(starts[number], last + 1))
        await until_async(lambda: set(got[number]).issuperset(wanted), "none is missing")
        assert sorted(n for n in got[number] if starts[number] <= n <= last) == wanted

    async def replace(number: int, step: int) -> None:
        """Stop one process and start it at the next step: what is sent from then on has to come."""
        before, layer = fleet[number], process(step)
        new = await member(layer, "room")
        first, fleet[number] = sent + 1, layer
        await until_async(lambda: sent > first + 6, "some messages are sent by the new process")
        await heard(number, sent - 1)
        readers[number].cancel()
        await before.detach(inboxes[number].channel)
        inboxes[number], got[number], starts[number] = new, [], first
        readers[number] = asyncio.ensure_future(read(number))

    starts = [0, 0, 0]
    readers = [asyncio.ensure_future(read(number)) for number in range(3)]
    talking = asyncio.ensure_future(talk())
    for step in (1, 2, 3):
        for number in range(3):
            await replace(number, step)
    goes_on = False
    await talking
    for number in range(3):
        await heard(number, sent - 1)
        readers[number].cancel()
        await fleet[number].detach(inboxes[number].channel)
    assert not any(isinstance(layer, MovingChannelLayer) for layer in fleet)
