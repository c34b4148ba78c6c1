"""The wire: what a client offers in its handshake, and the control frames.

Data frames are what they are without us. A control frame is a text: U+0010, then a JSON object whose ``type``
says which. In data that begins with U+0010 this character is doubled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from compat.engine.contracts import MARK
from compat.subprotocols import offering
from compat.types import Scope

__all__ = [
    "MARK",
    "MAX_CONTROL",
    "PROTOCOL",
    "Malformed",
    "Offer",
    "control",
    "hide_offer",
    "is_control",
    "offer_of",
    "read_control",
    "read_count",
]

PROTOCOL = "channels.resume.v1"

_TICKET = "channels.ticket."
MAX_TICKET = 4096
MAX_CONTROL = 1024
"""Characters of a client's control frame; the longest one that has a meaning has some forty."""
MAX_DIGITS = 15

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Malformed(ValueError):
    """A control frame is malformed; the text says how."""


class Offer(NamedTuple):
    """What a client that comes back presents."""

    ticket: str
    """Empty if the client has shown something that is no ticket."""
    received: int
    """How many data frames it has received in its resumable connection."""
    only: bool
    """It wants that connection, and no new one in its place."""


def offer_of(subprotocols: Sequence[str]) -> Offer | None:
    """Return the ticket among the subprotocols that a client offers, or None if there is none."""
    for item in subprotocols:
        if item.startswith(_TICKET):
            ticket, _, rest = item[len(_TICKET) :].partition(".")
            received, _, only = rest.partition(".")
            if len(ticket) > MAX_TICKET or not _is_count(received) or only not in ("", "only"):
                return Offer("", 0, only == "only")
            return Offer(ticket, int(received), only == "only")
    return None


def hide_offer(scope: Scope) -> None:
    """Take our items out of what the application sees of a handshake."""
    scope["subprotocols"] = others = [item for item in scope["subprotocols"] if not _is_ours(item)]
    headers: Any = scope.get("headers") or ()
    if not isinstance(headers, list):
        headers = scope["headers"] = list(headers)
    # Else in the server's own list, which lasts as long as the socket: a copy costs memory for each client.
    headers[:] = offering(headers, others)


def _is_ours(item: str) -> bool:
    return item == PROTOCOL or item.startswith(_TICKET)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


def control(kind: str, **members: Any) -> dict[str, Any]:
    """Return the ASGI message that sends a control frame."""
    # One by one: for a text alone the encoder is not made anew, and for a number it is not needed.
    texts = [
        f',"{name}":{value if type(value) is int else _encode(value)}' for name, value in members.items()
    ]
    return {"type": "websocket.send", "text": f'{MARK}{{"type":"{kind}"{"".join(texts)}}}'}


def is_control(text: str | None) -> bool:
    """Return True for the text of a control frame; data that begins with the mark has it twice."""
    return text is not None and text[:1] == MARK and text[1:2] != MARK


def read_control(text: str) -> dict[str, Any]:
    """Return the members of a client's control frame; raise Malformed if it is none."""
    if len(text) > MAX_CONTROL:
        raise Malformed(f"a control frame of {len(text)} characters; at most {MAX_CONTROL} are allowed")
    try:
        found = json.loads(text[1:])
    except (ValueError, RecursionError) as error:
        raise Malformed("a control frame must be U+0010 and a JSON object") from error
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise Malformed('a control frame must be a JSON object with a "type"')
    return found


def read_count(members: dict[str, Any]) -> int:
    """Return the number of frames that an ``ack`` names; raise Malformed if ``n`` is no count."""
    count = members.get("n")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count < 10**MAX_DIGITS:
        raise Malformed('"n" of an ack must be a number of frames')
    return count
