"""A channel layer whose server is away: what clients are answered, and who says so in the log, once.

A client that is turned away meanwhile may come back: a handshake and a request get 503 with Retry-After, an
open connection is closed with 1013. The layer logs one line when that begins and one when it is over.
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
    "TRY_AGAIN_LATER",
    "is_outage",
    "refuse_for_outage",
    "report_outage",
    "turn_away",
]

log = logging.getLogger("compat.layers")

RETRY_AFTER_S = 5
"""What clients are asked to wait, in seconds, before they try again."""

SERVICE_UNAVAILABLE = 503
TRY_AGAIN_LATER = 1013

_foreign = Throttle()


def is_outage(error: BaseException | None) -> bool:
    """True for an error that says that a layer's server cannot be used now: whoever asks is not to blame.

    LayerUnavailable of a layer of ours; of the real channels_redis, what its driver raises.
    """
    if isinstance(error, LayerUnavailable):
        return True
    driver = sys.modules.get("redis.exceptions")
    return driver is not None and isinstance(error, (driver.ConnectionError, driver.TimeoutError))


def report_outage(error: BaseException) -> None:
    """Have an outage logged, for which a client was turned away, unless it has been."""
    report = getattr(error, "report", None)
    if report is not None:
        report()
    elif due := _foreign.due((type(error), str(error))):
        again = f" ({due} times since the last report)" if due > 1 else ""
        log.warning("a channel layer cannot be used: %s: %s%s", type(error).__name__, error, again)


async def refuse_for_outage(scope: Scope, receive: Receive, send: Send, error: BaseException) -> None:
    """Answer 503 to a request, or to a handshake that has not been received from yet."""
    report_outage(error)
    await refuse(scope, receive, send, SERVICE_UNAVAILABLE, "Service Unavailable", _RETRY_AFTER)


async def turn_away(send: Send) -> None:
    """Answer 503 to a handshake that has been received; ``refusal.connection_lost`` is to follow."""
    await respond(send, SERVICE_UNAVAILABLE, "Service Unavailable", _RETRY_AFTER)


_RETRY_AFTER = [(b"retry-after", str(RETRY_AFTER_S).encode())]
