"""How long handlers, connects and deliveries take: what is measured, of whom, and how it is told."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from compat import timings
from compat.clock import steady
from compat.engine.inbox import Inbox
from compat.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.layers.redis.core import RedisChannelLayer
from compat.layers.redis.pubsub import RedisPubSubChannelLayer
from compat.layers.redis.streams import RedisStreamsChannelLayer
from compat.metrics import snapshot
from compat.prometheus import prometheus_text
from compat.testing import WebsocketCommunicator
from compat.timings import BOUNDS, MOST_CLASSES, OTHERS, SHARE, Histogram, timing_of


class Room(AsyncJsonWebsocketConsumer):
    """Says to its group what a client says."""

    groups = ["room"]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send("room", {"type": "said"})

    async def said(self, event: Any) -> None:
        await self.send_json("said")


class SideBySideRoom(Room):
    """Handles two messages at once."""

    concurrency = 2


class SyncRoom(JsonWebsocketConsumer):
    """The same in threads."""

    groups = ["room"]

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        from asgiref.sync import async_to_sync

        async_to_sync(self.channel_layer.group_send)("room", {"type": "said"})

    def said(self, event: Any) -> None:
        self.send_json("said")


class OneThreadRoom(SyncRoom):
    """On asgiref's thread."""

    thread_sensitive = True


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timings, "_watched", True)
    monkeypatch.setattr(timings, "_classes", {})


@pytest.fixture
def layer() -> Any:
    made = InMemoryChannelLayer()
    register_channel_layer("default", made)
    yield made
    unregister_channel_layer("default")


async def talk(consumer: Any) -> None:
    """A connect, three frames, three deliveries and a disconnect."""
    client = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert (await client.connect())[0]
    for _ in range(3):
        await client.send_json_to("hello")
        assert await client.receive_json_from() == "said"
    await client.disconnect()


def counted(consumer: type, what: str) -> int:
    found = timings.as_dict().get(f"{consumer.__module__}.{consumer.__qualname__}", {})
    return sum(found[what]["counts"]) if found else 0


@pytest.mark.parametrize("consumer", [Room, SideBySideRoom, SyncRoom, OneThreadRoom])
async def test_one_connection_in_so_many_is_measured(
    watched: None, layer: InMemoryChannelLayer, consumer: Any
) -> None:
    await talk(consumer)
    assert counted(consumer, "connect") == 1
    handled = counted(consumer, "handler")
    assert handled in (6, 7)  # a disconnect that ends the pool's work is not measured
    assert sum(layer.metrics.delivery.counts) == 3
    for _ in range(SHARE - 1):
        await talk(consumer)
    assert counted(consumer, "connect") == 1 and counted(consumer, "handler") == handled
    await talk(consumer)
    assert counted(consumer, "connect") == 2 and counted(consumer, "handler") == 2 * handled
    told = snapshot()
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize("kind", [RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer])
async def test_deliveries_over_redis(watched: None, redis_url: str, kind: Any) -> None:
    layer = kind(hosts=[redis_url], prefix=f"timings-{kind.__name__}", expiry=60)
    register_channel_layer("default", layer)
    try:
        await talk(Room)
        assert sum(layer.metrics.delivery.counts) == 3
    finally:
        unregister_channel_layer("default")
        await layer.close_pools()


async def test_nothing_is_measured_while_nobody_reads_it(
    layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timings, "_watched", False)
    monkeypatch.setattr(timings, "_classes", {})
    await talk(Room)
    assert timings.as_dict() == {} and sum(layer.metrics.delivery.counts) == 0


async def test_a_handler_that_fails_or_waits_is_measured(watched: None, layer: InMemoryChannelLayer) -> None:
    going = asyncio.Event()

    class Slow(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            await going.wait()
            raise ValueError(content)

    client = WebsocketCommunicator(Slow.as_asgi(), "/")
    await client.connect()
    await client.send_json_to("hello")
    assert counted(Slow, "handler") == 0
    going.set()
    with pytest.raises(ValueError, match="hello"):
        await client.receive_json_from()
    assert counted(Slow, "handler") == 2  # the disconnect is another


async def test_it_is_on_the_page_of_prometheus(watched: None, layer: InMemoryChannelLayer) -> None:
    await talk(Room)
    families = {one.name: one for one in text_string_to_metric_families(prometheus_text())}
    names = {"channels_handler_seconds": "consumer", "channels_connect_seconds": "consumer"}
    for name, label in {**names, "channels_layer_delivery_seconds": "layer"}.items():
        family = families[name]
        assert family.type == "histogram"
        mine = {Room.__module__ + ".Room", "default"}
        found = [sample for sample in family.samples if sample.labels[label] in mine]
        buckets = [sample.value for sample in found if sample.name.endswith("_bucket")]
        assert len(buckets) == len(BOUNDS) + 1 and buckets == sorted(buckets)
        (count,) = (sample.value for sample in found if sample.name.endswith("_count"))
        assert count == buckets[-1] > 0
        assert {key for sample in found for key in sample.labels} == {label, "le"}


def test_only_what_the_layer_sent_is_a_delivery(watched: None) -> None:
    """Neither what has no deadline, nor what came after the last event."""

    inbox, layer = Inbox(asyncio.new_event_loop()), InMemoryChannelLayer()
    timing = timing_of(Room, inbox, layer)
    assert timing is not None
    handle = timing.around(lambda message: None)
    for due in (0.0, float("inf")):
        inbox.due = due
        handle({"type": "said"})
    assert sum(layer.metrics.delivery.counts) == 0
    inbox.due = steady() + layer.expiry
    for _ in range(3):
        handle({"type": "said"})
    assert sum(layer.metrics.delivery.counts) == 1
    inbox.loop.close()


def test_classes_that_a_program_makes_are_counted_together(watched: None) -> None:
    loop = asyncio.new_event_loop()
    for number in range(MOST_CLASSES + 50):
        timing_of(type(f"Made{number}", (), {}), Inbox(loop), None)
    loop.close()
    assert len(timings.as_dict()) == MOST_CLASSES + 1 and OTHERS in timings.as_dict()


@given(st.lists(st.floats(-1, 100)))
def test_each_duration_is_in_one_bucket(durations: list[float]) -> None:
    histogram = Histogram()
    for one in durations:
        histogram.observe(one)
    counts = histogram.as_dict()["counts"]
    bounds = [*BOUNDS, float("inf")]
    for number, bound in enumerate(bounds):
        assert sum(counts[: number + 1]) == sum(one <= bound for one in durations)


@pytest.mark.parametrize("seconds", [*BOUNDS])
def test_a_bound_belongs_to_its_bucket(seconds: float) -> None:
    histogram = Histogram()
    histogram.observe(seconds)
    assert histogram.counts.index(1) == BOUNDS.index(seconds)


def test_threads_lose_none() -> None:
    histogram = Histogram()

    def observe() -> None:
        for _ in range(5000):
            histogram.observe(0.2)

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(histogram.counts) == 20000
