"""Reading a socket: by steps inside the consumer's task where the server's own method waits for a queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from compat.engine.fast.reading import StepReader, read
from compat.engine.parts import inbox_of
from compat.engine.reader import TaskReader
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.layers import InMemoryChannelLayer
from compat.types import Message
from tests.support.waiting import until_async

FOREVER = float("inf")


def frame(text: str) -> Message:
    return {"type": "websocket.receive", "text": text}


class Connection:
    """An inbox that a task reads, as a consumer's does, and the socket in front of it."""

    def __init__(self, receive: Callable[[], Awaitable[Message]]) -> None:
        self.inbox = inbox_of(asyncio.get_running_loop())
        self.taken: list[Any] = []
        self.reader: Any = None
        self.task = asyncio.create_task(self.run(receive))

    async def run(self, receive: Callable[[], Awaitable[Message]]) -> None:
        self.reader = read(receive, self.inbox)
        self.inbox.begin()
        try:
            while True:
                self.taken.append((await self.inbox.get()).get("text"))
        finally:
            await self.reader.stop()

    async def until(self, count: int) -> list[Any]:
        await until_async(lambda: len(self.taken) >= count or self.task.done(), f"{count} have come")
        return self.taken


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_frames_and_events_reach_one_task_in_order() -> None:
    queue: asyncio.Queue[Message] = asyncio.Queue()
    connection = Connection(queue.get)
    await asyncio.sleep(0)
    assert isinstance(connection.reader, StepReader)
    queue.put_nowait(frame("one"))
    await connection.until(1)
    connection.inbox.push({"type": "event", "text": "two"}, FOREVER)
    await connection.until(2)
    queue.put_nowait(frame("three"))
    queue.put_nowait(frame("four"))
    connection.inbox.push({"type": "event", "text": "five"}, FOREVER)
    assert (await connection.until(5))[:2] == ["one", "two"]
    assert sorted(connection.taken[2:]) == ["five", "four", "three"]
    assert connection.taken.index("three") < connection.taken.index("four")
    await ended(connection.task)


async def test_the_socket_is_not_read_ahead_of_a_busy_handler() -> None:
    queue: asyncio.Queue[Message] = asyncio.Queue()
    connection = Connection(queue.get)
    await asyncio.sleep(0)
    for number in range(5):
        queue.put_nowait(frame(str(number)))
    assert connection.inbox.take() is not None, "the first"
    assert queue.qsize() >= 3, "the others wait in the server, which reads no more meanwhile"
    await connection.until(4)
    await ended(connection.task)


async def test_an_event_that_wakes_the_task_leaves_the_frame_to_come() -> None:
    queue: asyncio.Queue[Message] = asyncio.Queue()
    connection = Connection(queue.get)
    for number in range(20):
        connection.inbox.push({"type": "event", "text": f"event {number}"}, FOREVER)
        await connection.until(2 * number + 1)
        queue.put_nowait(frame(f"frame {number}"))
        await connection.until(2 * number + 2)
    assert connection.taken == [f"{kind} {number}" for number in range(20) for kind in ("event", "frame")]
    await ended(connection.task)


async def test_a_cancelled_task_loses_no_frame_of_the_server() -> None:
    queue: asyncio.Queue[Message] = asyncio.Queue()
    connection = Connection(queue.get)
    await asyncio.sleep(0)
    await ended(connection.task)
    queue.put_nowait(frame("for somebody else"))
    assert await asyncio.wait_for(queue.get(), 15) == frame("for somebody else")


async def test_a_cancel_between_the_wake_up_and_the_run_is_not_lost() -> None:
    queue: asyncio.Queue[Message] = asyncio.Queue()
    connection = Connection(queue.get)
    await asyncio.sleep(0)
    connection.inbox.push({"type": "event", "text": "never read"}, FOREVER)
    await ended(connection.task)


async def test_nothing_is_read_after_the_disconnect() -> None:
    queue: asyncio.Queue[Message] = asyncio.Queue()
    connection = Connection(queue.get)
    queue.put_nowait({"type": "websocket.disconnect", "text": "gone"})
    queue.put_nowait(frame("too late"))
    await connection.until(1)
    connection.inbox.push({"type": "event", "text": "an event still"}, FOREVER)
    assert await connection.until(2) == ["gone", "an event still"]
    assert queue.qsize() == 1 and connection.inbox.ended
    await ended(connection.task)


class Server(asyncio.Protocol):
    """The shape of a server's connection, with a ``receive()`` that waits in several ways."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Message] = asyncio.Queue()

    async def receive(self) -> Message:
        await asyncio.sleep(0)
        message = await self.queue.get()
        if message["type"] == "broken":
            raise ConnectionResetError("the socket is broken")
        await asyncio.ensure_future(asyncio.sleep(0))
        return message


async def test_a_servers_own_method_is_stepped_whatever_it_waits_for() -> None:
    server = Server()
    connection = Connection(server.receive)
    await asyncio.sleep(0)
    assert isinstance(connection.reader, StepReader)
    server.queue.put_nowait(frame("one"))
    await connection.until(1)
    connection.inbox.push({"type": "event", "text": "two"}, FOREVER)
    await connection.until(2)
    server.queue.put_nowait(frame("three"))
    assert await connection.until(3) == ["one", "two", "three"]
    server.queue.put_nowait({"type": "broken"})
    with pytest.raises(ConnectionResetError, match="the socket is broken"):
        await asyncio.wait_for(connection.task, 15)


async def test_what_waits_is_handled_before_a_broken_socket_ends_the_consumer(
    layer: InMemoryChannelLayer,
) -> None:
    class Breaking(asyncio.Protocol):
        messages = [{"type": "websocket.connect"}, frame("one")]

        async def receive(self) -> Message:
            if not self.messages:
                raise ConnectionResetError("the socket is broken")
            return self.messages.pop(0)

        async def send(self, message: Message) -> None:
            """Take it."""

    class Speaking(AsyncWebsocketConsumer):
        async def receive(self, text_data: str) -> None:
            await self.channel_layer.send(self.channel_name, {"type": "on.said"})

        async def on_said(self, event: Message) -> None:
            handled.append("said")

        async def disconnect(self, code: int) -> None:
            handled.append("left")

    handled: list[str] = []
    scope = {"type": "websocket", "path": "/", "headers": [], "subprotocols": []}
    server = Breaking()
    with pytest.raises(ConnectionResetError, match="the socket is broken"):
        await asyncio.wait_for(Speaking.as_asgi()(scope, server.receive, server.send), 15)
    assert handled == ["said", "left"]


async def test_a_receive_that_something_stands_in_front_of_has_a_task_of_its_own() -> None:
    queue: asyncio.Queue[Message] = asyncio.Queue()

    async def receive() -> Message:
        return await asyncio.wait_for(queue.get(), 60)

    connection = Connection(receive)
    await asyncio.sleep(0)
    assert isinstance(connection.reader, TaskReader)
    queue.put_nowait(frame("one"))
    assert await connection.until(1) == ["one"]
    await ended(connection.task)
