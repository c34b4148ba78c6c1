"""Mailboxes: order, bounds, expiry, and that a cancelled reader loses nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from compat.engine.events import HEARTBEAT, One, Overflow
from compat.engine.inbox import Inbox
from compat.engine.mailbox import Mailbox
from compat.types import Message

FOREVER = float("inf")


class Counter:
    """A layer that only counts."""

    def __init__(self) -> None:
        self.drops: dict[str, int] = {}

    def count_drop(self, channel: str, reason: str, count: int = 1) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + count


def event(number: int) -> Message:
    return {"type": "event", "n": number}


def inbox_of(capacity: int = 100, on_overflow: Overflow = "drop") -> Inbox:
    inbox = Inbox(asyncio.get_running_loop())
    inbox.capacity, inbox.on_overflow, inbox.owner = capacity, on_overflow, Counter()
    return inbox


def drops(inbox: Inbox | Mailbox) -> dict[str, int]:
    assert isinstance(inbox.owner, Counter)
    return inbox.owner.drops


async def test_events_come_in_order() -> None:
    inbox = inbox_of()
    for number in range(5):
        assert inbox.push(event(number), FOREVER)
    assert [(await inbox.get())["n"] for _ in range(5)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_inboxes_that_share_events_lose_none_of_them(count: int) -> None:
    inboxes = [inbox_of() for _ in range(3)]
    shared: list[One] = [((FOREVER, event(number), None),) for number in range(count)]
    for one in shared:
        assert all([inbox.offer(one) for inbox in inboxes])
    inboxes[1].own().clear()
    taken = [[message["n"] for message in iter(inbox.take, None)] for inbox in inboxes]
    assert taken == [list(range(count)), [], list(range(count))]


@pytest.mark.parametrize("capacity", [1, 2, 3])
async def test_a_full_inbox_leaves_the_shared_event_to_the_others(capacity: int) -> None:
    full, other = inbox_of(capacity=capacity, on_overflow="drop_oldest"), inbox_of()
    for number in range(capacity + 1):
        one = ((FOREVER, event(number), None),)
        full.offer(one)
        other.offer(one)
    assert [message["n"] for message in iter(full.take, None)] == list(range(1, capacity + 1))
    assert [message["n"] for message in iter(other.take, None)] == list(range(capacity + 1))


async def test_frames_and_events_alternate_and_the_frame_is_first() -> None:
    inbox = inbox_of()
    for number in range(3):
        inbox.push(event(number), FOREVER)
    taken = []
    for number in range(3):
        inbox.put_frame({"type": "websocket.receive", "n": f"frame {number}"})
        taken += [(await inbox.get())["n"], (await inbox.get())["n"]]
    assert taken == ["frame 0", 0, "frame 1", 1, "frame 2", 2]


async def test_a_full_inbox_refuses_the_newest() -> None:
    inbox = inbox_of(capacity=2)
    assert [inbox.push(event(number), FOREVER) for number in range(4)] == [True, True, False, False]
    assert [(await inbox.get())["n"] for _ in range(2)] == [0, 1]


async def test_a_full_inbox_can_drop_the_oldest() -> None:
    inbox = inbox_of(capacity=2, on_overflow="drop_oldest")
    assert [inbox.push(event(number), FOREVER) for number in range(4)] == [True, True, False, False]
    assert [(await inbox.get())["n"] for _ in range(2)] == [2, 3]


async def test_a_full_inbox_can_have_its_task_cancelled() -> None:
    inbox = inbox_of(capacity=1, on_overflow="close")
    inbox.task = asyncio.ensure_future(asyncio.Event().wait())
    assert inbox.push(event(0), FOREVER)
    assert not inbox.push(event(1), FOREVER)
    with pytest.raises(asyncio.CancelledError):
        await inbox.task
    assert inbox.overflowed


async def test_what_an_overflow_leaves_unread_is_counted() -> None:
    inbox = inbox_of(capacity=3, on_overflow="close")
    inbox.push({"type": HEARTBEAT}, FOREVER)
    lost = [not inbox.push(event(number), FOREVER) for number in range(4)]
    assert lost == [False, False, True, True], "whoever pushes counts these two"
    inbox.close()
    assert drops(inbox) == {"overflow": 2}, "the heartbeat is nobody's message"
    inbox.push_threadsafe(event(4), FOREVER)  # was on its way from another thread
    await asyncio.sleep(0)
    assert drops(inbox) == {"overflow": 3}
    inbox.close()
    assert drops(inbox) == {"overflow": 3}


async def test_what_a_client_that_leaves_has_not_read_is_not_an_overflow() -> None:
    inbox = inbox_of(capacity=3)
    assert inbox.push(event(0), FOREVER)
    inbox.close()
    assert drops(inbox) == {}


async def test_a_heartbeat_that_makes_room_is_no_loss() -> None:
    inbox = inbox_of(capacity=2, on_overflow="drop_oldest")
    inbox.push({"type": HEARTBEAT}, FOREVER)
    assert [inbox.push(event(number), FOREVER) for number in range(3)] == [True, True, False]
    assert [(await inbox.get())["n"] for _ in range(2)] == [1, 2]


async def test_expired_events_are_skipped_and_counted() -> None:
    inbox = inbox_of()
    past = time.monotonic() - 1
    inbox.push(event(0), past)
    inbox.push(event(1), past)
    inbox.push(event(2), FOREVER)
    assert (await inbox.get())["n"] == 2
    assert drops(inbox) == {"expired": 2}


@pytest.mark.parametrize("on_overflow", ["drop", "drop_oldest", "close"])
@pytest.mark.parametrize("expired", [1, 2, 3])
async def test_expired_events_make_room(expired: int, on_overflow: Overflow) -> None:
    """Was: behind a handler that took longer than the expiry, the newer ones were lost for the older."""
    inbox, past = inbox_of(capacity=3, on_overflow=on_overflow), time.monotonic() - 1
    for number in range(3):
        assert inbox.push(event(number), past if number < expired else FOREVER)
    kept = [inbox.push(event(3 + number), FOREVER) for number in range(expired)]
    assert kept == [True] * expired
    assert drops(inbox) == {"expired": expired}
    taken = [message["n"] for message in iter(inbox.take, None)]
    assert taken == list(range(expired, 3 + expired))
    for number in range(3):
        inbox.push(event(number), FOREVER)
    assert not inbox.push(event(3), FOREVER), "none has expired"


async def test_a_frame_behind_nothing_but_expired_events_is_found() -> None:
    inbox = inbox_of()
    inbox.put_frame({"type": "first"})
    assert (await inbox.get())["type"] == "first"
    inbox.push(event(0), time.monotonic() - 1)
    inbox.put_frame({"type": "second"})
    assert (await asyncio.wait_for(inbox.get(), 5))["type"] == "second"


async def test_a_waiting_reader_is_woken_by_a_push() -> None:
    inbox = inbox_of()
    reader = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    inbox.push(event(1), FOREVER)
    assert (await asyncio.wait_for(reader, 5))["n"] == 1


async def test_a_frame_is_handled_next_if_the_reader_waits() -> None:
    inbox = inbox_of()
    reader = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    assert inbox.put_frame({"type": "websocket.receive"})
    await asyncio.wait_for(reader, 5)
    assert not inbox.put_frame({"type": "websocket.receive"}), "nobody waits"


async def test_cancelling_a_reader_at_any_moment_loses_nothing() -> None:
    inbox = inbox_of()
    taken: list[int] = []
    for number in range(50):
        reader = asyncio.ensure_future(inbox.get())
        await asyncio.sleep(0)
        inbox.push(event(number), FOREVER)  # the reader is due to run, and is cancelled before it does
        reader.cancel()
        try:
            taken.append((await reader)["n"])
        except asyncio.CancelledError:
            pass
    while (message := inbox.take()) is not None:
        taken.append(message["n"])
    assert taken == list(range(50))


async def test_a_push_from_another_thread_wakes_the_reader() -> None:
    inbox = inbox_of(capacity=3)
    reader = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)

    def push_five() -> None:
        for number in range(5):
            inbox.push_threadsafe(event(number), FOREVER)

    await asyncio.to_thread(push_five)
    assert (await asyncio.wait_for(reader, 5))["n"] == 0
    rest = [message["n"] for message in iter(inbox.take, None)]
    assert len(rest) + 1 + drops(inbox).get("overflow", 0) == 5, "each is delivered or counted"


async def test_the_place_for_a_frame_is_waited_for() -> None:
    inbox = inbox_of()
    inbox.put_frame({"type": "websocket.receive"})
    writer = asyncio.ensure_future(inbox.vacancy())
    await asyncio.sleep(0)
    assert not writer.done()
    inbox.take()
    await asyncio.wait_for(writer, 5)


async def test_a_failed_socket_is_reported_after_what_came_before() -> None:
    inbox = inbox_of()
    inbox.push(event(0), FOREVER)
    inbox.fail(ConnectionResetError("gone"))
    assert (await inbox.get())["n"] == 0
    with pytest.raises(ConnectionResetError, match="gone"):
        await inbox.get()


async def test_a_mailbox_serves_every_reader_once() -> None:
    mailbox = Mailbox("jobs", Counter(), capacity=1000)
    readers = [asyncio.ensure_future(mailbox.next_message()) for _ in range(20)]
    await asyncio.sleep(0)
    for number in range(20):
        assert mailbox.push(event(number), FOREVER)
    got = await asyncio.wait_for(asyncio.gather(*readers), 5)
    assert sorted(message["n"] for message in got) == list(range(20))
    assert mailbox.empty() and mailbox.idle()


async def test_a_full_mailbox_makes_room_by_expiry() -> None:
    mailbox = Mailbox("jobs", Counter(), capacity=1)
    assert mailbox.push(event(0), time.monotonic() - 1)
    assert mailbox.push(event(1), FOREVER)
    assert not mailbox.push(event(2), FOREVER)
    assert drops(mailbox) == {"expired": 1}


def test_a_mailbox_is_safe_between_threads_and_loops() -> None:
    mailbox = Mailbox("jobs", Counter(), capacity=10_000)
    barrier = threading.Barrier(4)

    def read(count: int) -> list[int]:
        async def main() -> list[int]:
            return [(await asyncio.wait_for(mailbox.next_message(), 30))["n"] for _ in range(count)]

        barrier.wait(10)
        return asyncio.run(main())

    def write(first: int) -> list[int]:
        barrier.wait(10)
        for number in range(first, first + 500):
            assert mailbox.push(event(number), FOREVER)
        return []

    with ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(read, 500), threads.submit(read, 500)]
        futures += [threads.submit(write, 0), threads.submit(write, 500)]
        got = [number for future in futures for number in future.result(60)]
    assert sorted(got) == list(range(1000))


async def test_earlier_messages_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that joins a group over and over gets them each time."""
    monkeypatch.setattr("compat.engine.inbox.REPLAYED", 100)
    inbox = inbox_of(capacity=10)
    inbox.room = 10
    earlier = [(FOREVER, event(number), None) for number in range(50)]
    for _ in range(2):
        assert inbox.replay(earlier)
    assert len(inbox.events) == 100 and not drops(inbox)
    for _ in range(20):
        assert inbox.replay(earlier)
    assert len(inbox.events) == 110 and drops(inbox) == {"overflow": 20 * 50 - 10}
    while inbox.take() is not None:
        pass
    assert inbox.replay(earlier) and len(inbox.events) == 50


async def test_an_overflow_at_the_end_cancels_nothing() -> None:
    inbox = inbox_of(capacity=1, on_overflow="close")
    inbox.begin()
    inbox.ending()
    assert [inbox.push(event(number), FOREVER) for number in range(2)] == [True, False]
    await asyncio.sleep(0)  # raises CancelledError if it has been
    assert not inbox.overflowed
