"""How a message is written on the wire: JSON text, made once however many clients it goes to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import ErrorDetails, ValidationError, to_json

from compat.typed.camel import written
from compat.typed.messages import ACTION, BaseMessage
from compat.typed.unions import tag_field

__all__ = ["Wire", "error_payload", "not_json", "text_of"]

MAX_TEXT = 300
MAX_DEPTH = 20
MAX_ERRORS = 50
"""More of them in one message are counted, not listed: an answer must not outgrow what it answers."""
MOST_COUNTED = 1000
"""With more than so many none is listed: pydantic makes a dict for each, on the event loop."""


class Wire(NamedTuple):
    """The form that a consumer gives its messages."""

    camelize: bool = False
    discriminator: str = ACTION

    def dump(self, message: BaseMessage) -> dict[str, Any]:
        """``message`` as the JSON object that goes over the wire."""
        dumped: dict[str, Any] = message.model_dump(mode="json", by_alias=True)
        if self.camelize:
            dumped = written(message, dumped)
        if tag_field(type(message), self.discriminator) != self.discriminator and ACTION in dumped:
            dumped = {self.discriminator: dumped.pop(ACTION), **dumped}
        return dumped

    def encode(self, message: BaseMessage, stamp: Mapping[str, Any] | None = None) -> str:
        """``message`` as JSON text, with the envelope's fields after its own."""
        if stamp is None and not self.camelize and self.discriminator == ACTION:
            return message.model_dump_json(by_alias=True)
        return text_of({**self.dump(message), **(stamp or {})})


def text_of(content: Any) -> str:
    """JSON text for JSON values (and the others that pydantic knows, such as a datetime)."""
    return to_json(content, inf_nan_mode="null").decode()


def error_payload(error: ValidationError) -> list[dict[str, Any]]:
    """``[{"type", "loc", "msg"}]``: what was wrong and where, and little of what was sent."""
    count = error.error_count()
    if count > MOST_COUNTED:
        return [{"type": "too_many_errors", "loc": [], "msg": f"{count} errors"}]
    errors: list[ErrorDetails] = error.errors(include_url=False, include_context=False, include_input=False)
    payload: list[dict[str, Any]] = [
        {"type": _short(one["type"]), "loc": _place(one["loc"]), "msg": _short(one["msg"])}
        for one in errors[:MAX_ERRORS]
    ]
    if len(errors) > MAX_ERRORS:
        rest = len(errors) - MAX_ERRORS
        payload.append({"type": "more_errors", "loc": [], "msg": f"and {rest} more"})
    return payload


def _place(loc: tuple[int | str, ...]) -> list[int | str]:
    """Where an error is; names that the client chose may be long, and many."""
    return [part if isinstance(part, int) else _short(part, 60) for part in loc[:MAX_DEPTH]]


def _short(text: str, limit: int = MAX_TEXT) -> str:
    """``text``, of which much may be what was sent: an unknown action, for example."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def not_json(reason: str, frame: object) -> ValidationError:
    """The error for a frame that is no JSON at all."""
    return ValidationError.from_exception_data(
        "Frame", [{"type": "json_invalid", "loc": (), "input": frame, "ctx": {"error": reason}}]
    )
