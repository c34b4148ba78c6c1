"""Wake-ups: readers are woken together, soon, and none is forgotten."""

from __future__ import annotations

import asyncio

import pytest

from compat.inbox import Inbox
from compat.wakeups import MAX_TURNS, wakeups_of

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
