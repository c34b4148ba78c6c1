"""Random schedules of faults for the streams layer: nothing is lost, order is kept, duplicates are marked."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from compat.exceptions import LayerUnavailable
from compat.layers.redis.streams import RedisStreamsChannelLayer
from tests.faults.test_redis_streams import Load, kept
from tests.support.layers import close, member, unique_prefix
from tests.support.paths import REPO
from tests.support.processes import Process
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import until_async

__all__ = ["kept"]

WITHIN_S = 30.0
WORKERS = 2
ACTIONS = ("cut", "silence", "kill redis", "kill a process")

CHILD = """
    import asyncio, os, sys, threading, time
    from compat.layers.redis.streams import RedisStreamsChannelLayer
    from compat.exceptions import LayerUnavailable

    def end_with(parent):
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    async def main(url, prefix):
        threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
        layer = RedisStreamsChannelLayer([url], prefix=prefix, takeover=1, tries=1000, capacity=100_000)
        channel = await layer.new_channel()
        while True:
            try:
                await layer.group_add("room", channel)
                print("ready", flush=True)
                while True:
                    job = await layer.take("jobs")
                    print("job", job.message["n"], job.tries, flush=True)
                    job.acknowledge()
            except LayerUnavailable:
                await asyncio.sleep(0.05)

    asyncio.run(main(*sys.argv[1:]))
"""


class Fleet:
    """Processes that are members of the room, and work; some are killed, and others take their place."""

    def __init__(self, folder: Path, url: str, prefix: str) -> None:
        self._folder = folder
        self._command = [sys.executable, "-c", dedent(CHILD), url, prefix]
        self._numbers = itertools.count()
        self._logs: list[Path] = []
        self._running: list[Process] = []

    def start(self) -> None:
        log = self._folder / f"child-{next(self._numbers)}.log"
        process = Process(self._command, cwd=REPO, log=log)
        self._logs.append(log)
        self._running.append(process)

    def kill_one(self) -> None:
        self._running.pop(0).stop(signal.SIGKILL)
        self.start()

    def jobs(self) -> list[tuple[int, int]]:
        """The number of each job that a worker had, and how many had it."""
        lines = [line.split() for log in self._logs for line in log.read_text().splitlines()]
        return [(int(line[1]), int(line[2])) for line in lines if len(line) == 3 and line[0] == "job"]

    def stop(self) -> None:
        for process in self._running:
            process.stop()


@pytest.fixture
def fleet(tmp_path: Path, kept: RedisServer) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, kept.url, unique_prefix())
    for _ in range(WORKERS):
        fleet.start()
    yield fleet
    fleet.stop()


def _has(load: Load, count: int) -> bool:
    return len(load.sent["group"]) >= count


def _is_well(layer: RedisStreamsChannelLayer) -> bool:
    return all(gap.ended is not None for gap in layer.metrics.gaps)


def _gaps(layer: RedisStreamsChannelLayer, count: int) -> bool:
    return len(layer.metrics.gaps) >= count


def _answers(server: RedisServer) -> bool:
    with redis.Redis(port=server.port) as wire, suppress(redis.RedisError):
        return bool(wire.ping())
    return False


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("quarter", range(4))
def test_a_hundred_random_schedules(quarter: int, kept: RedisServer, fleet: Fleet) -> None:
    jobs = itertools.count()
    prefix = fleet._command[-1]

    async def send_jobs(layer: RedisStreamsChannelLayer, sent: set[int]) -> None:
        for number in jobs:
            try:
                await layer.send("jobs", {"type": "job", "n": number})
                sent.add(number)
            except LayerUnavailable:
                pass
            await asyncio.sleep(0.01)

    async def go_through(schedule: list[str]) -> None:
        with Proxy(kept.port) as proxy:
            options: dict[str, Any] = {"prefix": prefix, "capacity": 100_000, "catch_up": 100_000}
            reader = RedisStreamsChannelLayer([f"{proxy.url}?socket_timeout=1"], **options)
            sender = RedisStreamsChannelLayer([kept.url], **options)
            sent: set[int] = set()
            await until_async(lambda: _answers(kept), "Redis has loaded its data", deadline_s=WITHIN_S)
            inbox = await member(reader, "room")
            sending = asyncio.ensure_future(send_jobs(sender, sent))
            async with Load(sender, inbox) as load:
                for action in schedule:
                    have = len(load.sent["group"])
                    await until_async(partial(_has, load, have + 10), "more", deadline_s=WITHIN_S)
                    if action == "cut":
                        await asyncio.to_thread(proxy.cut)
                    elif action == "silence":
                        await until_async(partial(_is_well, reader), "it is well", deadline_s=WITHIN_S)
                        gaps = len(reader.metrics.gaps)
                        proxy.hold()
                        await until_async(partial(_gaps, reader, gaps + 1), "a gap", deadline_s=WITHIN_S)
                        proxy.release()
                    elif action == "kill redis":
                        await asyncio.to_thread(kept.restart)
                    else:
                        await asyncio.to_thread(fleet.kill_one)
            sending.cancel()
            await asyncio.wait((sending,))
            await until_async(
                lambda: sent <= {number for number, _ in fleet.jobs()}, "each job", deadline_s=WITHIN_S
            )
            assert not reader.metrics.dropped, reader.metrics.dropped
            await close(reader, sender)

    @seed(quarter)
    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        database=None,
    )
    @given(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=5))
    def check(schedule: list[str]) -> None:
        asyncio.run(go_through(schedule))

    check()
    had: set[int] = set()
    for number, tries in sorted(fleet.jobs(), key=lambda job: job[1]):
        assert number not in had or tries > 1, f"job {number} came twice, and was not marked"
        had.add(number)
