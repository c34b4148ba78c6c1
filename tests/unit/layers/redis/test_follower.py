"""What follows topics in streams."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from compat.redis.streams.follower import Follower, Found
from compat.redis.streams.history import Part
from tests.support.waiting import until_async


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
