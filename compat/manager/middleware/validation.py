"""``ValidationMiddleware``: refuses messages that are too large or malformed, and drops expired ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic import ValidationError as InvalidData

from compat.codes import TOO_BIG
from compat.engine.problems import problems
from compat.engine.refusal import shown
from compat.manager.exceptions import ValidationError, create_error_context
from compat.manager.json_types import plain
from compat.manager.middleware.base import Middleware, Step
from compat.manager.typed import Message

if TYPE_CHECKING:
    from compat.manager.connections.state import Connection
    from compat.manager.consumer.base import BaseConsumer

__all__ = ["ValidationMiddleware", "size_of", "too_large"]

MAX_TYPE_LENGTH = 200
MAX_PROBLEMS = 20
"""The number of problems that an answer lists, so that it stays shorter than the message."""


class ValidationMiddleware(Middleware):
    """Refuses messages over ``max_message_size`` bytes, and malformed ones, with ValidationError.

    ``schemas`` maps message types to the type of their ``data``: anything that pydantic validates (a model, a
    TypedDict, ``list[int]``). The consumer gets the validated value as ``data``. Messages older than their
    ``ttl_seconds`` are dropped without an error.
    """

    def __init__(
        self,
        max_message_size: int,
        next_middleware: Step | None = None,
        *,
        schemas: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(next_middleware)
        if (
            isinstance(max_message_size, bool)
            or not isinstance(max_message_size, int)
            or max_message_size < 1
        ):
            raise ValueError(
                f"max_message_size must be a number of bytes, 1 or more, not {max_message_size!r}"
            )
        self.max_message_size = max_message_size
        self._schemas: dict[str, TypeAdapter[Any]] = {
            kind: TypeAdapter(schema) for kind, schema in (schemas or {}).items()
        }

    async def process(
        self, message: Message, connection: Connection, consumer: BaseConsumer
    ) -> Message | None:
        size = size_of(message)
        if size > self.max_message_size:
            raise too_large(size, self.max_message_size, connection, message.type)
        problem = _malformed(message)
        if problem is not None:
            raise _refusal(problem, message, connection)
        if message.is_expired():
            return None
        schema = self._schemas.get(message.type)
        if schema is not None:
            message.set_data(_validated(schema, message, connection))
        return message


def size_of(message: Message) -> int:
    """Return the size of ``message`` in bytes, as it was received or would be sent."""
    if message.size is not None:
        return message.size
    if message.binary_data is not None:
        return len(message.binary_data)
    return len(json.dumps(plain(message.to_dict()), ensure_ascii=False).encode())


def too_large(size: int, limit: int, connection: Connection, message_type: str | None) -> ValidationError:
    """Return the error for a message of ``size`` bytes if ``limit`` bytes are allowed."""
    return ValidationError(
        f"Message too large: {size} bytes (max: {limit})",
        context=_context(connection, message_type),
        details={"reason": "too_large", "size": size, "max_size": limit},
        ws_code=TOO_BIG,
    )


def _malformed(message: Message) -> str | None:
    kind: Any = message.type
    if not isinstance(kind, str) or not kind.strip():
        return f"'type' must be a non-empty string, not {shown(str(kind), 60)}"
    if len(kind) > MAX_TYPE_LENGTH:
        return f"'type' has {len(kind)} characters; {MAX_TYPE_LENGTH} are allowed"
    metadata: Any = message.metadata
    if metadata is not None and not isinstance(metadata, dict):
        return f"'metadata' must be an object, not {type(metadata).__name__}"
    ttl: Any = message.ttl_seconds
    if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, (int, float))):
        return f"'ttl_seconds' must be a number, not {shown(str(ttl), 60)}"
    return None


def _validated(schema: TypeAdapter[Any], message: Message, connection: Connection) -> Any:
    try:
        return schema.validate_python(message.data)
    except InvalidData as error:
        listed = [
            {"where": ".".join(map(str, problem["loc"]))[:100], "problem": problem["msg"][:200]}
            for problem in problems(error)[:MAX_PROBLEMS]
        ] or [{"where": "", "problem": f"{error.error_count()} problems, more than are listed"}]
        raise _refusal(
            f"'data' of {message.type!r} is not valid", message, connection, problems=listed
        ) from None  # a traceback would list all of pydantic's errors


def _refusal(problem: str, message: Message, connection: Connection, **details: Any) -> ValidationError:
    kind = message.type if isinstance(message.type, str) else None
    return ValidationError(
        problem, context=_context(connection, kind), details={"reason": "malformed", **details}
    )


def _context(connection: Connection, message_type: str | None) -> Any:
    return create_error_context(
        user_id=connection.user_id or None,
        connection_id=connection.channel_name,
        message_type=message_type,
        component="validation",
    )
