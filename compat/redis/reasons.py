"""Why Redis cannot be used, in a few words: from exceptions, and from its error replies."""

from __future__ import annotations

import asyncio
import os
import ssl

from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError, TimeoutError

from compat.redis.unavailable import (
    RedisLoading,
    RedisLoginRefused,
    RedisNotConnected,
    RedisOutOfMemory,
    RedisPermissionDenied,
    RedisReadOnly,
    RedisRefused,
    RedisTimedOut,
    RedisUnavailable,
)

__all__ = [
    "FOREIGN",
    "LASTING",
    "LOST_KEYS",
    "LOST_STREAM",
    "MOVED",
    "REPLICA",
    "WAIT",
    "Reason",
    "asked_node",
    "is_replica",
    "kind_of",
    "late",
    "reason_of",
    "redirect_of",
    "refusal_of",
    "told",
]


class Reason(str):
    """Why Redis cannot be used, in a few words, the class of the error about it, and what to do.

    ``advice`` is a sentence without its point, empty if the words say it; None: the server is to be started.
    """

    __slots__ = ("advice", "kind")
    kind: type[RedisUnavailable]
    advice: str | None

    def __new__(
        cls, text: str, kind: type[RedisUnavailable] = RedisNotConnected, advice: str | None = None
    ) -> Reason:
        self = super().__new__(cls, text)
        self.kind = kind
        self.advice = "" if advice is None and issubclass(kind, ResponseError) else advice
        return self

    def at(self, where: str) -> Reason:
        """Return the reason with the server that it is about, of several ones."""
        return Reason(f"{where}: {self}", self.kind, self.advice)

    def advised(self, advice: str) -> Reason:
        """Return the reason with another advice."""
        return Reason(self, self.kind, advice)


LOST_KEYS = Reason(
    "it has lost keys of the layer: restarted without its data, flushed, evicted or deleted", RedisRefused
)
LOST_STREAM = Reason("it has lost the streams of the layer; they were deleted or evicted", RedisRefused)
MOVED = Reason("its slot has moved to another node of the cluster")
WAIT = Reason("its slot is being moved, or has no master now")
REPLICA = Reason("it is a read-only replica; name its master, or use sentinels", RedisReadOnly)
DENIED = Reason(
    "this user may not run the commands or use the keys of the layer; see its ACL",
    RedisPermissionDenied,
    "Give the user the rights (ACL SETUSER), or name another one in CONFIG['hosts'] of CHANNEL_LAYERS",
)
FOREIGN = Reason("keys of the layer's prefix hold foreign data; choose another prefix", RedisRefused)
LASTING = (DENIED, FOREIGN)
"""The reasons for which a command is refused however often it is sent."""


def kind_of(reason: str) -> type[RedisUnavailable]:
    """Return the class of the error for a reason."""
    return reason.kind if isinstance(reason, Reason) else RedisNotConnected


def told(reason: str, start: str) -> str:
    """Return a reason and what to do about it, which is ``start`` if the server does not seem to run."""
    given = reason.advice if isinstance(reason, Reason) else None
    advice = start if given is None else given
    return f"{reason}{' ' if reason.endswith('?') else '. '}{advice}" if advice else reason


def late(limit_s: float) -> Reason:
    """Return the reason that an answer has not come in time."""
    return Reason(f"no answer within {limit_s:g} s", RedisTimedOut)


def reason_of(error: BaseException) -> Reason:
    """Return the cause of ``error`` in a few words, from the exceptions that redis-py and asyncio chain."""
    kind, advice = _kind(error), _advice(error)
    if isinstance(error, (AuthenticationError, BusyLoadingError, ResponseError)):
        answer = refusal_of(error)
        kind, advice = answer.kind, answer.advice
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            said = getattr(seen, "verify_message", "").rstrip(".") or seen.reason or seen
            return Reason(f"TLS: {said}", kind, CERTIFICATES)
        if isinstance(seen, OSError) and seen.errno is not None and seen.errno > 0:
            return Reason(os.strerror(seen.errno).lower(), kind)
        seen = seen.__cause__ or seen.__context__
    text = str(error).strip().rstrip(".")
    return Reason(text or type(error).__name__, kind, advice)


def _kind(error: BaseException) -> type[RedisUnavailable]:
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return RedisTimedOut
    if isinstance(error, AuthenticationError):  # in some versions a ResponseError too
        return RedisLoginRefused
    if isinstance(error, BusyLoadingError):
        return RedisLoading
    return RedisRefused if isinstance(error, ResponseError) else RedisNotConnected


def _advice(error: BaseException) -> str | None:
    """Return what to do about an answer of Redis, if its own words do not say it; else None."""
    if not isinstance(error, RedisError) or "connecting to" in str(error):  # that has a host's name
        return None
    text = _text(error)
    return next((advice for words, advice in _ADVICE if any(word in text for word in words)), None)


def refusal_of(error: Exception) -> Reason:
    """Return what an error reply means for a user of a channel layer."""
    text = _text(error)
    for words, reason in _REFUSALS:
        if any(word in text for word in words):
            return reason
    return Reason(f"it refused a command: {error}", _kind(error), _advice(error))


def redirect_of(error: Exception) -> Reason | None:
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


_REFUSALS: tuple[tuple[tuple[str, ...], Reason], ...] = (
    (("readonly", "read only replica", "instance state changed"), REPLICA),
    (
        ("oom ", "outofmemory"),
        Reason("it is out of memory; raise its maxmemory, or lower capacity and expiry", RedisOutOfMemory),
    ),
    (
        ("misconf",),
        Reason("it stopped accepting writes because it cannot save to disk; see its log", RedisRefused),
    ),
    (("noperm", "nopermission"), DENIED),
    (("wrongtype",), FOREIGN),
    (
        ("moved", "clusterdown", "crossslot"),
        Reason(
            'it is a node of a Redis Cluster; write hosts=[{"cluster": ["redis://…", …]}] with some of its '
            "nodes",
            RedisRefused,
        ),
    ),
    (("nogroup", "unblocked the stream key"), LOST_STREAM),
    (
        ("unknown command",),
        Reason(
            "it lacks a command that the layer needs; use Redis 5 or newer, and 6.2 for streams", RedisRefused
        ),
    ),
)

CERTIFICATES = (
    "Correct ssl_ca_certs (the authority of the server's certificate), ssl_certfile and ssl_keyfile (those "
    "of the client), or the host's name, which must be in the server's certificate"
)
_ADVICE = (
    (
        ("wrongpass", "noauth", "authentication", "username-password", "without any password"),
        "Correct the user and the password in CONFIG['hosts'] of CHANNEL_LAYERS, or in REDIS_URL",
    ),
    (
        ("db index",),
        "Name a database that it has in CONFIG['hosts'] of CHANNEL_LAYERS: 0 to 15, unless its option "
        "'databases' says otherwise",
    ),
    (("loading",), "Wait until it has read its data"),
    (
        ("busy redis", "busy running a script"),
        "Wait for the script that some client runs there, or end it with SCRIPT KILL",
    ),
    (("max number of clients",), "Raise its maxclients, or let fewer clients connect"),
    (("protected mode",), ""),  # it says at length what to do
)
"""What to do about other answers, by the words in them."""
