"""What the registry knows, as values: connections, servers, and why a connection is refused. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal, NamedTuple

__all__ = ["Admission", "Record", "Refusal", "ServerInfo", "Shortened", "bounded", "require_connection_id"]

MAX_KEY_LENGTH = 120
MAX_ID_LENGTH = 200
HEAD = 64
_SHORTENED = re.compile(rf"(?s).{{{HEAD}}}~[0-9a-f]{{32}}\Z")

Joining = Literal["joined", "already", "full"]


class Record(NamedTuple):
    """One connection, as every server sees it."""

    connection_id: str
    user_id: str
    """Empty where there is no user."""
    address: str
    """The channel of the layer that reaches it."""
    server: str
    """The process that it is on."""
    server_instance_id: str
    """That server's name for people."""
    connected_at: float
    """Seconds of the wall clock."""


class Refusal(NamedTuple):
    """Why a connection is not admitted."""

    reason: Literal["total", "user", "exists"]
    held: int
    """How many there are already, where a limit is the reason."""


Admission = Refusal | None


class ServerInfo(NamedTuple):
    """One server that shares the registry."""

    server: str
    server_instance_id: str
    connections: int
    lease_s: float | None
    """How long it would still be believed to be alive without another sign of life; None: for ever."""
    reported_at: float
    """When it last told its statistics, in seconds of the wall clock."""
    statistics: dict[str, Any]


class Shortened(str):
    """What ``bounded`` made of a long text, or the registry returned: no text that somebody chose."""

    __slots__ = ()


def bounded(text: str) -> str:
    """``text`` as part of a key: itself, or where it is long, its beginning and a hash of the whole.

    A text that looks like such a beginning with its hash is hashed too, so that no two texts share a key.
    What comes from the registry (``Shortened``) is a key already.

    >>> bounded("alice")
    'alice'
    >>> len(bounded("x" * 10_000))
    97
    """
    if isinstance(text, Shortened) or (len(text) <= MAX_KEY_LENGTH and not _SHORTENED.match(text)):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return Shortened(f"{text[:HEAD]}~{digest}")


def require_connection_id(connection_id: object) -> str:
    """``connection_id``, if it may be one; ValueError says what may."""
    if isinstance(connection_id, str) and 0 < len(connection_id) <= MAX_ID_LENGTH:
        return connection_id
    raise ValueError(
        f"connection_id must be a string of 1 to {MAX_ID_LENGTH} characters, not {connection_id!r}; "
        "leave it out to have one made"
    )
