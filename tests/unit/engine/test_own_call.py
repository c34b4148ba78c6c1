"""A ``__call__`` of a consumer's own: it sees what a handler raises, and may answer before the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.layers import InMemoryChannelLayer
from tests.support.conversations import Conversation

seen: list[Any] = []


class Answering:
    """Answers what a handler raises with a frame, and raises what is to end the connection."""

    groups = ["all"]
    raises: type[Exception] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        above: Any = super()
        try:
            await above.__call__(scope, receive, send)
        except Exception as error:
            seen.append(repr(error))
            await self.answer()
            if self.raises is not None:
                raise self.raises from error

    async def answer(self) -> None:
        raise NotImplementedError


class Answers(Answering, AsyncWebsocketConsumer):
    async def answer(self) -> None:
        await self.send("INTERNAL_ERROR")

    async def receive(self, text_data: str) -> None:
        raise LookupError(text_data)

    async def disconnect(self, code: int) -> None:
        seen.append(code)


class AnswersInThreads(Answering, WebsocketConsumer):
    async def answer(self) -> None:
        await sync_to_async(self.send)("INTERNAL_ERROR")

    def receive(self, text_data: str) -> None:
        raise LookupError(text_data)

    def disconnect(self, code: int) -> None:
        seen.append(code)


class SideBySide(Answers):
    concurrency = 2


class OnOneThread(AnswersInThreads):
    thread_sensitive = True


KINDS = [Answers, AnswersInThreads, SideBySide, OnOneThread]


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("kind", KINDS)
async def test_what_it_handles_ends_without_an_error(
    kind: Any, served: bool, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    seen.clear()
    client = await Conversation(kind.as_asgi(), served=served).open()
    await client.send_to(text_data="x")
    assert await client.receive_from(10) == "INTERNAL_ERROR"
    if served:
        assert await client.closed() == 1000
    else:
        await client.wait(10)
    assert seen == ["LookupError('x')", 1000]
    assert not caplog.records and not layer.groups.get("all")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_disconnect_that_it_has_called_is_the_only_one(
    kind: Any, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """With Channels nobody else would call it."""

    class CleansUp(kind):  # type: ignore[misc]  # each in turn
        async def answer(self) -> None:
            handler: Any = self.disconnect
            await (sync_to_async(handler)(4000) if self._sync else handler(4000))

    seen.clear()
    client = await Conversation(CleansUp.as_asgi()).open()
    await client.send_to(text_data="x")
    assert await client.closed() == 1000
    await client.wait(10)
    assert seen == ["LookupError('x')", 4000]
    assert not caplog.records and not layer.groups.get("all")


@pytest.mark.parametrize("kind", KINDS)
async def test_what_escapes_it_is_logged_and_closes(
    kind: Any, layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Raises(kind):  # type: ignore[misc]  # each in turn
        raises = ZeroDivisionError

    seen.clear()
    client = await Conversation(Raises.as_asgi()).open()
    await client.send_to(text_data="x")
    assert await client.receive_from(10) == "INTERNAL_ERROR"
    assert await client.closed() == 1011
    assert seen == ["LookupError('x')", 1011]
    (record,) = caplog.records
    assert "ZeroDivisionError" in record.getMessage() and not layer.groups.get("all")


@pytest.mark.parametrize("kind", KINDS)
async def test_in_a_test_what_escapes_it_is_raised(kind: Any, layer: InMemoryChannelLayer) -> None:
    class Raises(kind):  # type: ignore[misc]  # each in turn
        raises = ZeroDivisionError

    seen.clear()
    client = await Conversation(Raises.as_asgi(), served=False).open()
    await client.send_to(text_data="x")
    assert await client.receive_from(10) == "INTERNAL_ERROR"
    with pytest.raises(ZeroDivisionError):
        await client.wait(10)
    assert seen == ["LookupError('x')", 1011]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_leaves_is_no_error(kind: Any, layer: InMemoryChannelLayer) -> None:
    seen.clear()
    client = await Conversation(kind.as_asgi()).open()
    await client.disconnect(4001, timeout=10)
    assert seen == [4001]


@pytest.mark.parametrize("kind", KINDS)
async def test_it_is_cancelled_while_it_answers(kind: Any, layer: InMemoryChannelLayer) -> None:
    begun = asyncio.Event()

    class Waits(kind):  # type: ignore[misc]  # each in turn
        async def answer(self) -> None:
            begun.set()
            await asyncio.Event().wait()

    seen.clear()
    client = await Conversation(Waits.as_asgi()).open()
    await client.send_to(text_data="x")
    await asyncio.wait_for(begun.wait(), 20)
    client.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.future
    assert seen == ["LookupError('x')", 1001] and not layer.groups.get("all")


async def test_an_error_outside_of_the_consumer_is_the_servers() -> None:
    class Fails(AsyncWebsocketConsumer):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Conversation(Fails.as_asgi()).connect()
