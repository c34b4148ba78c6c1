"""Several messages are handled in one turn of the loop only by handlers that do nothing but send."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
from typing import Any

import pytest

from compat.consumer import AsyncConsumer
from compat.engine.fast.at_once import MOST
from compat.engine.fast.sending import only_sends
from compat.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from compat.layers import InMemoryChannelLayer
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
        await self.send(text_data=(lambda text: text)(event["text"]))


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


def logged(method: Any) -> Any:
    """A decorator that makes a task for each call, and looks like what it decorates."""

    @functools.wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        asyncio.get_running_loop().call_soon(print)
        return method(self, *args, **kwargs)

    return wrapper


def by_default(method: Any) -> Any:
    async def wrapper(self: Any, event: Message, inner: Any = method) -> None:
        await inner(self, event)

    return wrapper


class Decorated(AsyncWebsocketConsumer):
    chat_message = logged(Tutorial.chat_message)


class DecoratedByDefault(AsyncWebsocketConsumer):
    chat_message = by_default(logged(Tutorial.chat_message))


class DecoratedSend(Tutorial):
    send = logged(AsyncWebsocketConsumer.send)


class Returning(AsyncWebsocketConsumer):
    def chat_message(self, event: Message) -> Any:
        return asyncio.ensure_future(asyncio.sleep(0))


class Getting(AsyncJsonWebsocketConsumer):
    async def get(self, key: str) -> Any:
        asyncio.get_running_loop().call_soon(print)

    async def chat_message(self, event: Message) -> None:
        await self.send_json(await self.get(event["message"]))


def of_a_module(**names: Any) -> type[AsyncWebsocketConsumer]:
    """A handler in a module that has these names of its own."""
    known = {"AsyncWebsocketConsumer": AsyncWebsocketConsumer, **names}
    exec(
        "class Consumer(AsyncWebsocketConsumer):\n"
        "    async def chat_message(self, event):\n"
        f"        await {'send' if 'send' in names else 'self.send'}(text_data=json.dumps(event))\n",
        known,
    )
    found: type[AsyncWebsocketConsumer] = known["Consumer"]
    return found


def judged(consumer: Any) -> bool:
    return only_sends(consumer, "chat_message")


@pytest.mark.parametrize("kind", [Tutorial, Json, Nothing, Threaded, ThreadedJson])
def test_a_handler_that_only_sends_is_recognised(kind: type) -> None:
    assert judged(kind())


MORE = (
    *(Making, Nested, Returning, Getting, Decorated, DecoratedByDefault, closing_over(Own)),
    *(OwnSend, OwnClose, OwnEncoding, DecoratedSend),
    *(of_a_module(json=Own), of_a_module(json=json, send=print), of_a_module(json=json, dumps=print)),
)


@pytest.mark.parametrize("kind", MORE)
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
    monkeypatch.setattr(AsyncWebsocketConsumer, "send", logged(AsyncWebsocketConsumer.send))
    assert not judged(Tutorial())


# What it is for


class Room(Tutorial):
    groups = ["room"]


class Counting(AsyncWebsocketConsumer):
    """Has a turn after each message: its handler mentions more than it needs to send."""

    groups = ["room"]
    handled = 0

    async def chat_message(self, event: Message) -> None:
        self.handled += 1
        await self.send(text_data=json.dumps({"message": event["message"]}))


async def tell(layer: InMemoryChannelLayer, count: int) -> None:
    for number in range(count):
        await layer.group_send("room", {"type": "chat.message", "message": number})


@pytest.mark.parametrize("count", [1, 2, MOST, MOST + 1, 90])
@pytest.mark.parametrize("kind", [Room, Counting, Threaded, ThreadedJson])
async def test_what_waits_is_sent_in_order(layer: InMemoryChannelLayer, kind: Any, count: int) -> None:
    clients = [await Conversation(kind.as_asgi()).open() for _ in range(3)]
    await tell(layer, count)
    for client in clients:
        received = [json.loads(await client.receive_from())["message"] for _ in range(count)]
        assert received == list(range(count))
        await client.disconnect()


seen: list[str] = []


async def schedule(*args: Any, **kwargs: Any) -> None:
    seen.append("sent")
    asyncio.get_running_loop().call_soon(seen.append, "ran")


class Changing(Room):
    """Changes itself when its client says how."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        setattr(self, text_data or "", schedule)


def watched(app: Any) -> Any:
    """A middleware that sees what is sent."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "websocket.send":
                await schedule()
            await send(message)

        await app(scope, receive, sending)

    return wrapped


@pytest.mark.parametrize("changed", ["send", "base_send", "chat_message", "close"])
async def test_one_that_changes_has_a_turn_after_each(layer: InMemoryChannelLayer, changed: str) -> None:
    """Also if it did nothing but send before."""
    client = await Conversation(Changing.as_asgi()).open()
    await tell(layer, 5)
    for _ in range(5):
        await client.receive_from()
    await client.send_to(text_data=changed)
    seen.clear()
    await tell(layer, 5)
    if changed == "close":  # nobody calls it
        for _ in range(5):
            await client.receive_from()
        assert seen == []
    else:
        await until_async(lambda: len(seen) == 10, "all have run")
        assert seen == ["sent", "ran"] * 5
    await client.disconnect()


async def test_what_a_middleware_does_with_a_frame_has_its_turn(layer: InMemoryChannelLayer) -> None:
    client = await Conversation(watched(Room.as_asgi())).open()
    seen.clear()
    await tell(layer, 5)
    await until_async(lambda: len(seen) == 10, "all have run")
    assert seen == ["sent", "ran"] * 5
    await client.disconnect()


async def test_others_have_their_turn_after_so_many(
    layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound holds for a handler that the clock does not end: 90 messages take two turns at least."""
    monkeypatch.setattr("compat.engine.fast.at_once.MAX_S", 20.0)
    client = await Conversation(Room.as_asgi()).open()
    await tell(layer, 90)
    seen = [0]
    while seen[-1] < 90 and len(seen) < 1000:
        await asyncio.sleep(0)  # a turn of the loop
        seen.append(client.output_queue.qsize())
    assert seen[-1] == 90
    assert max(after - before for before, after in itertools.pairwise(seen)) <= MOST
    await client.disconnect()
