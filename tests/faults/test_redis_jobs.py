"""Plain channels of the streams layer: what a worker has stays until it is handled; what waits expires."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections import deque
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync

from compat.consumer import AsyncConsumer, SyncConsumer
from compat.exceptions import ChannelFull, StopConsumer
from compat.layers import register_channel_layer, unregister_channel_layer
from compat.layers.redis.jobs import Job
from compat.layers.redis.serializers import make_fernet
from compat.layers.redis.streams import RedisStreamsChannelLayer
from compat.types import Message
from compat.worker import Worker
from tests.faults.test_redis_streams import Make, make
from tests.support.layers import close, unique_prefix
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

__all__ = ["make"]

WITHIN_S = 10.0
HOUR_MS = 3_600_000
LONG_S = 60.0
"""For how long a read waits that must not be waited for."""


async def take(layer: RedisStreamsChannelLayer) -> Job:
    return await asyncio.wait_for(layer.take("jobs"), WITHIN_S)


def die(layer: RedisStreamsChannelLayer) -> None:
    """Let nobody hear of what the layer's worker has, as if it were dead."""
    (station,) = layer._stations.all()
    station.jobs.held.clear()


@pytest.fixture
def wire(redis_port: int) -> Any:
    with redis.Redis(port=redis_port) as wire:
        yield wire


def send_an_hour_ago(wire: Any, layer: RedisStreamsChannelLayer, *numbers: int, body: bytes = b"") -> None:
    """Put messages into the stream that look as if they had been sent long before they expire."""
    for number in numbers:
        sent = int(time.time() * 1000) - HOUR_MS + number
        wire.xadd(
            layer.keys.jobs("jobs"),
            {"m": body or layer.serialize({"type": "job", "n": number})},
            id=f"{sent}-0",
        )


async def test_a_job_that_fails_is_tried_again_however_old_it_is(make: Make, wire: Any) -> None:
    """While others send, which is when what has expired is deleted."""
    layer = make(prefix=unique_prefix())
    send_an_hour_ago(wire, layer, 1)
    job = await take(layer)
    await layer.send("jobs", {"type": "job", "n": 2})
    assert layer.metrics.dropped == {}, "a job that is being handled has not expired"
    job.failed()
    again = [await take(layer) for _ in range(2)]
    assert sorted((job.message["n"], job.tries) for job in again) == [(1, 2), (2, 1)]


async def test_a_channel_beside_one_for_which_more_callers_wait(make: Make) -> None:
    """Its jobs come at once and in order, as if it were alone."""
    layer = make(prefix=unique_prefix())
    layer.block_s = LONG_S
    others = [asyncio.ensure_future(layer.take("others")) for _ in range(4)]
    jobs = layer._stations.here().jobs  # type: ignore[union-attr]
    await until_async(lambda: jobs.wanted(0) == {"others": 4}, "they wait")
    for number in range(20):
        await layer.send("jobs", {"type": "job", "n": number})
    began = time.monotonic()
    for number in range(20):
        job = await take(layer)
        assert (job.message["n"], job.tries) == (number, 1)
        job.acknowledge()
    assert time.monotonic() - began < LONG_S / 2
    for other in others:
        other.cancel()
    await asyncio.wait(others)


async def test_a_job_given_back_beside_a_channel_without_jobs(make: Make) -> None:
    """Its caller looks for it at once, also if the other channel's has been served meanwhile."""
    layer = make(prefix=unique_prefix())
    layer.block_s = LONG_S
    other = asyncio.ensure_future(layer.take("others"))
    await layer.send("jobs", {"type": "job", "n": 1})
    job = await take(layer)
    jobs = layer._stations.here().jobs  # type: ignore[union-attr]
    (reader,) = jobs._readers
    job.failed()
    await until_async(lambda: not jobs._releasing, "it is given back")
    await until_async(lambda: reader._blocked and reader._interrupting is None, "only the other one waits")
    began = time.monotonic()
    assert (await take(layer)).tries == 2
    assert time.monotonic() - began < LONG_S / 2
    other.cancel()
    await asyncio.wait([other])


async def test_many_jobs_beside_a_channel_without_any(make: Make) -> None:
    """Was: each began the read anew, and after some that took a tenth of a second."""
    layer = make(prefix=unique_prefix())
    other = asyncio.ensure_future(layer.take("others"))
    for number in range(40):
        await layer.send("jobs", {"type": "job", "n": number})
    began = time.monotonic()
    for _ in range(40):
        (await take(layer)).acknowledge()
    assert time.monotonic() - began < 3
    other.cancel()
    await asyncio.wait([other])


async def test_a_reader_that_is_closed_when_it_is_to_read_anew(make: Make) -> None:
    layer = make(prefix=unique_prefix())
    layer.block_s = LONG_S
    waiting = [asyncio.ensure_future(layer.take("others"))]
    (reader,) = layer._stations.here().jobs._readers  # type: ignore[union-attr]
    await until_async(lambda: reader._blocked, "it reads")
    reader.interrupt()
    await reader.aclose()
    waiting.append(asyncio.ensure_future(layer.take("more")))
    await until_async(lambda: reader._blocked, "it reads again")
    await layer.send("jobs", {"type": "job", "n": 1})
    began = time.monotonic()
    (await take(layer)).acknowledge()
    assert time.monotonic() - began < LONG_S / 2
    for other in waiting:
        other.cancel()
    await asyncio.wait(waiting)


async def test_the_job_of_a_dead_worker_does_not_expire(make: Make, wire: Any) -> None:
    one = make(prefix=unique_prefix(), takeover=1, expiry=1)
    other = make(prefix=one.prefix, takeover=1, expiry=1)
    send_an_hour_ago(wire, one, 1)
    await take(one)
    die(one)

    async def until_it_comes() -> Job:
        for number in itertools.count(2):
            await one.send("jobs", {"type": "job", "n": number})
            job = await other.take("jobs")
            job.acknowledge()
            if job.message["n"] == 1:
                return job
        raise AssertionError("unreachable")

    job = await asyncio.wait_for(until_it_comes(), WITHIN_S)
    assert (job.tries, one.metrics.dropped) == (2, {})


async def test_jobs_behind_those_of_many_busy_workers_are_taken_over(make: Make) -> None:
    busy = make(prefix=unique_prefix(), takeover=2)
    dead, other = (make(prefix=busy.prefix, takeover=2) for _ in range(2))
    for number in range(27):
        await busy.send("jobs", {"type": "job", "n": number})
    held = [await take(busy) for _ in range(25)]
    await take(dead)
    die(dead)
    failing = await take(busy)
    failing.failed()
    came = [await take(other) for _ in range(2)]
    assert sorted((job.message["n"], job.tries) for job in came) == [(25, 2), (26, 2)]
    assert len(held) == len(busy._stations.here().jobs.held)  # type: ignore[union-attr]


async def test_the_stream_of_a_channel_with_a_worker_does_not_expire(make: Make, wire: Any) -> None:
    """Nor does it while the worker waits, nor while it is at work."""
    layer = make(prefix=unique_prefix(), takeover=1, group_expiry=1000)
    stream = layer.keys.jobs("jobs")
    waiting = asyncio.ensure_future(layer.take("jobs"))
    await until_async(lambda: wire.expire(stream, 100), "it is there")
    await until_async(lambda: wire.ttl(stream) > 100, "the worker waits")
    await layer.send("jobs", {"type": "job", "n": 1})
    job = await asyncio.wait_for(waiting, WITHIN_S)
    wire.expire(stream, 100)
    await until_async(lambda: wire.ttl(stream) > 100, "the worker is at work")
    job.acknowledge()


async def test_a_stream_that_is_gone_is_made_again(make: Make, wire: Any) -> None:
    """That is no outage, of which all consumers would be told."""
    layer = make(prefix=unique_prefix())
    stream = layer.keys.jobs("jobs")
    for number in range(3):
        waiting = asyncio.ensure_future(layer.take("jobs"))
        await until_async(lambda: wire.exists(stream) and wire.xinfo_groups(stream), "the worker waits")
        wire.delete(stream)
        await layer.send("jobs", {"type": "job", "n": number})
        job = await asyncio.wait_for(waiting, WITHIN_S)
        assert job.message["n"] == number
        job.acknowledge()
    assert not layer.metrics.gaps


async def test_workers_empty_a_channel_of_a_redis_without_memory(
    make: Make, redis_server: RedisServer
) -> None:
    layer, other = make(redis_server.url), make(redis_server.url)
    await layer.send("jobs", {"type": "job", "n": 1})
    (await take(layer)).put_back()
    await layer.close_pools()
    with redis.Redis(port=redis_server.port) as wire:
        wire.config_set("maxmemory", 1)
        job = await take(other)
        assert (job.message["n"], job.tries) == (1, 1)
        job.acknowledge()
        await until_async(lambda: wire.xlen(layer.keys.jobs("jobs")) == 0, "it is handled")


async def test_what_waits_behind_a_job_expires(make: Make, wire: Any) -> None:
    layer = make(prefix=unique_prefix())
    send_an_hour_ago(wire, layer, 1)
    job = await take(layer)
    send_an_hour_ago(wire, layer, 2, 3)
    await layer.send("jobs", {"type": "job", "n": 4})
    assert layer.metrics.dropped == {"expired": 2}
    job.acknowledge()
    assert (await take(layer)).message["n"] == 4


@pytest.mark.parametrize(("waiting", "first"), [(99, 99), (100, 100), (101, 100)])
async def test_a_send_deletes_some_of_what_has_expired(
    make: Make, wire: Any, waiting: int, first: int
) -> None:
    """So many that Redis is not held up, and the next ones delete the rest."""
    layer = make(prefix=unique_prefix())
    send_an_hour_ago(wire, layer, *range(waiting))
    await layer.send("jobs", {"type": "job", "n": 1000})
    assert layer.metrics.dropped == {"expired": first}
    await layer.send("jobs", {"type": "job", "n": 1001})
    assert layer.metrics.dropped == {"expired": waiting}
    assert wire.xlen(layer.keys.jobs("jobs")) == 2


async def test_what_workers_have_counts_for_the_capacity(make: Make, wire: Any) -> None:
    layer = make(prefix=unique_prefix(), capacity=3)
    send_an_hour_ago(wire, layer, 1)
    job = await take(layer)
    await layer.send("jobs", {"type": "job", "n": 2})
    await layer.send("jobs", {"type": "job", "n": 3})
    with pytest.raises(ChannelFull):
        await layer.send("jobs", {"type": "job", "n": 4})
    job.acknowledge()
    await layer.send("jobs", {"type": "job", "n": 4})
    assert layer.metrics.dropped == {}


async def test_what_has_expired_makes_room(make: Make, wire: Any) -> None:
    layer = make(prefix=unique_prefix(), capacity=2)
    send_an_hour_ago(wire, layer, 1, 2)
    await layer.send("jobs", {"type": "job", "n": 3})
    await layer.send("jobs", {"type": "job", "n": 4})
    with pytest.raises(ChannelFull):
        await layer.send("jobs", {"type": "job", "n": 5})
    assert layer.metrics.dropped == {"expired": 2}
    assert [(await take(layer)).message["n"] for _ in range(2)] == [3, 4]


async def test_a_refused_send_reads_nothing_of_a_full_channel(make: Make, redis_server: RedisServer) -> None:
    """Redis does nothing else as long as a script runs, and what it reads is what takes it long."""
    layer = make(redis_server.url, capacity=5000)
    body = layer.serialize({"type": "job", "text": "x" * 1000})
    with redis.Redis(port=redis_server.port) as wire, wire.pipeline(transaction=False) as pipeline:
        for _ in range(5000):
            pipeline.xadd(layer.keys.jobs("jobs"), {"m": body})
        pipeline.execute()
        with pytest.raises(ChannelFull):
            await layer.send("jobs", {"type": "job"})
        told: Any = wire.info("memory")
        assert told["used_memory_lua"] < 1_000_000, "5 MB, if it had read all messages"


async def test_an_encrypted_job_is_read_however_old_it_is(make: Make, wire: Any) -> None:
    """Its cipher's time limit is for messages that wait."""
    layer = make(prefix=unique_prefix(), symmetric_encryption_keys=["key"], tries=1)
    plain = make(prefix=layer.prefix, random_prefix_length=0).serialize({"type": "job", "n": 1})
    token = make_fernet("key").encrypt_at_time(plain, int(time.time()) - HOUR_MS // 1000)
    send_an_hour_ago(wire, layer, 1, body=bytes(layer._serializer.random_prefix_length) + token)
    job = await take(layer)
    assert job.message["n"] == 1
    job.failed()
    waiting = asyncio.ensure_future(layer.take("jobs"))
    await until_async(lambda: layer.metrics.dropped, "it is buried")
    waiting.cancel()
    assert await layer.dead_letters() == {"jobs": (1, [{"type": "job", "n": 1}])}
    assert layer.metrics.dropped == {"dead": 1}


async def test_workers_that_are_no_more_are_forgotten(make: Make, wire: Any) -> None:
    """Unless they have a message: that is taken over by somebody else first."""

    async def start(prefix: str, number: int) -> tuple[RedisStreamsChannelLayer, Job]:
        layer = make(prefix=prefix, takeover=60)
        layer.job_life_s = 1
        await layer.send("jobs", {"type": "job", "n": number})
        return layer, await take(layer)

    async def restart(prefix: str) -> set[bytes]:
        layer, job = await start(prefix, 1)
        job.acknowledge()
        await close(layer)
        return {worker["name"] for worker in wire.xinfo_consumers(layer.keys.jobs("jobs"), "workers")}

    async def outcome() -> tuple[int, list[tuple[bool, bool]]] | None:
        """How many workers there are at first, and who has a message at the end."""
        prefix = unique_prefix()
        dead, job = await start(prefix, 0)
        die(dead)
        key = dead.keys.jobs("jobs")
        left = first = await restart(prefix)
        while first <= left:
            left = await restart(prefix)
        entries = wire.xpending_range(key, "workers", "-", "+", 10)
        if not wire.xrange(key, job.id, job.id):
            return None
        return len(first), [(one["message_id"] == job.id, one["consumer"] in left) for one in entries]

    for _ in range(5):
        # If this process is held up for the stream's life, the stream ends.
        with contextlib.suppress(redis.ResponseError):
            if (found := await outcome()) is not None:
                assert found == (2, [(True, True)])
                return
    pytest.fail("the stream has ended five times")


@pytest.mark.parametrize("busy", [False, True])
async def test_a_worker_that_is_stopped(make: Make, wire: Any, busy: bool) -> None:
    """It acknowledges what it finishes; and what waits behind a message of a group nobody has tried."""
    layer = make(prefix=unique_prefix())
    began, go = asyncio.Event(), asyncio.Event()

    class Jobs(AsyncConsumer):
        async def job(self, message: Message) -> None:
            if message["n"] == 0:
                await self.channel_layer.group_add("workers", self.channel_name)
                await self.channel_layer.group_send("workers", {"type": "notice"})
            else:
                began.set()
                await go.wait()

        async def notice(self, message: Message) -> None:
            if busy:
                began.set()
                await go.wait()

    register_channel_layer("stopped", layer)
    Jobs.channel_layer_alias = "stopped"
    try:
        await layer.send("jobs", {"type": "job", "n": 0})
        worker = Worker(Jobs.as_asgi(), ["jobs"], layer)
        task = asyncio.ensure_future(worker.arun())  # type: ignore[no-untyped-call]
        for number in range(1, 4):
            await layer.send("jobs", {"type": "job", "n": number})
        await asyncio.wait_for(began.wait(), WITHIN_S)
        worker.stop()
        go.set()
        await asyncio.wait_for(task, WITHIN_S)
    finally:
        unregister_channel_layer("stopped")
    other = make(prefix=layer.prefix)
    left: list[Job] = []
    while len(left) < wire.xlen(layer.keys.jobs("jobs")):
        left.append(await take(other))
    assert all(job.tries == 1 for job in left)
    assert [job.message["n"] for job in left][-2:] == [2, 3]
    worker_tasks = worker.application_instances.values()
    for details in worker_tasks:
        details["future"].cancel()
    await asyncio.gather(*(details["future"] for details in worker_tasks), return_exceptions=True)


@pytest.mark.parametrize("base", [AsyncConsumer, SyncConsumer])
@pytest.mark.parametrize("ends", [False, True])
async def test_a_job_that_waits_behind_a_message_of_a_group_is_not_acknowledged(
    make: Make, wire: Any, base: Any, ends: bool
) -> None:
    """Was: the end of that message's handler, or of the consumer by it, counted as the end of the job's."""
    layer = make(prefix=unique_prefix(), takeover=3)
    joined, noticed, go = threading.Event(), threading.Event(), threading.Event()
    tries: list[int] = []

    def job(self: Any, message: Message) -> None:
        tries.append(message["n"])
        if len(tries) == 1:
            raise LookupError("a bug")

    def notice(self: Any, message: Message) -> None:
        noticed.set()
        assert go.wait(WITHIN_S)
        if ends:
            raise StopConsumer

    class Jobs(AsyncConsumer):
        async def join(self, message: Message) -> None:
            await self.channel_layer.group_add("workers", self.channel_name)
            joined.set()

        async def job(self, message: Message) -> None:
            job(self, message)

        async def notice(self, message: Message) -> None:
            await asyncio.to_thread(notice, self, message)

    class SyncJobs(SyncConsumer):
        def join(self, message: Message) -> None:
            async_to_sync(self.channel_layer.group_add)("workers", self.channel_name)
            joined.set()

    if base is SyncConsumer:
        SyncJobs.job, SyncJobs.notice = job, notice  # type: ignore[attr-defined]
    consumer: Any = Jobs if base is AsyncConsumer else SyncJobs
    register_channel_layer("workers", layer)
    consumer.channel_layer_alias = "workers"
    task = asyncio.ensure_future(Worker(consumer.as_asgi(), ["jobs"], layer).arun())  # type: ignore[no-untyped-call]
    try:
        await layer.send("jobs", {"type": "join"})
        await until_async(joined.is_set, "it has joined")
        await layer.group_send("workers", {"type": "notice"})
        await until_async(noticed.is_set, "a message of the group is handled")
        await layer.send("jobs", {"type": "job", "n": 1})
        await until_async(lambda: wire.xpending(layer.keys.jobs("jobs"), "workers")["pending"], "it waits")
        go.set()
        await until_async(lambda: tries == [1, 1], "it is tried again after its failure", deadline_s=WITHIN_S)
        await until_async(lambda: wire.xlen(layer.keys.jobs("jobs")) == 0, "and acknowledged")
    finally:
        go.set()
        task.cancel()
        await asyncio.wait((task,))
        unregister_channel_layer("workers")


async def test_a_job_that_middleware_copies_is_acknowledged(make: Make, wire: Any) -> None:
    layer = make(prefix=unique_prefix())
    seen: list[int] = []

    class Jobs(AsyncConsumer):
        async def job(self, message: Message) -> None:
            seen.append(message["n"] + message["more"])

    consumer = Jobs.as_asgi()

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def copied() -> Message:
            return {**await receive(), "more": 10}

        await consumer(scope, copied, send)

    task = asyncio.ensure_future(Worker(middleware, ["jobs"], layer).arun())  # type: ignore[no-untyped-call]
    for number in range(3):
        await layer.send("jobs", {"type": "job", "n": number})
    await until_async(lambda: wire.xlen(layer.keys.jobs("jobs")) == 0, "all are acknowledged")
    task.cancel()
    await asyncio.wait((task,))
    assert seen == [10, 11, 12]


async def test_jobs_that_middleware_drops_or_adds_to(make: Make, wire: Any) -> None:
    """Was: one that it drops stood in the way of the others; one that it adds acknowledged the job."""
    layer = make(prefix=unique_prefix())
    jobs = layer.keys.jobs("jobs")
    log: list[str] = []
    added, go = asyncio.Event(), asyncio.Event()

    class Jobs(AsyncConsumer):
        async def audit(self, message: Message) -> None:
            added.set()

        async def job(self, message: Message) -> None:
            await go.wait()
            log.append(f"job {message['n']}")

    consumer = Jobs.as_asgi()

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        made: deque[Message] = deque()

        async def next_one() -> Message:
            while not made:
                message = await receive()
                if message["type"] == "job":
                    made.extend(({"type": "audit"}, message))
            return made.popleft()

        await consumer(scope, next_one, send)

    task = asyncio.ensure_future(Worker(middleware, ["jobs"], layer).arun())  # type: ignore[no-untyped-call]
    try:
        await layer.send("jobs", {"type": "dropped"})
        await layer.send("jobs", {"type": "job", "n": 1})
        await asyncio.wait_for(added.wait(), WITHIN_S)
        await layer.send("jobs", {"type": "job", "n": 2})
        await until_async(lambda: wire.xlen(jobs) == 2, "only the first one is acknowledged")
        go.set()
        await until_async(lambda: wire.xlen(jobs) == 0, "all are acknowledged")
    finally:
        task.cancel()
        await asyncio.wait((task,))
    assert log == ["job 1", "job 2"]
