"""The envelope: what travels beside a message on the same JSON object.

    {"version": 1, "topic": "run:42", "ref": "7", "action": "start", "payload": {...}}

``ref`` is chosen by a client and comes back with every reply to that message, so that a client can wait for
its answer. ``topic`` addresses one of the conversations of a socket. ``seq`` numbers what a topic's writer
sends. The fields are those of Chanx 2.13.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Annotated, Any

from pydantic import BaseModel, Field

__all__ = [
    "ENVELOPE_FIELDS",
    "ENVELOPE_VERSION",
    "Envelope",
    "current_ref",
    "current_seq",
    "stamp",
    "strip_envelope",
]

ENVELOPE_VERSION = 1
MAX_LENGTH = 255
"""Characters of a topic's name, and of a ref: both come back with every answer."""
ENVELOPE_FIELDS = frozenset(("version", "topic", "ref", "seq"))

current_ref: ContextVar[str | None] = ContextVar("compat_typed_ref", default=None)
"""The ref of the message that is being handled. Tasks that a handler starts keep it."""

current_seq: ContextVar[int | None] = ContextVar("compat_typed_seq", default=None)
"""The number of the event that is being handled."""


class Envelope(BaseModel):
    """The fields beside a message, validated."""

    version: int = ENVELOPE_VERSION
    topic: Annotated[str | None, Field(max_length=MAX_LENGTH)] = None
    ref: Annotated[str | None, Field(max_length=MAX_LENGTH)] = None
    seq: int | None = None


def strip_envelope(content: dict[str, Any]) -> dict[str, Any]:
    """The message alone."""
    return {key: value for key, value in content.items() if key not in ENVELOPE_FIELDS}


def stamp(topic: str | None = None) -> dict[str, Any] | None:
    """What a reply sent now carries beside its message; None where it answers nothing in particular."""
    ref = current_ref.get()
    if ref is None and topic is None:
        return None
    fields: dict[str, Any] = {"version": ENVELOPE_VERSION}
    if topic is not None:
        fields["topic"] = topic
    if ref is not None:
        fields["ref"] = ref
    if topic is not None and (seq := current_seq.get()) is not None:
        fields["seq"] = seq
    return fields
