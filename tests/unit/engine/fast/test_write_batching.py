"""Several frames in a row leave in one write, in order, and before anything that comes after them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from compat.clock import steady
from compat.engine.events import BETWEEN
from compat.engine.fast import conversation, write_batching
from compat.engine.fast.conversation import _paces
from compat.engine.fast.write_batching import MAX_BYTES, MAX_S, QUICK, Burst, OneWrite, protocol_of
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.patterns import path
from compat.routing import URLRouter
from compat.types import Message
from tests.support.apps import Middleware
from tests.support.clients import Client
from tests.support.engine import rounds
from tests.support.logs import recorded
from tests.support.servers import LiveServer
from tests.support.transports import Failing
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("layer")

COUNT = 60


class Transport:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.reads: list[bool] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reads.append(False)

    def resume_reading(self) -> None:
        self.reads.append(True)


class Protocol(asyncio.Protocol):
    """A server's, as far as it matters here."""

    def __init__(self) -> None:
        self.transport: Any = Transport()

    async def receive(self) -> Message:
        raise NotImplementedError

    async def send(self, message: Message) -> None:
        raise NotImplementedError


class Between:
    """An inbox whose reader gives way between two messages, or waits in a handler."""

    def __init__(self) -> None:
        self.current: Message | None = BETWEEN


def begin(protocol: Protocol, inbox: Between | None = None, lasts_s: float = 60) -> Burst:
    bursts = rounds().bursts
    burst = bursts.begin(protocol, inbox or Between(), steady() - MAX_S + lasts_s)
    assert burst is not None
    return burst


async def test_what_is_written_leaves_in_one_piece_when_the_burst_ends() -> None:
    protocol = Protocol()
    transport = protocol.transport
    burst = begin(protocol)
    for number in range(3):
        protocol.transport.write(b"%d" % number)
    assert transport.writes == []
    burst.end()
    burst.end()
    protocol.transport.write(b"after")
    assert transport.writes == [b"012", b"after"]


async def test_it_goes_on_while_the_server_stops_to_read_and_begins_again() -> None:
    """uvicorn does both for each message of a client."""
    protocol = Protocol()
    transport = protocol.transport
    burst = begin(protocol)
    protocol.transport.write(b"one")
    protocol.transport.pause_reading()
    protocol.transport.resume_reading()
    protocol.transport.write(b"two")
    burst.end()
    assert (transport.writes, transport.reads) == ([b"onetwo"], [False, True])


@pytest.mark.parametrize("fails", [False, True])
async def test_a_block_is_one_write_whatever_it_raises(fails: bool) -> None:
    protocol = Protocol()
    transport = protocol.transport
    with contextlib.suppress(ZeroDivisionError), OneWrite(protocol):
        protocol.transport.write(b"one")
        protocol.transport.write(b"two")
        if fails:
            raise ZeroDivisionError
    assert (transport.writes, protocol.transport) == ([b"onetwo"], transport)


async def test_a_block_in_a_burst_belongs_to_it() -> None:
    protocol = Protocol()
    transport = protocol.transport
    burst = begin(protocol)
    with OneWrite(protocol):
        protocol.transport.write(b"one")
    assert transport.writes == []
    burst.end()
    assert transport.writes == [b"one"]


async def test_it_lasts_over_turns_of_the_loop_until_a_handler_waits() -> None:
    protocol, inbox = Protocol(), Between()
    transport = protocol.transport
    begin(protocol, inbox)
    protocol.transport.write(b"one")
    for _ in range(5):
        await asyncio.sleep(0)
    assert transport.writes == []
    protocol.transport.write(b"two")
    inbox.current = {"type": "handled"}
    await asyncio.sleep(0)
    assert (transport.writes, protocol.transport) == ([b"onetwo"], transport)


async def test_it_ends_when_it_has_lasted_long_enough() -> None:
    protocol = Protocol()
    transport = protocol.transport
    begin(protocol, lasts_s=0)
    protocol.transport.write(b"one")
    await asyncio.sleep(0)
    assert (transport.writes, protocol.transport) == ([b"one"], transport)


async def test_all_can_be_ended() -> None:
    protocols = [Protocol() for _ in range(3)]
    transports = [protocol.transport for protocol in protocols]
    for protocol in protocols:
        begin(protocol)
        protocol.transport.write(b"one")
    rounds().bursts.end()
    assert [transport.writes for transport in transports] == [[b"one"]] * 3


@pytest.mark.parametrize("by", ["its turn", "another's handler"])
async def test_a_transport_that_cannot_write_is_no_error_of_others(by: str) -> None:
    """Was: no burst ended after it, and in the end no reader was woken any more."""
    protocols = [Protocol() for _ in range(3)]
    transports = [protocol.transport for protocol in protocols]
    protocols[0].transport = broken = Failing(transports[0], ConnectionResetError("reset by peer"))
    for protocol in protocols:
        begin(protocol, lasts_s=0 if by == "its turn" else 60)
        protocol.transport.write(b"one")
    if by == "its turn":
        await asyncio.sleep(0)
    else:
        rounds().bursts.end()
        await asyncio.sleep(0)
    assert protocols[0].transport is broken and transports[0].closed
    assert [transport.writes for transport in transports] == [[], [b"one"], [b"one"]]
    assert rounds().bursts.open == []


async def test_one_that_has_ended_is_not_under_way_after_the_next_turn() -> None:
    """A round wakes no more readers than there are places for bursts."""
    bursts = rounds().bursts
    ended, other = begin(Protocol()), begin(Protocol())
    ended.end()
    await asyncio.sleep(0)
    assert bursts.open == [other]
    other.end()


async def test_one_at_a_time_for_a_protocol() -> None:
    protocol, bursts = Protocol(), rounds().bursts
    burst = begin(protocol)
    assert bursts.begin(protocol, Between(), steady()) is None
    burst.end()
    begin(protocol)


async def test_whatever_else_is_asked_of_the_transport_comes_after_what_was_written() -> None:
    protocol = Protocol()
    transport = protocol.transport
    begin(protocol)
    protocol.transport.write(b"last words")
    assert not protocol.transport.is_closing()
    protocol.transport.close()
    assert (transport.writes, transport.closed) == ([b"last words"], True)
    burst = begin(protocol)
    protocol.transport.write(b"too late")
    burst.end()
    assert transport.writes == [b"last words"], "nothing is written to what has been closed"


async def test_it_holds_no_more_than_a_transport_may() -> None:
    protocol = Protocol()
    transport, piece = protocol.transport, b"x" * 1000
    begin(protocol)
    for _ in range(2 * MAX_BYTES // 1000):
        protocol.transport.write(piece)
    assert sum(map(len, transport.writes)) >= MAX_BYTES, "the server notices who does not read"


async def test_whose_frames_are_gathered() -> None:
    protocol, queue = Protocol(), asyncio.Queue[Message]()

    async def wrapped(message: Message) -> None:
        await protocol.send(message)

    assert protocol_of(protocol.receive, protocol.send) is protocol
    assert protocol_of(protocol.receive, wrapped) is protocol
    assert protocol_of(queue.get, protocol.send) is protocol
    assert protocol_of(queue.get, wrapped) is None
    protocol.transport = None
    assert protocol_of(protocol.receive, protocol.send) is None


# Behind real servers


class Room(AsyncWebsocketConsumer):
    """Has its group do what the client says, all at once."""

    groups = ["room"]

    async def receive(self, text_data: str) -> None:
        for number, kind in enumerate(text_data.split()):
            await self.channel_layer.group_send("room", {"type": f"on.{kind}", "number": number})

    async def on_frame(self, event: Message) -> None:
        await self.send(text_data=str(event["number"]))

    async def on_wait(self, event: Message) -> None:
        await asyncio.to_thread(waited_for.wait, 15)

    async def on_close(self, event: Message) -> None:
        await self.close(4001)

    async def on_error(self, event: Message) -> None:
        raise RuntimeError("as told")


class SyncRoom(WebsocketConsumer):
    """Answers one message with many frames."""

    def receive(self, text_data: str) -> None:
        for number in range(COUNT):
            self.send(text_data=str(number))
        self.close(4002)


waited_for = threading.Event()


@pytest.fixture(
    scope="module",
    params=[("websockets-sansio", "asyncio"), ("websockets-sansio", "uvloop"), ("wsproto", "asyncio")],
    ids="-".join,
)
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    ws, loop = request.param
    patterns = [path("room/", Room.as_asgi()), path("sync/", SyncRoom.as_asgi())]
    wrapped = [path("wrapped/", Middleware(Room.as_asgi()))]
    with LiveServer(URLRouter([*patterns, *wrapped]), ws=ws, loop=loop) as server:
        yield server


def frames(client: Client, count: int) -> list[str]:
    return [str(client.receive()) for _ in range(count)]


NUMBERS = [str(number) for number in range(COUNT)]


@pytest.mark.parametrize("where", ["/room/", "/wrapped/"])
def test_all_arrive_in_order(server: LiveServer, where: str) -> None:
    with Client(server, where) as one, Client(server, "/room/") as other:
        for client in (one, other, one):
            client.send(" ".join(["frame"] * COUNT))
            assert frames(one, COUNT) == NUMBERS
            assert frames(other, COUNT) == NUMBERS


def test_a_handler_that_waits_keeps_nothing_back(server: LiveServer) -> None:
    waited_for.clear()
    with Client(server, "/room/") as client:
        client.send("frame frame wait frame frame")
        assert frames(client, 2) == ["0", "1"]
        waited_for.set()
        assert frames(client, 2) == ["3", "4"]


def test_frames_before_a_close_arrive_before_it(server: LiveServer) -> None:
    with Client(server, "/room/") as client:
        client.send("frame frame close frame")
        assert frames(client, 2) == ["0", "1"]
        assert client.wait_closed() == (4001, "")


def test_frames_before_an_error_arrive_before_its_close(server: LiveServer) -> None:
    with recorded() as log, Client(server, "/room/") as client:
        client.send("frame frame error frame")
        assert frames(client, 2) == ["0", "1"]
        assert client.wait_closed()[0] == 1011
        until(lambda: log.kept, "the error is logged")
    assert len(log.kept) == 1


def test_a_sync_handlers_frames_and_its_close(server: LiveServer) -> None:
    with Client(server, "/sync/") as client:
        client.send("go")
        assert frames(client, COUNT) == NUMBERS
        assert client.wait_closed() == (4002, "")


# What a burst may not keep back


class Blocking(AsyncWebsocketConsumer):
    """Sends a frame, and then computes for longer than a frame may wait."""

    groups = ["blocking"]
    left: list[float]
    """When each frame was there: at the client, by its own thread."""

    async def websocket_receive(self, message: Message) -> None:
        for kind in message["text"].split():
            await self.channel_layer.send(self.channel_name, {"type": f"on.{kind}"})

    async def on_frame(self, event: Message) -> None:
        await self.send(text_data="frame")

    async def on_block(self, event: Message) -> None:
        await self.send(text_data="before")
        blocked.wait(15)
        await self.send(text_data="after")

    async def on_wait(self, event: Message) -> None:
        await self.send(text_data="before")
        await asyncio.to_thread(blocked.wait, 15)
        await self.send(text_data="after")


blocked = threading.Event()


@pytest.fixture(params=["asyncio", "uvloop"])
def blocking(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    blocked.clear()
    with LiveServer(Blocking.as_asgi(), ws="websockets-sansio", loop=request.param) as server:
        yield server
        blocked.set()


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("frame block frame frame", marks=pytest.mark.holds_the_loop),
        pytest.param("block frame frame", marks=pytest.mark.holds_the_loop),
        "frame wait frame frame",
    ],
)
@pytest.mark.parametrize("runs", [0, 30])
def test_faults_engine_11_frames_before_a_handler_that_blocks_leave_before_it(
    blocking: LiveServer, what: str, runs: int
) -> None:
    """The loop stands until all that was sent before has arrived; that was kept for a second."""
    with Client(blocking, "/room/") as client:
        for _ in range(runs):  # handlers of the same class that are quick
            client.send("frame frame")
            assert frames(client, 2) == ["frame"] * 2
        client.send(what)
        before = what.split().index("wait" if "wait" in what else "block")
        assert frames(client, before + 1) == ["frame"] * before + ["before"]
        blocked.set()
        assert frames(client, 2) == ["after", "frame"]


@pytest.mark.holds_the_loop
def test_faults_engine_11_a_class_whose_handlers_are_quick_gathers_until_one_is_not() -> None:
    """Counted, because it is about what is not written: a class is trusted after 100 quick handlers."""

    class Mine(AsyncWebsocketConsumer):
        groups = ["mine"]

        async def receive(self, text_data: str) -> None:
            if text_data == "block":
                await self.channel_layer.send(self.channel_name, {"type": "on.block"})
            else:
                for _ in range(int(text_data)):
                    await self.channel_layer.send(self.channel_name, {"type": "on.frame"})
            await self.channel_layer.send(self.channel_name, {"type": "on.last"})

        async def on_frame(self, event: Message) -> None:
            await self.send(text_data="frame")

        async def on_last(self, event: Message) -> None:
            await self.send(text_data="last")

        async def on_block(self, event: Message) -> None:
            blocked.wait(2 * slow_s)

    def say(client: Client, number: int) -> int:
        """How many pieces the last frames have come in, at the socket of the server's side."""
        writes.clear()
        client.send(str(number))
        assert frames(client, number + 1) == ["frame"] * number + ["last"]
        return len(writes)

    writes: list[int] = []
    own, slow_s = Burst._write_held, 0.5

    def counted(burst: Burst) -> None:
        writes.append(len(burst.held))
        own(burst)

    with pytest.MonkeyPatch.context() as patch, LiveServer(Mine.as_asgi(), loop="asyncio") as server:
        patch.setattr(Burst, "_write_held", counted)
        patch.setattr(write_batching, "MAX_S", 60.0)  # a busy machine makes turns of the loop long
        for module in (write_batching, conversation):
            patch.setattr(module, "MAX_HANDLER_S", slow_s)
        with Client(server, "/") as client:
            assert say(client, 20) == 0, "nothing is gathered at first"
            while _paces[Mine].quick < QUICK:
                say(client, 20)
            assert say(client, 20) > 0 and sum(writes) >= 10
            blocked.clear()
            client.send("block")
            assert frames(client, 1) == ["last"]
            assert _paces[Mine].quick < QUICK and say(client, 20) == 0
