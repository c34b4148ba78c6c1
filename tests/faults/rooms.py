"""Members of a group, and a sender that goes on whatever happens; then every message is accounted for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from tests.support.waiting import until_async

__all__ = ["LAYERS", "QUICK", "WITHIN_S", "Room", "talking"]

LAYERS = {"queue": RedisChannelLayer, "pubsub": RedisPubSubChannelLayer}
QUICK = "?socket_timeout=1&socket_connect_timeout=1"
WITHIN_S = 20.0


class Room:
    """Members of a group, and a sender that goes on whatever happens."""

    def __init__(self, reader: Any, sender: Any, name: str = "room", *, exact: bool = True) -> None:
        self.exact = exact
        self.reader = reader
        self.sender = sender
        self.name = name
        self.inboxes: list[Inbox] = []
        self.sent: dict[int, float] = {}
        """Number of a message that was sent without an error: when."""
        self.refused: dict[int, LayerUnavailable] = {}
        self.longest_s = 0.0
        self.sending = False
        """True while a message is on its way to Redis, or its answer back."""
        self._task: asyncio.Task[None] | None = None

    async def open(self, members: int) -> None:
        for _ in range(members):
            channel = await self.reader.new_channel()
            inbox = inbox_of(asyncio.get_running_loop())
            self.reader.attach(channel, inbox)
            await self.reader.group_add(self.name, channel)
            self.inboxes.append(inbox)
        self._task = asyncio.ensure_future(self._send())
        await self.until_sent(20)

    async def _send(self) -> None:
        for number in range(1_000_000):
            began, self.sending = time.time(), True
            try:
                await self.sender.group_send(self.name, {"type": "numbered", "n": number})
                self.sent[number] = began
            except LayerUnavailable as error:
                self.refused[number] = error
            self.sending = False
            self.longest_s = max(self.longest_s, time.time() - began)
            await asyncio.sleep(0.003)

    async def until_sent(self, more: int) -> None:
        """Until so many more messages have been sent, and everybody has got one that is newer."""
        have = len(self.sent)
        await until_async(lambda: len(self.sent) >= have + more, f"{more} more are sent")
        newest = max(self.sent)
        await until_async(
            lambda: all(self.last(inbox) > newest for inbox in self.inboxes), "all have newer ones"
        )

    async def until_all_is_here(self) -> None:
        """Until nothing is on its way, which holds until the caller awaits something."""
        await until_async(
            lambda: not self.sending and all(self.last(inbox) == max(self.sent) for inbox in self.inboxes),
            "nothing is on its way",
        )

    async def close(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        newest = max(self.sent)
        await until_async(
            lambda: all(self.last(inbox) >= newest for inbox in self.inboxes), "the last one is here"
        )

    @staticmethod
    def got(inbox: Inbox) -> list[int]:
        return [message["n"] for _, message, _ in inbox.events if message["type"] == "numbered"]

    @classmethod
    def last(cls, inbox: Inbox) -> int:
        return max(cls.got(inbox), default=-1)

    def account(self) -> list[int]:
        """Every message has arrived, or is in a gap: those that are; if ``exact``, once and in order."""
        counts: Counter[int] = Counter()
        for inbox in self.inboxes:
            got = self.got(inbox)
            back = [number for before, number in pairwise(got) if number <= before]
            assert not (self.exact and back), f"{back} came late or again"
            counts.update(set(got))
        lost = [number for number in self.sent if counts[number] != len(self.inboxes)]
        gaps = [(gap.began, gap.ended or time.time()) for gap in self.reader.metrics.gaps]
        for number in lost:
            when = self.sent[number]
            assert any(began <= when <= ended for began, ended in gaps), (
                f"{number} at {when} is in none of {gaps}"
            )
        return lost


@contextlib.asynccontextmanager
async def talking(
    reader: Any, sender: Any, members: int = 20, name: str = "room", *, exact: bool = True
) -> AsyncIterator[Room]:
    room = Room(reader, sender, name, exact=exact)
    await room.open(members)
    try:
        yield room
        await room.until_sent(20)
    finally:
        await room.close()
    room.account()
