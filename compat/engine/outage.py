"""The answers to clients while a layer's server cannot be reached, and the log line about it.

These answers ask a client to try again: a handshake or a request gets 503 with Retry-After, an open
connection is closed with 1013. The layer logs one line when the outage begins and one when it ends.
"""

from __future__ import annotations

import logging
import sys

from compat.engine.refusal import refuse, respond
from compat.exceptions import LayerUnavailable
from compat.metrics import Throttle
from compat.types import Receive, Scope, Send

__all__ = [
    "RETRY_AFTER_S",
    "SERVICE_UNAVAILABLE",
    "is_outage",
    "refuse_for_outage",
    "report_outage",
    "turn_away",
]

log = logging.getLogger("compat.layers")

RETRY_AFTER_S = 5
"""The value of Retry-After: seconds that a client should wait before it tries again."""

SERVICE_UNAVAILABLE = 503

_foreign = Throttle()


def is_outage(error: BaseException | None) -> bool:
    """Return True if ``error`` says that a layer's server cannot be used now.

    Our layers raise LayerUnavailable; the real channels_redis raises the connection errors of redis-py.
    """
    if isinstance(error, LayerUnavailable):
        return True
    driver = sys.modules.get("redis.exceptions")
    return driver is not None and isinstance(error, (driver.ConnectionError, driver.TimeoutError))


def report_outage(error: BaseException) -> None:
    """Log the outage that ``error`` is about, unless it has been logged already."""
    report = getattr(error, "report", None)
    if report is not None:
        report()
    elif due := _foreign.due((type(error), str(error))):
        again = f" ({due} times since the last report)" if due > 1 else ""
        log.warning("a channel layer cannot be used: %s: %s%s", type(error).__name__, error, again)


async def refuse_for_outage(scope: Scope, receive: Receive, send: Send, error: BaseException) -> None:
    """Answer 503 to a request, or to a handshake whose connect message has not been received yet."""
    report_outage(error)
    await refuse(scope, receive, send, SERVICE_UNAVAILABLE, "Service Unavailable", _RETRY_AFTER)


async def turn_away(send: Send) -> None:
    """Answer 503 to a handshake that has been received; await ``refusal.connection_lost`` after it."""
    await respond(send, SERVICE_UNAVAILABLE, "Service Unavailable", _RETRY_AFTER)


_RETRY_AFTER = [(b"retry-after", str(RETRY_AFTER_S).encode())]
