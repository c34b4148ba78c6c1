"""The envelope: fields beside those of a message in the same JSON object.

    {"version": 1, "topic": "run:42", "ref": "7", "action": "start", "payload": {...}}

A client chooses ``ref``, and every reply to the message contains it, so that the client can wait for its
answer. ``topic`` names one of the conversations of a connection. ``seq`` is the number of a topic's event,
chosen by its sender. The fields are those of Chanx 2.13.

A name that a message's model declares is the message's own: in its frames the envelope has no such field.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextvars import ContextVar
from typing import Annotated, Any

from pydantic import AliasChoices, AliasPath, BaseModel, Field

__all__ = [
    "ENVELOPE_FIELDS",
    "ENVELOPE_VERSION",
    "Envelope",
    "current_ref",
    "current_seq",
    "enclosed",
    "opened",
    "own_received",
    "own_sent",
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


def own_received(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the envelope that a received ``model`` has for fields of its own."""
    by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
    names: set[object] = set()
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        if alias is None or by_name:
            names.add(name)
        for one in alias.choices if isinstance(alias, AliasChoices) else (alias,):
            names.add(one.path[0] if isinstance(one, AliasPath) else one)
    return ENVELOPE_FIELDS & names


def own_sent(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the envelope that ``model``, if sent, has for fields of its own."""
    fields = {
        field.serialization_alias or name for name, field in model.model_fields.items() if not field.exclude
    }
    computed = {field.alias or name for name, field in model.model_computed_fields.items()}
    return ENVELOPE_FIELDS & (fields | computed)


def opened(content: dict[str, Any], own: Collection[str]) -> tuple[Envelope, dict[str, Any]]:
    """Return the envelope of a frame, and its message, which has the names ``own`` itself.

    Raises pydantic's ValidationError.
    """
    outer = {key: value for key, value in content.items() if key not in own} if own else content
    return Envelope.model_validate(outer), strip_envelope(content, own)


def strip_envelope(content: dict[str, Any], own: Collection[str]) -> dict[str, Any]:
    """Return the message without the fields of the envelope; it has the names ``own`` itself."""
    return {key: value for key, value in content.items() if key not in ENVELOPE_FIELDS or key in own}


def enclosed(content: Mapping[str, Any], stamp: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """Return a message with the fields of ``stamp``; it has the names ``own`` itself.

    A topic's name is written in any case, because clients need it to find the topic.
    """
    return {**content, **{key: value for key, value in stamp.items() if key == "topic" or key not in own}}


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
