"""Up to where a consumer has handled a history, at a stop: what it leaves to the next one is not claimed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from compat.engine.cursors import Cursors, Position, Progress
from compat.engine.events import Event
from compat.engine.inbox import Inbox


class Consumer:
    """Takes messages out of its inbox, one at a time."""

    def __init__(self) -> None:
        self.inbox = Inbox(asyncio.get_running_loop())
        self.running = 0
        self.cursors = Cursors(self.inbox, lambda: Progress(self.running), lambda soon: None, None)
        self.inbox.follow(self.cursors)
        self.left: list[str] = []

    def join(self, group: str) -> None:
        self.cursors.begin(group, Position("e", 0), lambda: self.left.append(group))

    def gets(self, group: str, offset: int, *, excluded: bool = False) -> None:
        """A message of a group is there, or, excluded, one for the others."""
        message: dict[str, Any] = {"type": "x", "n": offset}
        event: Event = (float("inf"), message, lambda: message)
        if not excluded:
            self.inbox.offer((event,))
        self.cursors.note(None if excluded else event, group, Position("e", offset))

    def take(self) -> None:
        assert self.inbox.take() is not None
        self.running = 1

    def offsets(self) -> dict[str, int]:
        return {group: place.offset for group, place in self.cursors.read().items()}


@pytest.mark.parametrize("handled", [0, 1, 2, 3])
async def test_what_comes_after_a_message_that_is_left_is_left_too(handled: int) -> None:
    one = Consumer()
    one.join("room")
    one.join("hall")
    for offset in (1, 2, 3):
        one.gets("room", offset)
        one.gets("hall", offset, excluded=True)
    one.gets("room", 4, excluded=True)
    for _ in range(handled):
        one.take()
    one.running = 0
    one.cursors.freeze()
    assert one.left == ["room", "hall"] and one.inbox.take() is None
    assert one.offsets() == {"room": 4 if handled == 3 else handled, "hall": 3}
    assert not one.cursors.is_behind()


async def test_the_message_whose_handler_runs_counts_when_it_is_done() -> None:
    one = Consumer()
    one.join("room")
    for offset in (1, 2, 3):
        one.gets("room", offset)
    one.take()
    one.cursors.freeze()
    assert one.offsets() == {"room": 0} and one.cursors.is_handling()
    one.running = 0
    assert one.offsets() == {"room": 1}


async def test_a_frame_whose_handler_begins_between_two_looks_holds_nothing_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread takes it after ``is_handling`` has looked; the message before it is handled all the same."""
    looks = iter([0, 1, 1, 0, 0, 1])
    look = property(lambda self: next(looks), lambda self, running: None)
    monkeypatch.setattr(Consumer, "running", look, raising=False)
    one = Consumer()
    one.join("room")
    one.gets("room", 1)
    one.take()
    one.cursors.freeze()
    while one.cursors.is_handling():
        pass
    assert one.offsets() == {"room": 1}


async def test_what_is_for_others_does_not_stand_for_the_message_whose_handler_runs() -> None:
    one = Consumer()
    one.join("room")
    one.gets("room", 1)
    one.take()
    for offset in (2, 3):
        one.gets("room", offset, excluded=True)
    assert one.offsets() == {"room": 0} and one.cursors.is_behind()
    one.running = 0
    assert one.offsets() == {"room": 3}


async def test_a_frame_whose_handler_runs_holds_back_nothing_that_is_for_others() -> None:
    one = Consumer()
    one.join("room")
    one.gets("room", 1)
    one.take()
    one.running = 0
    one.gets("room", 2, excluded=True)
    assert one.offsets() == {"room": 2}
    one.running = 1
    one.gets("room", 3, excluded=True)
    assert one.offsets() == {"room": 3}


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_behind_a_handler_that_does_not_end_so_much_is_kept(
    more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compat.engine.cursors.MOST_NOTED", 200)
    one = Consumer()
    one.join("room")
    one.gets("room", 1)
    one.take()
    for offset in range(2, 200 + one.inbox.capacity + 1 + more):
        one.gets("room", offset)
        assert one.inbox.take() is not None
        one.running += 1
    assert one.cursors.lost is (more >= 0) and one.cursors.is_behind() is (more != 0)
    one.running = 0
    assert one.offsets() == ({"room": 299} if more < 0 else {})
