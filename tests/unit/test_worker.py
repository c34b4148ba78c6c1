"""The worker: one instance per channel, in order, and no message that ends it."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from compat.consumer import AsyncConsumer, SyncConsumer
from compat.layers import InMemoryChannelLayer
from compat.routing import ChannelNameRouter
from compat.types import Message
from compat.worker import AHEAD, Worker
from tests.support.waiting import until_async


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[None]:
    task = asyncio.ensure_future(worker.arun())  # type: ignore[no-untyped-call]
    yield
    task.cancel()
    await asyncio.wait((task,))


async def test_a_layer_is_needed() -> None:
    with pytest.raises(ValueError, match="the worker's alias is not configured"):
        Worker(ChannelNameRouter({}), ["jobs"], None)


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


async def test_a_handler_whose_task_is_cancelled_does_not_end_the_worker(
    layer: InMemoryChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    done = asyncio.Event()

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
        await until_async(lambda: "failed" in caplog.text, "it is logged")
        await layer.send("jobs", {"type": "job", "n": 1})
        await asyncio.wait_for(done.wait(), 15)
    assert caplog.text.count("the consumer of channel 'jobs' failed") == 1
