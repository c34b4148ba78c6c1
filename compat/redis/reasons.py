"""Why Redis cannot be used, in a few words: from exceptions, and from its error replies."""

from __future__ import annotations

import os
import ssl

__all__ = [
    "FOREIGN",
    "LASTING",
    "LOST_KEYS",
    "LOST_STREAM",
    "MOVED",
    "REPLICA",
    "WAIT",
    "asked_node",
    "is_replica",
    "reason_of",
    "redirect_of",
    "refusal_of",
]

LOST_KEYS = "it has lost keys of the layer: restarted without its data, flushed, evicted or deleted"
LOST_STREAM = "it has lost the streams of the layer; they were deleted or evicted"
MOVED = "its slot has moved to another node of the cluster"
WAIT = "its slot is being moved, or has no master now"
REPLICA = "it is a read-only replica; name its master, or use sentinels"
DENIED = "this user may not run the commands or use the keys of the layer; see its ACL"
FOREIGN = "keys of the layer's prefix hold foreign data; choose another prefix"
LASTING = (DENIED, FOREIGN)
"""The reasons for which a command is refused however often it is sent."""


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
    text = _text(error)
    for words, reason in _REFUSALS:
        if any(word in text for word in words):
            return reason
    return f"it refused a command: {error}"


def redirect_of(error: Exception) -> str | None:
    """Return why a cluster's node has not carried a command out: ``MOVED``, ``WAIT``, or None if neither."""
    text = _text(error)
    if text.startswith("moved ") or is_replica(error):
        return MOVED
    return WAIT if text.startswith(("ask ", "tryagain ", "clusterdown ")) else None


def asked_node(error: Exception) -> tuple[str, int] | None:
    """Return the host and the port that a cluster's node names for this one command (ASK), or None.

    The host is empty if the node does not know it; then it is its own.
    """
    word, _, rest = _text(error).partition(" ")
    if word != "ask":
        return None
    host, _, port = rest.rpartition(" ")[2].rpartition(":")
    return "" if host == "?" else host, int(port)


def _text(error: Exception) -> str:
    """Return an error reply with its first word, which redis-py turns into a class for some replies.

    Which ones depends on its version.
    """
    name = type(error).__name__
    word = "" if name == "ResponseError" else name.removesuffix("Error").lower()
    text = str(error).lower()
    return text if not word or text.startswith(word) else f"{word} {text}"


def is_replica(error: Exception) -> bool:
    """Return True for an error reply of a Redis that is not, or no longer, the master."""
    return refusal_of(error) is REPLICA


_REFUSALS = (
    (("readonly", "read only replica", "instance state changed"), REPLICA),
    (("oom ", "outofmemory"), "it is out of memory; raise its maxmemory, or lower capacity and expiry"),
    (("misconf",), "it stopped accepting writes because it cannot save to disk; see its log"),
    (("noperm", "nopermission"), DENIED),
    (("wrongtype",), FOREIGN),
    (
        ("moved", "clusterdown", "crossslot"),
        'it is a node of a Redis Cluster; write hosts=[{"cluster": ["redis://…", …]}] with some of its nodes',
    ),
    (("nogroup", "unblocked the stream key"), LOST_STREAM),
    (
        ("unknown command",),
        "it lacks a command that the layer needs; use Redis 5 or newer, and 6.2 for streams",
    ),
)
