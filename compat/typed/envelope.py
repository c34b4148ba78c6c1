"""The envelope: fields beside those of a message in the same JSON object.

    {"version": 1, "topic": "run:42", "ref": "7", "action": "start", "payload": {...}}

A client chooses ``ref``, and every reply to the message contains it, so that the client can wait for its
answer. ``topic`` names one of the conversations of a connection. ``seq`` is the number of a topic's event,
chosen by its sender. The fields are those of Chanx 2.13.
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
"""The maximum length of a topic's name and of a ref in characters; every answer contains them."""
ENVELOPE_FIELDS = frozenset(("version", "topic", "ref", "seq"))

current_ref: ContextVar[str | None] = ContextVar("compat_typed_ref", default=None)
"""The ref of the message that is handled now; tasks that a handler starts inherit it."""

current_seq: ContextVar[int | None] = ContextVar("compat_typed_seq", default=None)
"""The number of the event that is handled now."""


class Envelope(BaseModel):
    """The fields of the envelope, validated."""

    version: int = ENVELOPE_VERSION
    topic: Annotated[str | None, Field(max_length=MAX_LENGTH)] = None
    ref: Annotated[str | None, Field(max_length=MAX_LENGTH)] = None
    seq: int | None = None


def strip_envelope(content: dict[str, Any]) -> dict[str, Any]:
    """Return the message without the fields of the envelope."""
    return {key: value for key, value in content.items() if key not in ENVELOPE_FIELDS}


def stamp(topic: str | None = None) -> dict[str, Any] | None:
    """Return the envelope of a message that is sent now; None if it is not a reply and has no topic."""
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
