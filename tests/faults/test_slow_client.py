"""A client that never reads beside a fast sender: memory is bounded, others unaffected, losses counted."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer, channel_layers
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.metrics import snapshot
from compat.testing import WebsocketCommunicator
from tests.support.choices import slow_but
from tests.support.clients import Client
from tests.support.footprint import resident
from tests.support.layers import unique_prefix
from tests.support.servers import LiveServer
from tests.support.waiting import until, until_async

KINDS: dict[str, Any] = {
    "memory": InMemoryChannelLayer,
    "queue": RedisChannelLayer,
    "pubsub": RedisPubSubChannelLayer,
}
CAPACITY = 40
BURST = 20
"""The sender waits for the readers after so many: what they lose would be theirs to lose otherwise."""
MESSAGES = 1600
SLOW = "/slow"
SIZE = 40_000
BOUND = 32_000_000
"""Bytes by which the process may grow; all messages together are twice as much."""


class Member(AsyncWebsocketConsumer):
    groups = ["room"]
    handled: Counter[str]
    """Messages that each path's handlers were given, one test's."""
    over: threading.Event
    """The sender has finished."""

    async def numbered(self, event: Any) -> None:
        self.handled[self.scope["path"]] += 1
        await self.send(text_data=f"{event['n']} {event['text']}")

    async def websocket_disconnect(self, message: Any) -> None:
        if self.scope["path"] == SLOW:  # it is in the group to the end: every message is for it, too
            await until_async(self.over.is_set, "the sender has finished", deadline_s=120)
        await super().websocket_disconnect(message)


class Reading(threading.Thread):
    """A client that takes what comes."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.got: list[int] = []
        self.start()

    def run(self) -> None:
        while not self.got or self.got[-1] < MESSAGES - 1:
            self.got.append(number_of(self.client.receive()))


def number_of(frame: str | bytes) -> int:
    return int(str(frame).partition(" ")[0])


FAST = {("memory", "close"), ("queue", "drop_oldest"), ("pubsub", "drop")}
POLICIES = slow_but(FAST, itertools.product(KINDS, ("drop", "drop_oldest", "close")), several=True)


@pytest.fixture
def layer(kind: str, policy: str, redis_url: str) -> Iterator[Any]:
    options = {"capacity": CAPACITY, "on_overflow": policy}
    if kind != "memory":
        options = {"hosts": [redis_url], "prefix": unique_prefix(), **options}
    made = KINDS[kind](**options)
    channel_layers.register("default", made)
    yield made
    channel_layers.unregister("default")


@pytest.fixture
def member() -> Iterator[type[Member]]:
    Member.handled, Member.over = Counter(), threading.Event()
    yield Member
    Member.over.set()


@pytest.mark.parametrize(("kind", "policy"), POLICIES)
def test_a_client_that_never_reads(layer: Any, policy: str, member: type[Member]) -> None:
    handled, dropped = member.handled, layer.metrics.dropped
    # Pings would end a client that does not even read those, and the text would be compressed to nothing.
    with LiveServer(member.as_asgi(), ws_ping_interval=None, ws_per_message_deflate=False) as server:
        slow = Client(server, SLOW)
        readers = [Reading(Client(server, f"/{number}")) for number in range(3)]
        until(lambda: snapshot()["connections"]["current"] >= 4, "all are in")
        before, text = resident(), "x" * SIZE
        for number in range(MESSAGES):
            layer.group_send_sync("room", {"type": "numbered", "n": number, "text": text})
            if (number + 1) % BURST == 0:
                until(lambda: all(number in reader.got[-1:] for reader in readers), "the readers keep up")  # noqa: B023
                assert layer.depth() <= CAPACITY + len(readers)
        assert resident() - before < BOUND
        for reader in readers:
            reader.join(30)
            assert reader.got == list(range(MESSAGES)), "in order, and none is missing"
        assert dropped["overflow"] > 0
        member.over.set()
        if policy == "close":
            got, ending = until_closed(slow)
            # 1006 is for who does not read for so long that the close cannot be said to him either
            assert ending in (1013, 1006)
            assert got == list(range(len(got))) and len(got) <= handled[SLOW] < MESSAGES
        else:
            got = [number_of(slow.receive()) for _ in range(MESSAGES - dropped["overflow"])]
            layer.group_send_sync("room", {"type": "numbered", "n": MESSAGES, "text": ""})
            assert number_of(slow.receive()) == MESSAGES, "exactly what was counted is missing"
            handled[SLOW] -= 1
            assert got == sorted(set(got))
            assert (got[-1] == MESSAGES - 1) is (policy == "drop_oldest")
            slow.close()
        for reader in readers:
            reader.client.close()
    assert handled[SLOW] + dropped["overflow"] == MESSAGES, "each was handled, or is counted as lost"
    assert set(dropped) == {"overflow"}


class Thoughtful(WebsocketConsumer):
    """Does not return from its first message before it may."""

    groups = ["room"]
    handled: list[int]
    may_go_on: threading.Event

    def numbered(self, event: Any) -> None:
        self.handled.append(event["n"])
        assert self.may_go_on.wait(60)


async def test_a_handler_in_a_thread_that_never_returns(request: pytest.FixtureRequest) -> None:
    """A sync consumer is closed when its inbox is full: what its handler had not got by then is counted."""
    Thoughtful.handled, Thoughtful.may_go_on = [], threading.Event()
    layer = InMemoryChannelLayer(capacity=5, on_overflow="close")
    channel_layers.register("default", layer)
    request.addfinalizer(lambda: channel_layers.unregister("default"))
    client = WebsocketCommunicator(Thoughtful.as_asgi(), "/")
    client.scope["asgi"] = {"version": "3.0"}  # as behind a server
    assert (await client.connect(15))[0]
    await layer.group_send("room", {"type": "numbered", "n": 0})
    await until_async(lambda: Thoughtful.handled, "the handler has begun")
    for number in range(1, 20):
        await layer.group_send("room", {"type": "numbered", "n": number})
    for _ in range(10):  # the loop's turns in which the connection hears of it
        await asyncio.sleep(0)
    Thoughtful.may_go_on.set()
    assert await client.receive_output(15) == {"type": "websocket.close", "code": 1013}
    await client.wait(15)
    assert Thoughtful.handled == [0] and layer.metrics.dropped == {"overflow": 19}


def until_closed(client: Client) -> tuple[list[int], int | None]:
    """What comes before the end, and its code."""
    got: list[int] = []
    while True:
        try:
            got.append(number_of(client.receive()))
        except AssertionError:
            return got, client.close_code
