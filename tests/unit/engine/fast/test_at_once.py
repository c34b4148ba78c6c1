"""What is handled without the consumer's task ends, waits and fails as in it."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Awaitable, Iterator
from typing import Any, ClassVar

import pytest

from compat import logs, metrics, timings
from compat.engine.fast.at_once import AtOnce
from compat.engine.inbox import Inbox
from compat.engine.stepping import OVER, Stepper
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.layers import InMemoryChannelLayer, get_channel_layer
from compat.settings import override
from compat.types import Message
from tests.support.clients import Client
from tests.support.conversations import Conversation
from tests.support.logs import recorded
from tests.support.servers import LiveServer
from tests.support.waiting import until_async


class Room(AsyncWebsocketConsumer):
    groups = ("room",)
    ended: ClassVar[list[int]] = []

    async def chat_message(self, event: Message) -> None:
        await self.send(text_data=json.dumps(event["message"]))

    async def other_message(self, event: Message) -> None:
        await self.send(text_data="other")

    async def twice_message(self, event: Message) -> None:
        await self.send(text_data="first")
        await self.send(text_data="second")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data)

    async def disconnect(self, code: int) -> None:
        self.ended.append(code)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What ``AtOnce.handles`` has returned."""
    returned: list[bool] = []
    handles = AtOnce.handles

    def noted(self: AtOnce, inbox: Any) -> bool:
        returned.append(handles(self, inbox))
        return returned[-1]

    monkeypatch.setattr(AtOnce, "handles", noted)
    Room.ended.clear()
    return returned


async def opened(layer: InMemoryChannelLayer, at_once: list[bool]) -> Conversation:
    """A member of the room, which handles its messages at once by now."""
    client = await Conversation(Room.as_asgi()).open()
    at_once.clear()
    while at_once[-1:] != [True]:  # the task has to look at the first ones
        await tell(layer, "warm")
        assert await client.receive_from(timeout=20) == '"warm"'
    at_once.clear()
    return client


async def tell(layer: InMemoryChannelLayer, *messages: Any, kind: str = "chat.message") -> None:
    for message in messages:
        await layer.group_send("room", {"type": kind, "message": message})


def hold_back(client: Conversation, most: int) -> None:
    """Let the client take so many frames; the server's ``send()`` waits with the next one."""
    client.output_queue._maxsize = most  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_messages_are_handled_without_the_task(
    layer: InMemoryChannelLayer, at_once: list[bool], count: int
) -> None:
    client = await opened(layer, at_once)
    await tell(layer, *range(count))
    assert [await client.receive_from() for _ in range(count)] == [str(number) for number in range(count)]
    assert at_once and all(at_once)
    await client.disconnect()
    assert Room.ended == [1000]


language: contextvars.ContextVar[str] = contextvars.ContextVar("language", default="none")


class Lazy(str):
    """A text that is made when it is needed, as Django's lazy translations are."""

    def __format__(self, how: str) -> str:
        assert asyncio.current_task() is not None
        return f"{self!s} in {language.get()}"


@pytest.mark.parametrize("members", [1, 2, 3])
async def test_a_value_that_runs_code_runs_it_in_the_task_of_the_consumer(
    layer: InMemoryChannelLayer, members: int
) -> None:
    """Was: the first in the task, and those after it in the context of whoever sent to the group."""

    class Speaking(AsyncWebsocketConsumer):
        groups = ("room",)

        async def connect(self) -> None:
            language.set(self.scope["path"])
            await self.accept()

        async def chat_message(self, event: Message) -> None:
            await self.send(text_data=f"{event['message']}")

    clients = [await Conversation(Speaking.as_asgi(), f"/{number}/").open() for number in range(members)]
    for message in ["plain", Lazy("lazy"), [1], Lazy("again"), Lazy("and again"), "plain"]:
        await tell(layer, message)
        for number, client in enumerate(clients):
            expected = f"{message!s} in /{number}/" if isinstance(message, Lazy) else str(message)
            assert await client.receive_from() == expected
    for client in clients:
        await client.disconnect()


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_a_handler_that_waits_is_gone_on_with_in_the_task(
    layer: InMemoryChannelLayer, at_once: list[bool], most: int
) -> None:
    client = await opened(layer, at_once)
    hold_back(client, most)
    await tell(layer, *range(10))
    await until_async(lambda: at_once[-1:] == [False], "a handler waits")
    assert [await client.receive_from() for _ in range(10)] == [str(number) for number in range(10)]
    hold_back(client, 0)
    await tell(layer, "again")
    assert await client.receive_from() == '"again"'
    assert at_once[-1]
    await client.disconnect()


async def test_one_that_waits_with_its_second_frame(layer: InMemoryChannelLayer, at_once: list[bool]) -> None:
    client = await opened(layer, at_once)
    await tell(layer, 0, kind="twice.message")
    assert [await client.receive_from() for _ in range(2)] == ["first", "second"]
    hold_back(client, 1)
    await tell(layer, 1, kind="twice.message")
    await until_async(lambda: at_once[-1:] == [False], "the handler waits")
    await tell(layer, 2)
    assert [await client.receive_from() for _ in range(3)] == ["first", "second", "2"]
    await client.disconnect()


async def test_a_handler_that_is_replaced_runs_in_the_task(
    layer: InMemoryChannelLayer, at_once: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one that may do anything: was run where the one before it was known to do no harm."""
    client = await opened(layer, at_once)
    tasks: list[Any] = []

    async def replaced(self: Any, event: Message) -> None:
        tasks.append(asyncio.current_task())
        await self.send(text_data="replaced")

    monkeypatch.setattr(Room, "chat_message", replaced)
    for _ in range(3):
        await tell(layer, "x")
        assert await client.receive_from(timeout=20) == "replaced"
    assert len(tasks) == 3 and set(tasks) == {client.future}
    await client.disconnect()


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_handlers_that_are_measured_are_run_without_the_task_too(
    layer: InMemoryChannelLayer, at_once: list[bool], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(timings, "_watched", True)
    monkeypatch.setattr(timings, "_classes", {})
    client = await opened(layer, at_once)
    measured = timings._classes[f"{__name__}.Room"].handlers
    before = sum(measured.counts)
    await tell(layer, *range(count))
    assert [await client.receive_from() for _ in range(count)] == [str(number) for number in range(count)]
    assert at_once and all(at_once)
    hold_back(client, 1)
    await tell(layer, *range(3))
    await until_async(lambda: at_once[-1:] == [False], "a handler waits, and the task goes on with it")
    assert [await client.receive_from() for _ in range(3)] == ["0", "1", "2"]
    hold_back(client, 0)
    await tell(layer, "last")
    assert await client.receive_from() == '"last"'
    assert sum(measured.counts) == before + count + 4, "each once"
    await client.disconnect()


async def test_the_client_leaves_while_a_handler_waits(
    layer: InMemoryChannelLayer, at_once: list[bool]
) -> None:
    client = await opened(layer, at_once)
    hold_back(client, 1)
    await tell(layer, *range(3))
    await until_async(lambda: at_once[-1:] == [False], "a handler waits")
    client.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(client.future, 20)
    assert len(Room.ended) == 1
    assert not layer.groups


@pytest.mark.parametrize("before", [0, 1, 2])
async def test_a_handler_that_raises_ends_the_consumer_once(
    layer: InMemoryChannelLayer, at_once: list[bool], before: int
) -> None:
    client = await opened(layer, at_once)
    with recorded() as records:
        await tell(layer, *range(before))
        await layer.group_send("room", {"type": "chat.message"})
        await tell(layer, "late")
        for number in range(before):
            assert await client.receive_from() == str(number)
        assert (await client.receive_output(20))["type"] == "websocket.close"
        await asyncio.wait_for(client.future, 20)
    assert at_once[-1] is False
    assert len(Room.ended) == 1
    assert [record.exc_info[0] for record in records.kept if record.exc_info] == [KeyError]
    other = await opened(layer, at_once)
    await tell(layer, "next")
    assert await other.receive_from() == '"next"'
    assert at_once[-1]
    await other.disconnect()


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_what_is_left_is_handled_in_the_next_round(
    layer: InMemoryChannelLayer, at_once: list[bool], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("compat.engine.fast.at_once.MOST", most)
    client = await opened(layer, at_once)
    at_once.clear()
    await tell(layer, *range(6))
    assert [await client.receive_from() for _ in range(6)] == [str(number) for number in range(6)]
    assert len(at_once) >= 6 / most
    assert all(at_once)
    await client.disconnect()


async def test_a_frame_goes_before_a_message_after_messages_were_handled(
    layer: InMemoryChannelLayer, at_once: list[bool]
) -> None:
    client = await opened(layer, at_once)
    for number in range(3):
        await client.send_to(text_data=f"frame {number}")
        await tell(layer, number)
        assert [await client.receive_from() for _ in range(2)] == [f"frame {number}", f"{number}"]
        await tell(layer, "between")
        assert await client.receive_from() == '"between"'
    await client.disconnect()


async def test_messages_of_several_types_keep_their_order(
    layer: InMemoryChannelLayer, at_once: list[bool]
) -> None:
    client = await opened(layer, at_once)
    await tell(layer, 1, 2)
    await tell(layer, 0, kind="other.message")
    await tell(layer, 3)
    assert [await client.receive_from() for _ in range(4)] == ["1", "2", "other", "3"]
    await client.disconnect()


async def test_a_message_that_comes_too_late_is_counted(
    layer: InMemoryChannelLayer, at_once: list[bool]
) -> None:
    client = await opened(layer, at_once)
    expiry, layer.expiry = layer.expiry, -1
    await tell(layer, "late")
    layer.expiry = expiry
    await tell(layer, "in time")
    assert await client.receive_from() == '"in time"'
    await client.disconnect()
    assert at_once[-1] is False
    assert metrics.snapshot()["layers"]["default"]["dropped"]["expired"] == 1


async def test_a_message_that_cannot_be_copied_ends_the_consumer(
    layer: InMemoryChannelLayer, at_once: list[bool]
) -> None:
    def copy() -> Message:
        raise RuntimeError("there is only one")

    client = await opened(layer, at_once)
    with recorded() as records:
        (inbox,) = [box for box in layer.channels.values() if isinstance(box, Inbox)]
        inbox.offer(((float("inf"), {"type": "chat.message"}, copy),))
        assert (await client.receive_output(20))["type"] == "websocket.close"
        await asyncio.wait_for(client.future, 20)
    assert any("there is only one" in str(record.exc_info) for record in records.kept)


async def test_a_layer_that_is_read_goes_on_after_a_handler_that_waited(at_once: list[bool]) -> None:
    """Was: the pump, which waits until the inbox is empty, was not told."""
    with override(CHANNEL_LAYERS={"default": {"BACKEND": f"{__name__}.ReadLayer"}}):
        await read_through_a_layer(at_once)


async def read_through_a_layer(at_once: list[bool]) -> None:
    layer: Any = get_channel_layer()
    client = await Conversation(Room.as_asgi()).open()
    for number in range(3):
        await tell(layer, number)
        assert await client.receive_from() == str(number)
    hold_back(client, 1)
    await tell(layer, *range(3))
    await until_async(lambda: at_once[-1:] == [False], "a handler waits")
    assert [await client.receive_from(timeout=20) for _ in range(3)] == ["0", "1", "2"]
    await client.disconnect()


class ReadLayer(InMemoryChannelLayer):
    """It wants to see every message, so it is read."""

    async def receive(self, channel: str) -> Message:
        return await super().receive(channel)


@pytest.mark.parametrize("followed", [False, True])
async def test_records_have_the_fields_of_the_connection(
    layer: InMemoryChannelLayer, at_once: list[bool], monkeypatch: pytest.MonkeyPatch, followed: bool
) -> None:
    monkeypatch.setattr(logs, "_followed", followed)
    paths: list[str | None] = []

    put = asyncio.Queue.put

    async def noting(self: asyncio.Queue[Any], item: Any) -> None:
        if item["type"] == "websocket.send":
            paths.append(logs.connection().get("path"))
        await put(self, item)

    monkeypatch.setattr(asyncio.Queue, "put", noting)
    clients = [await Conversation(Room.as_asgi(), f"/ws/{number}/").open() for number in range(2)]
    for number in range(3):
        await tell(layer, number)
        for client in clients:
            assert await client.receive_from() == str(number)
    assert paths[-2:] == (["/ws/0/", "/ws/1/"] if followed else [None, None])
    assert at_once[-2:] == [True, True]
    assert logs.connection() == {}
    for client in clients:
        await client.disconnect()


# On servers


class Told(AsyncWebsocketConsumer):
    """Its client says what is sent to the group."""

    groups = ("told",)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        for message in json.loads(text_data or ""):
            await self.channel_layer.group_send("told", message)

    async def chat_message(self, event: Message) -> None:
        await self.send(text_data=json.dumps(event["message"]), close=event.get("close", False))


OLD = pytest.param("websockets", marks=pytest.mark.filterwarnings("ignore::DeprecationWarning"))


@pytest.fixture(params=["websockets-sansio", "wsproto", OLD])
def server(request: pytest.FixtureRequest, layer: InMemoryChannelLayer) -> Iterator[LiveServer]:
    with LiveServer(Told.as_asgi(), ws=request.param) as server:
        yield server


def said(message: Any, **more: Any) -> Message:
    return {"type": "chat.message", "message": message, **more}


def warm(client: Client) -> None:
    for number in range(3):
        client.send_json([said(number)])
        assert client.receive() == str(number)


def test_a_handler_that_closes(server: LiveServer, at_once: list[bool]) -> None:
    """Was: a server whose close() has a time limit said that this needs a task."""
    with Client(server, "/") as client:
        warm(client)
        client.send_json([said("bye", close=True)])
        assert client.receive() == '"bye"'
        assert client.wait_closed() == (1000, "")


def test_a_finished_frame_behind_an_error(server: LiveServer, at_once: list[bool]) -> None:
    """Was: it was passed on, and the consumer went on without its error."""
    with recorded(), Client(server, "/") as client:
        warm(client)
        client.send_json([{"type": "websocket.send", "text": "warm"}])
        assert client.receive() == "warm"
        client.send_json([said(0), {"type": "chat.message"}, {"type": "websocket.send", "text": "late"}])
        assert client.receive() == "0"
        assert client.wait_closed() == (1011, "")


def test_long_texts_for_a_client_that_does_not_read(server: LiveServer, at_once: list[bool]) -> None:
    with Client(server, "/") as client:
        warm(client)
        texts = [str(number) * 200_000 for number in range(10)]
        client.send_json([said(text) for text in texts])
        assert [client.receive_json() for _ in texts] == texts


# One coroutine after the other


async def nothing() -> None:
    pass


async def fails() -> None:
    raise ValueError("failed")


async def waits(future: asyncio.Future[str], seen: list[str]) -> None:
    try:
        seen.append(await future)
    finally:
        seen.append("over")


async def test_coroutines_are_run_one_after_the_other() -> None:
    stepper = Stepper()
    seen: list[str] = []
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    assert stepper.step(nothing()) is OVER
    with pytest.raises(ValueError, match="failed"):
        stepper.step(fails())
    stepper.begin()
    rest: Awaitable[None] = stepper.rest(stepper.step(waits(future, seen)))
    assert stepper.step(nothing()) is OVER  # another one runs meanwhile
    task = asyncio.ensure_future(rest)
    await asyncio.sleep(0)
    future.set_result("done")
    await task
    assert seen == ["done", "over"]


async def test_the_rest_of_a_coroutine_can_be_cancelled() -> None:
    stepper = Stepper()
    seen: list[str] = []
    rest = stepper.rest(stepper.step(waits(asyncio.get_running_loop().create_future(), seen)))
    task = asyncio.ensure_future(rest)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["over"]
