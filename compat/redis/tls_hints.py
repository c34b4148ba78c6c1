"""What is probably wrong with TLS, where the error of a failed attempt to connect does not say so."""

from __future__ import annotations

import os
from typing import Any

from redis.asyncio import SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection

from compat.redis.reasons import Reason
from compat.redis.unavailable import RedisNotConnected, RedisTimedOut

__all__ = ["with_hint"]

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_ca_path")
NO_TLS = "See whether Redis runs there; if it speaks no TLS on this port, write redis:// instead of rediss://"
NO_CLIENT = "if it asks for a certificate of the client, name one in ssl_certfile and ssl_keyfile"
TLS = "See whether Redis runs there; if it speaks TLS on this port, write rediss:// instead of redis://"
CORRECT_FILE = "Correct its path in CONFIG['hosts'] of CHANNEL_LAYERS"
ENDED = ("reset by peer", "closed by server", "connection lost", "broken pipe")


def with_hint(reason: Reason, connection: AbstractConnection, options: dict[str, Any]) -> Reason:
    """Return the reason why ``connection``, with these options of its pool, was not opened, with a hint."""
    if not isinstance(connection, SSLConnection):
        is_local = isinstance(connection, UnixDomainSocketConnection)
        return reason.advised(TLS) if _has_ended(reason) and not is_local else reason
    if reason == "no such file or directory":
        for name in FILES:
            if (path := options.get(name)) and not os.path.exists(path):
                return Reason(f"{name}={str(path)!r}: {reason}", reason.kind, CORRECT_FILE)
    if reason.kind is RedisTimedOut:
        return reason.advised(NO_TLS)
    if "WRONG_VERSION" in reason or "RECORD_LAYER" in reason:
        return reason.advised(NO_TLS)
    return reason.advised(f"{NO_TLS}; {NO_CLIENT}") if _has_ended(reason) else reason


def _has_ended(reason: Reason) -> bool:
    return reason.kind is RedisNotConnected and any(words in reason.lower() for words in ENDED)
