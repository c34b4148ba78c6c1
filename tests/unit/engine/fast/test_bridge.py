"""Sync consumers on the pool: side by side, in order, with asgiref's rules, and never stuck."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.local import Local
from asgiref.sync import async_to_sync, sync_to_async

from compat.consumer import SyncConsumer
from compat.engine import scheduler as scheduler_module
from compat.engine import threads as threads_module
from compat.engine.fast import pool as pool_module
from compat.engine.fast.handling import MAX_UNSENT
from compat.engine.fast.pool import TICK_S, pool_of
from compat.engine.fast.workers import Worker
from compat.engine.threads import Threads, executor, thread_limit
from compat.exceptions import ImproperlyConfigured, StopConsumer
from compat.generic.websocket import WebsocketConsumer
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.metrics import Throttle
from compat.settings import override
from compat.testing import ApplicationCommunicator
from compat.types import Message
from tests.support.conversations import Conversation
from tests.support.waiting import until_async


def receiving(handler: Callable[[Any, str], None], **attributes: Any) -> Any:
    """A consumer class whose ``receive`` is ``handler``."""

    def receive(self: Any, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        handler(self, text_data or "")

    return type("Consumer", (WebsocketConsumer,), {"receive": receive, **attributes})


def stuck(app: Any, reading: asyncio.Event) -> Any:
    """An application whose clients read nothing until ``reading`` is set."""

    async def until_read(scope: Any, receive: Any, send: Any) -> None:
        async def send_when_read(message: Message) -> None:
            if message["type"] == "websocket.send":
                await reading.wait()
            await send(message)

        await app(scope, receive, send_when_read)

    return until_read


async def opened(consumer: Any, count: int) -> list[Conversation]:
    app = consumer.as_asgi()
    return list(await asyncio.gather(*(Conversation(app).open() for _ in range(count))))


async def closed(clients: list[Conversation]) -> None:
    await asyncio.gather(*(client.disconnect() for client in clients))


@pytest.mark.parametrize("count", [2, 10, 24])
async def test_blocking_handlers_run_side_by_side(count: int) -> None:
    barrier = threading.Barrier(count)

    def meet(self: Any, text: str) -> None:
        barrier.wait(20)  # passes only when all handlers are in it at once
        self.send(text_data="met")

    clients = await opened(receiving(meet), count)
    for round_ in range(3):  # the later rounds know that the handler is slow
        for client in clients:
            await client.send_to(text_data=str(round_))
        assert {await client.receive_from(timeout=20) for client in clients} == {"met"}
    await closed(clients)


async def test_a_fast_client_beside_blocked_ones() -> None:
    gate = threading.Event()

    def receive(self: Any, text: str) -> None:
        if text == "block":
            gate.wait(20)
        self.send(text_data=text)

    clients = await opened(receiving(receive), 11)
    *blocked, fast = clients
    for client in blocked:
        await client.send_to(text_data="block")
    for number in range(200):
        await fast.send_to(text_data=str(number))
    assert [await fast.receive_from(timeout=20) for _ in range(200)] == [str(number) for number in range(200)]
    gate.set()
    assert {await client.receive_from(timeout=20) for client in blocked} == {"block"}
    await closed(clients)


async def test_a_connection_that_ends_while_its_worker_is_preempted() -> None:
    """Its worker has released the token, and has not recorded yet that the handler has returned."""
    gate, made = threading.Event(), []

    def receive(self: Any, text: str) -> None:
        made.append(self)
        if text == "block":
            gate.wait(20)
        self.send(text_data=text)

    ended, blocked, fast = await opened(receiving(receive), 3)
    await ended.send_to(text_data="x")
    assert await ended.receive_from() == "x"
    await ended.disconnect()
    pool, worker = pool_of(asyncio.get_running_loop()), Worker()
    worker.connection, worker.seen = made[0].base_send.__self__, worker.turns
    pool.active.add(worker)
    await blocked.send_to(text_data="block")
    await until_async(lambda: worker.slow, "a tick has seen the preempted worker")
    pool.active.discard(worker)
    pool.slow_kinds.clear()
    await fast.send_to(text_data="y")
    assert await fast.receive_from(timeout=20) == "y"
    gate.set()
    assert await blocked.receive_from(timeout=20) == "block"
    await closed([blocked, fast])


async def test_a_message_type_without_a_hash(layer: InMemoryChannelLayer) -> None:
    """An overridden dispatch() may take any, also while the pool knows slow handlers."""
    seen: list[Any] = []

    class Lenient(WebsocketConsumer):
        def dispatch(self, message: Message) -> None:  # type: ignore[override]
            if message["type"] == ["unhashable"]:
                seen.append(self.channel_name)
                time.sleep(3 * TICK_S)
            else:
                super().dispatch(message)

        def connect(self) -> None:
            names.append(self.channel_name)
            self.accept()

        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            self.send(text_data=text_data)

    names: list[str] = []
    pool = pool_of(asyncio.get_running_loop())
    client = await Conversation(Lenient.as_asgi()).open()
    pool.slow_kinds.add((Lenient, "another"))
    for _ in range(3):
        await layer.send(names[0], {"type": ["unhashable"]})
    await until_async(lambda: len(seen) == 3, "all three were handled")
    await client.send_to(text_data="x")
    assert await client.receive_from() == "x"
    await client.disconnect()


async def test_one_thread_at_will() -> None:
    threads: set[int] = set()

    def receive(self: Any, text: str) -> None:
        threads.add(threading.get_ident())
        time.sleep(0.002)  # not a wait: long enough for the pool, if it were used, to take another thread
        self.send(text_data="done")

    async def run(consumer: Any) -> None:
        clients = await opened(consumer, 5)
        for client in clients:
            await client.send_to(text_data="x")
        for client in clients:
            await client.receive_from(timeout=20)
        await closed(clients)

    await run(receiving(receive, thread_sensitive=True))
    assert len(threads) == 1
    with override(CHANNEL_THREADS=0):
        await run(receiving(receive))
    assert len(threads) == 1


async def test_more_connections_than_threads_all_join(layer: InMemoryChannelLayer) -> None:
    def connect(self: Any) -> None:
        async_to_sync(self.channel_layer.group_add)("room", self.channel_name)
        async_to_sync(sync_to_async(time.monotonic))()
        self.accept()

    consumer = receiving(lambda self, text: None, connect=connect)
    assert executor()._max_workers < 200
    clients = await asyncio.wait_for(opened(consumer, 200), 60)
    assert len(layer.groups["room"]) == 200
    await closed(clients)
    assert layer.groups == {}


async def test_context_passes_from_scope_to_handler_to_handler() -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")
    local = Local()

    def connect(self: Any) -> None:
        self.before = user.get()
        user.set("set in connect")
        local.value = "local in connect"
        self.accept()

    async def asynchronous() -> str:
        user.set(user.get() + ", then in a coroutine")
        return user.get()

    def receive(self: Any, text: str) -> None:
        if text == "block":
            gate.wait(20)
        inside = async_to_sync(asynchronous)() if text == "ask" else ""
        self.send(text_data=f"{self.before}|{user.get()}|{local.value}|{bool(inside)}")

    gate = threading.Event()
    consumer = receiving(receive, connect=connect)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        user.set(f"user of {scope['path']}")
        await consumer.as_asgi()(scope, receive, send)

    one, two = await Conversation(application, "/1").open(), await Conversation(application, "/2").open()
    await two.send_to(text_data="block")  # so that the next handler of the first runs on another thread
    await one.send_to(text_data="x")
    assert await one.receive_from(timeout=20) == "user of /1|set in connect|local in connect|False"
    await one.send_to(text_data="ask")
    assert (
        await one.receive_from(timeout=20)
        == "user of /1|set in connect, then in a coroutine|local in connect|True"
    )
    gate.set()
    answer = await two.receive_from(timeout=20)
    assert isinstance(answer, str) and answer.startswith("user of /2|set in connect|")
    await closed([one, two])
    assert user.get() == "nobody"


async def test_a_thread_may_close_a_consumer_that_has_ended() -> None:
    kept: list[WebsocketConsumer] = []

    class Left(WebsocketConsumer):
        def connect(self) -> None:
            kept.append(self)
            self.accept()

    client = ApplicationCommunicator(Left.as_asgi(), {"type": "websocket", "path": "/", "headers": []})
    await client.send_input({"type": "websocket.connect"})
    assert (await client.receive_output())["type"] == "websocket.accept"
    await client.send_input({"type": "websocket.disconnect", "code": 1000})
    await client.wait()
    await asyncio.to_thread(kept[0].close)


async def test_frames_leave_while_the_handler_goes_on() -> None:
    gate = threading.Event()

    def receive(self: Any, text: str) -> None:
        self.send(text_data="first")
        gate.wait(20)
        self.send(text_data="second")

    (client,) = await opened(receiving(receive), 1)
    await client.send_to(text_data="x")
    assert await client.receive_from(timeout=20) == "first"
    gate.set()
    assert await client.receive_from(timeout=20) == "second"
    await closed([client])


async def test_a_handler_waits_for_a_client_that_does_not_read() -> None:
    sent: list[int] = []
    reading = asyncio.Event()

    def receive(self: Any, text: str) -> None:
        for number in range(500):
            self.send(text_data=str(number))
            sent.append(number)

    app = receiving(receive).as_asgi()

    client = await Conversation(stuck(app, reading)).open()
    await client.send_to(text_data="x")
    await until_async(lambda: len(sent) >= MAX_UNSENT - 1, "the handler has filled its queue")
    other = await Conversation(app).open()  # others are served meanwhile
    assert len(sent) <= MAX_UNSENT + 1  # the server has one
    reading.set()
    assert [await client.receive_from(timeout=20) for _ in range(500)] == [str(n) for n in range(500)]
    await closed([client, other])


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_clients_that_do_not_read_hold_no_others_up(
    more: int, caplog: pytest.LogCaptureFixture
) -> None:
    reading, ends, waits = asyncio.Event(), [], []

    def receive(self: Any, text: str) -> None:
        if text == "raise":
            raise LookupError(text)
        if text == "page":
            waits.append(self)
            for _ in range(3 * MAX_UNSENT):
                self.send(text_data="x")
        self.send(text_data=text)

    consumer = receiving(receive, disconnect=lambda self, code: ends.append(code))
    app = consumer.as_asgi()

    count = thread_limit() + more
    clients = [await Conversation(stuck(app, reading)).open() for _ in range(count)]
    for client in clients:
        await client.send_to(text_data="page")
    await until_async(lambda: len(waits) == count, "all handlers wait for their clients")
    other = await Conversation(app).open()
    await other.send_to(text_data="hello")
    assert await other.receive_from(timeout=20) == "hello"
    await other.send_to(text_data="raise")
    assert await other.closed() == 1011
    assert ends == [1011], "disconnect() has its thread, too"
    reading.set()
    for client in clients:
        assert [await client.receive_from(timeout=20) for _ in range(3 * MAX_UNSENT)]
        assert await client.receive_from(timeout=20) == "page"
    await closed(clients)


@pytest.fixture
def own_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Any]]:
    """Gives this test a pool of so many threads."""
    monkeypatch.setattr(threads_module, "_executor", None)
    with contextlib.ExitStack() as until_the_end:
        yield lambda count: until_the_end.enter_context(override(CHANNEL_THREADS=count))
        executor().shutdown(wait=False)


async def awaited_dispatch(self: Any, message: Message) -> None:
    await SyncConsumer.dispatch(self, message)


@pytest.mark.parametrize(
    "attributes",
    [{}, {"concurrency": 2}, {"dispatch": awaited_dispatch}],
    ids=["plain", "several", "awaited"],
)
@pytest.mark.parametrize("early", [True, False])
async def test_clients_that_do_not_read_hold_up_no_other_kind_of_consumer(
    attributes: dict[str, Any], own_threads: Callable[[int], Any], early: bool
) -> None:
    """Was: those whose handlers are called one by one had no thread for as long as such clients liked."""
    own_threads(2)
    reading, gate, began = asyncio.Event(), threading.Event(), []

    def page(self: Any, text: str) -> None:
        began.append(self)
        assert gate.wait(20)
        for _ in range(3 * MAX_UNSENT):
            self.send(text_data="x")

    clients = [await Conversation(stuck(receiving(page).as_asgi(), reading)).open() for _ in range(2)]
    (other,) = await opened(receiving(lambda self, text: self.send(text_data=text), **attributes), 1)
    for client in clients:
        await client.send_to(text_data="page")
    await until_async(lambda: len(began) == 2, "they have both threads")
    if early:
        await other.send_to(text_data="hello")
        await until_async(lambda: executor()._calls == 3 or not attributes, "it waits for one")
        gate.set()
    else:
        gate.set()
        await until_async(lambda: executor()._aside == 2, "they wait for their clients")
        await other.send_to(text_data="hello")
    assert await other.receive_from(timeout=20) == "hello"
    reading.set()
    await closed([*clients, other])
    await until_async(lambda: (executor()._aside, executor()._more) == (0, 0), "the further threads end")


async def test_a_thread_that_is_free_again_is_used_while_the_others_block(
    own_threads: Callable[[int], Any],
) -> None:
    """Was: it left the queue to the other one, which nobody saw block, so a message waited for that."""
    own_threads(2)
    gates = {"first": threading.Event(), "second": threading.Event()}
    began: list[str] = []

    def handle(self: Any, text: str) -> None:
        began.append(text)
        if text in gates:
            assert gates[text].wait(20)
        self.send(text_data=text)

    # Of three classes: which handlers of a class are slow is remembered.
    clients = [client for _ in range(3) for client in await opened(receiving(handle), 1)]
    for client, text in zip(clients, [*gates, "third"], strict=True):
        await client.send_to(text_data=text)
    await until_async(lambda: len(began) == 2, "both threads are blocked")
    gates["first"].set()
    assert await clients[2].receive_from(timeout=10) == "third"
    gates["second"].set()
    await closed(clients)


async def test_one_that_does_not_read_makes_room_for_one(own_threads: Callable[[int], Any]) -> None:
    """The limit is in force: no more handlers run than before, beside the one that waits for its client."""
    own_threads(1)
    reading, running, most, done = asyncio.Event(), [0], [0], [0]
    lock = threading.Lock()

    def page(self: Any, text: str) -> None:
        for _ in range(3 * MAX_UNSENT):
            self.send(text_data="x")

    def work(self: Any, text: str) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        threading.Event().wait(TICK_S)
        with lock:
            running[0] -= 1
            done[0] += 1

    client = await Conversation(stuck(receiving(page).as_asgi(), reading)).open()
    await client.send_to(text_data="page")
    await until_async(lambda: executor()._aside == 1, "it waits for its client")
    others = await opened(receiving(work, concurrency=4), 3)
    for _ in range(4):
        for other in others:
            await other.send_to(text_data="x")
    await until_async(lambda: done[0] == 12, "all have been handled")
    assert most == [1]
    reading.set()
    await closed([client, *others])


@pytest.mark.parametrize("attributes", [{}, {"concurrency": 2}], ids=str)
@pytest.mark.parametrize("count", [1, 2, 3])
async def test_busy_clients_leave_others_a_thread(
    count: int, attributes: dict[str, Any], own_threads: Callable[[int], Any]
) -> None:
    """Was: workers that always had a frame kept their threads, which disconnect() waited for in vain."""
    own_threads(count)
    ended = threading.Event()

    def fail(self: Any, text: str) -> None:
        raise LookupError(text)

    def work(self: Any, text: str) -> None:
        ended.wait(3 * TICK_S)

    async def flood(client: Conversation) -> None:
        while not ended.is_set():
            if client.input_queue.qsize() < 5:
                await client.send_to(text_data="x")
            await asyncio.sleep(0)

    busy = await opened(receiving(work), 2 * count + 2)
    floods = [asyncio.ensure_future(flood(client)) for client in busy]
    try:
        consumer = receiving(fail, disconnect=lambda self, code: ended.set(), **attributes)
        (client,) = await opened(consumer, 1)
        await client.send_to(text_data="x")
        await until_async(ended.is_set, "disconnect() has run")
    finally:
        ended.set()
        await asyncio.gather(*floods)
    assert await client.closed() == 1011
    await closed(busy)


@pytest.mark.parametrize("more", [0, 1, 2])
async def test_a_handler_that_sends_once_waits_for_no_client(more: int) -> None:
    """Was: the one that filled the queue had a thread of its own for as long as its client did not read."""
    reading, ended = asyncio.Event(), []

    def receive(self: Any, text: str) -> None:
        self.send(text_data=text)
        ended.append(text)

    app = receiving(receive).as_asgi()

    client = await Conversation(stuck(app, reading)).open()
    for number in range(MAX_UNSENT + more):
        await client.send_to(text_data=str(number))
    await until_async(lambda: len(ended) >= MAX_UNSENT, "all have sent for which there is room")
    assert executor()._aside == 0
    reading.set()
    expected = [str(number) for number in range(MAX_UNSENT + more)]
    assert [await client.receive_from(timeout=20) for _ in expected] == expected
    await closed([client])


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_what_a_handler_has_sent_stays_as_it_was(count: int) -> None:
    """It may use its dict and its buffer again, as where the server has a message when ``send()`` returns."""

    def receive(self: Any, text: str) -> None:
        message: Message = {"type": "websocket.send"}
        for number in range(count):
            message["text"] = str(number)
            SyncConsumer.send(self, message)
        buffer = bytearray(1)
        for number in range(count):
            buffer[0] = number
            self.send(bytes_data=buffer)
            self.send(bytes_data=memoryview(buffer))

    (client,) = await opened(receiving(receive), 1)
    await client.send_to(text_data="x")
    assert [await client.receive_from(timeout=20) for _ in range(count)] == [str(n) for n in range(count)]
    data = [await client.receive_from(timeout=20) for _ in range(2 * count)]
    assert data == [bytes((number,)) for number in range(count) for _ in range(2)]
    await closed([client])


async def test_handlers_run_again_after_a_time_without_threads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, own_threads: Callable[[int], Any]
) -> None:
    """Was: each thread that did not start took a place in the pool for good."""

    def exhausted(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    own_threads(3)
    monkeypatch.setattr(pool_module, "_throttle", Throttle())
    app = receiving(lambda self, text: self.send(text_data=text)).as_asgi()
    clients = [await Conversation(app).open() for _ in range(3)]
    pool = pool_of(asyncio.get_running_loop())
    await until_async(lambda: pool.parked is None and not pool.active, "no worker is there")
    with monkeypatch.context() as without_threads:
        without_threads.setattr(threads_module, "_executor", None)
        without_threads.setattr(threading.Thread, "start", exhausted)
        for client in clients:
            await client.send_to(text_data="hello")
        await until_async(lambda: "can't start new thread" in caplog.text, "it is said")
        await until_async(lambda: not pool.active, "who has no thread has no place")
    assert [await client.receive_from(timeout=20) for client in clients] == ["hello"] * 3
    await until_async(lambda: not pool.active, "there is nothing to do")
    assert len([record for record in caplog.records if "has no thread" in record.getMessage()]) == 1
    await closed(clients)


async def test_sending_from_a_thread_of_the_users_own() -> None:
    def receive(self: Any, text: str) -> None:
        threading.Thread(target=self.send, kwargs={"text_data": "from a thread"}).start()

    (client,) = await opened(receiving(receive), 1)
    await client.send_to(text_data="x")
    assert await client.receive_from(timeout=20) == "from a thread"
    await closed([client])


async def test_a_server_that_refuses_a_message(caplog: pytest.LogCaptureFixture) -> None:
    app = receiving(lambda self, text: self.send(text_data="x")).as_asgi()

    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        async def refuse(message: Message) -> None:
            if message["type"] == "websocket.send":
                raise RuntimeError("Unexpected ASGI message")
            await send(message)

        await app(scope, receive, refuse)

    client = await Conversation(refusing).open()
    await client.send_to(text_data="x")
    assert await client.closed() == 1011
    assert len(caplog.records) == 1 and "Unexpected ASGI message" in caplog.text


@pytest.mark.parametrize("consumer", [receiving(lambda self, text: self.send(text_data="x"))])
async def test_a_client_that_has_left(consumer: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = consumer.as_asgi()

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        async def fail(message: Message) -> None:
            if message["type"] == "websocket.send":
                raise ConnectionResetError("gone")
            await send(message)

        await app(scope, receive, fail)

    client = await Conversation(broken).open()
    for _ in range(3):
        await client.send_to(text_data="x")
    await client.disconnect()
    assert not caplog.records


async def test_a_cancelled_connection_waits_for_its_handler(layer: InMemoryChannelLayer) -> None:
    entered, gate, order = threading.Event(), threading.Event(), []

    def receive(self: Any, text: str) -> None:
        entered.set()
        gate.wait(20)
        order.append("handler")

    def disconnect(self: Any, code: int) -> None:
        order.append(f"disconnect {code}")

    (client,) = await opened(receiving(receive, disconnect=disconnect, groups=["room"]), 1)
    await client.send_to(text_data="x")
    await until_async(entered.is_set, "the handler runs")
    client.future.cancel()
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await client.future
    assert order == ["handler", "disconnect 1001"]
    assert layer.groups == {}


async def test_cancelling_what_a_handler_awaits(caplog: pytest.LogCaptureFixture) -> None:
    waiting = asyncio.Event()

    async def forever() -> None:
        waiting.set()
        await asyncio.Event().wait()

    (client,) = await opened(receiving(lambda self, text: async_to_sync(forever)()), 1)
    await client.send_to(text_data="x")
    await waiting.wait()
    client.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(client.future, 20)


async def test_stop_consumer_and_order_under_load() -> None:
    class Counting(SyncConsumer):
        def count(self, message: Message) -> None:
            seen.append((id(self), message["n"]))
            if message["n"] == 99:
                raise StopConsumer

    seen: list[tuple[int, int]] = []
    communicators = [ApplicationCommunicator(Counting.as_asgi(), {"type": "test"}) for _ in range(10)]
    for number in range(100):
        for communicator in communicators:
            await communicator.send_input({"type": "count", "n": number})
    for communicator in communicators:
        await communicator.wait(timeout=20)
    by_consumer: dict[int, list[int]] = {}
    for consumer, number in seen:
        by_consumer.setdefault(consumer, []).append(number)
    assert len(by_consumer) == 10
    assert all(numbers == list(range(100)) for numbers in by_consumer.values())


def test_one_event_loop_after_another() -> None:
    consumer = receiving(lambda self, text: self.send(text_data=text))

    async def main() -> None:
        (client,) = await opened(consumer, 1)
        await client.send_to(text_data="x")
        assert await client.receive_from(timeout=20) == "x"
        await closed([client])

    for _ in range(3):
        asyncio.run(main())


@pytest.mark.parametrize("value", [-1, "24", 2.5, True, None])
def test_a_wrong_number_of_threads(value: Any) -> None:
    with (
        override(CHANNEL_THREADS=value),
        pytest.raises(ImproperlyConfigured, match="CHANNEL_THREADS must be"),
    ):
        thread_limit()


async def test_many_frames_leave_the_loop_to_others_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: the frames of a large room in one callback, and of those that workers had ready meanwhile."""
    times = itertools.count()
    monkeypatch.setattr(pool_module, "steady", lambda: next(times) * pool_module.SLICE_S)
    order: list[str] = []

    class Ready:
        def wake(self) -> None:
            order.append("frame")
            if order == ["frame"]:
                asyncio.get_running_loop().call_soon(order.append, "another")

    pool = pool_module.Pool(asyncio.get_running_loop())
    pool.touched.extend(Ready() for _ in range(10))  # type: ignore[misc]  # it is only woken
    pool.flush_soon()
    await until_async(lambda: order.count("frame") == 10, "all are woken")
    assert 0 < order.index("another") < 5


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="a collection begins between two instructions")
async def test_workers_come_while_the_tick_collects_garbage() -> None:
    """Was: a collection while the workers were copied let others change their set."""
    pool = pool_module.Pool(asyncio.get_running_loop())
    pool.active.update(Worker() for _ in range(30))

    def come(_phase: str, _info: dict[str, int]) -> None:
        if pool.lock.acquire(blocking=False):  # as other threads do, which run during a collection
            if len(pool.active) < 1000:  # a traced call is a collection too, and there is one for each worker
                pool.active.add(Worker())
            pool.lock.release()

    thresholds = gc.get_threshold()
    gc.callbacks.append(come)
    gc.set_threshold(1)
    try:
        for _ in range(100):
            pool._look_after_workers()
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(come)
    assert len(pool.active) > 30


@pytest.mark.parametrize("given", [3, [1, 2], "text"])
async def test_what_is_no_frame_is_the_servers_to_refuse(given: Any) -> None:
    """Was: ``bytes_data=3`` sent three zeros."""

    def send(self: Any, text: str) -> None:
        self.base_send({"type": "websocket.send", "bytes": given})

    (client,) = await opened(receiving(send), 1)
    await client.send_to(text_data="send")
    assert await client.receive_output() == {"type": "websocket.send", "bytes": given}
    await client.disconnect()


@pytest.mark.parametrize("joins", [1, 2, 3])
async def test_the_room_for_a_history_is_not_kept(joins: int) -> None:
    layer = InMemoryChannelLayer(capacity=10, history={"room": {"count": 50, "on_join": 50}})
    for number in range(50):
        await layer.group_send("room", {"type": "one.message", "n": number})
    made: list[Any] = []

    def receive(self: Any, text: str) -> None:
        made.append(self)
        async_to_sync(layer.group_discard)("room", self.channel_name)
        async_to_sync(layer.group_add)("room", self.channel_name)

    consumer = receiving(receive, one_message=lambda self, event: self.send(text_data=str(event["n"])))
    register_channel_layer("default", layer)
    try:
        (client,) = await opened(consumer, 1)
        for _ in range(joins):
            await client.send_to(text_data="join")
            assert [await client.receive_from(timeout=20) for _ in range(50)] == [*map(str, range(50))]
        inbox = made[0].base_send.__self__.inbox
        await until_async(lambda: inbox.capacity == 10, "there is room for as many as before")
        await client.disconnect()
    finally:
        unregister_channel_layer("default")


def test_a_call_waits_for_a_busy_thread_if_the_system_gives_no_further_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Was: it failed with a RuntimeError, so a disconnect() might not run."""
    threads, began, gate = Threads(1), threading.Event(), threading.Event()

    def wait_for_a_client() -> str:
        threads.step_aside(1)
        began.set()
        assert gate.wait(20)
        threads.step_aside(-1)
        return "first"

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    first = threads.submit(wait_for_a_client)
    assert began.wait(20)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        second = threads.submit(lambda: "second")
    gate.set()
    assert (first.result(20), second.result(20)) == ("first", "second")
    threads.shutdown()
    assert (threads._calls, threads._aside, threads._more) == (0, 0, 0)


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_handler_waits_for_a_busy_thread_if_the_system_gives_no_other(
    monkeypatch: pytest.MonkeyPatch, own_threads: Callable[[int], Any], concurrency: int
) -> None:
    """Was: with concurrency its connection ended with an error, though a thread would be free again."""
    own_threads(2)
    began, gate = threading.Event(), threading.Event()

    def block(self: Any, text: str) -> None:
        began.set()
        assert gate.wait(20)

    def echo(self: Any, text: str) -> None:
        self.send(text_data=text)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads_module, "_executor", Threads(2))
    pool = pool_of(asyncio.get_running_loop())
    (waits,) = await opened(receiving(echo, concurrency=concurrency), 1)
    await until_async(lambda: executor()._calls == 0, "its thread is idle")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        (blocked,) = await opened(receiving(block), 1)
        await until_async(lambda: pool.parked is None and not pool.active, "no worker is there")
        await blocked.send_to(text_data="x")
        await until_async(began.is_set, "it blocks the only thread")
        await waits.send_to(text_data="y")
        await until_async(lambda: executor()._calls == 2, "it asks for a thread")
    gate.set()
    assert await waits.receive_from(timeout=20) == "y"
    await closed([blocked, waits])


async def test_a_further_thread_ends_when_the_client_has_read() -> None:
    """Else more handlers run at once than CHANNEL_THREADS, for as long as calls wait."""
    threads, aside = Threads(1), threading.Event()
    gates = [threading.Event() for _ in range(3)]

    def wait_for_a_client() -> None:
        threads.step_aside(1)
        aside.set()
        assert gates[0].wait(20)
        threads.step_aside(-1)
        gates[1].set()
        assert gates[2].wait(20)

    first = threads.submit(wait_for_a_client)
    await until_async(aside.is_set, "it waits for its client")
    further = threads.submit(gates[1].wait, 20)
    waits = threads.submit(gates[2].is_set)
    gates[0].set()
    await until_async(lambda: further.done() and (threads._more == 0 or waits.done()), "the thread is free")
    gates[2].set()
    assert waits.result(20) and first.result(20) is None
    threads.shutdown()


@pytest.mark.parametrize("members", [1, 2, 3])
@pytest.mark.parametrize("only_sends", [True, False])
async def test_a_sender_waits_for_workers(
    only_sends: bool, members: int, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: nobody waited for a sync consumer, whose worker did not even begin before the inbox was full."""
    monkeypatch.setattr(pool_module, "TICK_S", 60.0)  # a thread that the system holds up is not stuck here
    monkeypatch.setattr(scheduler_module, "RELIEF_TURNS", sys.maxsize)
    seen: list[str] = []

    class Room(WebsocketConsumer):
        groups = ["room"]

        def first_message(self, event: Message) -> None:
            self.send(text_data=event["text"])

        def other_message(self, event: Message) -> None:
            seen.append(event["text"])
            self.send(text_data=event["text"])

    clients = [await Conversation(Room.as_asgi()).open() for _ in range(members)]
    texts = [str(number) for number in range(5 * layer.capacity)]
    for text in texts:
        await layer.group_send(
            "room", {"type": f"{'first' if only_sends else 'other'}.message", "text": text}
        )
    for client in clients:
        assert [await client.receive_from() for _ in texts] == texts
        await client.disconnect()
    assert only_sends or len(seen) == members * len(texts)


@pytest.mark.parametrize("blocked", [1, 2, 3])
async def test_a_sender_waits_for_no_handler_that_blocks(
    blocked: int, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for one that a thread runs, nor for one that waits for a thread."""
    monkeypatch.setattr(pool_of(asyncio.get_running_loop()), "size", 2)
    done = threading.Event()

    class Room(WebsocketConsumer):
        groups = ["room"]

        def chat_message(self, event: Message) -> None:
            done.wait(20)
            self.send(text_data=event["text"])

    clients = [await Conversation(Room.as_asgi()).open() for _ in range(blocked)]
    for number in range(5 * layer.capacity):
        await layer.group_send("room", {"type": "chat.message", "text": str(number)})
    assert not done.is_set()
    done.set()
    for client in clients:
        got = [await client.receive_from() for _ in range(layer.capacity)]
        assert got == list(map(str, range(layer.capacity)))
        await client.disconnect()


UNSENT = """
import asyncio
from compat.generic.websocket import WebsocketConsumer
from tests.support.conversations import Conversation

class Chatty(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        for number in range(1000):
            self.send(text_data=str(number))

async def begin():
    client = await Conversation(Chatty.as_asgi()).open()
    client.output_queue._maxsize = 1
    await client.send_to(text_data="begin")
    await client.receive_from()
    return client

loop = asyncio.new_event_loop()
client = loop.run_until_complete(begin())
loop.close()
print("closed", flush=True)
"""


def test_a_handler_that_waits_for_a_client_does_not_keep_a_process_whose_loop_was_closed() -> None:
    """Was: its thread waited for ever, and the interpreter for the thread."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", UNSENT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout == "closed\n" and ran.returncode == 0, ran.stderr
