"""Wake-ups: readers are woken together, soon, and none is forgotten."""

from __future__ import annotations

import asyncio
import time

import pytest

from compat.inbox import Inbox
from compat.wakeups import MAX_PAUSE_S, MAX_SKIPPED, MAX_TURNS, PAUSE, SLICE_S, Pause, WakeUps, wakeups_of
from tests.support.waiting import until_async

FOREVER = float("inf")


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_in_neighbouring_turns_is_read_in_one_go() -> None:
    inbox = Inbox(asyncio.get_running_loop())
    runs: list[int] = []

    async def read() -> None:
        while True:
            count = 0
            while inbox.take() is not None:
                count += 1
            runs.append(count)
            await inbox.waiting()

    reader = asyncio.create_task(read())
    await turns(1)
    for number in range(4):
        inbox.push({"type": "n", "number": number}, FOREVER)
        await turns(1)
    await turns(MAX_TURNS)
    reader.cancel()
    assert [count for count in runs if count] == [4]


async def test_a_stream_without_a_pause_does_not_keep_its_readers_waiting() -> None:
    inbox = Inbox(asyncio.get_running_loop())
    reader = asyncio.create_task(inbox.get())
    for _ in range(MAX_TURNS + 3):
        await turns(1)
        inbox.push({"type": "n"}, FOREVER)
    assert reader.done()


async def test_a_client_frame_wakes_at_once_and_the_call_that_is_due_later_does_no_harm() -> None:
    inbox = Inbox(asyncio.get_running_loop())
    first = asyncio.create_task(inbox.get())
    await turns(1)
    inbox.push({"type": "event"}, FOREVER)
    assert inbox.put_frame({"type": "frame"})
    await turns(2)
    assert first.done() and (await first)["type"] == "frame"
    assert (await inbox.get())["type"] == "event"
    last = asyncio.create_task(inbox.get())
    await turns(MAX_TURNS)
    assert not last.done() and not inbox.called
    inbox.push({"type": "again"}, FOREVER)
    assert (await last)["type"] == "again"


async def test_every_reader_of_the_loop_is_woken() -> None:
    inboxes = [Inbox(asyncio.get_running_loop()) for _ in range(50)]
    readers = [asyncio.create_task(inbox.get()) for inbox in inboxes]
    await turns(1)
    for inbox in inboxes:
        inbox.push({"type": "n"}, FOREVER)
    assert len(await asyncio.gather(*readers)) == 50


async def test_a_reader_that_has_left_is_no_harm() -> None:
    inbox = Inbox(asyncio.get_running_loop())
    reader = asyncio.create_task(inbox.get())
    await turns(1)
    inbox.push({"type": "n"}, FOREVER)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await turns(MAX_TURNS)
    assert inbox.take() == {"type": "n"}


async def test_a_loop_has_one() -> None:
    loop = asyncio.get_running_loop()
    assert wakeups_of(loop) is wakeups_of(loop)


async def test_a_reader_is_woken_before_its_inbox_is_full() -> None:
    inbox = Inbox(asyncio.get_running_loop())
    inbox.capacity = 8
    taken: list[int] = []

    async def read() -> None:
        while True:
            taken.append((await inbox.get())["number"])

    reader = asyncio.create_task(read())
    await turns(1)
    for number in range(0, 100, 2):
        assert inbox.push({"type": "n", "number": number}, FOREVER)
        assert inbox.push({"type": "n", "number": number + 1}, FOREVER)
        await turns(1)
    await turns(MAX_TURNS)
    reader.cancel()
    assert taken == list(range(100))


class Slow:
    """A reader that computes for longer than a slice when it is woken."""

    called = False

    def __init__(self, log: list[str], name: str = "reader") -> None:
        self.log, self.name = log, name

    def wake(self) -> None:
        end = time.perf_counter() + 1.5 * SLICE_S
        while time.perf_counter() < end:
            pass
        self.log.append(self.name)


async def test_a_long_round_lets_the_loop_look_after_others() -> None:
    loop, log = asyncio.get_running_loop(), list[str]()
    wakeups = WakeUps(loop)
    for _ in range(3):
        wakeups.call(Slow(log))

    def other() -> None:
        log.append("other")
        if len(log) < 6:
            loop.call_soon(other)

    await turns(1)
    loop.call_soon(other)
    await until_async(lambda: log.count("reader") == 3, "all are woken")
    assert "other" in log[log.index("reader") : -1], log


async def test_an_inbox_that_fills_up_does_not_keep_the_loop_from_others() -> None:
    loop, log = asyncio.get_running_loop(), list[str]()
    wakeups = WakeUps(loop)

    class Full(Slow):
        def wake(self) -> None:
            super().wake()
            wakeups.call(Slow(log, "next round"), urgent=True)
            loop.call_soon(log.append, "other")

    wakeups.call(Full(log))
    wakeups.call(Slow(log))
    wakeups.call(Slow(log))
    await until_async(lambda: "next round" in log, "all are woken")
    assert log == ["reader", "other", "reader", "reader", "next round"]


async def test_what_comes_during_a_round_has_the_next_one() -> None:
    loop, log = asyncio.get_running_loop(), list[str]()
    wakeups = WakeUps(loop)

    class Sender(Slow):
        def wake(self) -> None:
            super().wake()
            if len(log) < 5:
                wakeups.call(self)

    wakeups.call(Sender(log))
    await until_async(lambda: len(log) == 5, "each time")
    wakeups.call(Slow(log))
    await until_async(lambda: len(log) == 6, "and afterwards")


async def test_one_that_ends_the_process_does_not_stop_the_others() -> None:
    log = list[str]()
    wakeups = WakeUps(asyncio.get_running_loop())

    class Exits(Slow):
        def wake(self) -> None:
            raise SystemExit

    wakeups.call(Exits(log))
    wakeups.call(Slow(log))
    wakeups.urgent = True
    with pytest.raises(SystemExit):
        wakeups._turn()
    await until_async(lambda: log == ["reader"], "the other one is woken")


def round_of(pause: Pause, now: float, took_s: float, messages: float) -> tuple[float, float]:
    """A round that begins when it may; returns how long it has waited for that, and when it has ended."""
    waited = max(0.0, pause.left_s(now))
    pause.begin_round(messages)
    pause.spent_s = took_s / messages  # for the first message of each reader
    pause.end_round(now + waited + took_s)
    return waited, now + waited + took_s


def test_a_busy_loop_pauses_between_rounds_as_long_as_that_gains_something() -> None:
    pause = Pause()
    waited, now = round_of(pause, 0.0, 0.0005, 1)
    assert waited == 0.0
    for _ in range(10):
        waited, now = round_of(pause, now, 0.0005, 4)
        assert waited == pytest.approx(PAUSE * 0.0005)
    waited, now = round_of(pause, now, 1.0, 4)
    waited, now = round_of(pause, now, 1.0, 4)
    assert waited == pytest.approx(MAX_PAUSE_S)
    assert round_of(pause, now + MAX_PAUSE_S, 1.0, 4)[0] == 0.0, "where little is to do nobody waits"


def test_a_pause_that_gains_nothing_is_seldom_tried_again() -> None:
    pause, now = Pause(), 0.0
    waits = []
    for _ in range(1000):
        waited, now = round_of(pause, now, 0.0005, 1)
        waits.append(waited > 0)
    assert sum(waits) < 1000 / MAX_SKIPPED + 10
    assert any(waits[-MAX_SKIPPED - 2 :]), "but it is"
