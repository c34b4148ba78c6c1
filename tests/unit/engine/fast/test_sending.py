"""Several messages are handled in one turn of the loop only by handlers that do nothing but send."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from compat.consumer import AsyncConsumer
from compat.engine.fast.sending import MOST_AT_ONCE, only_sends
from compat.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from compat.layers import InMemoryChannelLayer, channel_layers
from compat.types import Message
from tests.support.conversations import Conversation
from tests.support.waiting import until_async


class Own:
    """Stands for a module of the project's."""

    @staticmethod
    def dumps(content: Any) -> str:
        asyncio.get_running_loop().call_soon(print)
        return str(content)


class Tutorial(AsyncWebsocketConsumer):
    async def chat_message(self, event: Message) -> None:
        message = event["message"]
        await self.send(text_data=json.dumps({"message": message, "user": event.get("user", "nobody")}))


class Json(AsyncJsonWebsocketConsumer):
    async def chat_message(self, event: Message) -> None:
        await self.send_json({"message": f"{event['message']!r}"})


class Nothing(AsyncWebsocketConsumer):
    async def chat_message(self, event: Message) -> None:
        pass


class Making(AsyncWebsocketConsumer):
    async def chat_message(self, event: Message) -> None:
        self.task = asyncio.ensure_future(asyncio.sleep(0))


class Nested(AsyncWebsocketConsumer):
    async def chat_message(self, event: Message) -> None:
        await self.send(*[text for text in event["texts"]])


class Threaded(WebsocketConsumer):
    groups = ["room"]

    def chat_message(self, event: Message) -> None:
        self.send(text_data=json.dumps({"message": event["message"]}))


class ThreadedJson(JsonWebsocketConsumer):
    groups = ["room"]

    def chat_message(self, event: Message) -> None:
        self.send_json({"message": event["message"]})


class OwnSend(Tutorial):
    async def send(self, *args: Any, **kwargs: Any) -> None:
        asyncio.get_running_loop().call_soon(print)


class OwnClose(Tutorial):
    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        asyncio.get_running_loop().call_soon(print)


class OwnEncoding(Json):
    @classmethod
    async def encode_json(cls, content: Any) -> str:
        return Own.dumps(content)


def closing_over(json: Any) -> type[AsyncWebsocketConsumer]:
    class Closing(AsyncWebsocketConsumer):
        async def chat_message(self, event: Message) -> None:
            await self.send(text_data=json.dumps(event))

    return Closing


def own_json() -> type[AsyncWebsocketConsumer]:
    names: dict[str, Any] = {"json": Own, "AsyncWebsocketConsumer": AsyncWebsocketConsumer}
    exec(  # a module whose "json" is another one
        "class Consumer(AsyncWebsocketConsumer):\n"
        "    async def chat_message(self, event):\n"
        "        await self.send(text_data=json.dumps(event))\n",
        names,
    )
    found: type[AsyncWebsocketConsumer] = names["Consumer"]
    return found


def judged(consumer: Any) -> bool:
    function = consumer.chat_message.__func__
    return only_sends(consumer, function.__code__, function.__globals__)


@pytest.mark.parametrize("kind", [Tutorial, Json, Nothing, Threaded, ThreadedJson])
def test_a_handler_that_only_sends_is_recognised(kind: type) -> None:
    assert judged(kind())


@pytest.mark.parametrize(
    "kind", [Making, Nested, OwnSend, OwnClose, OwnEncoding, closing_over(Own), own_json()]
)
def test_a_handler_that_may_do_more_is_not(kind: type) -> None:
    assert not judged(kind())


def test_nor_is_one_whose_frames_another_base_class_sees() -> None:
    class Mixin(AsyncConsumer):
        async def send(self, message: Message) -> None:
            asyncio.get_running_loop().call_soon(print)

    class Mixed(Tutorial, Mixin):  # type: ignore[misc]  # pyright: ignore # our send() calls super().send()
        pass

    assert not judged(Mixed())


def test_nor_is_one_of_a_class_that_somebody_has_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AsyncWebsocketConsumer, "send", OwnSend.send)
    assert not judged(Tutorial())


# What it is for


@pytest.fixture
def layer() -> Iterator[InMemoryChannelLayer]:
    made = InMemoryChannelLayer()
    channel_layers.register("default", made)
    yield made
    channel_layers.unregister("default")


class Room(Tutorial):
    groups = ["room"]


class Careful(Making):
    groups = ["room"]
    handled = 0

    async def chat_message(self, event: Message) -> None:
        type(self).handled += 1
        await self.send(text_data=json.dumps({"message": event["message"]}))


@pytest.mark.parametrize("count", [1, MOST_AT_ONCE, MOST_AT_ONCE + 1, 50])
@pytest.mark.parametrize("kind", [Room, Careful, Threaded, ThreadedJson])
async def test_what_waits_is_sent_in_order(layer: InMemoryChannelLayer, kind: Any, count: int) -> None:
    clients = [await Conversation(kind.as_asgi()).open() for _ in range(3)]
    for number in range(count):
        await layer.group_send("room", {"type": "chat.message", "message": number})
    for client in clients:
        received = [json.loads(await client.receive_from())["message"] for _ in range(count)]
        assert received == list(range(count))
        await client.disconnect()


async def test_frames_that_somebody_else_sends_have_their_turn(layer: InMemoryChannelLayer) -> None:
    """A project may put its own callable in the place of ``base_send``; what it schedules runs in between."""
    seen: list[str] = []

    class Redirected(Room):
        async def connect(self) -> None:
            await self.accept()
            self.base_send = self.schedule

        async def schedule(self, message: Message) -> None:
            seen.append("sent")
            asyncio.get_running_loop().call_soon(seen.append, "ran")

    client = await Conversation(Redirected.as_asgi()).open()
    for number in range(5):
        await layer.group_send("room", {"type": "chat.message", "message": number})
    await until_async(lambda: len(seen) == 10, "all have run")
    assert seen == ["sent", "ran"] * 5
    await client.disconnect()


async def test_others_have_their_turn_after_so_many(layer: InMemoryChannelLayer) -> None:
    """The bound holds for a handler that the clock does not end: 40 messages take three turns at least."""
    client = await Conversation(Room.as_asgi()).open()
    for number in range(40):
        await layer.group_send("room", {"type": "chat.message", "message": number})
    seen = [0]
    while seen[-1] < 40 and len(seen) < 1000:
        await asyncio.sleep(0)  # a turn of the loop
        seen.append(client.output_queue.qsize())
    assert seen[-1] == 40
    assert max(after - before for before, after in itertools.pairwise(seen)) <= MOST_AT_ONCE
    await client.disconnect()
