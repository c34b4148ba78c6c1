"""Answer the manager's errors outside consumers: requests with a status, websockets with a close code."""

from __future__ import annotations

import logging
import math
from typing import Any

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from compat.engine.refusal import shown
from compat.fastapi import refuse_or_close
from compat.manager.exceptions import REASON_BYTES, BackendError, BaseError, ConnectionError, ErrorSeverity

__all__ = ["add_exception_handlers", "log_if_serious"]

log = logging.getLogger("compat.manager")

SERIOUS = (ErrorSeverity.HIGH, ErrorSeverity.CRITICAL)
RETRY_AFTER = "retry_after"
"""The key of an error's details that says after how many seconds the client may try again."""


def add_exception_handlers(app: Starlette) -> None:
    """Make a FastAPI or Starlette ``app`` answer every ``BaseError`` that one of its endpoints raises.

    A request gets the error's ``http_status`` (503 while Redis is away, 429 over a limit), Retry-After if the
    error has ``retry_after``, and its ``ErrorResponse`` as JSON. A websocket is closed with ``ws_code``, or
    refused if it is not open yet: with 403, or in an outage as a request if the server can do so.
    Serious errors are logged. Without this function these errors are unhandled: status 500 and a traceback;
    but a client for which ``connect()`` raises ConnectionError is refused with 403.
    """
    app.add_exception_handler(BaseError, _answer)


def log_if_serious(error: BaseError, **where: str | None) -> None:
    """Log an error of high or critical severity, with its cause, and ``where`` it happened."""
    if error.severity not in SERIOUS:
        return
    places = "".join(f", {name} {shown(value) if value else '-'}" for name, value in where.items())
    # The text of a BackendError is enough without a traceback: Redis is away, and what to do.
    cause = None if isinstance(error, BackendError) else error.cause
    log.error(
        "%s (%s, error_id %s%s)", error, error.error_code, error.context.error_id, places, exc_info=cause
    )


async def _answer(connection: HTTPConnection, error: Exception) -> Any:
    assert isinstance(error, BaseError)
    if not isinstance(connection, WebSocket):
        log_if_serious(error, path=connection.scope["path"])
        return _response(error)
    if not isinstance(error, ConnectionError):  # the manager has logged these
        log_if_serious(error, path=connection.scope["path"])
    reason = error.to_response().message.encode()[:REASON_BYTES].decode(errors="ignore")
    # An outage passes, but after a 403, clients that come back by themselves do not try again.
    answer = _response(error) if isinstance(error.cause, BackendError) else None
    await refuse_or_close(connection, error.ws_code, reason, answer=answer)
    return None


def _response(error: BaseError) -> JSONResponse:
    after = error.details.get(RETRY_AFTER)
    headers = {"Retry-After": str(math.ceil(after))} if isinstance(after, (int, float)) else {}
    return JSONResponse(error.to_response().to_dict(), error.http_status, headers=headers)
