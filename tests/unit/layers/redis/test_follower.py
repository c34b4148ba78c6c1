"""What follows topics in streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from compat.redis.streams.follower import Follower
from compat.redis.streams.history import Part, Place
from compat.redis.streams.receiver import Found
from tests.support.waiting import turns, until_async


class Reads:
    """Counts how often a topic was read, which has no messages."""

    def __init__(self) -> None:
        self.count = 0

    def follow_memory_s(self, topic: str, /) -> float:
        return 60.0

    def follow_deliver(self, topic: str, entry: Any, /, *, late: bool) -> Awaitable[None] | None:
        raise AssertionError("there is none")

    def follow_reset(self, topic: str, /, reason: str, lost: int | None) -> None:
        raise AssertionError("nothing is lost")

    def follow_gone_back(self, topic: str, epoch: str, /) -> None:
        raise AssertionError("nothing is lost")

    async def follow_read(self, topic: str, /, most: int, first: int | None, *, whole: bool = False) -> Found:
        self.count += 1
        return Found(Part())


async def test_closing_before_a_topic_was_read() -> None:
    """It is read when its connection is there again."""
    reads = Reads()
    follower = Follower(reads)
    follower.begin_at_start("topic")
    await follower.aclose()
    assert reads.count == 0
    follower.reconnected({"topic"})
    await until_async(lambda: reads.count == 1, "it is read")
    await follower.aclose()


class Restarted(Reads):
    """A Redis that has lost the history; ``answers`` holds what it has answered back."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()
        self.found = Found(Part("old", 3))
        self.delivered: list[int] = []
        self.resets: list[str] = []

    def follow_deliver(self, topic: str, entry: Any, /, *, late: bool) -> Awaitable[None] | None:
        self.delivered.append(entry.offset)
        return None

    def follow_reset(self, topic: str, /, reason: str, lost: int | None) -> None:
        self.resets.append(reason)

    async def follow_read(self, topic: str, /, most: int, first: int | None, *, whole: bool = False) -> Found:
        self.count += 1
        found = self.found
        await self.answers.wait()
        return found


async def test_the_first_message_of_a_new_history_comes_before_the_answer_that_there_is_none() -> None:
    """Was: it was delivered with the next one, if there was one."""
    reads = Restarted()
    follower = Follower(reads)
    reads.answers.set()
    await follower.begin("topic")
    assert follower.position("topic") == ("old", 3)
    reads.answers.clear()
    reads.found = Found(Part())
    follower.reconnected({"topic"})
    await turns()
    first = Place("new", 1, "mark")
    reads.found = Found(Part("new", 1), [first])
    assert follower.came("topic", first) is None
    reads.answers.set()
    await until_async(lambda: reads.delivered == [1], "it has come")
    assert follower.position("topic") == ("new", 1)
    await follower.aclose()
