"""A peer: another process with which this one shares links, and the batches that are sent to it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from compat.clock import steady
from compat.exceptions import ChannelFull
from compat.redis.loops import start_apart
from compat.resume.posts import LATER

if TYPE_CHECKING:
    from compat.resume.ends import AwayEnd, HomeEnd

__all__ = ["Peer"]

log = logging.getLogger("compat.resume")

DEAD_S = 30.0
"""Seconds for which a process that has not answered is not asked again: so many returns wait only once."""
SILENT_S = 8.0
"""Seconds of silence after which a process counts as lost, and the links with it."""
PAUSE_S = 0.1
"""Seconds after a batch that could not be sent."""
MAX_BATCH = 128 * 1024
"""Characters of payload after which a batch is full."""
MAX_WAITING = 8 * 2**20
"""Characters that may wait for a process, without the longest frame, before the largest link is dropped."""
ITEM = 64
"""Characters that an item counts at least, because there may be many empty ones."""
TO_HOME = frozenset(("attach", "post", "refused", "text", "binary", "left"))
"""The kinds of items that go to the home; all others come from it."""


def _length(value: Any) -> int:
    return ITEM + len(value) if isinstance(value, str) else 2 * ITEM


class Peer:
    """One other process; its channel is its name."""

    def __init__(self, layer: Any, channel: str, own: str, loop: asyncio.AbstractEventLoop) -> None:
        self.layer, self.channel, self.own, self.loop = layer, channel, own, loop
        self.homes: dict[int, HomeEnd] = {}
        """The links whose connection lives here."""
        self.aways: dict[int, AwayEnd] = {}
        """The links whose socket is here."""
        self.posts: dict[int, asyncio.Future[str]] = {}
        """The outcomes of requests with frames that came here."""
        self.slow: set[int] = set()
        """The numbers of those whose consumer is slow, as the other process says."""
        self.heard = self.shown = steady()
        self.dead_until = 0.0
        """It is not asked for a connection before this time."""
        self.waiting: list[tuple[list[int], str, Any]] = []
        self.size = 0
        self.shrinking = False
        self.sent = 0
        """How many batches have been sent."""
        self.expected: int | None = None
        """The number of its next batch; None before the first one."""
        self.sending: asyncio.Task[None] | None = None

    # To the peer

    def put(self, number: int, kind: str, value: Any) -> None:
        """Send an item of one end of a link; the same text for several links is sent once."""
        last = self.waiting[-1] if self.waiting else None
        if last is not None and last[2] is value and last[1] == kind and value is not None:
            last[0].append(number)
        else:
            self.waiting.append(([number], kind, value))
            self.size += _length(value)
            self._shrink()
        self._begin()

    def _shrink(self) -> None:
        """Drop links until fewer characters wait; links that end put more items here, hence the flag."""
        if self.shrinking:
            return
        self.shrinking = True
        try:
            while self._is_full() and self._drop_largest():
                pass
        finally:
            self.shrinking = False

    def _is_full(self) -> bool:
        if self.size <= MAX_WAITING:
            return False
        # The longest frame does not count, because it could be longer than the limit.
        return self.size - max(_length(value) for _, _, value in self.waiting) > MAX_WAITING

    def _drop_largest(self) -> bool:
        """Drop the link for which the most characters wait; return False if there is none.

        An item that several links share counts in parts. The item that a client has left is never dropped,
        because it is not repeated.
        """
        waits: Counter[tuple[bool, int]] = Counter()
        for numbers, kind, value in self.waiting:
            if kind != "left":
                share = 1 + _length(value) // len(numbers)
                waits.update(dict.fromkeys([(kind in TO_HOME, number) for number in numbers], share))
        if not waits:
            return False
        (to_home, number), size = waits.most_common(1)[0]
        log.warning("%d characters wait for a link with another process: it is dropped", size)
        others = [
            (
                [one for one in numbers if kind == "left" or (kind in TO_HOME, one) != (to_home, number)],
                kind,
                value,
            )
            for numbers, kind, value in self.waiting
        ]
        self.waiting = [item for item in others if item[0]]
        self.size = sum(_length(value) for _, _, value in self.waiting)
        end = self.aways.get(number) if to_home else self.homes.get(number)
        if end is not None:
            end.drop()
        elif to_home and number in self.posts:
            self._come_later(self.posts[number])
        return True

    def show_life(self, *, asks: bool = False) -> None:
        """Send an empty batch if nothing was sent for a while; one that ``asks`` is answered."""
        if steady() - self.shown > 1 and self.sending is None:
            self.sending = start_apart(self.loop, self._send(empty=True, asks=asks))

    def has_links(self) -> bool:
        """Return True if the peer has to know that this process is alive."""
        return bool(self.homes or self.aways or self.posts)

    def is_idle(self) -> bool:
        """Return True if no batch is on its way."""
        return self.sending is None

    def _begin(self) -> None:
        if self.sending is None:
            self.sending = start_apart(self.loop, self._send())

    async def _send(self, *, empty: bool = False, asks: bool = False) -> None:
        """Send the items that wait, and those that come meanwhile, one batch after another.

        If a batch cannot be sent, further batches are sent until the peer sees the gap in their numbers:
        otherwise it would not know of the loss, and its clients would wait. If its mailbox is full, the batch
        is repeated, with the items that have come meanwhile.
        """
        failing_since: float | None = None
        full_since: float | None = None
        try:
            while self.waiting or empty:
                empty = False
                batch, size = 0, 0
                for _, _, value in self.waiting:
                    batch += 1
                    size += _length(value)
                    if size >= MAX_BATCH:
                        break
                items, self.waiting = self.waiting[:batch], self.waiting[batch:]
                self.size -= size
                self.shown = steady()
                self.sent += 1
                message = {"type": "compat.relay", "from": self.own, "seq": self.sent, "items": items}
                if asks:
                    message["asks"] = True
                    asks = False
                try:
                    await self.layer.send(self.channel, message)
                except Exception as error:  # noqa: BLE001 - any layer
                    full_since = full_since or self.shown
                    if isinstance(error, ChannelFull) and self.shown - full_since < SILENT_S:
                        self.waiting[:0] = items
                        self.size += size
                        self.sent -= 1
                        asks = "asks" in message
                        await asyncio.sleep(PAUSE_S)
                        continue
                    log.debug("a batch could not be sent: %r", error)
                    self.drop_links()
                    failing_since = failing_since or self.shown
                    empty = self.shown - failing_since < SILENT_S  # after that it has noticed the silence
                    await asyncio.sleep(PAUSE_S)  # a layer that is away may fail at once, each time
                else:
                    failing_since = full_since = None
        finally:
            self.sending = None

    # Whether it is alive

    def does_not_answer(self) -> None:
        """Record that it has not answered."""
        if not self.is_dead():
            log.warning("a process does not answer; its connections are given up for %g s", DEAD_S)
            self.dead_until = steady() + DEAD_S

    def is_dead(self) -> bool:
        """Return True if it has not answered within the last ``DEAD_S``."""
        return self.dead_until > steady()

    # From the peer

    def follows(self, number: int) -> bool:
        """Record a batch with this number; return False if others are missing before it."""
        self.heard = steady()
        self.dead_until = 0.0
        expected, self.expected = self.expected, number + 1
        return expected is None or number == expected

    def drop_links(self, but: Collection[int] = ()) -> None:
        """End all links with this process, on this side; ``but``: sockets here that are not dropped."""
        for home in tuple(self.homes.values()):
            home.drop()
        for number, away in tuple(self.aways.items()):
            if number not in but:
                away.drop()
        for answered in self.posts.values():
            self._come_later(answered)

    def _come_later(self, answered: asyncio.Future[str]) -> None:
        """Let the client of a post send it again."""
        if not answered.done():
            answered.set_result(LATER)
