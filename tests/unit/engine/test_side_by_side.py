"""Handlers side by side, and ends that meet something else."""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from unittest import mock

import pytest
from starlette.types import Receive, Scope, Send

from compat.engine import side_by_side
from compat.exceptions import StopConsumer
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.types import Message
from tests.support.conversations import Conversation
from tests.support.logs import recorded
from tests.support.waiting import until_async

GROUP = "side"
counted = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python does not count cancellations yet")


@pytest.mark.parametrize("error", [ValueError, StopConsumer])
@pytest.mark.parametrize("turns", range(4))
async def test_disconnect_runs_if_a_handler_fails_as_it_is_taken(
    error: type[Exception], turns: int, layer: InMemoryChannelLayer
) -> None:
    ends: list[int] = []

    class Fails(AsyncWebsocketConsumer):
        concurrency = 2
        groups = [GROUP]

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            raise error("at once")

        async def disconnect(self, code: int) -> None:
            ends.append(code)

    client = await Conversation(Fails.as_asgi()).open()
    await client.send_to(text_data="x")
    await client.send_input({"type": "websocket.disconnect", "code": 1001})
    await client.wait(15)
    assert len(ends) == 1 and not layer.groups.get(GROUP)


@pytest.mark.parametrize("turns", range(3))
async def test_the_log_names_the_message_whose_handler_fails(turns: int, layer: InMemoryChannelLayer) -> None:
    """Was: "failed in between two messages", or in the message that was taken last."""

    class Fails(AsyncWebsocketConsumer):
        concurrency = 2
        groups = [GROUP]

        async def chat_fail(self, message: Message) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            raise ZeroDivisionError

    client = await Conversation(Fails.as_asgi()).open()
    with recorded() as records:
        await layer.group_send(GROUP, {"type": "chat.fail"})
        assert await client.closed() == 1011
    [said] = records.messages()
    assert "failed in chat.fail: ZeroDivisionError" in said


async def test_of_two_handlers_that_fail_together_the_log_has_the_first(layer: InMemoryChannelLayer) -> None:
    """Was: the message of one, and the error of the other."""
    fails = asyncio.Event()

    class Fails(AsyncWebsocketConsumer):
        concurrency = 2
        groups = [GROUP]

        async def chat_wait(self, message: Message) -> None:
            await fails.wait()
            raise ValueError

        async def chat_fail(self, message: Message) -> None:
            fails.set()
            raise ZeroDivisionError

    client = await Conversation(Fails.as_asgi()).open()
    with recorded() as records:
        await layer.group_send(GROUP, {"type": "chat.wait"})
        await layer.group_send(GROUP, {"type": "chat.fail"})
        assert await client.closed() == 1011
    [said] = records.messages()
    assert "failed in chat.fail: ZeroDivisionError" in said


async def test_who_is_cancelled_while_its_channel_is_still_read_leaves_its_groups() -> None:
    """Was: the server's cancellation met the layer's ``receive()``, and the channel stayed in its groups."""
    reading, may_end = asyncio.Event(), asyncio.Event()

    class GivesBack(InMemoryChannelLayer):
        async def receive(self, channel: str) -> Message:
            try:
                return await super().receive(channel)
            except asyncio.CancelledError:
                reading.set()
                await may_end.wait()
                raise

    class Member(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept()
            await self.channel_layer.group_add(GROUP, self.channel_name)

    layer = GivesBack()
    register_channel_layer("default", layer)
    try:
        client = await Conversation(Member.as_asgi()).open()
        assert len(layer.groups[GROUP]) == 1
        await client.send_input({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(reading.wait(), 20)
        client.future.cancel()
        await asyncio.wait((client.future,), timeout=20)
        assert client.future.done() and layer.groups == {}
    finally:
        may_end.set()
        unregister_channel_layer("default")


@pytest.mark.parametrize("count", [1, 2])
async def test_a_client_leaves_while_all_handlers_wait(
    count: int, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "HANDLERS_TIMEOUT_S", 0.05)
    order: list[str] = []

    class Waits(AsyncWebsocketConsumer):
        concurrency = 2

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            order.append("begin")
            try:
                await asyncio.Event().wait()  # for what only this client could send
            finally:
                order.append("end")

        async def disconnect(self, code: int) -> None:
            order.append(f"disconnect {code}")

    client = await Conversation(Waits.as_asgi()).open()
    for number in range(count):
        await client.send_to(text_data=str(number))
    await until_async(lambda: len(order) == count, "they run")
    await client.send_input({"type": "websocket.disconnect", "code": 4001})
    await asyncio.wait((client.future,), timeout=15)
    assert client.future.done(), "although no handler has ended by itself"
    assert order[-1] == "disconnect 4001" and order.count("begin") == order.count("end") == count


@pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
async def test_disconnect_runs_if_a_connection_to_the_database_cannot_be_closed(
    base: Any, layer: InMemoryChannelLayer
) -> None:
    ends: list[int] = []
    closed: list[bool] = []
    broken = False

    def close_old_connections(**kwargs: Any) -> None:
        if broken:
            raise OSError("the database has gone")
        closed.append(True)

    class Async(AsyncWebsocketConsumer):
        async def disconnect(self, code: int) -> None:
            ends.append(code)

    class InThreads(WebsocketConsumer):
        def disconnect(self, code: int) -> None:
            ends.append(code)

    consumer: Any = Async if base is AsyncWebsocketConsumer else InThreads
    with mock.patch("compat.db.close_old_connections", close_old_connections), recorded():
        client = await Conversation(consumer.as_asgi()).open()
        # A thread closes them after connect() too, which has sent the acceptance by then.
        calls = 1 if consumer is Async else 2
        await until_async(lambda: len(closed) == calls, "connect() is over")
        broken = True
        await client.send_input({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait((client.future,), timeout=15)
        assert client.future.done()
        client.future.exception()
    assert ends == [1001]


@counted
async def test_a_task_that_disconnect_cancels_is_its_own_matter(layer: InMemoryChannelLayer) -> None:
    class Cancels(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            raise ValueError("first")

        async def disconnect(self, code: int) -> None:
            task = asyncio.ensure_future(asyncio.sleep(60))
            await asyncio.sleep(0)
            task.cancel()
            await task

    with recorded():
        client = await Conversation(Cancels.as_asgi()).open()
        await client.send_to(text_data="x")
        assert await client.closed() == 1011
    assert not client.future.cancelled() and client.future.exception() is None


@counted
@pytest.mark.parametrize("width", [1, 2])
async def test_a_receive_that_is_cancelled_ends_the_consumer(width: int, layer: InMemoryChannelLayer) -> None:
    ends: list[int] = []

    class Waits(AsyncWebsocketConsumer):
        concurrency = width

        async def disconnect(self, code: int) -> None:
            ends.append(code)

    inner = Waits.as_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        async def cancels() -> Any:
            message = await receive()
            if message["type"] == "websocket.receive":
                task = asyncio.ensure_future(asyncio.sleep(60))
                await asyncio.sleep(0)
                task.cancel()
                await task
            return message

        await inner(scope, cancels, send)

    with recorded():
        client = await Conversation(middleware).open()
        await client.send_to(text_data="x")
        assert await client.closed() == 1011
    assert len(ends) == 1


@pytest.mark.parametrize("concurrency", [1, 2, 3, 8])
async def test_a_sender_waits_while_other_handlers_may_begin(
    concurrency: int, layer: InMemoryChannelLayer
) -> None:
    """Was: once a message had been taken the reader seemed busy, and a quick sender lost most others."""

    class Room(AsyncWebsocketConsumer):
        groups = [GROUP]

        async def chat_message(self, event: Message) -> None:
            await self.send(text_data=event["text"])

    Room.concurrency = concurrency
    client = await Conversation(Room.as_asgi()).open()
    texts = [str(number) for number in range(5 * layer.capacity)]
    for text in texts:
        await layer.group_send(GROUP, {"type": "chat.message", "text": text})
    assert {await client.receive_from() for _ in texts} == set(texts)
    await client.disconnect()


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_sender_waits_for_no_handler(concurrency: int, layer: InMemoryChannelLayer) -> None:
    done = asyncio.Event()

    class Room(AsyncWebsocketConsumer):
        groups = [GROUP]

        async def chat_message(self, event: Message) -> None:
            await done.wait()
            await self.send(text_data=event["text"])

    Room.concurrency = concurrency
    client = await Conversation(Room.as_asgi()).open()
    for number in range(5 * layer.capacity):
        await layer.group_send(GROUP, {"type": "chat.message", "text": str(number)})
    done.set()
    got = {await client.receive_from() for _ in range(layer.capacity)}
    assert got == set(map(str, range(layer.capacity)))
    await client.disconnect()
