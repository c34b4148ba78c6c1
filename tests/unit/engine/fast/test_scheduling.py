"""Wake-ups: readers are woken together, soon, and none is forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import freezegun
import pytest

from compat.clock import steady
from compat.consumer import AsyncConsumer
from compat.engine.fast.reading import FastInbox, StepReader
from compat.engine.fast.scheduling import (
    BUSY,
    MAX_PAUSE_S,
    MAX_SKIPPED,
    MAX_TURNS,
    PAUSE,
    SLICE_S,
    WINDOW_S,
    Pause,
    Rounds,
)
from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of, scheduler_of
from compat.engine.scheduler import RELIEF_TURNS
from compat.generic.websocket import AsyncWebsocketConsumer
from compat.layers import InMemoryChannelLayer
from compat.types import Message
from tests.support.conversations import Conversation
from tests.support.engine import rounds
from tests.support.waiting import turns, until_async

FOREVER = float("inf")


async def test_what_comes_in_neighbouring_turns_is_read_in_one_go() -> None:
    inbox = inbox_of(asyncio.get_running_loop())
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
    inbox = inbox_of(asyncio.get_running_loop())
    reader = asyncio.create_task(inbox.get())
    for _ in range(MAX_TURNS + 3):
        await turns(1)
        inbox.push({"type": "n"}, FOREVER)
    assert reader.done()


async def test_a_client_frame_wakes_at_once_and_the_call_that_is_due_later_does_no_harm() -> None:
    inbox = inbox_of(asyncio.get_running_loop())
    first = asyncio.create_task(inbox.get())
    await turns(1)
    inbox.push({"type": "event"}, FOREVER)
    assert inbox.put_frame({"type": "frame"})
    await turns(2)
    assert first.done() and (await first)["type"] == "frame"
    assert (await inbox.get())["type"] == "event"
    last = asyncio.create_task(inbox.get())
    await turns(MAX_TURNS)
    assert not last.done() and not inbox.scheduler.is_called(inbox)
    inbox.push({"type": "again"}, FOREVER)
    assert (await last)["type"] == "again"


async def test_every_reader_of_the_loop_is_woken() -> None:
    inboxes = [inbox_of(asyncio.get_running_loop()) for _ in range(50)]
    readers = [asyncio.create_task(inbox.get()) for inbox in inboxes]
    await turns(1)
    for inbox in inboxes:
        inbox.push({"type": "n"}, FOREVER)
    assert len(await asyncio.gather(*readers)) == 50


async def test_a_reader_that_has_left_is_no_harm() -> None:
    inbox = inbox_of(asyncio.get_running_loop())
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
    assert scheduler_of(loop) is scheduler_of(loop)


async def test_a_reader_is_woken_before_its_inbox_is_full() -> None:
    inbox = inbox_of(asyncio.get_running_loop())
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
    await until_async(lambda: len(taken) == 100, "what came last is taken")  # after a pause, perhaps
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
    wakeups = Rounds(loop)
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
    wakeups = Rounds(loop)

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
    wakeups = Rounds(loop)

    class Sender(Slow):
        def wake(self) -> None:
            super().wake()
            if len(log) < 5:
                wakeups.call(self)

    wakeups.call(Sender(log))
    await until_async(lambda: len(log) == 5, "each time")
    wakeups.call(Slow(log))
    await until_async(lambda: len(log) == 6, "and afterwards")


class Speaking(AsyncWebsocketConsumer):
    """Says what its client says to its room, and notes in which turn of the loop each member hears it."""

    groups = ["room"]
    turn = 0
    heard: list[int] = []

    async def receive(self, text_data: str) -> None:
        await self.channel_layer.group_send("room", {"type": "on.said"})

    async def on_said(self, event: Message) -> None:
        self.heard.append(Speaking.turn)


async def test_who_sends_to_a_room_hears_it_in_the_round_of_the_others(
    layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a busy room's members handle, and write, each message by itself."""
    monkeypatch.setattr("compat.engine.fast.scheduling.SLICE_S", 60.0)  # a stall would cut the round in two
    loop, going = asyncio.get_running_loop(), True

    def count() -> None:
        Speaking.turn += 1
        if going:
            loop.call_soon(count)

    Speaking.heard = []
    clients = [await Conversation(Speaking.as_asgi()).open() for _ in range(3)]
    count()
    await clients[0].send_to(text_data="hello")
    await until_async(lambda: len(Speaking.heard) == 3, "all have heard it")
    going = False
    assert len(set(Speaking.heard)) == 1, Speaking.heard
    for client in clients:
        await client.disconnect()


async def test_one_that_ends_the_process_does_not_stop_the_others() -> None:
    log = list[str]()
    wakeups = Rounds(asyncio.get_running_loop())

    class Exits(Slow):
        def wake(self) -> None:
            raise SystemExit

    wakeups.call(Exits(log))
    wakeups.call(Slow(log))
    wakeups.urgent = True
    with pytest.raises(SystemExit):
        wakeups._turn()
    await until_async(lambda: log == ["reader"], "the other one is woken")


@pytest.mark.parametrize("waits_again", [True, None])
async def test_a_reader_that_waits_again_makes_room_for_the_next(
    monkeypatch: pytest.MonkeyPatch, waits_again: bool | None
) -> None:
    monkeypatch.setattr("compat.engine.fast.scheduling.SLICE_S", 60.0)  # as above
    loop, log, wakeups = asyncio.get_running_loop(), list[int](), Rounds(asyncio.get_running_loop())
    turn = 0

    class Quick:
        def wake(self) -> bool | None:
            log.append(turn)
            return waits_again

    def count() -> None:
        nonlocal turn
        turn += 1
        if len(log) < len(readers):
            loop.call_soon(count)

    readers = [Quick() for _ in range(40)]
    for _ in range(9):
        for reader in readers:
            wakeups.call(reader)
    count()
    await until_async(lambda: len(log) == len(readers), "all are woken")
    assert (len(set(log)) == 1) == bool(waits_again), log


class Loop:
    """A loop with rounds one after the other, each with ``messages`` for every reader.

    Beside them it works for ``work`` of the time that is not a pause, and for ``in_pauses`` of a pause.
    """

    def __init__(self, *, messages: float = 4, work: float = 1.0, in_pauses: float = 1.0) -> None:
        self.messages, self.work, self.in_pauses = messages, work, in_pauses
        self.now = self.worked = 0.0
        self.pause = Pause(lambda: self.worked)

    def round(self, took_s: float, at_work: float = 1.0) -> float:
        """One round, when it may begin; return how long it has waited for that."""
        waited = max(0.0, self.pause.left_s(self.now))
        self.pause.begin_round(self.messages)
        # For the first message of each reader that is at work after it, and for all of the others'.
        self.pause.spent_s = took_s * (at_work / self.messages + 1 - at_work)
        self.worked += took_s + self.in_pauses * waited
        self.now += waited + took_s / self.work
        self.pause.end_round(self.now, at_work)
        return waited

    def rounds(self, seconds: float) -> list[float]:
        end = self.now + seconds
        waits = []
        while self.now < end:
            waits.append(self.round(0.0005))
        return waits


@pytest.mark.parametrize("at_work", [0.0, 1.0])
def test_a_busy_loop_pauses_between_rounds_as_long_as_that_gains_something(at_work: float) -> None:
    loop = Loop()
    first = loop.rounds(WINDOW_S)
    assert not any(first), "it is not known yet how busy the loop is"
    assert {round(loop.round(0.0005, at_work), 6) for _ in range(1000)} == {PAUSE * 0.0005}
    loop.round(1.0)
    assert loop.round(1.0) == pytest.approx(MAX_PAUSE_S), "that is enough"


@pytest.mark.parametrize("loop", [Loop(messages=1), Loop(in_pauses=0.0)], ids=["no messages", "no work"])
def test_a_pause_that_gains_nothing_is_seldom_tried_again(loop: Loop) -> None:
    loop.rounds(10 * WINDOW_S)
    assert sum(map(bool, loop.rounds(30 * WINDOW_S))) > 1, "at first it is"
    loop.rounds(4 * MAX_SKIPPED * WINDOW_S)
    waits = loop.rounds(10 * MAX_SKIPPED * WINDOW_S)
    assert any(waits), "but it is"
    assert sum(waits) < 12 * WINDOW_S


@pytest.mark.parametrize(("work", "pauses"), [(0.5, False), (BUSY - 0.02, False), (BUSY + 0.02, True)])
def test_a_loop_that_has_time_left_does_not_pause(work: float, pauses: bool) -> None:
    assert any(Loop(work=work).rounds(20 * WINDOW_S)) == pauses


def test_a_clock_that_is_turned_back_makes_no_long_pause() -> None:
    loop = Loop()
    loop.rounds(2 * WINDOW_S)
    loop.now -= 3600
    assert loop.round(0.0005) == 0.0
    loop.rounds(4 * WINDOW_S)
    assert loop.round(0.0005) == pytest.approx(PAUSE * 0.0005)


# What a pause may not cost


@pytest.fixture
def paused(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[None]]:
    """Brings the loop into a pause that lasts a minute, where a reader has been called and waits."""
    monkeypatch.setattr("compat.engine.fast.scheduling.MAX_PAUSE_S", 60.0)

    async def begin() -> None:
        wakeups = rounds()
        wakeups.pause.until = steady() + 60
        wakeups.call(Slow([]))
        await until_async(lambda: wakeups.timer is not None, "the pause has begun")

    return begin


async def test_faults_engine_05_a_pause_is_cut_short_when_an_inbox_is_half_full(
    paused: Callable[[], Awaitable[None]],
) -> None:
    inbox = inbox_of(asyncio.get_running_loop())
    inbox.capacity = 20
    reader = asyncio.create_task(inbox.get())
    await turns(1)
    await paused()
    for number in range(9):
        assert inbox.push({"type": "n", "number": number}, FOREVER)
        await turns(2)
    assert not reader.done(), "the pause goes on"
    for number in range(9, 12):
        assert inbox.push({"type": "n", "number": number}, FOREVER)
    assert await asyncio.wait_for(reader, 15) == {"type": "n", "number": 0}
    assert not rounds().urgent


class Counting(AsyncConsumer):
    """Counts what it is sent."""

    groups_of: int
    got: list[int]

    async def websocket_connect(self, message: Message) -> None:
        await self.channel_layer.group_add("room", self.channel_name)
        await self.send({"type": "websocket.accept"})

    async def numbered(self, event: Message) -> None:
        self.got.append(event["n"])


@pytest.mark.parametrize("senders", [1, 3])
@pytest.mark.parametrize("at_once", [1, 10, 70])
async def test_faults_engine_05_nothing_is_lost_where_readers_keep_up(
    layer: InMemoryChannelLayer, senders: int, at_once: int
) -> None:
    """Senders that give way now and then: 6,157 to 7,709 of 10,000 arrived."""
    Counting.got = []
    members = [await Conversation(Counting.as_asgi()).open() for _ in range(5)]
    count = 1500

    async def send(first: int) -> None:
        for number in range(first, count, senders):
            await layer.group_send("room", {"type": "numbered", "n": number})
            if number // senders % at_once == 0:
                await asyncio.sleep(0)

    await asyncio.gather(*(send(number) for number in range(senders)))
    await until_async(lambda: len(Counting.got) == 5 * count, "all have come", deadline_s=30)
    assert layer.metrics.dropped == {}
    for member in members:
        await member.disconnect()


async def test_faults_engine_05_a_sender_waits_for_the_last_reader_of_a_long_round() -> None:
    """A round of many readers with many messages takes more turns than a sender waits for one reader."""
    inboxes = [inbox_of(asyncio.get_running_loop()) for _ in range(16 * RELIEF_TURNS)]
    readers = [asyncio.create_task(read_one_a_turn(inbox)) for inbox in inboxes]
    await turns(1)
    for _ in range(2):
        for inbox in inboxes:
            inbox.capacity = 12
            assert all(inbox.push({"type": "n"}, FOREVER) for _ in range(7))
        await rounds().relief()
    assert not any(inbox.is_behind() for inbox in inboxes)
    for reader in readers:
        reader.cancel()


async def read_one_a_turn(inbox: Inbox) -> None:
    while True:
        await inbox.get()
        inbox.pause()
        await turns(1)


@pytest.mark.parametrize("waiting", [510, 700, 1000])
async def test_a_sender_does_not_wait_until_a_client_has_caught_up(waiting: int) -> None:
    """It waited for up to 128 messages: in a soak the 99th percentile of all rooms was 38 ms and not 4."""
    inbox = inbox_of(asyncio.get_running_loop())
    inbox.capacity = 1000
    for number in range(waiting):
        inbox.push({"type": "n", "number": number}, FOREVER)
        await rounds().relief()
    reader = asyncio.create_task(read_one_a_turn(inbox))
    await turns(4)
    taken = []
    while inbox.is_half_full():
        before = inbox.qsize()
        assert inbox.push({"type": "n"}, FOREVER)
        await rounds().relief()
        taken.append(before - inbox.qsize())
    assert all(1 <= count <= 3 for count in taken), taken
    reader.cancel()


@pytest.mark.parametrize("senders", [1, 2, 3, 40])
async def test_many_senders_wait_together_until_a_full_inbox_has_room(senders: int) -> None:
    inbox = inbox_of(asyncio.get_running_loop())
    inbox.capacity = 100
    while inbox.push({"type": "n"}, FOREVER):
        await rounds().relief()
    reader = asyncio.create_task(read_one_a_turn(inbox))
    await turns(4)
    lost = []

    async def send() -> None:
        for _ in range(50):
            lost.append(not inbox.push({"type": "n"}, FOREVER))
            await rounds().relief()

    await asyncio.gather(*(send() for _ in range(senders)))
    assert not any(lost[3 * senders :]), lost
    assert not any(lost) or senders > 3
    reader.cancel()


async def test_faults_engine_05_who_does_not_take_holds_nobody_back() -> None:
    """A reader that is stuck in a handler, or that is gone, is not waited for."""
    wakeups = rounds()
    inbox = inbox_of(asyncio.get_running_loop())
    inbox.capacity = 10
    for number in range(15):
        inbox.push({"type": "n", "number": number}, FOREVER)
    before = asyncio.get_running_loop().time()
    await wakeups.relief()
    assert not wakeups.backlog and before <= asyncio.get_running_loop().time()
    inbox.pause()  # it is about to look, and never does
    inbox.own().pop()
    inbox.push({"type": "n"}, FOREVER)
    assert list(wakeups.backlog) == [inbox]
    await asyncio.wait_for(wakeups.relief(), 15)
    inbox.close()
    assert not wakeups.backlog


CLOCKS: dict[str, Callable[[float], Callable[[], float]]] = {
    "stands": lambda now: lambda: now,
    "stands in the past": lambda now: lambda: now - 3600,
    "stands in the future": lambda now: lambda: now + 3600,
    "stands at zero": lambda now: lambda: 0.0,
}


@pytest.mark.parametrize("clock", CLOCKS)
async def test_faults_engine_06_a_message_is_delivered_whatever_the_clock_does(
    layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    Counting.got = []
    client = await Conversation(Counting.as_asgi()).open()
    number = 0

    async def deliver(arrived: Callable[[], Awaitable[None]]) -> None:
        nonlocal number
        for _ in range(3):
            for _ in range(5):
                await layer.group_send("room", {"type": "numbered", "n": number})
                number += 1
            await arrived()
            assert Counting.got == list(range(number))

    async def in_turns() -> None:
        await turns(200)  # the loop's timers may stand still

    async def in_time() -> None:
        await until_async(lambda: len(Counting.got) == number, "all have come")

    wakeups = rounds()
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", CLOCKS[clock](time.monotonic()))
        wakeups.pause.until = steady() + MAX_PAUSE_S  # a round has just ended
        await deliver(in_turns)
    wakeups.pause.until = steady() + 3600  # somebody has turned our clock back, too
    await deliver(in_time)
    await client.disconnect()


@pytest.mark.parametrize("when", ["2012-01-14", "2040-01-14"])
async def test_faults_engine_06_freezegun(layer: InMemoryChannelLayer, when: str) -> None:
    """Frozen, moved and free again; what was sent before it was frozen has not expired."""
    Counting.got = []
    client = await Conversation(Counting.as_asgi()).open()

    async def turns_until(number: int) -> None:
        await turns(300)
        assert Counting.got == list(range(number))

    await layer.group_send("room", {"type": "numbered", "n": 0})
    await layer.send("unread", {"type": "x"})
    with freezegun.freeze_time(when) as frozen:
        await layer.group_send("room", {"type": "numbered", "n": 1})
        await turns_until(2)
        frozen.tick(7200)
        await layer.group_send("room", {"type": "numbered", "n": 2})
        await turns_until(3)
        assert await layer.receive("unread") == {"type": "x"}
        await layer.send("unread", {"type": "y"})
    await layer.group_send("room", {"type": "numbered", "n": 3})
    await until_async(lambda: Counting.got == [0, 1, 2, 3], "the last one has come")
    assert await layer.receive("unread") == {"type": "y"}
    await client.disconnect()


async def test_faults_engine_06_a_pause_under_way_when_the_clock_is_stopped_is_cut_short(
    paused: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await paused()
    wakeups = rounds()
    wakeups.due = wakeups.pause.until = steady()  # the pause is over, its timer does not know
    inbox = inbox_of(asyncio.get_running_loop())
    reader = asyncio.create_task(inbox.get())
    await turns(1)
    inbox.push({"type": "n"}, FOREVER)
    assert await asyncio.wait_for(reader, 15) == {"type": "n"}


async def test_faults_engine_10_a_reader_whose_future_has_other_callbacks_is_woken() -> None:
    """A future of asyncio.shield() has a plain function beside the task's: "no attribute '__self__'"."""
    loop = asyncio.get_running_loop()
    inbox, never = inbox_of(loop), loop.create_future()

    async def receive() -> Message:
        await asyncio.shield(never)
        raise AssertionError

    async def run() -> Message:
        inbox.begin()
        assert isinstance(inbox, FastInbox)
        StepReader(receive, inbox)
        return await inbox.get()

    task, second = asyncio.create_task(run()), inbox_of(loop)
    other = asyncio.create_task(second.get())
    await turns(2)
    assert inbox.push({"type": "n"}, FOREVER) and second.push({"type": "m"}, FOREVER)
    got = await asyncio.wait_for(asyncio.gather(task, other), 15)
    assert list(got) == [{"type": "n"}, {"type": "m"}]
    assert isinstance(inbox, FastInbox) and inbox.reader is not None
    await inbox.reader.stop()
    never.cancel()


async def test_faults_engine_10_one_that_fails_does_not_keep_the_others_from_being_woken() -> None:
    log = list[str]()
    loop = asyncio.get_running_loop()
    wakeups, told = Rounds(loop), list[Any]()

    class Fails(Slow):
        def wake(self) -> None:
            raise AttributeError("as told")

    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    for reader in (Slow(log, "first"), Fails(log), Slow(log, "second"), Fails(log), Slow(log, "third")):
        wakeups.call(reader)
    await until_async(lambda: len(log) == 3, "the others are woken")
    assert log == ["first", "second", "third"] and len(told) == 2
