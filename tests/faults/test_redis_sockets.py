"""Redis is restarted under fifty open sockets and a steady sender: none closes, all is accounted for."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from compat.exceptions import LayerUnavailable
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.layers import channel_layers
from compat.metrics import snapshot
from tests.faults.rooms import LAYERS, QUICK
from tests.support.clients import Client
from tests.support.redis_server import RedisServer
from tests.support.servers import LiveServer
from tests.support.waiting import until

SOCKETS = 50
WITHIN_S = 5.0
"""How long after Redis is back everybody must be served again."""


class Member(AsyncJsonWebsocketConsumer):
    groups = ["room"]

    async def numbered(self, event: Any) -> None:
        await self.send_json(event["n"])

    async def redis_gone(self, event: Any) -> None:
        await self.send_json({"gap begins": time.time()})

    async def redis_back(self, event: Any) -> None:
        await self.send_json({"gap ends": time.time()})


class Sender(threading.Thread):
    """Sends numbers to the room, one every few milliseconds, whatever happens."""

    def __init__(self, layer: Any) -> None:
        super().__init__(name="sender", daemon=True)
        self.layer = layer
        self.sent: dict[int, float] = {}
        """Number of a message that was sent without an error: when."""
        self.refused: list[int] = []
        self.longest_s = 0.0
        self.ends = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.ends.wait(0.005):
            began = time.time()
            try:
                self.layer.group_send_sync("room", {"type": "numbered", "n": number})
                self.sent[number] = began
            except LayerUnavailable:
                self.refused.append(number)
            self.longest_s = max(self.longest_s, time.time() - began)
            number += 1

    def until_sent(self, more: int) -> None:
        have = len(self.sent)
        until(lambda: len(self.sent) >= have + more, f"{more} more are sent", deadline_s=30)


@pytest.fixture(params=LAYERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(kind: str, redis_server: RedisServer) -> Iterator[LiveServer]:
    options = {"capacity": 10_000, "on_disconnect": "redis.gone", "on_reconnect": "redis.back"}
    channel_layers.register("default", LAYERS[kind](hosts=[redis_server.url + QUICK], **options))
    try:
        with LiveServer(Member.as_asgi()) as server:
            yield server
    finally:
        channel_layers.unregister("default")


@pytest.mark.parametrize("how", ["killed", "told to end"])
def test_fifty_sockets(kind: str, how: str, server: LiveServer, redis_server: RedisServer) -> None:
    layer = channel_layers["default"]
    sender = Sender(LAYERS[kind](hosts=[redis_server.url + QUICK], capacity=10_000))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server, "/")) for _ in range(SOCKETS)]
        sender.start()
        sender.until_sent(50)
        getattr(redis_server, "kill" if how == "killed" else "stop")()
        until(lambda: len(sender.refused) >= 20, "sends are refused", deadline_s=30)
        redis_server.start()
        back = time.time()
        until(lambda: layer.metrics.reconnects >= 1, "the outage is over", deadline_s=30)
        sender.until_sent(50)
        sender.ends.set()
        sender.join(30)
        newest = max(sender.sent)
        told = [_until_number(client, newest) for client in clients]  # none has closed
    async_to_sync(sender.layer.close_pools)()

    assert sender.longest_s < WITHIN_S, "a send during the outage ends with an error"
    gaps = [(gap["began"], gap["ended"]) for gap in snapshot()["layers"]["default"]["gaps"]]
    assert gaps and all(ended is not None for _, ended in gaps)
    assert gaps[-1][1] - back < WITHIN_S, "all receive again"
    counts: Counter[int] = Counter()
    for heard in told:
        numbers = [item for item in heard if isinstance(item, int)]
        assert numbers == sorted(set(numbers)), "each once, in order"
        counts.update(numbers)
        kinds = [next(iter(item)) for item in heard if isinstance(item, dict)]
        assert kinds == ["gap begins", "gap ends"] * len(gaps), "its begin and its end are told"
    lost = {number: when for number, when in sender.sent.items() if counts[number] != SOCKETS}
    for number, when in lost.items():
        assert any(began <= when <= ended for began, ended in gaps), (
            f"{number}, sent at {when}: not in {gaps}"
        )


def _until_number(client: Client, number: int) -> list[Any]:
    """What a client has received up to and with that number, and what it is told of the gap's end."""
    heard: list[Any] = []
    while number not in heard or {"gap ends"} not in map(_keys, heard):
        heard.append(client.receive_json())
    return heard


def _keys(item: Any) -> set[str]:
    return set(item) if isinstance(item, dict) else set()
