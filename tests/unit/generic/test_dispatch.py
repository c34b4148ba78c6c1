"""``dispatch()`` of a sync consumer, overridden and called in the ways that Channels' permits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from compat.consumer import SyncConsumer
from compat.db import database_sync_to_async
from compat.generic.websocket import WebsocketConsumer
from compat.layers import InMemoryChannelLayer
from compat.testing import WebsocketCommunicator
from compat.types import Message

OTHER: Message = {"type": "other"}


class Echo(WebsocketConsumer):
    """Echoes; "nested" has a handler of the same connection called by way of ``dispatch()``."""

    def receive(self, text_data: str) -> None:
        assert asyncio._get_running_loop() is None, "a handler runs in a thread"
        if text_data == "nested":
            async_to_sync(self.dispatch)(OTHER)
        self.send(text_data=text_data)

    def other(self, event: Message) -> None:
        self.thread = threading.current_thread()
        self.send(text_data="other")

    def disconnect(self, code: int) -> None:
        left.append((type(self).__name__, code))


left: list[tuple[str, int]] = []


class Awaits(Echo):
    async def dispatch(self, message: Message) -> None:
        await super().dispatch(message)


class AwaitsSideBySide(Awaits):
    concurrency = 2


class AwaitsOnOneThread(Awaits):
    thread_sensitive = True


class Wrapped(Echo):
    @database_sync_to_async
    def dispatch(self, message: Message) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # so in Channels
        async_to_sync(super().dispatch)(message)


class OnAnyThread(Echo):
    dispatch = sync_to_async(SyncConsumer.__dict__["dispatch"].func, thread_sensitive=False)


class Plain(Echo):
    def dispatch(self, message: Message) -> Any:
        return super().dispatch(message)


class ReturnsNothing(Echo):
    def dispatch(self, message: Message) -> None:  # type: ignore[override]  # works here all the same
        super().dispatch(message)


class ReturnsAnAwaitable(Echo):
    def dispatch(self, message: Message) -> Any:
        return asyncio.wait_for(self.later(message), 10)

    async def later(self, message: Message) -> None:
        await super().dispatch(message)


KINDS = [
    Echo,
    Awaits,
    AwaitsSideBySide,
    AwaitsOnOneThread,
    Wrapped,
    OnAnyThread,
    Plain,
    ReturnsNothing,
    ReturnsAnAwaitable,
]


@pytest.mark.parametrize("kind", KINDS)
async def test_handlers_run_whatever_dispatch_is(kind: type[Echo], layer: InMemoryChannelLayer) -> None:
    talk = WebsocketCommunicator(kind.as_asgi(), "/")
    assert (await talk.connect(10))[0]
    await talk.send_to(text_data="hi")
    assert await talk.receive_from(10) == "hi"
    if kind not in (Plain, ReturnsNothing, ReturnsAnAwaitable):  # of these asgiref warns
        await talk.send_to(text_data="nested")
        assert await talk.receive_from(10) == "other"
        assert await talk.receive_from(10) == "nested"
    left.clear()
    await talk.disconnect(4001, timeout=10)
    assert left == [(kind.__name__, 4001)]


@pytest.mark.parametrize("kind", [one for one in KINDS if one is not ReturnsNothing])
async def test_the_error_of_a_handler_comes_through(kind: type[Echo], layer: InMemoryChannelLayer) -> None:
    class Failing(kind):  # type: ignore[misc, valid-type]  # each in turn
        def receive(self, text_data: str) -> None:
            raise LookupError("of the handler")

    talk = WebsocketCommunicator(Failing.as_asgi(), "/")
    assert (await talk.connect(10))[0]
    await talk.send_to(text_data="hi")
    left.clear()
    with pytest.raises(LookupError, match="of the handler"):
        await talk.receive_from(10)
    assert left == [("Failing", 1011)]


def made() -> Any:
    consumer: Any = Echo()
    consumer.scope, consumer.base_send = {"type": "websocket"}, mock.Mock()
    return consumer


async def test_a_bare_consumer_is_awaited_in_a_test() -> None:
    consumer = made()
    await consumer.dispatch(OTHER)
    assert consumer.thread is not threading.current_thread()
    with pytest.raises(ValueError, match="No handler for message type missing"):
        await consumer.dispatch({"type": "missing"})


def by_run(consumer: Any) -> None:
    asyncio.run(consumer.dispatch(OTHER))


def by_async_to_sync(consumer: Any) -> None:
    async_to_sync(consumer.dispatch)(OTHER)


def by_hand(consumer: Any) -> None:
    consumer.dispatch(OTHER)


def by_steps(consumer: Any) -> None:
    handled: Any = consumer.dispatch(OTHER)
    assert isinstance(handled, Coroutine)  # and so it may be a task
    stepped: Any = handled
    with pytest.raises(StopIteration):
        stepped.send(None)
    with pytest.raises(LookupError):
        stepped.throw(LookupError())
    with pytest.raises(LookupError):
        stepped.throw(LookupError, LookupError(), None)
    stepped.close()


@pytest.mark.parametrize("call", [by_run, by_async_to_sync, by_hand, by_steps])
def test_a_bare_consumer_without_a_loop(call: Callable[[Any], None]) -> None:
    consumer = made()
    call(consumer)
    consumer.base_send.assert_called_once_with({"type": "websocket.send", "text": "other"})
