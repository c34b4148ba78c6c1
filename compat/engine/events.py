"""Events: messages of the layer that wait in an inbox, with deadlines; members of a group may share them."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Literal

from compat.types import Message

__all__ = ["BETWEEN", "HEARTBEAT", "NOTHING", "Copies", "Event", "LongFrames", "One", "Overflow", "is_sent"]

Overflow = Literal["drop", "drop_oldest", "close"]
"""What a full inbox does: drop the new message, drop the oldest, or close the connection with 1013."""

HEARTBEAT = "compat.heartbeat"
"""Type of the event that the engine itself creates; it is not counted if it is lost."""

LONG, LONG_KEPT_S = 4096, 5.0
"""From how many bytes on a frame is long, and how long it is kept: members that read get it much sooner."""

NOTHING_MADE: dict[type, bytes | None] = {}
"""The ``made`` of all ``Copies`` before a handler has sent something; it stays empty."""


class Copies:
    """Makes each member's own copy of a message; keeps the frame that one member has sent, for the others."""

    __slots__ = ("__weakref__", "copy", "made", "plain")

    def __init__(self, copy: Callable[[], Message]) -> None:
        self.copy = copy
        self.plain: bool | None = None
        """What ``made_once.is_plain`` has found of the message; None before it was asked."""
        self.made: dict[type, bytes | None] = NOTHING_MADE

    def __call__(self) -> Message:
        return self.copy()

    def keep(self, kind: type, frame: bytes | None) -> None:
        """Keep the ``frame`` that each consumer of the class ``kind`` sends; None: frames may differ."""
        if self.made is NOTHING_MADE:
            self.made = {}
        self.made[kind] = frame


BETWEEN: Message = {"type": "between two messages"}
"""The current message while no handler runs: an idle consumer need not keep its last message alive."""


class LongFrames:
    """The long frames that are kept on one loop; when one is made after ``LONG_KEPT_S``, they are forgotten.

    Else a client that does not read keeps both the message and its frame. That is twice the memory, and C's
    heap grows for hours, because what lies between them is freed at other times. Each consumer that comes to
    a message whose frame has been forgotten makes its own.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: deque[tuple[float, weakref.ref[Copies], type]] = deque()

    def add(self, copies: Copies, kind: type, frame: bytes, now: float) -> None:
        """Note that ``copies`` keeps ``frame`` for the class ``kind``, if it is long, and forget older ones.

        ``now``: in seconds of ``clock.steady()``.
        """
        if len(frame) >= LONG:
            self._kept.append((now, weakref.ref(copies), kind))
        while self._kept:
            since, oldest, its_kind = self._kept[0]
            if (waiting := oldest()) is not None:
                if now - since <= LONG_KEPT_S:  # as that of the one which has just come
                    return
                waiting.made[its_kind] = None
            self._kept.popleft()


Event = tuple[float, Message, Callable[[], Message] | None]
"""(deadline, message, copy): the members of a group share a message until ``copy()`` makes a member's own.

``copy`` is None if only this inbox has the message. With a copy at each push, ten messages for ten thousand
members would be 100,000 objects for the garbage collector.
"""

One = tuple[Event]
"""An event in a tuple; an empty inbox keeps this tuple as its events, so that inboxes share it too."""

NOTHING: tuple[()] = ()
"""The events of an empty inbox."""


def is_sent(event: Event) -> bool:
    """Return True if somebody has sent the event, and not the engine itself."""
    return event[1].get("type") != HEARTBEAT
