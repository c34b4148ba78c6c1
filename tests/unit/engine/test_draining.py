"""When a drain closes each connection, by a clock that waits for nothing; and which servers have none."""

from __future__ import annotations

import asyncio
import contextlib
import math
import selectors
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from compat.engine.admissions import admissions
from compat.engine.draining import Drain, drain
from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.redis.waiting import settle
from compat.settings import override
from tests.support.conversations import Conversation
from tests.support.waiting import until_async

TIMER_S = 0.001
"""What a selector rounds the time until a timer up to."""


class Clock:
    """The time of a loop, which waits for nothing but goes on to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0


class Selector(selectors.DefaultSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def select(self, timeout: float | None = None) -> Any:
        self.clock.now += math.ceil((timeout or 0) / TIMER_S) * TIMER_S
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(Selector(self.clock))

    def time(self) -> float:
        return self.clock.now


class Deciding(AsyncWebsocketConsumer):
    """Accepts when it may."""

    may: asyncio.Event

    async def connect(self) -> None:
        await self.may.wait()
        await self.accept()


class DecidingInThread(WebsocketConsumer):
    may: asyncio.Event

    def connect(self) -> None:
        async_to_sync(self.may.wait)()
        self.accept()


@pytest.mark.parametrize("offered", [[], ["channels.resume.v1"]], ids=["plain", "resumable"])
@pytest.mark.parametrize("kind", [Deciding, DecidingInThread])
async def test_a_client_that_is_not_accepted_yet_is_told_to_try_again(
    kind: Any, offered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: refused with 403, after which a balancer tries no other server, and the Python client ends."""
    may, loop = asyncio.Event(), asyncio.get_running_loop()
    monkeypatch.setattr(kind, "may", may, raising=False)
    client = Conversation(kind.as_asgi(), subprotocols=offered)
    client.scope["extensions"] = {"websocket.http.response": {}}
    await client.send_input({"type": "websocket.connect"})
    opening = await until_async(lambda: [one for one in drain.open if drain.open[one] is loop], "it begins")
    await opening[0].close(1012)
    answer = await client.receive_output()
    assert (answer["type"], answer["status"]) == ("websocket.http.response.start", 503)
    for _ in range(2):  # as uvicorn does
        await client.send_input({"type": "websocket.disconnect", "code": 1006})
    may.set()
    await client.wait()
    rest = [client.output_queue.get_nowait()["type"] for _ in range(client.output_queue.qsize())]
    assert rest == ["websocket.http.response.body"], "not the accept; some servers would raise an error"


class Connection:
    """Takes so long for its close, in which the loop does nothing else."""

    def __init__(self, drain: Drain, clock: Clock, close_s: float) -> None:
        self.drain, self.clock, self.close_s = drain, clock, close_s
        self.closed_at: float | None = None

    async def close(self, code: int) -> None:
        self.closed_at = self.clock.now
        self.clock.now += self.close_s
        self.drain.leave(self)

    def cancel(self) -> None:
        raise AssertionError("nobody is late")

    def is_parked(self) -> bool:
        return False

    def name(self) -> str:
        return "connection"


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    admissions.draining = False


Meanwhile = Callable[[list[Connection]], Awaitable[None]]


async def nothing(connections: list[Connection]) -> None: ...


def drained(
    count: int, seconds: float, close_s: float = 0.0, meanwhile: Meanwhile = nothing
) -> tuple[list[float | None], float]:
    """Return when each connection was closed, and when the server was told to stop, from the signal on."""
    loop, drain, stopped = Loop(), Drain(), asyncio.Event()
    connections = [Connection(drain, loop.clock, close_s) for _ in range(count)]

    async def main() -> None:
        for connection in connections:
            drain.enter(connection, loop)
        signal.raise_signal(signal.SIGTERM)
        await meanwhile(connections)
        await stopped.wait()

    signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
    with override(DRAIN_SECONDS=seconds), contextlib.closing(loop):
        loop.run_until_complete(main())
    return [connection.closed_at for connection in connections], loop.clock.now


@pytest.mark.parametrize("close_s", [0.0, 0.002])
@pytest.mark.parametrize("count", [2, 3, 2000])
def test_a_drain_takes_as_long_as_it_says(count: int, close_s: float) -> None:
    """Was: 24.6 s instead of 5 for 20,000, since each pause was at least as long as a timer's step."""
    times, stopped = drained(count, 5.0, close_s)
    expected = [5 * number / (count - 1) for number in range(count)]
    assert times == pytest.approx(expected, abs=0.02) and stopped == pytest.approx(5, abs=0.02)


@pytest.mark.parametrize("of", ["uvicorn", "gunicorn"])
def test_a_worker_is_told_to_stop_by_its_parent_as_well(of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: a second signal, which ended the drain at once."""
    if of == "uvicorn":
        monkeypatch.setattr("compat.engine.draining.parent_process", object)
    else:  # its workers are forked
        monkeypatch.setitem(sys.modules, "gunicorn.arbiter", object())

    async def repeat(connections: list[Connection]) -> None:
        await asyncio.sleep(1)
        signal.raise_signal(signal.SIGTERM)

    times, stopped = drained(3, 5.0, meanwhile=repeat)
    assert times == pytest.approx([0, 2.5, 5], abs=0.02) and stopped == pytest.approx(5, abs=0.02)


def test_a_drain_ends_with_its_last_close() -> None:
    times, stopped = drained(1, 30.0)
    assert times == pytest.approx([0], abs=0.01) and stopped == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("left", [1, 2, 3])
def test_a_drain_waits_for_nobody_who_has_left(left: int) -> None:
    """Was: until the second one would have been closed."""

    async def leave(connections: list[Connection]) -> None:
        await asyncio.sleep(1)
        for connection in connections:
            connection.drain.leave(connection)

    times, stopped = drained(1 + left, 30.0 * left, meanwhile=leave)
    assert times == [pytest.approx(0, abs=0.01), *[None] * left]
    assert stopped == pytest.approx(1, abs=0.1), "when the last one has left"


class Busy(Connection):
    """Has a handler that runs for so long, for a client that is away; the server does not wait for it."""

    def __init__(self, drain: Drain, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        super().__init__(drain, Clock(), 0)
        self.call: asyncio.Future[None] = loop.create_future()
        self.call.add_done_callback(lambda call: drain.leave(self))
        loop.call_later(seconds, settle, self.call)

    def is_parked(self) -> bool:
        return True


class AtOnce:
    """Has nothing to finish when the server stops, but a call that goes on."""

    def __init__(self, call: asyncio.Future[None]) -> None:
        self.call = call

    def outliving(self) -> dict[asyncio.Future[None], str]:
        is_own = self.call.get_loop() is asyncio.get_running_loop()
        return {self.call: "/"} if is_own and not self.call.done() else {}

    def stop(self) -> float:
        return 0

    release = stop

    def is_finished(self) -> bool:
        return True


def stop(drain: Drain, connection: Busy, own: asyncio.AbstractEventLoop, loop: Loop) -> None:
    """Stop a server on ``loop``; return when it has been told. The connection is on its ``own`` loop."""
    stopped = asyncio.Event()

    async def main() -> None:
        drain.enter(connection, own)
        drain.tell_stop(AtOnce(connection.call))
        signal.raise_signal(signal.SIGTERM)
        await stopped.wait()

    signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
    with contextlib.closing(loop):
        loop.run_until_complete(main())


@pytest.mark.parametrize(
    ("seconds", "stopped_at", "cancelled"), [(0.5, 0.5, False), (3, 3, False), (60, 6, True)]
)
def test_a_stop_waits_for_handlers_for_which_the_server_does_not(
    seconds: float, stopped_at: float, cancelled: bool
) -> None:
    """Was: for a second; then the process ended while they ran, and without their ``disconnect()``."""
    loop, drain = Loop(), Drain()
    connection = Busy(drain, loop, seconds)

    stop(drain, connection, loop, loop)
    assert loop.clock.now == pytest.approx(stopped_at, abs=0.05)
    assert connection.call.cancelled() == cancelled


def test_a_second_signal_comes_behind_the_first_one() -> None:
    """Was: before it, and the first one seconds later. A worker of uvicorn gets a Ctrl-C, then its parent's
    SIGTERM, so that it took the Ctrl-C for a second one, after which it waits for nobody.
    """
    loop, drain, told = Loop(), Drain(), list[int]()
    connection = Busy(drain, loop, 3)

    async def main() -> None:
        drain.enter(connection, loop)
        drain.tell_stop(AtOnce(connection.call))
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(1)
        assert told == []
        signal.raise_signal(signal.SIGTERM)
        assert told == [signal.SIGINT, signal.SIGTERM]
        await asyncio.sleep(60)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: told.append(number))
    with contextlib.closing(loop):
        loop.run_until_complete(main())
    assert told == [signal.SIGINT, signal.SIGTERM]


def test_a_stop_leaves_alone_what_runs_on_another_loop() -> None:
    """Was: it waited for that as well, and cancelled it from the wrong thread."""
    loop, other, drain = Loop(), asyncio.new_event_loop(), Drain()
    connection = Busy(drain, other, 60)

    with contextlib.closing(other):
        stop(drain, connection, other, loop)
    assert loop.clock.now == pytest.approx(0, abs=0.05) and not connection.call.done()


def test_a_drain_closes_what_runs_on_another_loop_there() -> None:
    """Was: on its own loop, from the wrong thread."""
    drain, other, closed = Drain(), asyncio.new_event_loop(), list[object]()

    class Noting(Connection):
        async def close(self, code: int) -> None:
            closed.append(asyncio.get_running_loop())
            await super().close(code)

    async def main() -> list[object]:
        stopped = asyncio.Event()
        signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
        loops = [asyncio.get_running_loop(), other]
        for loop in loops:
            drain.enter(Noting(drain, Clock(), 0), loop)
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(stopped.wait(), 10)
        return list[object](loops)

    thread = threading.Thread(target=other.run_forever)
    thread.start()
    try:
        with override(DRAIN_SECONDS=0.01):
            assert asyncio.run(main()) == closed
    finally:
        other.call_soon_threadsafe(other.stop)
        thread.join()
        other.close()


def test_a_server_whose_loop_is_told_of_signals_has_no_drain(caplog: pytest.LogCaptureFixture) -> None:
    """Was: asyncio's handler, which does nothing, was taken for the server's, and the drain began as well."""
    loop, drain, told = asyncio.SelectorEventLoop(), Drain(), asyncio.Event()
    connection = Connection(drain, Clock(), 0)

    async def main() -> None:
        loop.add_signal_handler(signal.SIGTERM, told.set)
        drain.enter(connection, loop)
        signal.raise_signal(signal.SIGTERM)
        await told.wait()

    with override(DRAIN_SECONDS=5), contextlib.closing(loop):
        loop.run_until_complete(main())
    assert connection.closed_at is None and drain.task is None and not admissions.draining
    assert "DRAIN_SECONDS has no effect" in caplog.text


def test_the_first_websocket_may_be_of_a_server_in_a_thread(caplog: pytest.LogCaptureFixture) -> None:
    """Was: ``DRAIN_SECONDS`` had no effect then."""
    other, drain, stopped = asyncio.new_event_loop(), Drain(), list[int]()
    connections = [Connection(drain, Clock(), 0) for _ in range(2)]

    async def enter() -> None:
        drain.enter(connections[0], other)

    async def main() -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
        drain.enter(connections[1], asyncio.get_running_loop())
        signal.raise_signal(signal.SIGTERM)
        await until_async(lambda: stopped, "the server stops")

    with override(DRAIN_SECONDS=0.01), contextlib.closing(other):
        thread = threading.Thread(target=other.run_until_complete, args=(enter(),))
        thread.start()
        thread.join()
        drain.leave(connections[0])
        asyncio.run(main())
    assert connections[1].closed_at is not None and admissions.draining
    assert "the server runs in a thread" in caplog.text and "does not handle" not in caplog.text
