"""What waits in an inbox: messages of the layer, each with a deadline, which members of a group may share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from compat.types import Message

__all__ = ["BETWEEN", "HEARTBEAT", "NOTHING", "Event", "One", "Overflow"]

Overflow = Literal["drop", "drop_oldest", "close"]
"""What a full inbox does: drop the new message, drop the oldest, or close the connection with 1013."""

HEARTBEAT = "compat.heartbeat"
"""Type of the event that the engine itself creates; it is not counted if it is lost."""

BETWEEN: Message = {"type": "between two messages"}
"""The current message while no handler runs: an idle consumer need not keep its last message alive."""

Event = tuple[float, Message, Callable[[], Message] | None]
"""(deadline, message, copy): the members of a group share a message until ``copy()`` makes a member's own.

None: only this inbox has the message. With a copy at each push, ten messages for ten thousand members would
be 100,000 objects for the garbage collector.
"""

One = tuple[Event]
"""An event in a tuple, which every inbox in which nothing else waits keeps as it is: they share it, too."""

NOTHING: tuple[()] = ()
"""The events of an empty inbox."""
