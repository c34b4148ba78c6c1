"""The worker: one instance per channel, in order, and no message that ends it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from fastapi import FastAPI

from compat.consumer import AsyncConsumer, SyncConsumer
from compat.exceptions import StopConsumer
from compat.layers import InMemoryChannelLayer
from compat.routing import ChannelNameRouter, ProtocolTypeRouter
from compat.types import ASGIApp, Message, Receive, Scope, Send
from compat.worker import AHEAD, Worker
from compat.worker.application import problem_of
from tests.support.environments import Environment
from tests.support.processes import UNCOVERED, Process
from tests.support.waiting import until_async


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[None]:
    task = asyncio.ensure_future(worker.arun())  # type: ignore[no-untyped-call]
    yield
    task.cancel()
    await asyncio.wait((task,))


@asynccontextmanager
async def in_advance(receive: Receive) -> AsyncIterator[Receive]:
    """Middleware's `receive()`: a task reads on, whether a consumer asks for a message or not."""
    read: asyncio.Queue[Message] = asyncio.Queue()

    async def read_on() -> None:
        while True:
            read.put_nowait(await receive())

    reading = asyncio.ensure_future(read_on())
    try:
        yield read.get
    finally:
        reading.cancel()


async def test_a_layer_is_needed() -> None:
    with pytest.raises(ValueError, match="the worker's alias is not configured"):
        Worker(ChannelNameRouter({}), ["jobs"], None)


async def test_a_channel_is_needed(layer: InMemoryChannelLayer) -> None:
    """Was: it began, and could not be stopped."""
    with pytest.raises(ValueError, match="expected the names of one or more channels"):
        Worker(ChannelNameRouter({}), [], layer)


@pytest.mark.parametrize("base", [AsyncConsumer, SyncConsumer])
async def test_the_scope_is_that_of_channels(layer: InMemoryChannelLayer, base: Any) -> None:
    """Was: it had an object of ours too, so it could not be written as JSON."""
    seen: list[str] = []

    def job(self: Any, message: Message) -> None:
        seen.append(json.dumps(self.scope))
        if len(seen) == 1:
            raise RuntimeError("the next one has a new instance")

    async def awaited(self: Any, message: Message) -> None:
        job(self, message)

    jobs: Any = type("Jobs", (base,), {"job": job if base is SyncConsumer else awaited})
    async with working(Worker(jobs.as_asgi(), ["jobs"], layer)):
        for _ in range(3):
            await layer.send("jobs", {"type": "job"})
        await until_async(lambda: len(seen) == 3, "all jobs are done")
    assert {*seen} == {'{"type": "channel", "channel": "jobs"}'}


async def test_one_instance_per_channel_handles_its_messages_in_order(layer: InMemoryChannelLayer) -> None:
    seen: list[Any] = []

    class Jobs(AsyncConsumer):
        async def job(self, message: Message) -> None:
            seen.append((id(self), self.scope["channel"], message["n"]))

    class Thumbnails(SyncConsumer):
        def job(self, message: Message) -> None:
            seen.append((id(self), self.scope["channel"], message["n"]))

    router = ChannelNameRouter({"jobs": Jobs.as_asgi(), "thumbs": Thumbnails.as_asgi()})
    async with working(Worker(router, ["jobs", "thumbs"], layer)):
        for number in range(10):
            await layer.send("jobs", {"type": "job", "n": number})
            await layer.send("thumbs", {"type": "job", "n": number})
        await until_async(lambda: len(seen) == 20, "all jobs are done")
    for channel in ("jobs", "thumbs"):
        mine = [entry for entry in seen if entry[1] == channel]
        assert [number for _, _, number in mine] == list(range(10))
        assert len({instance for instance, _, _ in mine}) == 1


async def test_no_message_ends_the_worker(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []

    class Jobs(AsyncConsumer):
        async def job(self, message: Message) -> None:
            if message["n"] == 0:
                raise LookupError("a bug")
            done.append(message["n"])

    async with working(Worker(Jobs.as_asgi(), ["jobs"], layer)):
        await layer.send("jobs", {"n": "no type"})
        await layer.send("jobs", {"type": "job", "n": 0})
        await until_async(lambda: len(caplog.records) == 2, "both are logged")
        await layer.send("jobs", {"type": "job", "n": 1})
        await until_async(lambda: done == [1], "the next message makes a new instance")
    assert "has no 'type'" in caplog.text and "a bug" in caplog.text


async def test_a_message_right_after_a_failure_is_not_lost(layer: InMemoryChannelLayer) -> None:
    failed, done = asyncio.Event(), asyncio.Event()

    class Jobs(AsyncConsumer):
        async def job(self, message: Message) -> None:
            done.set()

        async def fails(self, message: Message) -> None:
            asyncio.get_running_loop().call_later(0, failed.set)
            raise LookupError("a bug")

    worker = Worker(Jobs.as_asgi(), ["jobs"], layer)
    worker.application_checker_interval = 3600  # asgiref's own look at the instances comes too late
    async with working(worker):
        await layer.send("jobs", {"type": "fails"})
        await failed.wait()
        await until_async(lambda: worker.application_instances["jobs"]["future"].done(), "it has failed")
        await layer.send("jobs", {"type": "job"})
        await asyncio.wait_for(done.wait(), 10)


async def test_a_worker_has_no_client(layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture) -> None:
    class Jobs(AsyncConsumer):
        async def job(self, message: Message) -> None:
            await self.send({"type": "websocket.send", "text": "x"})

    async with working(Worker(Jobs.as_asgi(), ["jobs"], layer)):
        await layer.send("jobs", {"type": "job"})
        await until_async(lambda: "use channel_layer.send()" in caplog.text, "the error says what to do")


@pytest.mark.parametrize("base", [AsyncConsumer, SyncConsumer])
async def test_messages_behind_a_failure_are_not_lost(layer: InMemoryChannelLayer, base: Any) -> None:
    """Also those that the consumer had already been given."""
    seen: list[int] = []
    fail = asyncio.Event()

    class Slow(AsyncConsumer):
        async def job(self, message: Message) -> None:
            if message["n"] == 0:
                await fail.wait()
                raise ValueError("no")
            seen.append(message["n"])

    class SlowInThreads(SyncConsumer):
        def job(self, message: Message) -> None:
            if message["n"] == 0:
                assert released.wait(15)
                raise ValueError("no")
            seen.append(message["n"])

    released = threading.Event()
    consumer: Any = Slow if base is AsyncConsumer else SlowInThreads
    async with working(Worker(ChannelNameRouter({"jobs": consumer.as_asgi()}), ["jobs"], layer)):
        for number in range(50):
            await layer.send("jobs", {"type": "job", "n": number})
        await until_async(lambda: layer.depth() <= 50 - AHEAD, "as many wait in the worker as may")
        assert layer.depth() >= 50 - AHEAD - 3, "and not more: the layer bounds the others"
        fail.set()
        released.set()
        await until_async(lambda: len(seen) == 49, "the others are handled")
    assert seen == list(range(1, 50))


async def test_what_is_handled_is_not_handled_again_after_a_failure(layer: InMemoryChannelLayer) -> None:
    """Was: it was, where middleware copies the messages."""
    seen: list[int] = []

    class Jobs(AsyncConsumer):
        async def job(self, message: Message) -> None:
            seen.append(message["n"])
            if message["n"] == 3:
                raise ValueError("no")

    consumer = Jobs.as_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        async def copied() -> Message:
            return {**await receive()}

        await consumer(scope, copied, send)

    async with working(Worker(middleware, ["jobs"], layer)):
        for number in range(6):
            await layer.send("jobs", {"type": "job", "n": number})
        await until_async(lambda: seen[-1:] == [5], "all are handled")
    assert seen == [*range(6)]


async def test_a_message_that_ends_each_consumer_is_dropped(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    made = itertools.count(1)
    seen: list[int] = []

    class Moody(AsyncConsumer):
        def __init__(self) -> None:
            super().__init__()
            if next(made) <= 2:
                raise ValueError("not now")

        async def job(self, message: Message) -> None:
            seen.append(message["n"])

    async with working(Worker(ChannelNameRouter({"jobs": Moody.as_asgi()}), ["jobs"], layer)):
        for number in range(3):
            await layer.send("jobs", {"type": "job", "n": number})
        await until_async(lambda: seen == [1, 2], "the others are handled")
    assert caplog.text.count("ends each consumer; dropped: {'type': 'job', 'n': 0}") == 1


async def test_a_message_that_waits_behind_a_later_failure_is_not_dropped(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    """Was: as many waited as the instance had been given at its beginning, so it counted as not begun."""
    seen: list[str] = []
    began, fail = asyncio.Event(), asyncio.Event()

    class Jobs(AsyncConsumer):
        async def job(self, message: Message) -> None:
            seen.append(message["name"])
            if message["name"].startswith("fails"):
                began.set()
                await fail.wait()
                raise ValueError("no")

    async with working(Worker(Jobs.as_asgi(), ["jobs"], layer)):
        for first, second in (("fails 1", "waits 1"), ("fails 2", "waits 2")):
            await layer.send("jobs", {"type": "job", "name": first})
            await asyncio.wait_for(began.wait(), 15)
            await layer.send("jobs", {"type": "job", "name": second})
            await until_async(lambda: layer.depth() == 0, "the second one waits in the worker")
            began.clear()
            fail.set()
            await until_async(lambda name=second: seen[-1:] == [name], "it is handled")  # type: ignore[misc]
            fail.clear()
    assert seen == ["fails 1", "waits 1", "fails 2", "waits 2"]
    assert "dropped" not in caplog.text


async def test_a_handler_whose_task_is_cancelled_does_not_end_the_worker(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    done = asyncio.Event()
    is_told = sys.version_info >= (3, 11)  # Python 3.10 cannot tell whose cancellation it is

    class Cancels(AsyncConsumer):
        async def job(self, message: Message) -> None:
            if message["n"] == 1:
                done.set()
                return
            task = asyncio.ensure_future(asyncio.sleep(60))
            await asyncio.sleep(0)
            task.cancel()
            await task

    async with working(Worker(ChannelNameRouter({"jobs": Cancels.as_asgi()}), ["jobs"], layer)):
        await layer.send("jobs", {"type": "job", "n": 0})
        await until_async(lambda: "failed" in caplog.text or not is_told, "it is logged")
        await layer.send("jobs", {"type": "job", "n": 1})
        await asyncio.wait_for(done.wait(), 15)
    assert caplog.text.count("the consumer of channel 'jobs' failed") == is_told


async def test_a_listener_of_a_subclass_gives_the_scope_of_channels(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []

    class Jobs(AsyncConsumer):
        async def job(self, message: Message) -> None:
            if message["n"] == 1:
                raise LookupError("a bug")
            done.append(message["n"])

    class Own(Worker):
        async def listener(self, channel: str) -> None:
            while True:
                message = await self.channel_layer.receive(channel)
                scope = {"type": "channel", "channel": channel}
                queue = self.get_or_create_application_instance(channel, scope)  # type: ignore[no-untyped-call]
                await queue.put(message)

    async with working(Own(ChannelNameRouter({"jobs": Jobs.as_asgi()}), ["jobs"], layer)):
        for number in range(3):
            await layer.send("jobs", {"type": "job", "n": number})
        await until_async(lambda: done == [0, 2], "the others are handled")
    assert caplog.text.count("the consumer of channel 'jobs' failed") == 1


# Acknowledging


class Jobs:
    """A layer from which a worker takes jobs; ``log`` says what has become of them."""

    def __init__(self, log: list[str]) -> None:
        self.waiting: asyncio.Queue[Message] = asyncio.Queue()
        self.log = log

    async def take(self, channel: str) -> Job:
        return Job(await self.waiting.get(), self.log)


class Job:
    def __init__(self, message: Message, log: list[str]) -> None:
        self.message = message
        self.log = log

    def acknowledge(self) -> None:
        self.log.append(f"acknowledged {self.message['type']}")

    def failed(self) -> None:
        self.log.append(f"failed {self.message['type']}")

    def put_back(self) -> None:
        self.log.append(f"put back {self.message['type']}")


Makes = Callable[[Message], list[Message]]


def copies(types: str) -> Makes:
    """Copy the messages whose types begin with ``types``."""
    return lambda message: [{**message, "v": 2} if message["type"].startswith(types) else message]


def worker_behind(
    makes: Makes, base: Any, concurrency: int, log: list[str]
) -> tuple[Worker, Jobs, threading.Event]:
    """A worker behind middleware that ``makes`` messages of each, its layer and its gate."""
    gate = threading.Event()

    def handle(self: Any, message: Message) -> None:
        log.append(f"handles {message['type']}")
        if message["type"] == "held":
            assert gate.wait(15)
        log.append(f"handled {message['type']}")

    def join(self: Any, message: Message) -> None:
        async_to_sync(self.channel_layer.group_add)("workers", self.channel_name)

    async def in_a_thread(self: Any, message: Message) -> None:
        await asyncio.to_thread(handle, self, message)

    async def join_here(self: Any, message: Message) -> None:
        await self.channel_layer.group_add("workers", self.channel_name)

    sync = base is SyncConsumer
    methods = dict.fromkeys(("held", "plain", "special", "added"), handle if sync else in_a_thread)
    methods |= {"join": join if sync else join_here}
    made: Any = type("Made", (base,), {**methods, "concurrency": concurrency})
    consumer = made.as_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        made: deque[Message] = deque()

        async def next_one() -> Message:
            while not made:
                made.extend(makes(await receive()))
            return made.popleft()

        await consumer(scope, next_one, send)

    jobs = Jobs(log)
    return Worker(middleware, ["jobs"], jobs), jobs, gate


flavours = pytest.mark.parametrize(
    ("base", "concurrency"), [(AsyncConsumer, 1), (AsyncConsumer, 2), (SyncConsumer, 1), (SyncConsumer, 2)]
)
fast_or_not = pytest.mark.parametrize("fast", ["1", "0"])


@flavours
@fast_or_not
async def test_jobs_of_which_middleware_copies_some(
    layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch, base: Any, concurrency: int, fast: str
) -> None:
    """Was: the copied one counted as a group's message, and its channel stood still."""
    monkeypatch.setenv("CHANNEL_FAST", fast)
    log: list[str] = []
    worker, jobs, _ = worker_behind(copies("special"), base, concurrency, log)
    async with working(worker):
        for kind in ("plain", "special", "plain"):
            jobs.waiting.put_nowait({"type": kind})
        await until_async(lambda: log.count("acknowledged plain") == 2, "all are acknowledged")
    assert log == [
        f"{what} {kind}"
        for kind in ("plain", "special", "plain")
        for what in ("handles", "handled", "acknowledged")
    ]


@flavours
@fast_or_not
@pytest.mark.parametrize("copied", ["", "none"])
async def test_the_end_of_another_handler_acknowledges_no_job(
    layer: InMemoryChannelLayer,
    monkeypatch: pytest.MonkeyPatch,
    base: Any,
    concurrency: int,
    fast: str,
    copied: str,
) -> None:
    """Was, where middleware copies each message: that of a group's message did."""
    monkeypatch.setenv("CHANNEL_FAST", fast)
    log: list[str] = []
    worker, jobs, gate = worker_behind(copies(copied), base, concurrency, log)
    async with working(worker):
        jobs.waiting.put_nowait({"type": "join"})
        await until_async(lambda: "acknowledged join" in log, "it has joined")
        if concurrency == 1:
            await layer.group_send("workers", {"type": "plain"})
            jobs.waiting.put_nowait({"type": "held"})
        else:
            jobs.waiting.put_nowait({"type": "held"})
            await until_async(lambda: "handles held" in log, "it is under way")
            await layer.group_send("workers", {"type": "plain"})
        await until_async(lambda: {"handled plain", "handles held"} <= {*log}, "the job is not done yet")
        gate.set()
        await until_async(lambda: "acknowledged held" in log, "it is done")
    assert log[-2:] == ["handled held", "acknowledged held"]


@flavours
@fast_or_not
async def test_jobs_that_middleware_drops(
    layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch, base: Any, concurrency: int, fast: str
) -> None:
    """Was: its channel stood still for ever."""
    monkeypatch.setenv("CHANNEL_FAST", fast)
    log: list[str] = []

    def makes(message: Message) -> list[Message]:
        return [] if message["type"] == "dropped" else [message]

    worker, jobs, _ = worker_behind(makes, base, concurrency, log)
    async with working(worker):
        for kind in ("dropped", "plain", "dropped", "dropped", "plain"):
            jobs.waiting.put_nowait({"type": kind})
        await until_async(lambda: log.count("acknowledged plain") == 2, "the others are handled")
    plain = ["handles plain", "handled plain", "acknowledged plain"]
    dropped = "acknowledged dropped"
    assert log == [dropped, *plain, dropped, dropped, *plain]


@flavours
@fast_or_not
@pytest.mark.parametrize(
    "makes",
    [
        lambda message: [{"type": "added"}, message],
        lambda message: [{"type": "added"}, {**message}],
        lambda message: [{"type": "added"}, {**message}, {"type": "added"}],
    ],
)
async def test_jobs_to_which_middleware_adds_messages(
    layer: InMemoryChannelLayer,
    monkeypatch: pytest.MonkeyPatch,
    base: Any,
    concurrency: int,
    fast: str,
    makes: Makes,
) -> None:
    """Was: the end of an added message's handler acknowledged the job before its own handler had ended."""
    monkeypatch.setenv("CHANNEL_FAST", fast)
    log: list[str] = []
    worker, jobs, gate = worker_behind(makes, base, concurrency, log)
    async with working(worker):
        for kind in ("held", "plain"):
            jobs.waiting.put_nowait({"type": kind})
        await until_async(lambda: {"handled added", "handles held"} <= {*log}, "the job is not done yet")
        gate.set()
        await until_async(lambda: "acknowledged plain" in log, "both are done")
    assert "handled held" in log[: log.index("acknowledged held")]
    assert "handled plain" in log[: log.index("acknowledged plain")]
    assert not any(entry.startswith("failed") for entry in log)


def with_a_time_limit(consumer: ASGIApp) -> ASGIApp:
    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        async def without_the_dropped() -> Message:
            while (message := await asyncio.wait_for(receive(), 60))["type"] == "dropped":
                pass
            return message

        await consumer(scope, without_the_dropped, send)

    return middleware


def with_a_call_for_each(consumer: ASGIApp) -> ASGIApp:
    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "dropped":
                continue
            messages = deque((message, {"type": "ends"}))

            async def one(messages: deque[Message] = messages) -> Message:
                return messages.popleft() if messages else await asyncio.Future()

            await consumer({**scope}, one, send)

    return middleware


def with_no_call(consumer: ASGIApp) -> ASGIApp:
    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if (message := await receive())["type"] != "dropped":
            messages = deque((message,))

            async def next_one() -> Message:
                return messages.popleft() if messages else await receive()

            await consumer(scope, next_one, send)

    return middleware


@pytest.mark.parametrize("around", [with_a_time_limit, with_a_call_for_each, with_no_call])
async def test_ways_to_drop_a_job(layer: InMemoryChannelLayer, around: Callable[[ASGIApp], ASGIApp]) -> None:
    log: list[str] = []

    class Handles(AsyncConsumer):
        async def plain(self, message: Message) -> None:
            log.append("handled plain")

        async def ends(self, message: Message) -> None:
            raise StopConsumer

    jobs = Jobs(log)
    async with working(Worker(around(Handles.as_asgi()), ["jobs"], jobs)):
        for kind in ("dropped", "plain", "ends", "dropped", "plain"):
            jobs.waiting.put_nowait({"type": kind})
        await until_async(lambda: log.count("acknowledged plain") == 2, "the others are handled")
    dropped, *plain = "acknowledged dropped", "handled plain", "acknowledged plain"
    assert log == [dropped, *plain, "acknowledged ends", dropped, *plain]


async def test_a_job_that_middleware_reads_in_advance(layer: InMemoryChannelLayer) -> None:
    """It asks for the next one by itself, so this says nothing about the last one."""
    log: list[str] = []

    class Handles(AsyncConsumer):
        async def job(self, message: Message) -> None:
            for _ in range(10):  # an acknowledgement takes fewer turns of the loop
                await asyncio.sleep(0)
            log.append("handled job")

    consumer = Handles.as_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        async with in_advance(receive) as read:
            await consumer(scope, read, send)

    jobs = Jobs(log)
    async with working(Worker(middleware, ["jobs"], jobs)):
        for _ in range(3):
            jobs.waiting.put_nowait({"type": "job"})
        await until_async(lambda: log.count("acknowledged job") == 3, "they are done")
    assert log[-4:] == ["handled job", "acknowledged job"] * 2  # the first one was read before the call


@pytest.mark.parametrize("base", [AsyncConsumer, SyncConsumer])
async def test_a_job_that_middleware_reads_in_advance_waits_in_the_consumer(
    layer: InMemoryChannelLayer, base: Any
) -> None:
    """Was: it was given back, and handled all the same."""
    log: list[str] = []
    channel: list[str] = []
    gate = threading.Event()

    def handle(self: Any, message: Message) -> None:
        channel.append(self.channel_name)
        log.append(f"handles {message['type']}")
        if message["type"] == "held":
            assert gate.wait(15)
        log.append(f"handled {message['type']}")

    async def in_a_thread(self: Any, message: Message) -> None:
        await asyncio.to_thread(handle, self, message)

    method = handle if base is SyncConsumer else in_a_thread
    made: Any = type("Made", (base,), dict.fromkeys(("first", "held", "job"), method))
    consumer = made.as_asgi()
    asks = 0

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        read: asyncio.Queue[Message] = asyncio.Queue()

        async def read_on() -> None:
            nonlocal asks
            while True:
                read.put_nowait(await receive())
                for _ in range(10):  # until the consumer has taken it
                    await asyncio.sleep(0)
                asks += 1

        reading = asyncio.ensure_future(read_on())
        try:
            await consumer(scope, read.get, send)
        finally:
            reading.cancel()

    jobs = Jobs(log)
    async with working(Worker(middleware, ["jobs"], jobs)):
        jobs.waiting.put_nowait({"type": "first"})
        await until_async(lambda: "acknowledged first" in log, "it is handled")
        await layer.send(channel[0], {"type": "held"})
        await until_async(lambda: "handles held" in log, "the consumer is busy")
        jobs.waiting.put_nowait({"type": "job"})
        await until_async(lambda: asks == 2, "the job waits in it")
        gate.set()
        await until_async(lambda: "handled job" in log and log[-1] != "handled job", "it is told")
    assert log[-4:] == ["handled held", "handles job", "handled job", "acknowledged job"]


@flavours
async def test_a_job_that_fails_in_a_consumer_which_middleware_replaces(
    layer: InMemoryChannelLayer, base: Any, concurrency: int
) -> None:
    """Was: it was acknowledged."""
    log: list[str] = []

    def job(self: Any, message: Message) -> None:
        log.append("handled job")

    def fails(self: Any, message: Message) -> None:
        raise ValueError("no")

    async def job_here(self: Any, message: Message) -> None:
        job(self, message)

    async def fails_here(self: Any, message: Message) -> None:
        fails(self, message)

    sync = base is SyncConsumer
    methods = {"job": job, "fails": fails} if sync else {"job": job_here, "fails": fails_here}
    made: Any = type("Made", (base,), {**methods, "concurrency": concurrency})
    consumer = made.as_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            with contextlib.suppress(ValueError):
                await consumer({**scope}, receive, send)

    jobs = Jobs(log)
    async with working(Worker(middleware, ["jobs"], jobs)):
        for kind in ("fails", "job"):
            jobs.waiting.put_nowait({"type": kind})
        await until_async(lambda: len(log) == 3, "both are over")
    assert log == ["failed fails", "handled job", "acknowledged job"]


@fast_or_not
@pytest.mark.parametrize("replaced", [False, True])
async def test_a_job_whose_handler_is_cancelled_as_another_one_ends_the_consumer(
    layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch, fast: str, replaced: bool
) -> None:
    """Was: it was acknowledged."""
    monkeypatch.setenv("CHANNEL_FAST", fast)
    log: list[str] = []
    channel: list[str] = []

    class Ends(AsyncConsumer):
        concurrency = 2

        async def first(self, message: Message) -> None:
            channel.append(self.channel_name)

        async def job(self, message: Message) -> None:
            log.append("handles job")
            await asyncio.Event().wait()

        async def ends(self, message: Message) -> None:
            raise StopConsumer

    consumer = Ends.as_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await consumer({**scope}, receive, send)
        while replaced:
            await consumer({**scope}, receive, send)

    jobs = Jobs(log)
    async with working(Worker(middleware, ["jobs"], jobs)):
        for kind in ("first", "job"):
            jobs.waiting.put_nowait({"type": kind})
        await until_async(lambda: "handles job" in log, "it is under way")
        await layer.send(channel[0], {"type": "ends"})
        await until_async(lambda: len(log) == 3, "it is told")
    assert log[-1] == "failed job"


@flavours
@fast_or_not
@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize(("raises", "becomes"), [(StopConsumer, "acknowledged"), (ValueError, "failed")])
async def test_a_job_whose_handler_ends_the_consumer(
    layer: InMemoryChannelLayer,
    monkeypatch: pytest.MonkeyPatch,
    base: Any,
    concurrency: int,
    fast: str,
    stops: bool,
    raises: type[Exception],
    becomes: str,
) -> None:
    """Also while its worker stops."""
    monkeypatch.setenv("CHANNEL_FAST", fast)
    log: list[str] = []
    began, gate = threading.Event(), threading.Event()

    def end(self: Any, message: Message) -> None:
        began.set()
        assert gate.wait(15)
        raise raises

    async def end_in_a_thread(self: Any, message: Message) -> None:
        await asyncio.to_thread(end, self, message)

    job = end if base is SyncConsumer else end_in_a_thread
    made: Any = type("Made", (base,), {"job": job, "concurrency": concurrency})
    jobs = Jobs(log)
    worker = Worker(made.as_asgi(), ["jobs"], jobs)
    async with working(worker):
        jobs.waiting.put_nowait({"type": "job"})
        await until_async(began.is_set, "it is under way")
        if stops:
            worker.stop()
        gate.set()
        await until_async(lambda: bool(log), "it is over")
    assert log == [f"{becomes} job"]


async def test_a_job_that_waits_in_a_consumer_which_middleware_replaces(layer: InMemoryChannelLayer) -> None:
    """Was: its channel stood still for ever."""
    log: list[str] = []
    channel: list[str] = []
    gate = asyncio.Event()

    class Ends(AsyncConsumer):
        async def first(self, message: Message) -> None:
            channel.append(self.channel_name)

        async def ends(self, message: Message) -> None:
            log.append("handles ends")
            await gate.wait()
            raise StopConsumer

        async def job(self, message: Message) -> None:
            log.append("handled job")

    consumer = Ends.as_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        async def received() -> Message:
            message = await receive()
            if message["type"] == "job":
                asyncio.get_running_loop().call_soon(gate.set)
            return message

        while True:
            await consumer({**scope}, received, send)

    jobs = Jobs(log)
    async with working(Worker(middleware, ["jobs"], jobs)):
        jobs.waiting.put_nowait({"type": "first"})
        await until_async(lambda: "acknowledged first" in log, "it is handled")
        await layer.send(channel[0], {"type": "ends"})
        await until_async(lambda: "handles ends" in log, "it is under way")
        for kind in ("job", "job", "ends"):
            jobs.waiting.put_nowait({"type": kind})
        await until_async(lambda: "acknowledged ends" in log, "all are over")
    assert log[2:] == ["failed job", "handled job", "acknowledged job", "handles ends", "acknowledged ends"]


@pytest.mark.parametrize(("ends_by", "becomes"), [("stop", "put back"), ("message", "failed")])
async def test_a_job_that_is_not_handled_when_its_consumer_ends(
    layer: InMemoryChannelLayer, ends_by: str, becomes: str
) -> None:
    """Also behind a message that middleware has added. Was: it was acknowledged."""
    log: list[str] = []
    channel: list[str] = []

    class Ends(AsyncConsumer):
        async def first(self, message: Message) -> None:
            channel.append(self.channel_name)

        async def added(self, message: Message) -> None:
            log.append("handled added")

        async def ends(self, message: Message) -> None:
            raise StopConsumer

    consumer = Ends.as_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        has_added = False

        async def next_one() -> Message:
            nonlocal has_added
            if has_added:
                await asyncio.Future()
            message = await receive()
            has_added = message["type"] == "job"
            return {"type": "added"} if has_added else message

        await consumer(scope, next_one, send)

    jobs = Jobs(log)
    worker = Worker(middleware, ["jobs"], jobs)
    async with working(worker):
        jobs.waiting.put_nowait({"type": "first"})
        await until_async(lambda: "acknowledged first" in log, "it is handled")
        jobs.waiting.put_nowait({"type": "job"})
        await until_async(lambda: "handled added" in log, "the job is under way")
        if ends_by == "stop":
            worker.stop()
        else:
            await layer.send(channel[0], {"type": "ends"})
        await until_async(lambda: len(log) == 3, "it is given back")
    assert log[-1] == f"{becomes} job"


# Stopping


async def test_what_is_being_handled_is_not_put_back_behind_middleware_that_drops_messages(
    layer: InMemoryChannelLayer,
) -> None:
    """Was, if it copies the others: each stop put back one that was being handled."""
    handled: list[int] = []
    running, gate = asyncio.Event(), asyncio.Event()

    class Numbers(AsyncConsumer):
        async def job(self, message: Message) -> None:
            handled.append(message["n"])
            if message["n"] == 3:
                running.set()
                await gate.wait()

    consumer = Numbers.as_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        async def without_the_first() -> Message:
            while (message := await receive())["n"] == 0:
                pass
            return {**message}

        await consumer(scope, without_the_first, send)

    worker = Worker(middleware, ["jobs"], layer)
    task = asyncio.ensure_future(worker.arun())  # type: ignore[no-untyped-call]
    for message in numbers(5):
        await layer.send("jobs", message)
    await running.wait()
    worker.stop()
    gate.set()
    await task
    assert (handled, await left_in(layer)) == ([1, 2, 3], [4])


@pytest.mark.parametrize("ahead", [False, True])
async def test_what_middleware_has_dropped_is_not_put_back(layer: InMemoryChannelLayer, ahead: bool) -> None:
    """Was: the last messages that it had dropped before a stop were sent again."""
    handled: list[int] = []

    class Numbers(AsyncConsumer):
        async def job(self, message: Message) -> None:
            handled.append(message["n"])

    consumer = Numbers.as_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        async def next_one() -> Message:
            while (message := await receive())["n"] not in (1, 3):
                pass
            return message

        async with in_advance(next_one) if ahead else contextlib.nullcontext(next_one) as read:
            await consumer(scope, read, send)

    worker = Worker(middleware, ["jobs"], layer)
    task = asyncio.ensure_future(worker.arun())  # type: ignore[no-untyped-call]
    await layer.send("jobs", {"type": "job", "n": 1})
    await until_async(lambda: handled == [1], "the consumer is there")
    for message in numbers(4 if ahead else 6)[2:]:
        await layer.send("jobs", message)
    await until_async(lambda: handled == [1, 3] and layer.depth() == 0, "the others are dropped")
    worker.stop()
    await task
    assert layer.depth() == 0


async def test_what_middleware_has_read_in_advance_is_put_back(layer: InMemoryChannelLayer) -> None:
    handled: list[int] = []
    began, gate = asyncio.Event(), asyncio.Event()

    class Slow(AsyncConsumer):
        async def job(self, message: Message) -> None:
            began.set()
            await gate.wait()
            handled.append(message["n"])

    consumer = Slow.as_asgi()

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        async with in_advance(receive) as read:
            await consumer(scope, read, send)

    worker = Worker(middleware, ["jobs"], layer)
    task = asyncio.ensure_future(worker.arun())  # type: ignore[no-untyped-call]
    for message in numbers(5):
        await layer.send("jobs", message)
    await began.wait()
    await until_async(lambda: layer.depth() == 0, "the others wait in the worker")
    worker.stop()
    gate.set()
    await task
    assert (handled, await left_in(layer)) == ([0], [1, 2, 3, 4])


def numbers(count: int) -> list[Message]:
    return [{"type": "job", "n": n} for n in range(count)]


async def left_in(layer: InMemoryChannelLayer) -> list[int]:
    return [(await layer.receive("jobs"))["n"] for _ in range(layer.depth())]


@pytest.mark.parametrize("flavour", ["async", "sync", "raw"])
async def test_a_worker_that_is_stopped_finishes_what_runs(layer: InMemoryChannelLayer, flavour: str) -> None:
    """And begins no more: what it has taken is sent again, to a layer that cannot put it back."""
    begun: list[int] = []
    ended: list[int] = []
    gate = threading.Event()

    def work(message: Message) -> None:
        begun.append(message["n"])
        assert gate.wait(15)
        ended.append(message["n"])

    class Async(AsyncConsumer):
        async def job(self, message: Message) -> None:
            await asyncio.to_thread(work, message)

    class Sync(SyncConsumer):
        def job(self, message: Message) -> None:
            work(message)

    async def raw(scope: Any, receive: Any, send: Any) -> None:
        while True:
            await asyncio.to_thread(work, await receive())

    applications: dict[str, Any] = {"async": Async.as_asgi(), "sync": Sync.as_asgi(), "raw": raw}
    worker = Worker(applications[flavour], ["jobs"], layer)
    task = asyncio.ensure_future(worker.arun())  # type: ignore[no-untyped-call]
    for message in numbers(50):
        await layer.send("jobs", message)
    await until_async(lambda: begun == [0] and layer.depth() <= 50 - AHEAD, "it has taken some")
    worker.stop()
    await until_async(lambda: layer.depth() == 49, "another worker can have the others at once")
    gate.set()
    await asyncio.wait_for(task, 15)
    assert ended == [0]
    assert sorted(await left_in(layer)) == [*range(1, 50)]


async def test_a_job_that_does_not_end_in_time(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compat.worker.FINISH_S", 0.05)
    began = asyncio.Event()

    class Hangs(AsyncConsumer):
        async def job(self, message: Message) -> None:
            began.set()
            await asyncio.Event().wait()

    worker = Worker(Hangs.as_asgi(), ["jobs"], layer)
    task = asyncio.ensure_future(worker.arun())  # type: ignore[no-untyped-call]
    for message in numbers(3):
        await layer.send("jobs", message)
    await asyncio.wait_for(began.wait(), 15)
    worker.stop()
    await asyncio.wait_for(task, 15)
    assert "stopping without the handlers of 'jobs'" in caplog.text
    assert await left_in(layer) == [1, 2]


async def test_a_consumer_that_fails_while_its_worker_stops(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    began, fail = asyncio.Event(), asyncio.Event()

    class Fails(AsyncConsumer):
        async def job(self, message: Message) -> None:
            began.set()
            await fail.wait()
            raise LookupError("a bug")

    worker = Worker(Fails.as_asgi(), ["jobs"], layer)
    task = asyncio.ensure_future(worker.arun())  # type: ignore[no-untyped-call]
    for message in numbers(3):
        await layer.send("jobs", message)
    await asyncio.wait_for(began.wait(), 15)
    worker.stop()
    fail.set()
    await asyncio.wait_for(task, 15)
    assert "a bug" in caplog.text
    assert await left_in(layer) == [1, 2]


STUCK = """
import asyncio
import threading
import compat.worker
from concurrent.futures import ThreadPoolExecutor
from asgiref.sync import sync_to_async
from compat.consumer import AsyncConsumer, SyncConsumer
from compat.layers.redis import RedisChannelLayer
from compat.worker import Worker

compat.worker.FINISH_S = compat.worker.CANCELLED_S = 0.1

def block():
    print("stuck", flush=True)
    threading.Event().wait()

class Stuck(SyncConsumer):
    def job(self, message):
        block()

class StuckInAsgiref(AsyncConsumer):
    async def job(self, message):
        await sync_to_async(block)()

pool = ThreadPoolExecutor(1)

class StuckInAPool(AsyncConsumer):
    async def job(self, message):
        await asyncio.get_running_loop().run_in_executor(pool, block)

async def stuck_application(scope, receive, send):
    await receive()
    await asyncio.get_running_loop().run_in_executor(pool, block)

layer = RedisChannelLayer(hosts=["URL"])
layer.send_sync("CHANNEL", {"type": "job"})
Worker(APPLICATION, ["CHANNEL"], layer).run()
"""


@pytest.mark.parametrize(
    "application",
    ["Stuck.as_asgi()", "StuckInAsgiref.as_asgi()", "StuckInAPool.as_asgi()", "stuck_application"],
)
def test_a_process_ends_also_if_a_handler_blocks_its_thread(
    bare: Environment, tmp_path: Path, redis_url: str, free_name: Callable[[], str], application: str
) -> None:
    """Was: it did not, if the handler had awaited that thread and was cancelled."""
    code = STUCK.replace("URL", redis_url).replace("CHANNEL", free_name())
    code = code.replace("APPLICATION", application)
    command = [bare.path("python"), "-c", code]
    with Process(command, cwd=tmp_path, log=tmp_path / "log", env=UNCOVERED) as process:
        process.wait_log("stuck")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 1
        assert "stopping without the handlers of" in process.log()


CANCELLED = """
import asyncio
import atexit
import threading
import time
import compat.worker
from concurrent.futures import ThreadPoolExecutor
from compat.consumer import AsyncConsumer
from compat.layers.redis import RedisChannelLayer
from compat.worker import Worker

compat.worker.FINISH_S = 0.1
compat.worker.CANCELLED_S = 1.0

def clean_up():
    time.sleep(1.5)  # longer than those may take that do not end
    print("cleaned up", flush=True)

def in_a_pool(*call):
    return asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(1), *call)

class Slow(AsyncConsumer):
    async def job(self, message):
        print("at work", flush=True)
        await WAITS

layer = RedisChannelLayer(hosts=["URL"])
layer.send_sync("CHANNEL", {"type": "job"})
Worker(Slow.as_asgi(), ["CHANNEL"], layer).run()
THEN
"""


CLEAN_UPS = (
    "clean_up()",
    "threading.Thread(target=clean_up).start()",
    "ThreadPoolExecutor(1).submit(clean_up)",
    "atexit.register(clean_up)",
)


@pytest.mark.parametrize(
    ("waits", "then"),
    [*(("asyncio.sleep(60)", then) for then in CLEAN_UPS), ("in_a_pool(time.sleep, 2)", "clean_up()")],
)
def test_a_process_is_its_callers_when_all_handlers_have_ended(
    bare: Environment, tmp_path: Path, redis_url: str, free_name: Callable[[], str], waits: str, then: str
) -> None:
    """Was: it was killed some seconds after a handler had to be cancelled, whatever it did meanwhile.

    Later it was killed some seconds after it began to exit, whatever it did as it exited.
    """
    code = CANCELLED.replace("URL", redis_url).replace("CHANNEL", free_name()).replace("WAITS", waits)
    code = code.replace("THEN", then)
    command = [bare.path("python"), "-c", code]
    with Process(command, cwd=tmp_path, log=tmp_path / "log", env=UNCOVERED) as process:
        process.wait_log("at work")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        assert "stopping without the handlers of" in process.log() and "cleaned up" in process.log()


class Prefixed(ChannelNameRouter):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        raise AssertionError("it is only asked for")


JOBS = ChannelNameRouter({"jobs": SyncConsumer.as_asgi()})


@pytest.mark.parametrize(
    ("application", "says"),
    [
        (JOBS, "no application for 'job', 'x'; there are 'jobs'. Did you mean 'jobs'? Else add \"job\": "),
        (ProtocolTypeRouter({"channel": JOBS}), "no application for 'job', 'x'"),
        (ProtocolTypeRouter({}), "'channel'. Add one: "),
        (ProtocolTypeRouter({"channel": FastAPI()}), "a FastAPI application takes no messages of channels."),
        (Prefixed({}), None),
        (SyncConsumer.as_asgi(), None),
        (print, None),
    ],
)
def test_what_an_application_cannot_handle(application: Any, says: str | None) -> None:
    """Was: the worker began, and threw all messages away."""
    problem = problem_of(application, ["job", "x"])
    assert problem is says is None or (problem is not None and says is not None and says in problem)
    assert problem_of(JOBS, ["jobs"]) is None
