"""Rules for the names of channels, groups and handlers, and for the keys of users and clients.

The rules are those of ``channels.layers.BaseChannelLayer`` (Channels 4.3), restricted to ASCII: upstream's
patterns also allow a trailing newline, non-ASCII digits and, after the "!", any Unicode word.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import unicodedata
import uuid
from collections.abc import Mapping
from typing import Any

__all__ = [
    "CHANNEL",
    "CLOSE",
    "GROUP",
    "INVALID_NAME",
    "LIVE",
    "MAX_NAME_LENGTH",
    "RESERVED",
    "client_key",
    "get_handler_name",
    "group_name",
    "is_counted",
    "is_own_type",
    "key_behind",
    "non_local_name",
    "person_group",
    "person_key",
    "require_valid_channel_name",
    "require_valid_group_name",
    "shows_address",
    "user_group",
    "user_key",
]

MAX_NAME_LENGTH = 100
"""A name must have fewer characters."""

INVALID_NAME = (
    "{} name must be a valid unicode string with length < 100 containing only ASCII "
    "alphanumerics, hyphens, underscores, or periods."
)

GROUP = re.compile(r"^[A-Za-z0-9\-_.]+\Z")
CHANNEL = re.compile(r"^[A-Za-z0-9\-_.]+(![A-Za-z0-9\-_.]*)?\Z")
"""The pattern of channel names; ``GROUP`` is that of group names."""
_FORBIDDEN = re.compile(r"[^A-Za-z0-9\-_.]")

RESERVED = ("compat.", "__")
"""Prefixes of the library's own groups: ``compat.user.7``, ``__broadcast__``."""
CLOSE = "compat.close"
"""The type of the message that closes a connection."""
OWN_PREFIXES = ("_", "compat_", "http_", "typed_", "websocket_")
OWN_HANDLERS = frozenset(
    "base_send decode_json dispatch encode_json handle_channel_event handle_group_message handle_topic_event "
    "presence_diff receive_json send_json topic_event".split()
)
"""The handlers of messages that a server, a client or the library sends: consumers trust what they say."""
LIVE = "compat.live"
"""What the names of the live page's channels contain; over pub/sub the layer's prefix stands before it."""
_HASHED = re.compile(r"\.\.[0-9a-f]{32}\Z")
"""The end of a name that ``group_name`` has made with a hash: two periods and 128 bits of SHA-256."""
_READABLE = 64
_READ = 256
"""The number of characters that are used for the readable part, because normalizing takes quadratic time."""
KEYS = ("pk", "id", "identity", "username")
"""What tells users apart: Django's, an ORM's, then Starlette's. Several may have one display_name."""
_KEYS_THEMSELVES = (str, int, uuid.UUID, bytes)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+>")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses that stand for IPv4 ones (RFC 6052)."""
_SUBNET_BITS = 64


def require_valid_group_name(name: object) -> bool:
    """Return True if ``name`` is a valid group name.

    Raises TypeError with upstream's text, the name, and the rule that it breaks.
    """
    if isinstance(name, str) and len(name) < MAX_NAME_LENGTH and GROUP.match(name):
        return True
    raise TypeError(_explain("Group", name))


def require_valid_channel_name(name: object, receive: bool = False) -> bool:
    """Return True if ``name`` is a valid channel name.

    ``receive``: the name is used to receive, so if it contains a "!", it must end there: the process-local
    part has no queue of its own. Raises TypeError as ``require_valid_group_name`` does.
    """
    if isinstance(name, str) and len(name) < MAX_NAME_LENGTH and CHANNEL.match(name):
        if receive and "!" in name and not name.endswith("!"):
            raise TypeError(f"Specific channel names in receive() must end at the !, not {name!r}")
        return True
    raise TypeError(_explain("Channel", name))


def _explain(kind: str, name: object) -> str:
    text = INVALID_NAME.format(kind)
    if not isinstance(name, str):
        return f"{text} Found {type(name).__name__} {name!r}: pass a str."
    if not name:
        return f"{text} Found an empty string."
    shown = name if len(name) <= 60 else f"{name[:57]}..."
    rules = []
    if len(name) >= MAX_NAME_LENGTH:
        rules.append(f"it has {len(name)} characters")
    pattern_ok = CHANNEL if kind == "Channel" else GROUP
    if not pattern_ok.match(name):
        bad = sorted(set(_FORBIDDEN.findall(name)))
        rules.append("it contains " + ", ".join(map(repr, bad[:5])) if bad else "it is malformed")
    cure = " compat.names.group_name(text) makes a valid group name of any text." if kind == "Group" else ""
    return f"{text} Found {shown!r}: {' and '.join(rules)}.{cure}"


def non_local_name(name: str) -> str:
    """Return the part of a channel name up to and including "!", or the whole name."""
    at = name.find("!")
    return name if at < 0 else name[: at + 1]


def is_counted(channel: object) -> bool:
    """Return True unless what is sent to ``channel`` is the live page's own: who looks changes no number."""
    return not (isinstance(channel, str) and LIVE in channel)


def group_name(text: str, prefix: str = "") -> str:
    """Return a valid group name for any text; different texts have different names.

    If ``prefix + text`` is valid, it is the name. Otherwise the name is the readable part of the text, two
    periods and a hash. A valid text is hashed too if it looks like such a name, or if it would be the name of
    the library's own group (``RESERVED``) although ``prefix`` is not. So a user who chooses ``text`` cannot
    choose the name of another text's group.

    >>> group_name("lobby", prefix="chat_")
    'chat_lobby'
    >>> group_name("café", prefix="chat_")
    'chat_cafe..f52f55eb59f735dd0fc94d8e99c0a7bf'
    """
    name = prefix + text
    ours = prefix.startswith(RESERVED)
    valid = len(name) < MAX_NAME_LENGTH and GROUP.match(name)
    if valid and not _HASHED.search(name) and (ours or not name.startswith(RESERVED)):
        return name
    plain = unicodedata.normalize("NFKD", name[:_READ]).encode("ascii", "ignore").decode()
    readable = _FORBIDDEN.sub("-", plain)[:_READABLE].strip("-")
    kind = b"\xff" if ours else b""  # a byte that no text has
    digest = hashlib.sha256(kind + name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{readable or 'group'}..{digest}"


def get_handler_name(message: Mapping[str, Any]) -> str:
    """Return the name of the method that handles ``message``: its type with "." replaced by "_".

    Raises ValueError if there is no type, if it is not a string, or if the name would start with an
    underscore, because messages must not reach private methods (Channels' rule).
    """
    if "type" not in message:
        raise ValueError(
            "Incoming message has no 'type' attribute. The type names the handler of the message, such as "
            '{"type": "chat.message", ...} for chat_message()'
        )
    kind = message["type"]
    if not isinstance(kind, str):
        raise ValueError(f"Malformed type in message: expected a str such as 'chat.message', found {kind!r}")
    name = kind.replace(".", "_")
    if name.startswith("_"):
        raise ValueError(
            f"Malformed type in message (leading underscore): {kind!r} would reach a private method; give "
            "the handler a public name"
        )
    return name


def is_own_type(kind: object) -> bool:
    """Return True for the type of a message that is not the application's to send, however it is written.

    ``compat_close`` has the same handler as ``compat.close``.
    """
    if not isinstance(kind, str):
        return False
    name = kind.replace(".", "_")
    return name.startswith(OWN_PREFIXES) or name in OWN_HANDLERS


def person_group(key: str) -> str:
    """Return the group of the connections that are present as a person (``compat.presence``)."""
    return group_name(key, prefix="compat.person.")


def user_group(user_id: object) -> str:
    """Return the group of a user's connections; consumers with ``user_groups = True`` join it."""
    return group_name(str(user_id), prefix="compat.user.")


def user_key(user: Any) -> Any:
    """Return what a user is known by: the first of ``KEYS`` that has a value, else ``str(user)``.

    Raises TypeError for an object that is no authenticated user, and for one that shows only its address in
    memory: the same user has another one at the next login, and another user may have this one.
    """
    if not getattr(user, "is_authenticated", hasattr(user, "pk")):
        raise TypeError(f"expected an authenticated user, found {user!r}")
    key = _named(user)
    return _told(str(user)) if key is None else key


def _named(user: Any) -> Any:
    """Return the first of ``KEYS`` that has a value, or None."""
    for name in KEYS:
        key = _attribute(user, name)
        if key is not None and key != "" and not callable(key):
            return key
    return None


def _told(text: str) -> str:
    """Return how a user shows itself; raise TypeError if that is its address in memory."""
    if shows_address(text):
        raise TypeError(
            f"the user {text} has no key: give its class a pk, id, identity or username that is the same at "
            "each login, and no other user's; for clients that come back, resume_key(scope) may name the user"
        )
    return text


def shows_address(text: str) -> bool:
    """Return True for the text of an object that shows only its address in memory."""
    return _ADDRESS.search(text) is not None


def client_key(scope: Mapping[str, Any]) -> str | None:
    """Return what a client is known by: its IPv4 address, or the /64 of its IPv6 address.

    None if the server does not know the address, as with a Unix socket. The smallest IPv6 network that a site
    is given is a /64 (RFC 6177), so one client has 2**64 addresses. An IPv6 address that stands for an IPv4
    one is that one.
    """
    address = scope["client"][0] if scope.get("client") else None
    if not isinstance(address, str) or ":" not in address:
        return address or None
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    if found in _NAT64:
        return str(ipaddress.IPv4Address(found.packed[-4:]))
    if found.is_link_local or found.is_loopback:  # all hosts of a link are in one /64
        return address
    return str(ipaddress.IPv6Network((found.packed, _SUBNET_BITS), strict=False))


def key_behind(user: Any) -> Any:
    """Return the key of a user; what is none is taken for a key, and returned as it is.

    Raises TypeError as ``user_key`` does.
    """
    if isinstance(user, _KEYS_THEMSELVES):
        return user
    if hasattr(user, "pk") or hasattr(user, "is_authenticated"):
        return user_key(user)
    key = _named(user)
    return user if key is None else key


def person_key(user: Any) -> Any:
    """Return whose a connection is, by its ``scope["user"]``: the key of an authenticated user, or None.

    An application's own user may be its key, such as "ada" or a UUID, an object with one of ``KEYS``, or
    anything else, which is known by its text. Nobody is None, "" and an anonymous user. Raises TypeError for
    what shows only its address in memory.
    """
    if user is None or user == "" or not getattr(user, "is_authenticated", True):
        return None
    key = key_behind(user)
    return key if key is not user or isinstance(key, _KEYS_THEMSELVES) else _told(str(key))


def _attribute(user: Any, name: str) -> Any:
    try:
        return getattr(user, name, None)
    except NotImplementedError:  # Starlette's BaseUser declares what a subclass may leave out
        return None
