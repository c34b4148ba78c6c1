"""Frames that a client posts, because its link is a response: see ``compat.fallback``.

A post is a JSON list of frames in their order: a text, or a control frame, is a string; a binary frame is a
list with one string, its base64. Data frames are numbered as in ``hello.have``, so a frame that comes twice
is taken once.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from compat.codes import NORMAL, OF_A_PAGE
from compat.json_size import has_more_values
from compat.resume.journal import payload_of, size_of
from compat.resume.wire import MARK, Malformed, control, is_control, read_control, read_count
from compat.types import Message, Scope

if TYPE_CHECKING:
    from compat.resume.connection import ResumableConnection

__all__ = ["BUSY_S", "GAP", "LATER", "TAKEN", "Carrier", "Grace", "carry", "frames_of", "reach", "take"]

KEY = "compat.carrier"
"""The scope's key for the request that is served as a websocket."""
TAKEN, GAP, LATER = "", "gap", "later"
"""What became of a post: the connection has its frames, some before them are missing, or it is busy.

``LATER`` also stands in place of a reason why a socket is not relayed: its client comes back soon, with the
same ticket.
"""
MAX_FRAMES = 1024
MAX_VALUES = 2 * MAX_FRAMES
"""The values of the longest list of binary frames, each of which is a list with one string."""
BUSY_S = 20.0
"""Seconds that a post waits for a slow consumer."""
GRACE_S = 60.0
"""Seconds for which a ticket stays valid for posts, at least, after a response has brought the next one."""


class Grace:
    """Which tickets are valid for posts while responses follow each other: a post may outlast some of them.

    A return after a loss begins with a new ``Grace``, so that older tickets are not valid any more. Times are
    passed in.
    """

    __slots__ = ("_at", "_next", "oldest")

    def __init__(self, generation: int, now: float) -> None:
        self.oldest = self._next = generation
        """``oldest`` is the oldest generation whose ticket is valid."""
        self._at = now

    def follow(self, generation: int, now: float) -> None:
        """Note that the next response has begun, with a ticket of this generation."""
        if now - self._at >= GRACE_S:
            self.oldest, self._next, self._at = self._next, generation, now


class Carrier:
    """A request in place of a websocket: it carries a link, or, with ``read``, frames of the client."""

    __slots__ = ("malformed", "outcome", "reached", "read")

    def __init__(self, read: Callable[[], Awaitable[str | None]] | None = None) -> None:
        self.read = read
        """Reads the body, once the ticket has been found valid; returns None if it is refused."""
        self.reached = False
        """True once the request has come to something that is resumable."""
        self.outcome: str | None = None
        """What became of the frames: one of the words above, or why there is no connection."""
        self.malformed = False
        """True if the frames are malformed; then ``outcome`` says how."""

    def settle(self, outcome: str, *, malformed: bool = False) -> None:
        """Say what became of the frames."""
        self.outcome, self.malformed = outcome, malformed


def carry(scope: Scope, carrier: Carrier) -> None:
    """Let ``reach(scope)`` find the request."""
    scope[KEY] = carrier


def reach(scope: Scope) -> Carrier | None:
    """Note that a scope has come to something resumable; return its request, or None for a websocket."""
    found: Carrier | None = scope.get(KEY)
    if found is not None:
        found.reached = True
    return found


def frames_of(text: str) -> list[Message]:
    """Return the frames of a post as ASGI messages, control frames as texts; raise Malformed."""
    if has_more_values(text, MAX_VALUES):
        raise Malformed(f"the body must be a JSON list of at most {MAX_FRAMES} frames")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("the body must be a JSON list of frames") from error
    if not isinstance(found, list) or len(found) > MAX_FRAMES:
        raise Malformed(f"the body must be a JSON list of at most {MAX_FRAMES} frames")
    return list(_messages(found))


def _messages(frames: list[Any]) -> Iterator[Message]:
    for frame in frames:
        if isinstance(frame, str):
            yield {"type": "websocket.receive", "text": _whole(frame)}
        elif isinstance(frame, list) and len(frame) == 1 and isinstance(frame[0], str):
            try:
                yield {"type": "websocket.receive", "bytes": base64.b64decode(frame[0], validate=True)}
            except ValueError as error:
                raise Malformed("a binary frame must be base64") from error
        else:
            raise Malformed("a frame must be a string, or a list with one string of base64")


def _whole(text: str) -> str:
    """Return a text; raise Malformed for half a surrogate pair, which JSON allows and websockets do not."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Malformed("a frame must be valid Unicode") from error
    return text


_waiting: set[ResumableConnection] = set()
"""The connections for which a post waits; a second one is refused, because its frames would be kept too."""


async def take(connection: ResumableConnection, generation: int, first: int, frames: list[Message]) -> str:
    """Hand the frames of a post, numbered from ``first``, to a connection; return what became of them.

    ``generation`` is that of the client's ticket. Raises Malformed for a control frame that is malformed.
    """
    why = connection.why_no_post(generation)
    if why is not None:
        return why
    end = asyncio.get_running_loop().time() + BUSY_S
    for message in frames:
        if generation <= connection.counted_from:
            return "used"  # a websocket has brought them, or will
        text = message.get("text")
        if text and text[0] == MARK:
            if is_control(text):
                _control(connection, generation, read_control(text))
                continue
            message = {**message, "text": text[1:]}
        number, first = first, first + 1
        if not await _has_space(connection, number, end):
            return LATER
        if number > connection.inbound.count:
            return GAP
        if connection.over:
            return "gone"
        if generation <= connection.counted_from:
            return "used"
        if number == connection.inbound.count:  # else it has come before
            connection.came(connection.link, message, size_of(payload_of(message)))
    return TAKEN


async def _has_space(connection: ResumableConnection, number: int, end: float) -> bool:
    """Wait until a connection takes another frame; a ``number`` that is not its next one needs no space.

    Returns False if another post waits already, and after ``end``, a time of the loop.
    """
    while (space := connection.space()) is not None and number == connection.inbound.count:
        if connection in _waiting:
            return False
        _waiting.add(connection)
        try:
            await asyncio.wait((space,), timeout=max(0, end - asyncio.get_running_loop().time()))
        finally:
            _waiting.discard(connection)
        if not space.done():
            return False
    return True


def _control(connection: ResumableConnection, generation: int, members: dict[str, Any]) -> None:
    kind = members["type"]
    if kind == "ack":
        connection.acknowledged(connection.link, read_count(members), generation)
    elif kind == "ping":
        connection.tell(control("pong"))
        connection.renew()
    elif kind == "presence":
        connection.watch_people(connection.link, members)
    elif kind == "bye":
        code: Any = members.get("code")
        link = connection.link
        own = isinstance(code, int) and code in OF_A_PAGE
        if link is not None:
            link.bye()
        connection.ended(link, code if own else NORMAL, goodbye=True)
        if link is not None:
            link.drop(NORMAL)
