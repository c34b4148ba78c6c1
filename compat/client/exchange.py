"""The client's side of a resumable connection, without sockets: what goes over its links, and when.

A *link* is one websocket. Frames are counted in both directions for as long as the connection goes on, over
all of its links. What was written and is not acknowledged is kept; on the next link the server says how many
frames it has, and the others are written again. If the server has no such connection any more, both counts
begin again: what was written before is ``unsure``, what was never written goes to the new connection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from compat.client.frames import LIMIT_BYTES, LIMIT_FRAMES, Frame, Frames, MalformedControl, size_of
from compat.client.people import Presence

__all__ = ["MARK", "PROTOCOL", "Exchange", "Go", "Recovered"]

PROTOCOL = "channels.resume.v1"
TICKET = "channels.ticket."
MARK = "\x10"
"""The first character of control frames; data that begins with it has it doubled."""

ACK_FRAMES, ACK_BYTES, ACK_SECONDS = 128, 64 * 1024, 15.0
HELLO_SECONDS = 10.0
"""How long the first frame of a link may take before the server counts as one that does not resume."""
OTHERS = frozenset(("user", "refused"))
"""Reasons after which nothing is sent that was kept for the old connection: it was somebody else's."""
A_TICKET = re.compile(r"[A-Za-z0-9_-]{1,4096}")

Recovered = Literal["all", "groups", ""]


class Go(NamedTuple):
    """The server is about to stop: leave within so many seconds."""

    within: float


class Exchange:
    """One connection after the other, each over any number of links. Times are seconds of a steady clock."""

    def __init__(self, subprotocols: Sequence[str] = (), *, only: bool = False, ticket: str = "") -> None:
        self.ready = False
        """The user's connection is open: frames go out."""
        self.resumable = False
        """The server of this link resumes."""
        self.recovered: Recovered | None = None
        """The last verdict; None before the first, and while one is to come."""
        self.why = ""
        self._verdict_is_due = False
        """The server has yet to say what was recovered, on this link or, if that is lost, on another."""
        self.park = 0.0
        """The seconds for which the server keeps the connection without a link."""
        self.ticket = ticket
        self.unsure = Frames()
        """What was written to a connection that is gone, and never acknowledged; after the end, also what
        waited. The oldest are dropped over the limit."""
        self.people: dict[str, Presence] = {}
        """The groups that are watched."""
        self._subprotocols = tuple(subprotocols)
        self._only = only
        self._was_open = False
        self.subprotocol: str | None = None
        self.gone = False
        """The server of this link does not resume, and no other connection is wanted."""
        self._plain = False
        self._offered_ticket = False
        self._first_until: float | None = None
        """Until when the first frame of this link is waited for; None if it has come, or without a link."""
        self.queue = Frames()
        """To be written. The first ``_again`` were written on earlier links of this connection."""
        self._again = 0
        self._sent = Frames()
        """Written on this link, and not acknowledged."""
        self._acked = 0
        self._received = 0
        self._told = 0
        self._told_at = 0.0
        self._told_bytes = 0
        self._ack_is_due = False
        self._ping_is_due = False
        self._asks: list[str] = []
        """Groups whose people the server of this link has yet to be asked for."""

    # Links

    def offer(self, *, plain: bool = False) -> list[str]:
        """Return the subprotocols of the next handshake; ``plain``: without those of resuming."""
        self._plain = plain
        self._offered_ticket = bool(self.ticket) and not plain
        if plain:
            return list(self._subprotocols)
        ticket = f"{TICKET}{self.ticket}.{self._received}{'.only' if self._only and self._was_open else ''}"
        return [PROTOCOL, *self._subprotocols, *([ticket] if self._offered_ticket else [])]

    def opened(self, subprotocol: str | None, now: float) -> None:
        """A handshake has succeeded, with ``subprotocol``."""
        self.subprotocol = subprotocol
        self._first_until = now + HELLO_SECONDS
        if not self._offered_ticket:
            self._begin("no ticket")
        if subprotocol is None or self._plain:
            self._go_plain()
        elif subprotocol != PROTOCOL and not self._offered_ticket:
            self._open()  # the server may be a plain one, and wait for the client's first frame

    def lost(self) -> None:
        """The link has ended."""
        self._again += len(self._sent)
        self.queue.put_back(self._sent)
        self.ready = self.resumable = self._ack_is_due = self._ping_is_due = False
        self._first_until = None
        self._asks.clear()

    def finish(self) -> None:
        """Nothing will come back any more."""
        self.lost()
        self._give_up(everything=True)
        for presence in self.people.values():
            presence.finish()

    # Frames in

    def receive(self, frame: Frame, now: float) -> Frame | Go | None:
        """Take a frame of the link; return the data in it, or a Go.

        Raises MalformedControl.
        """
        if self._first_until is not None:
            self._first_until = None
            control = _control(frame, strict=False)
            if control is not None and control["type"] == "hello":
                self._hello(control, now)
                return None
            self._go_plain()
        if not self.resumable:
            return None if self.gone else frame
        if isinstance(frame, str) and frame.startswith(MARK):
            control = _control(frame)
            if control is not None:
                return self._obey(control)
            frame = frame[1:]
        self._received += 1
        self._told_bytes += size_of(frame)
        new = self._received - self._told
        if new >= ACK_FRAMES or self._told_bytes >= ACK_BYTES or now >= self._told_at + ACK_SECONDS:
            self._ack(now)
        return frame

    def _obey(self, control: dict[str, Any]) -> Go | None:
        if "ticket" in control:
            self.ticket = _ticket(control)
        match control["type"]:
            case "verdict":
                self._judge(control)
            case "ack":
                self._drop(self._sent, _number(control, "n"))
                self._ack_is_due = self._ack_is_due or control.get("ask") is True
            case "go":
                return Go(_number(control, "within"))
            case "presence" if (presence := self.people.get(str(control.get("group")))) is not None:
                presence.take(control)
        return None

    def _hello(self, hello: dict[str, Any], now: float) -> None:
        have, self.park, self.ticket = int(_number(hello, "have")), _number(hello, "park"), _ticket(hello)
        self.resumable = True
        if self._offered_ticket:
            if hello.get("recovered") == "all":
                self._again -= self._drop(self.queue, min(have, self._acked + self._again))
            else:
                self._begin("")
                self.recovered = None
                self._verdict_is_due = "recovered" not in hello
            if not self._verdict_is_due:
                self._judge(hello)
        self._open()
        self._ack(now)
        self._asks = list(self.people)

    def _judge(self, control: dict[str, Any]) -> None:
        recovered = control.get("recovered")
        if recovered not in ("all", "groups", ""):
            raise MalformedControl(f'expected "all", "groups" or "" as recovered, found {recovered!r}')
        self.recovered, self.why = recovered, str(control.get("why", ""))
        self._verdict_is_due = False
        if self.why in OTHERS:
            self._give_up(everything=True)

    def _drop(self, frames: Frames, n: float) -> int:
        """Forget the first of ``frames`` that are among the ``n`` which the server has; return how many."""
        known = max(0, min(int(n) - self._acked, len(frames)))
        for _ in range(known):
            frames.popleft()
        self._acked += known
        return known

    def _open(self) -> None:
        self.ready = self._was_open = True

    def _go_plain(self) -> None:
        """The server of this link does not resume."""
        self._first_until = None
        if self._only and self._was_open and self._offered_ticket:
            self.gone = True
            return
        self.ticket = ""
        if self._offered_ticket:
            self._begin("plain")
        elif self.recovered == "":
            self.why = "plain"
        self._sent.clear()
        self._open()

    def _begin(self, why: str) -> None:
        """Both counts begin again, because of ``why`` if this is not the first connection."""
        self._give_up()
        self._acked = self._received = self._told = self._told_bytes = 0
        if self._was_open:
            self.recovered, self.why = "", why

    def _give_up(self, *, everything: bool = False) -> None:
        """What was written and not acknowledged becomes unsure, or all that waits."""
        for _ in range(len(self.queue) if everything else self._again):
            self.unsure.append(self.queue.popleft())
        self._again = 0
        while self.unsure.exceeds and len(self.unsure) > 1:
            self.unsure.popleft()

    # Frames out

    def has_room_for(self, frame: Frame) -> bool:
        """Return True if ``frame`` may be kept, beside the others. Raises UnicodeEncodeError."""
        size, count = self.queue.size + self._sent.size, len(self.queue) + len(self._sent)
        return count == 0 or (count < LIMIT_FRAMES and size + size_of(frame) <= LIMIT_BYTES)

    def push(self, frame: Frame) -> None:
        """Keep ``frame`` until it is acknowledged, or written to a server that does not resume."""
        self.queue.append(frame)

    @property
    def has_output(self) -> bool:
        """Return True if ``pull()`` returns a frame."""
        return self._ack_is_due or self._ping_is_due or bool(self._asks) or self._may_write

    @property
    def _may_write(self) -> bool:
        if not (self.ready and len(self.queue)):
            return False
        # Whether its first character has to be doubled is known after the first frame of the server.
        return self._first_until is None or not _is_marked(self.queue.first)

    def pull(self, now: float) -> Frame | None:
        """Return the next frame to write to the link as it goes over the wire, or None."""
        if self._ack_is_due:
            self._ack_is_due = False
            self._told, self._told_at, self._told_bytes = self._received, now, 0
            return _written({"type": "ack", "n": self._received})
        if self._ping_is_due:
            self._ping_is_due = False
            return _written({"type": "ping"})
        if self._asks:
            return _written({"type": "presence", "group": self._asks.pop(0)})
        if not self._may_write:
            return None
        frame = self.queue.popleft()
        if self.resumable or self._first_until is not None:
            self._sent.append(frame)
            self._again = max(0, self._again - 1)
        return MARK + str(frame) if self.resumable and _is_marked(frame) else frame

    def ping(self) -> None:
        """Have the server asked for a sign of life."""
        self._ping_is_due = True

    def watch(self, group: str) -> Presence:
        """Return who is in ``group``: the server is asked now, if it has to be, and on each link to come."""
        presence = self.people.setdefault(group, Presence(group))
        if presence.ask() and self.resumable and group not in self._asks:
            self._asks.append(group)
        return presence

    def bye(self) -> Frame | None:
        """Return the frame that ends the connection for good; None if the server does not resume."""
        return _written({"type": "bye"}) if self.resumable else None

    # Time

    @property
    def due(self) -> float | None:
        """When ``tick()`` has something to do."""
        if self._first_until is not None:
            return self._first_until
        return self._told_at + ACK_SECONDS if self.resumable and self._received > self._told else None

    def tick(self, now: float) -> bool:
        """Do what is due; return False if the link is of no use: a hello was promised, and did not come."""
        if self._first_until is not None and now >= self._first_until:
            if self.subprotocol == PROTOCOL:
                return False
            self._go_plain()
        elif self.due is not None and now >= self.due:
            self._ack(now)
        return True

    def _ack(self, now: float) -> None:
        self._ack_is_due = True
        self._told_at = now


def _is_marked(frame: Frame) -> bool:
    return isinstance(frame, str) and frame.startswith(MARK)


def _written(control: dict[str, Any]) -> str:
    return MARK + json.dumps(control)


def _control(frame: Frame, *, strict: bool = True) -> dict[str, Any] | None:
    """Return the control frame in ``frame``; None for data. Raises MalformedControl if ``strict``."""
    if not _is_marked(frame) or str(frame).startswith(MARK * 2):
        return None
    try:
        control = json.loads(frame[1:])
    except (ValueError, RecursionError):
        control = None
    if isinstance(control, dict) and isinstance(control.get("type"), str):
        return control
    if strict:
        raise MalformedControl(f"expected a JSON object with a type after U+0010, found {frame[1:80]!r}")
    return None


def _number(control: dict[str, Any], name: str) -> float:
    value = control.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise MalformedControl(f"expected a number as {name} of {control['type']}, found {value!r}")
    return value


def _ticket(control: dict[str, Any]) -> str:
    value = control.get("ticket")
    if not isinstance(value, str) or not A_TICKET.fullmatch(value):
        raise MalformedControl(f"expected base64url of at most 4 KiB as ticket of {control['type']}")
    return value
