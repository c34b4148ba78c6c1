"""Why Redis cannot be used, in a few words: from exceptions, and from its error replies."""

from __future__ import annotations

import os
import ssl

__all__ = ["REPLICA", "is_replica", "reason_of", "refusal_of"]

REPLICA = "it is a read-only replica; name its master, or use sentinels"


def reason_of(error: BaseException) -> str:
    """Return the cause of ``error`` in a few words, from the exceptions that redis-py and asyncio chain."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return f"TLS: {getattr(seen, 'verify_message', '') or seen.reason or seen}"
        if isinstance(seen, OSError) and seen.errno is not None and seen.errno > 0:
            return os.strerror(seen.errno).lower()
        seen = seen.__cause__ or seen.__context__
    text = str(error).strip().rstrip(".")
    return text or type(error).__name__


def refusal_of(error: Exception) -> str:
    """Return what an error reply means for a user of a channel layer."""
    # redis-py turns the first word of some replies into a class; which ones depends on its version.
    text = f"{type(error).__name__} {error}".lower()
    for words, reason in _REFUSALS:
        if any(word in text for word in words):
            return reason
    return f"it refused a command: {error}"


def is_replica(error: Exception) -> bool:
    """Return True for an error reply of a Redis that is not, or no longer, the master."""
    return refusal_of(error) is REPLICA


_REFUSALS = (
    (("readonly", "read only replica", "instance state changed"), REPLICA),
    (("oom ", "outofmemory"), "it is out of memory; raise its maxmemory, or lower capacity and expiry"),
    (("misconf",), "it stopped accepting writes because it cannot save to disk; see its log"),
    (
        ("noperm", "nopermission"),
        "this user may not run the commands or use the keys of the layer; see its ACL",
    ),
    (("wrongtype",), "keys of the layer's prefix hold foreign data; choose another prefix"),
    (
        ("moved", "clusterdown", "crossslot"),
        "it is a node of a Redis Cluster; a channel layer needs single servers, one or several",
    ),
    (("nogroup",), "it has lost the streams of the layer; they were deleted or evicted"),
    (("unknown command",), "it lacks a command that the layer needs; Redis 5 or newer is required"),
)
