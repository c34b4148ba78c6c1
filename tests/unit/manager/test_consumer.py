"""BaseConsumer: what becomes of a frame, what a client is told of errors, and the end, once."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import logging
from datetime import date
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from compat.manager import BaseConsumer, Connection, ConnectionManager, Message
from compat.manager.connections import Connection as SameConnection
from compat.manager.consumer.base import BaseConsumer as SameConsumer
from compat.manager.exceptions import (
    AuthenticationError,
    BackendError,
    BaseError,
    ErrorSeverity,
    MessageError,
    SystemError,
    ValidationError,
)
from compat.manager.middleware import Middleware
from compat.manager.typed import MessagePriority
from tests.unit.manager.conftest import Connect, MakeManager, connector
from tests.unit.manager.sockets import Peer


class Consumer(BaseConsumer):
    """Keeps what it gets."""

    def __init__(self, *args: Any, extra: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.extra = extra
        self.received: list[Message] = []
        self.codes: list[int] = []

    async def connect(self) -> None:
        await super().connect()
        await self.join_group("room")

    async def receive(self, message: Message) -> None:
        self.received.append(message)
        if message.type == "raise":
            raise message.data  # a test's own
        if message.type == "echo":
            await self.send_json({"type": "echo", "data": message.data})

    async def on_disconnect(self, code: int) -> None:
        await super().on_disconnect(code)
        self.codes.append(code)


@pytest.fixture
def kind() -> str:
    return "memory"


@pytest.fixture
async def consumer(connect: Connect, manager: ConnectionManager) -> Consumer:
    connection, peer = await connect("alice")
    made = Consumer(connection=connection, manager=manager, middleware_stack=None, extra="mine")
    made.peer = peer  # type: ignore[attr-defined]
    return made


def peer_of(consumer: Consumer) -> Peer:
    peer: Peer = consumer.peer  # type: ignore[attr-defined]
    return peer


def test_names_are_where_they_are_looked_for() -> None:
    assert SameConnection is Connection and SameConsumer is BaseConsumer


async def test_a_consumer_has_the_hooks_that_it_needs(
    connect: Connect, manager: ConnectionManager, caplog: pytest.LogCaptureFixture
) -> None:
    """As in fastapi-channels, whose base class is not abstract: one that only sends has only connect()."""

    class Ticker(BaseConsumer):
        async def connect(self) -> None:
            await self.send_json({"tick": 1})

    connection, peer = await connect()
    ticker = Ticker(connection, manager)
    await ticker.connect()
    with caplog.at_level(logging.DEBUG, "compat.manager"):
        await ticker.handle_message(json_str='{"type": "note\\n"}')
    assert "Ticker has no receive(): ignored a message 'note\\n'" in caplog.messages
    await ticker.disconnect(4000)
    assert await peer.hear_json() == {"tick": 1} and peer.closed_with == 4000
    await BaseConsumer((await connect())[0], manager).connect()


async def test_the_manager_is_the_one_that_there_is(connect: Connect, manager: ConnectionManager) -> None:
    connection, _ = await connect()
    assert Consumer(connection).manager is manager


async def test_a_message_has_what_the_client_sent(consumer: Consumer) -> None:
    text = json.dumps(
        {
            "type": "note",
            "data": {"é": 1},
            "metadata": {"m": 1},
            "ttl_seconds": 5,
            "priority": "high",
            "other": "ignored",
        }
    )
    await consumer.handle_message(json_str=text)
    [message] = consumer.received
    assert (message.type, message.data, message.metadata) == ("note", {"é": 1}, {"m": 1})
    assert message.sender_id == consumer.connection.channel_name
    assert message.ttl_seconds == 5 and message.priority is MessagePriority.HIGH
    assert message.size == len(text.encode()) and not message.is_expired()
    await consumer.handle_message(binary=b"\x00\x01")
    message = consumer.received[-1]
    assert (message.type, message.data, message.binary_data) == ("binary", None, b"\x00\x01")


@pytest.mark.parametrize("params", [{}, {"json_str": "{}", "binary": b""}])
async def test_exactly_one_of_text_and_bytes(consumer: Consumer, params: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        await consumer.handle_message(**params)
    assert raised.value.error_code == "INVALID_MESSAGE_PARAMS"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "INVALID_JSON"),
        ("{", "INVALID_JSON"),
        ("[" * 100_000, "INVALID_JSON"),
        ('{"type": "x", "data": ' + "[" * 900 + "]" * 900 + "}", "INVALID_JSON"),
        ('{"type": "x", "data": "\\ud800"}', "INVALID_JSON"),
        ('{"type": "x", "data": NaN}', "INVALID_JSON"),
        ('{"type": "x", "data": 18446744073709551616}', "INVALID_JSON"),
        ('{"type": "x", "data": [{"a": -1e999}]}', "INVALID_JSON"),
        ("[]", "INVALID_MESSAGE_FORMAT"),
        ('"x"', "INVALID_MESSAGE_FORMAT"),
        ("{}", "MISSING_MESSAGE_TYPE"),
        ('{"data": 1}', "MISSING_MESSAGE_TYPE"),
        ('{"type": 5}', "INVALID_MESSAGE_FORMAT"),
        ('{"type": null}', "INVALID_MESSAGE_FORMAT"),
        ('{"type": "x", "metadata": []}', "INVALID_MESSAGE_FORMAT"),
        ('{"type": "x", "ttl_seconds": "5"}', "INVALID_MESSAGE_FORMAT"),
        ('{"type": "x", "ttl_seconds": true}', "INVALID_MESSAGE_FORMAT"),
    ],
)
async def test_what_is_wrong_is_answered_and_the_connection_goes_on(
    consumer: Consumer, text: str, code: str
) -> None:
    await consumer.handle_message(json_str=text)
    frame = await peer_of(consumer).hear_json()
    assert set(frame) == {
        *("type", "error_code", "message", "category", "severity"),
        *("error_id", "timestamp", "retryable", "details"),
    }
    assert (frame["type"], frame["error_code"], frame["category"]) == ("error", code, "validation")
    assert (frame["severity"], frame["retryable"]) == ("low", False)
    await consumer.handle_message(json_str='{"type": "echo", "data": 1}')
    assert await peer_of(consumer).hear_json() == {"type": "echo", "data": 1}
    assert consumer.manager.statistics.errors == 1


async def test_large_numbers_that_travel(consumer: Consumer) -> None:
    data = [2**64 - 1, -(2**63), 1e300, "9" * 40, {"1e999": True}]
    await consumer.handle_message(json_str=json.dumps({"type": "echo", "data": data}))
    assert (await peer_of(consumer).hear_json())["data"] == data


async def test_errors_can_be_left_to_the_endpoint(consumer: Consumer) -> None:
    consumer.answers_errors = False
    with pytest.raises(ValidationError) as raised:
        await consumer.handle_message(json_str="{")
    assert raised.value.error_code == "INVALID_JSON" and peer_of(consumer).unheard == []


async def test_frames_are_bounded(make_manager: MakeManager) -> None:
    manager = make_manager(WS_MAX_MESSAGE_SIZE=100)
    connection, peer = await connector(manager)("alice")
    consumer = Consumer(connection, manager)
    await consumer.handle_message(json_str='{"type": "' + "é" * 50 + '"}')
    await consumer.handle_message(binary=b"x" * 101)
    for size in (112, 101):
        frame = await peer.hear_json()
        assert frame["error_code"] == "VALIDATION_FAILED"
        assert frame["details"] == {"reason": "too_large", "size": size, "max_size": 100}
    await consumer.handle_message(binary=b"x" * 100)
    assert len(consumer.received) == 1


async def test_errors_of_receive(consumer: Consumer, caplog: pytest.LogCaptureFixture) -> None:
    async def receive(message: Message) -> None:
        raise errors[message.data]

    errors: list[BaseException] = [
        MessageError("Not now", details={"why": "because"}),
        SystemError("The disk is full", cause=OSError("no space")),
        AuthenticationError("Who are you?"),
        MessageError("Worst", severity=ErrorSeverity.CRITICAL),
        KeyError("x"),
    ]
    consumer.receive = receive  # type: ignore[method-assign]
    with caplog.at_level(logging.INFO, "compat.manager"):
        await consumer.handle_message(json_str='{"type": "x", "data": 0}')
        assert caplog.records == []
        await consumer.handle_message(json_str='{"type": "x", "data": 1}')
    assert "The disk is full (SYSTEM_ERROR, error_id" in caplog.text and "no space" in caplog.text
    frames = await peer_of(consumer).hear_all(2)
    assert [frame["error_code"] for frame in frames] == ["MESSAGE_ERROR", "SYSTEM_ERROR"]
    assert frames[0]["details"] == {"why": "because"}
    for index, kind in ((2, AuthenticationError), (3, MessageError), (4, KeyError)):
        with pytest.raises(kind):
            await consumer.handle_message(json_str=json.dumps({"type": "x", "data": index}))


async def test_handle_error_as_text_and_send_error(consumer: Consumer) -> None:
    await consumer.handle_error(MessageError("No"), as_text=True)
    assert (await peer_of(consumer).hear())["text"] == "No"
    await consumer.send_error("Try again", error_code="BUSY", details={"n": 1}, retryable=True)
    frame = await peer_of(consumer).hear_json()
    assert (frame["message"], frame["error_code"], frame["retryable"]) == ("Try again", "BUSY", True)


async def test_everything_can_be_sent(consumer: Consumer) -> None:
    peer = peer_of(consumer)
    await consumer.send_text("plain")
    await consumer.send_bytes(b"\x00")
    await consumer.send_json([1, {"a": None}])
    await consumer.send(Message(type="t", data=1))
    await consumer.send(Message(type="t", binary_data=b"\x01"))
    await consumer.send(Message(type="t", data={"at": date(2024, 1, 2)}))
    assert (await peer.hear())["text"] == "plain" and (await peer.hear())["bytes"] == b"\x00"
    assert await peer.hear_json() == [1, {"a": None}]
    assert (await peer.hear_json())["data"] == 1 and (await peer.hear())["bytes"] == b"\x01"
    assert (await peer.hear_json())["data"] == {"at": "2024-01-02"}
    assert consumer.connection.message_count == 6 and consumer.timestamp > 0


async def test_own_frames_keep_their_place_among_the_groups(consumer: Consumer) -> None:
    peer = peer_of(consumer)
    await consumer.connect()
    peer.stop_reading()
    await consumer.send_to_group("room", {"n": 1})
    await consumer.send_to_group("room", Message(type="t", data=2))
    sending = asyncio.ensure_future(consumer.send_json({"n": 3}))
    await asyncio.sleep(0)
    await consumer.send_to_group("room", {"n": 4})
    assert not sending.done()  # an endpoint goes no faster than its client reads
    peer.go_on_reading()
    await sending
    heard = await peer.hear_all(4)
    assert [frame.get("n", frame.get("data")) for frame in heard] == [1, 2, 3, 4]


async def test_groups(consumer: Consumer, connect: Connect) -> None:
    await consumer.connect()
    _, other = await connect("bob", "room")
    await consumer.send_to_others("room", {"n": 1})
    await consumer.leave_group("room")
    await consumer.send_to_group("room", {"n": 2})
    assert await other.hear_all(2) == [{"n": 1}, {"n": 2}] and peer_of(consumer).unheard == []


async def test_sending_to_a_client_that_has_left(consumer: Consumer) -> None:
    peer_of(consumer).gone = True
    with pytest.raises(WebSocketDisconnect):
        await consumer.send_json({"n": 1})
    await consumer.disconnect(1000)
    await consumer.send_json({"n": 2})  # the end is known: nobody is there to be told of it


# The end


async def test_the_end_comes_once(consumer: Consumer) -> None:
    await consumer.connect()
    in_room: list[set[str]] = []
    before = consumer.on_disconnect

    async def on_disconnect(code: int) -> None:
        in_room.append(set(consumer.connection.groups))
        await before(code)

    consumer.on_disconnect = on_disconnect  # type: ignore[method-assign]
    await consumer.disconnect(1001)
    await consumer.disconnect(1011)
    assert consumer.codes == [1001] and in_room == [{"room"}]
    assert peer_of(consumer).closed_with == 1001 and consumer.connection.groups == set()


async def test_a_hook_that_fails_leaves_nothing_behind(consumer: Consumer) -> None:
    async def on_disconnect(code: int) -> None:
        raise KeyError("x")

    consumer.on_disconnect = on_disconnect  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        await consumer.disconnect()
    assert await consumer.manager.count_connections() == 0


async def test_disconnect_itself_may_be_the_hook(connect: Connect, manager: ConnectionManager) -> None:
    """The README of fastapi-channels calls connect(), disconnect() and receive() the hooks."""
    codes: list[Any] = []

    class Hook(BaseConsumer):
        async def connect(self) -> None: ...

        async def receive(self, message: Message) -> None: ...

        async def disconnect(self, code: int = 1000) -> None:
            codes.append(code)

    class Both(Hook):
        async def disconnect(self, code: int = 1000) -> None:
            await super().disconnect(code)
            codes.append("both")

        async def on_disconnect(self, code: int) -> None:
            codes.append("on_disconnect")

    connection, peer = await connect("alice", "room")
    consumer: Hook = Hook(connection, manager)
    await consumer.disconnect(4000)
    await consumer.disconnect(4001)
    assert codes == [4000] and peer.closed_with == 4000 and await manager.count_connections() == 0
    codes.clear()
    connection, peer = await connect("alice", "room")
    consumer = Both(connection, manager)
    await consumer.disconnect(4000)
    await consumer.disconnect(4001)
    assert codes == [4000, "both"] and peer.closed_with == 4000


# Middleware around it


async def test_middleware_stands_before_receive(connect: Connect, manager: ConnectionManager) -> None:
    seen: list[Any] = []

    class Tag(Middleware):
        async def process(self, message: Message, connection: Connection, consumer: Any) -> Message | None:
            message.metadata = {"tag": connection.user_id}
            return None if message.type == "stop" else message

        async def finished(
            self,
            message: Message,
            connection: Connection,
            consumer: Any,
            seconds: float,
            error: BaseException | None,
        ) -> None:
            seen.append((message.type, seconds >= 0, type(error).__name__))

    connection, peer = await connect("alice")
    consumer = Consumer(connection, manager, Tag())
    await consumer.handle_message(json_str='{"type": "stop"}')
    await consumer.handle_message(json_str='{"type": "go"}')
    await consumer.handle_message(json_str='{"type": "pong"}')
    assert [message.type for message in consumer.received] == ["go"]
    assert consumer.received[0].metadata == {"tag": "alice"}

    async def receive(message: Message) -> None:
        raise BackendError("away")

    consumer.receive = receive  # type: ignore[method-assign]
    await consumer.handle_message(json_str='{"type": "fails"}')
    assert (await peer.hear_json())["error_code"] == "BACKEND_ERROR"
    assert seen == [("stop", True, "NoneType"), ("go", True, "NoneType"), ("fails", True, "BackendError")]


class Counted(Middleware):
    """Writes down what it lets through, and what it is told of the end."""

    def __init__(self, name: str, log: list[str], next_middleware: Any = None) -> None:
        super().__init__(next_middleware)
        self.name, self.log = name, log

    async def process(self, message: Message, connection: Connection, consumer: Any) -> Message | None:
        self.log.append(f"{self.name} {message.type}")
        if message.type == f"refused by {self.name}":
            raise ValidationError("no")
        return Message(type=message.type)

    async def finished(
        self,
        message: Message,
        connection: Connection,
        consumer: Any,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        self.log.append(f"end {self.name}")


@pytest.mark.parametrize("nested", [False, True], ids=["chain", "next_middleware"])
async def test_the_middleware_that_a_message_came_to_is_told_of_its_end(
    connect: Connect, manager: ConnectionManager, nested: bool
) -> None:
    connection, _ = await connect("alice")
    log: list[str] = []
    last = Counted("c", log)
    chain = Counted("b", log, last) if nested else Counted("b", log) >> last
    consumer = Consumer(
        connection, manager, Counted("a", log, chain) if nested else Counted("a", log) >> chain
    )
    await consumer.handle_message(json_str='{"type": "x"}')
    assert log == ["a x", "b x", "c x", "end c", "end b", "end a"]
    log.clear()
    await consumer.handle_message(json_str='{"type": "refused by b"}')
    assert log == ["a refused by b", "b refused by b", "end b", "end a"]


class Around(Counted):
    """Does something around the call, as a class from before ``finished`` may."""

    async def __call__(self, message: Message, connection: Connection, consumer: Any) -> Message | None:
        if message.type == "alone":
            return await self.process(message, connection, consumer)
        return await super().__call__(message, connection, consumer)


@pytest.mark.parametrize("kind", ["alone", "with ours"])
@pytest.mark.parametrize("place", ["stack", "chain", "next_middleware"])
async def test_middleware_with_a_call_of_its_own_is_told_of_the_end_once(
    connect: Connect, manager: ConnectionManager, kind: str, place: str
) -> None:
    connection, _ = await connect("alice")
    log: list[str] = []
    around = Around("b", log)
    before = Counted("a", log, around if place == "next_middleware" else None)
    stack = {"stack": around, "chain": before >> around, "next_middleware": before}[place]
    consumer = Consumer(connection, manager, stack)
    await consumer.handle_message(json_str=json.dumps({"type": kind}))
    outside = [] if place == "stack" else ["a"]
    assert log == [*(f"{one} {kind}" for one in (*outside, "b")), "end b", *(f"end {one}" for one in outside)]


class FurtherAround(Around):
    """As its base."""

    async def __call__(self, message: Message, connection: Connection, consumer: Any) -> Message | None:
        return await super().__call__(message, connection, consumer)


class Calls:
    """Does something around the call of any class."""

    async def __call__(self, message: Message, connection: Connection, consumer: Any) -> Message | None:
        passed: Message | None = await super().__call__(message, connection, consumer)  # type: ignore[misc]
        return passed


class Mixed(Calls, Counted):
    """With a base that is no Middleware."""


class FurtherMixed(Mixed):
    """As its base."""


class Named(Mixed):
    """With the call of its base by name."""

    __call__ = Mixed.__call__


@dataclasses.dataclass(init=False, slots=True)
class Slotted(Calls, Counted):
    """Made twice: a class gets its slots when it is made anew."""


class WithOptions(Counted):
    """Its call takes an option, which a subclass gives."""

    async def __call__(
        self, message: Message, connection: Connection, consumer: Any, *, skip: bool = False
    ) -> Message | None:
        return message if skip else await super().__call__(message, connection, consumer)


class GivesOptions(WithOptions):
    async def __call__(self, message: Message, connection: Connection, consumer: Any, **_: Any) -> Any:
        return await super().__call__(message, connection, consumer, skip=False)


class Partly(Counted):
    """Its call is no function."""

    async def step(self, way: str, message: Message, connection: Connection, consumer: Any) -> Message | None:
        return await self.process(message, connection, consumer)

    __call__: Any = functools.partialmethod(step, "any")


class AfterPartly(Partly):
    async def __call__(self, message: Message, connection: Connection, consumer: Any) -> Message | None:
        passed: Message | None = await super().__call__(message, connection, consumer)
        return passed


CALLS = [
    Counted,
    Around,
    FurtherAround,
    Mixed,
    FurtherMixed,
    Named,
    Slotted,
    GivesOptions,
    Partly,
    AfterPartly,
]


@pytest.mark.parametrize("made", CALLS)
@pytest.mark.parametrize("by", ["function", "consumer"])
async def test_middleware_is_told_of_the_end_once_whoever_calls_it(
    connect: Connect, manager: ConnectionManager, made: type[Counted], by: str
) -> None:
    """Was: not if a function called it, and it had a ``__call__`` of its own."""
    connection, _ = await connect("alice")
    log: list[str] = []
    inner = made("b", log)

    async def some(message: Message, connection: Connection, consumer: Any) -> Message | None:
        return await inner(message, connection, consumer)

    stack = some if by == "function" else inner
    await Consumer(connection, manager, stack).handle_message(json_str='{"type": "x"}')
    assert log == ["b x", "end b"]


async def test_a_plain_function_may_be_the_stack(connect: Connect, manager: ConnectionManager) -> None:
    async def shout(message: Message, connection: Connection, consumer: BaseConsumer) -> Message:
        message.data = message.data.upper()
        return message

    connection, _ = await connect("alice")
    consumer = Consumer(connection, manager, shout)
    await consumer.handle_message(json_str='{"type": "x", "data": "a"}')
    assert consumer.received[0].data == "A"


async def test_a_connection_that_no_manager_made(manager: ConnectionManager) -> None:
    peer = Peer()
    await peer.websocket.accept()
    connection = Connection(websocket=peer.websocket, channel_name="by hand", user_id="alice")
    consumer = Consumer(connection, manager)
    await consumer.send_json({"n": 1})
    await consumer.send_bytes(b"x")
    assert await peer.hear_json() == {"n": 1} and (await peer.hear())["bytes"] == b"x"
    assert (connection.message_count, connection.bytes_sent) == (2, 8)
    with pytest.raises(BaseError):
        await consumer.join_group("room")
    await consumer.disconnect()
