"""The values of the registry: connections, servers, and reasons for refusing a connection. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal, NamedTuple

__all__ = [
    "Admission",
    "Record",
    "Refusal",
    "ServerInfo",
    "Shortened",
    "bounded",
    "require_connection_id",
    "require_user_id",
]

MAX_KEY_LENGTH = 120
MAX_ID_LENGTH = 200
HEAD = 64
_SHORTENED = re.compile(rf"(?s).{{{HEAD}}}~[0-9a-f]{{32}}\Z")

Joining = Literal["joined", "already", "full"]


class Record(NamedTuple):
    """One connection, as all servers see it."""

    connection_id: str
    user_id: str
    """Empty without a user."""
    address: str
    """The connection's channel in the layer."""
    server: str
    """The unique name of its process."""
    server_instance_id: str
    """The readable name of its server."""
    connected_at: float
    """Seconds of the wall clock."""


class Refusal(NamedTuple):
    """The reason why a connection is not admitted."""

    reason: Literal["total", "user", "exists"]
    held: int
    """How many connections there are already, if a limit is the reason."""


Admission = Refusal | None


class ServerInfo(NamedTuple):
    """One server that shares the registry."""

    server: str
    server_instance_id: str
    connections: int
    lease_s: float | None
    """Seconds until its lease ends if it is not renewed; None: never."""
    reported_at: float
    """The time of its last report of statistics, in seconds of the wall clock."""
    statistics: dict[str, Any]


class Shortened(str):
    """A key that ``bounded`` has shortened, or that the registry has returned; it is not shortened again."""

    __slots__ = ()


def bounded(text: str) -> str:
    """Return ``text`` as a part of a key: a long text is replaced by its beginning and a hash of the whole.

    A text that looks like such a result is hashed too, so that two texts never share a key. A ``Shortened``
    text is a key already.

    >>> bounded("alice")
    'alice'
    >>> len(bounded("x" * 10_000))
    97
    """
    if isinstance(text, Shortened) or (len(text) <= MAX_KEY_LENGTH and not _SHORTENED.match(text)):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return Shortened(f"{text[:HEAD]}~{digest}")


def require_user_id(user_id: object) -> str:
    """Return ``user_id`` if it is a str; raise TypeError otherwise, also for the number of a user."""
    if isinstance(user_id, str):
        return user_id
    found = f"{type(user_id).__name__} {user_id!r}"
    raise TypeError(f"user_id must be a str, such as str(user.pk); found {found}")


def require_connection_id(connection_id: object) -> str:
    """Return ``connection_id`` if it is a valid id, which log lines may show; raise ValueError otherwise."""
    if (
        isinstance(connection_id, str)
        and 0 < len(connection_id) <= MAX_ID_LENGTH
        and connection_id.isprintable()
    ):
        return connection_id
    raise ValueError(
        f"connection_id must be a string of 1 to {MAX_ID_LENGTH} characters without line breaks and other "
        f"control characters, not {connection_id!r}; leave it out to have one made"
    )
