"""How many messages a worker handles for one connection before others have their turn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from compat.engine.fast import handling
from compat.engine.fast import pool as pool_module
from compat.engine.fast.framing import MOST_AT_ONCE
from compat.generic.websocket import WebsocketConsumer
from compat.layers import InMemoryChannelLayer
from tests.support.conversations import Conversation
from tests.support.waiting import until_async

GROUP = "room"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine does not decide which of the limits is met."""
    monkeypatch.setattr(pool_module, "TICK_S", 20.0)
    monkeypatch.setattr(handling, "MAX_GATHERED_S", 20.0)


class Member(WebsocketConsumer):
    """Sends a text to the room, and returns when the client's next one is there; "last" is the last one."""

    groups: Any = (GROUP,)
    handled: list[str]

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.handled.append(f"frame {text_data}")
        async_to_sync(self.spread)(text_data or "")

    async def spread(self, text: str) -> None:
        await self.channel_layer.group_send(GROUP, {"type": "room.message", "text": text})
        if not text.endswith("last"):
            await until_async(lambda: self.inbox_of_client().frame is not None, "the next frame is there")

    def inbox_of_client(self) -> Any:
        bridge: Any = self.base_send
        return bridge.__self__.inbox

    def room_message(self, event: dict[str, Any]) -> None:
        self.handled.append(f"event {event['text']}")
        self.send(text_data=event["text"])


async def opened() -> tuple[list[str], Conversation, Conversation]:
    """Return what is handled, in order; and a sender, and a member of its room that does not send."""
    handled: list[str] = []
    room: Any = type("Room", (Member,), {"handled": handled})
    alone: Any = type("Alone", (Member,), {"handled": handled, "groups": ()})
    return handled, await Conversation(alone.as_asgi()).open(), await Conversation(room.as_asgi()).open()


@pytest.mark.usefixtures("layer", "patient")
@pytest.mark.parametrize("count", [1, 2, 3, MOST_AT_ONCE - 1, MOST_AT_ONCE])
async def test_what_a_client_sends_in_a_row_reaches_the_room_in_one_turn(count: int) -> None:
    handled, sender, member = await opened()
    texts = [str(number) for number in range(count - 1)] + ["last"]
    for text in texts:
        await sender.send_to(text_data=text)
    assert [await member.receive_from(timeout=20) for _ in texts] == texts
    assert handled == [f"frame {text}" for text in texts] + [f"event {text}" for text in texts]
    await sender.disconnect()
    await member.disconnect()


@pytest.mark.usefixtures("layer", "patient")
async def test_after_so_many_frames_the_others_have_their_turn() -> None:
    handled, sender, member = await opened()
    texts = [str(number) for number in range(MOST_AT_ONCE)] + ["last"]
    for text in texts:
        await sender.send_to(text_data=text)
    assert [await member.receive_from(timeout=20) for _ in texts] == texts
    assert handled.index("event 0") == MOST_AT_ONCE
    await sender.disconnect()
    await member.disconnect()


@pytest.mark.usefixtures("layer")
async def test_frames_whose_handlers_take_long_are_handled_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "TICK_S", 20.0)
    monkeypatch.setattr(handling, "MAX_GATHERED_S", 0.0)
    handled, sender, member = await opened()
    for text in ("0", "1", "last"):
        await sender.send_to(text_data=text)
    assert [await member.receive_from(timeout=20) for _ in range(3)] == ["0", "1", "last"]
    assert handled == ["frame 0", "event 0", "frame 1", "event 1", "frame last", "event last"]
    await sender.disconnect()
    await member.disconnect()


@pytest.mark.usefixtures("layer", "patient")
async def test_what_a_handler_has_begun_runs_before_the_next_frame_is_handled() -> None:
    order: list[str] = []

    async def note(text: str) -> None:
        order.append(f"task {text}")

    async def begin(consumer: Any, text: str) -> None:
        if text != "last":
            await until_async(lambda: consumer.inbox_of_client().frame is not None, "the next frame is there")
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, note(text))

    class Beginning(Member):
        groups = ()

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            order.append(f"frame {text_data}")
            async_to_sync(begin)(self, text_data or "")
            if text_data == "last":
                self.send(text_data="done")

    client = await Conversation(Beginning.as_asgi()).open()
    for text in ("0", "1", "last"):
        await client.send_to(text_data=text)
    assert await client.receive_from(timeout=20) == "done"
    assert order == ["frame 0", "task 0", "frame 1", "task 1", "frame last", "task last"]
    await client.disconnect()


@pytest.mark.usefixtures("patient")
async def test_each_handler_finds_the_loop(layer: InMemoryChannelLayer) -> None:
    """asgiref forgets a thread's loop for a while in ``sync_to_async``."""
    loops: list[Any] = []

    async def asynchronous(consumer: Any, text: str) -> None:
        loops.append(asyncio.get_running_loop())
        await sync_to_async(loops.append)(None)
        if text != "last":
            await until_async(lambda: consumer.inbox_of_client().frame is not None, "the next frame is there")

    class Nesting(Member):
        groups = ()

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            async_to_sync(asynchronous)(self, text_data or "")
            self.send(text_data=text_data)

    client = await Conversation(Nesting.as_asgi()).open()
    for text in ("0", "1", "last"):
        await client.send_to(text_data=text)
    assert [await client.receive_from(timeout=20) for _ in range(3)] == ["0", "1", "last"]
    assert loops == [asyncio.get_running_loop(), None] * 3
    await client.disconnect()


@pytest.mark.usefixtures("layer", "patient")
@pytest.mark.parametrize("how", ["cancelled", "send fails"])
async def test_no_frame_is_handled_after_the_end_has_begun(how: str) -> None:
    """Was: the end was looked for before the worker waited for the loop, and not after that."""
    handled: list[str] = []

    class Ending(Member):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            handled.append(text_data or "")
            if how == "send fails":
                self.send(text_data="refused")
            async_to_sync(self.end)()

        async def end(self) -> None:
            inbox = self.inbox_of_client()
            await until_async(lambda: inbox.frame is not None, "the next frame is there")
            await self.channel_layer.group_send(GROUP, {"type": "room.message", "text": "said"})
            loop = asyncio.get_running_loop()
            loop.call_soon(inbox.task.cancel if how == "cancelled" else inbox.bridge.pool.flush)

        def room_message(self, event: dict[str, Any]) -> None:
            pass

    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "websocket.send":
                raise ValueError("refused")
            await send(message)

        await Ending.as_asgi()(scope, receive, sending)

    client = await Conversation(refusing).open()
    await client.send_to(text_data="0")
    await client.send_to(text_data="1")
    await asyncio.wait((client.future,), timeout=20)
    assert client.future.done()
    assert handled == ["0"]


@pytest.mark.usefixtures("layer", "patient")
async def test_a_frame_that_reaches_nobody_lets_others_go_first() -> None:
    """The worker waits for the loop only for a frame that is sent to readers."""
    order: list[str] = []
    first, second = asyncio.Event(), asyncio.Event()

    class Quiet(Member):
        groups = ()

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            order.append(text_data or "")
            if text_data == "first 0":
                async_to_sync(self.meet)()
            if len(order) == 3:
                self.send(text_data="over")

        async def meet(self) -> None:
            first.set()
            await second.wait()
            await until_async(lambda: self.inbox_of_client().frame is not None, "the next frame is there")

    sender, other = [await Conversation(Quiet.as_asgi()).open() for _ in range(2)]
    await sender.send_to(text_data="first 0")
    await sender.send_to(text_data="first 1")
    await first.wait()
    await other.send_to(text_data="second")
    ready = pool_module.pool_of(asyncio.get_running_loop()).ready
    await until_async(lambda: bool(ready), "the other one is queued")
    second.set()
    await until_async(lambda: len(order) == 3, "all are handled")
    assert order == ["first 0", "second", "first 1"]
    await sender.disconnect()
    await other.disconnect()
