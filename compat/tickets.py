"""Tickets: what a client shows to come back to its resumable connection.

A ticket is signed with ``SECRET_KEY``, and says which connection it is for, in which process that lives, for
whom, on which path, in which generation, and until when; and up to where the consumer has handled the
histories of its groups. Each return makes a new generation. It is base64url without padding: 16 bytes of
HMAC-SHA-256, then the fields.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import secrets
import struct
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from compat.exceptions import ImproperlyConfigured
from compat.names import person_key
from compat.settings import settings

__all__ = [
    "ANYWHERE",
    "LIFETIME_S",
    "MAX_GROUPS",
    "OF_PAGE",
    "Cursor",
    "Place",
    "Refused",
    "Ticket",
    "current_secret",
    "former_secrets",
    "is_old",
    "place_of",
    "print_of",
    "read",
    "write",
    "write_for_page",
]

LIFETIME_S = 24 * 60 * 60
"""Seconds for which a ticket is good; a connection that lives longer sends its client a new one."""

VERSION = 2
MAX_GROUPS = 32
"""With more groups than these, a ticket says nothing of any: it travels in a header."""
MAC_BYTES = 16
PRINT_BYTES = 12
GROUP_BYTES = 8
CACHED_CHARACTERS = 256
"""Places with longer texts are not kept: a client chooses the query string."""
_FIELDS = struct.Struct(f">BIQ16s{PRINT_BYTES}s{PRINT_BYTES}sB")
_CURSOR = struct.Struct(f">{GROUP_BYTES}s8sQ")


class Refused(Exception):
    """A ticket that is not taken; ``why`` is "invalid" or "expired"."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Place(NamedTuple):
    """Where a connection is, and whose."""

    user: bytes
    path: bytes
    """Keyed hashes, from ``place_of``."""
    home: str
    """The channel of the process in which the connection lives; empty: of this one."""


class Cursor(NamedTuple):
    """Up to where a group's history has been handled."""

    group: bytes
    """A keyed hash, from ``print_of``."""
    epoch: str
    offset: int


class Ticket(NamedTuple):
    """The fields of a ticket."""

    connection: bytes
    """16 random bytes; zeros in the ticket of a page, which has had none yet, and may be on any path."""
    generation: int
    """0 at first, then one more at each return."""
    user: bytes
    path: bytes
    home: str
    """As in ``Place``."""
    expires: int
    """In seconds of the wall clock."""
    channel: bytes = b""
    """A keyed hash of the consumer's channel, if there are cursors."""
    cursors: tuple[Cursor, ...] = ()

    @property
    def is_of_page(self) -> bool:
        """True for a ticket from ``layer.ticket()``."""
        return self.connection == OF_PAGE and self.path == ANYWHERE


OF_PAGE, ANYWHERE = bytes(16), bytes(PRINT_BYTES)
_own_secret = secrets.token_bytes(32)
"""Signs for this process where there is no ``SECRET_KEY``."""

_derived: dict[tuple[object, str], hmac.HMAC] = {}


def _keyed(secret: object, purpose: str) -> hmac.HMAC:
    """Return an HMAC with the key for one purpose, to be copied."""
    found = _derived.get((secret, purpose))
    if found is None:
        raw = secret if isinstance(secret, bytes) else str(secret).encode()
        key = hmac.digest(raw, f"compat.resume.{purpose}".encode(), hashlib.sha256)
        if len(_derived) >= 64:  # somebody changes the settings all the time
            _derived.clear()
        found = _derived[secret, purpose] = hmac.new(key, digestmod="sha256")
    return found


def _digest(secret: object, purpose: str, data: bytes) -> bytes:
    keyed = _keyed(secret, purpose).copy()
    keyed.update(data)
    return keyed.digest()


def current_secret() -> object:
    """Return what signs new tickets."""
    return settings.kept("SECRET_KEY") or _own_secret


def former_secrets() -> tuple[Any, ...]:
    """Return ``SECRET_KEY_FALLBACKS`` without empty ones; raise ImproperlyConfigured for a single text.

    Each of its characters would be a key.
    """
    keys = settings.kept("SECRET_KEY_FALLBACKS") or ()
    if isinstance(keys, str | bytes):
        raise ImproperlyConfigured(
            f'SECRET_KEY_FALLBACKS must be a list of keys, such as ["the old key"]; found a '
            f"{type(keys).__name__}"
        )
    return tuple(key for key in keys if key)


def _fingerprint(text: str, secret: object) -> bytes:
    """Return a keyed hash of ``text``: tickets do not show who somebody is, or where."""
    return _digest(secret, "fingerprint", text.encode("utf-8", "surrogatepass"))[:PRINT_BYTES]


def place_of(who: str, path: str, home: str, secret: object = None) -> Place:
    """Return the place of a connection; ``secret``: another one than that of new tickets."""
    make = _place if len(who) + len(path) < CACHED_CHARACTERS else _place.__wrapped__
    return make(who, path, home, secret or current_secret())


@functools.lru_cache(maxsize=1024)  # clients of one room without users have the same place
def _place(who: str, path: str, home: str, secret: object) -> Place:
    return Place(_fingerprint(who, secret), _fingerprint(path, secret), home)


def write(ticket: Ticket) -> str:
    """Return ``ticket`` signed, as a text."""
    home = ticket.home.encode()
    body = _FIELDS.pack(
        *(VERSION, ticket.generation, ticket.expires, ticket.connection, ticket.user, ticket.path, len(home))
    )
    body += home
    if 0 < len(ticket.cursors) <= MAX_GROUPS:
        body += ticket.channel.ljust(GROUP_BYTES, b"\0")
        body += b"".join(
            _CURSOR.pack(cursor.group, bytes.fromhex(cursor.epoch), cursor.offset)
            for cursor in ticket.cursors
        )
    signed = _digest(current_secret(), "ticket", body)[:MAC_BYTES] + body
    return _encoded(signed)


def _encoded(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def read(text: str) -> tuple[Ticket, object]:
    """Return the ticket of which ``text`` is the signed form, and the secret that it was signed with.

    ``SECRET_KEY_FALLBACKS`` are tried too. Raises Refused.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        signed = base64.b64decode(padded, altchars=b"-_", validate=True)
    except ValueError as error:
        raise Refused("invalid") from error
    mac, body = signed[:MAC_BYTES], signed[MAC_BYTES:]
    if len(body) < _FIELDS.size or _encoded(signed) != text:
        raise Refused("invalid")
    for secret in (current_secret(), *former_secrets()):
        if hmac.compare_digest(mac, _digest(secret, "ticket", body)[:MAC_BYTES]):
            break
    else:
        raise Refused("invalid")
    version, generation, expires, connection, user, path, length = _FIELDS.unpack_from(body)
    if version != VERSION:
        raise Refused("invalid")
    if expires <= time.time():
        raise Refused("expired")
    home, rest = body[_FIELDS.size : _FIELDS.size + length], body[_FIELDS.size + length :]
    cursors = tuple(
        Cursor(group, epoch.hex(), offset) for group, epoch, offset in _CURSOR.iter_unpack(rest[GROUP_BYTES:])
    )
    where = home.decode("utf-8", "replace")
    found = Ticket(connection, generation, user, path, where, expires, rest[:GROUP_BYTES], cursors)
    return found, secret


def print_of(kind: str, name: str, secret: object = None) -> bytes:
    """Return a keyed hash of the name of a "group" or a "channel": tickets do not show who is where."""
    return _print_of(kind, name, secret or current_secret())


@functools.lru_cache(maxsize=4096)
def _print_of(kind: str, name: str, secret: object) -> bytes:
    return _fingerprint(f"{kind}\n{name}", secret)[:GROUP_BYTES]


def is_old(expires: float) -> bool:
    """Return True if less than half of its life is left to a ticket that ``expires`` then."""
    return expires - time.time() < LIFETIME_S / 2


def write_for_page(user: Any, places: Mapping[str, tuple[str, int]]) -> str:
    """Return a ticket for a page that has no connection yet; ``places``: groups, and what the page has."""
    expires = int(time.time()) + LIFETIME_S
    who = place_of(f"{person_key(user)!r}", "", "").user
    cursors = tuple(Cursor(print_of("group", group), *place) for group, place in places.items())
    return write(Ticket(OF_PAGE, 0, who, ANYWHERE, "", expires, b"", cursors))
