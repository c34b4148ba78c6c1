"""The wire format of messages: JSON text, encoded once for any number of clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import InitErrorDetails, ValidationError, from_json, to_json

from compat.engine.problems import problems
from compat.typed.camel import written
from compat.typed.envelope import enclosed
from compat.typed.messages import ACTION, BaseMessage
from compat.typed.unions import tag_field

__all__ = ["Wire", "error_payload", "not_json", "text_of", "unhandled"]

MAX_TEXT = 300
MAX_DEPTH = 20
MAX_ERRORS = 50
"""The maximum number of errors in an answer; further errors are counted."""


class Wire(NamedTuple):
    """The form of a consumer's messages."""

    camelize: bool = False
    discriminator: str = ACTION

    def dump(self, message: BaseMessage) -> dict[str, Any]:
        """Return ``message`` as the JSON object of the wire."""
        dumped: dict[str, Any] = (
            from_json(message.model_dump_json(by_alias=True))
            if message._compat_writes_itself
            else message.model_dump(mode="json", by_alias=True)
        )
        if self.camelize:
            dumped = written(message, dumped)
        if tag_field(type(message), self.discriminator) != self.discriminator and ACTION in dumped:
            dumped = {self.discriminator: dumped.pop(ACTION), **dumped}
        return dumped

    def encode(self, message: BaseMessage, stamp: Mapping[str, Any] | None = None) -> str:
        """Return ``message`` as JSON text, with those fields of the envelope that are not its own."""
        plain = stamp is None and not self.camelize and self.discriminator == ACTION
        if plain and not message._compat_dumps_itself:
            return message.model_dump_json(by_alias=True)
        dumped = self.dump(message)
        return text_of(enclosed(dumped, stamp, message._compat_own_sent) if stamp else dumped)


def text_of(content: Any) -> str:
    """Return JSON text for JSON values, or others that pydantic can encode, such as a datetime."""
    return to_json(content, inf_nan_mode="null").decode()


def error_payload(error: ValidationError) -> list[dict[str, Any]]:
    """Return ``[{"type", "loc", "msg"}]``: the errors and their places, with little of the input."""
    errors = problems(error)
    if not errors:
        return [{"type": "too_many_errors", "loc": [], "msg": f"{error.error_count()} errors"}]
    payload: list[dict[str, Any]] = [
        {"type": _short(one["type"]), "loc": _place(one["loc"]), "msg": _short(one["msg"])}
        for one in errors[:MAX_ERRORS]
    ]
    if len(errors) > MAX_ERRORS:
        rest = len(errors) - MAX_ERRORS
        payload.append({"type": "more_errors", "loc": [], "msg": f"and {rest} more"})
    return payload


def _place(loc: tuple[int | str, ...]) -> list[int | str]:
    """Return the place of an error; names that the client has chosen are shortened."""
    return [part if isinstance(part, int) else _short(part, 60) for part in loc[:MAX_DEPTH]]


def _short(text: str, limit: int = MAX_TEXT) -> str:
    """Return ``text`` shortened; it may contain input, for example an unknown action."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def not_json(reason: str, frame: object) -> ValidationError:
    """Return the error for a frame that is not JSON."""
    return ValidationError.from_exception_data(
        "Frame", [{"type": "json_invalid", "loc": (), "input": frame, "ctx": {"error": reason}}]
    )


def unhandled(text: str | bytes, discriminator: str) -> ValidationError:
    """Return the error for a frame to a class without handlers, which is that of an unknown action."""
    try:
        content = from_json(text)
    except ValueError as error:
        return not_json(str(error), None)
    context = {"discriminator": repr(discriminator)}
    kind = "union_tag_not_found"
    if not isinstance(content, dict):
        kind = "dict_type"
    elif discriminator in content:
        kind = "union_tag_invalid"
        context |= {
            "tag": str(content[discriminator]),
            "expected_tags": "none, because there are no handlers",
        }
    return ValidationError.from_exception_data(
        "Messages", [InitErrorDetails(type=kind, loc=(), input=None, ctx=context)]
    )
