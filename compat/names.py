"""Rules for the names of channels, groups and handlers. Pure: strings in, strings or errors out.

The rules are those of ``channels.layers.BaseChannelLayer`` (Channels 4.3), held strictly to ASCII:
upstream's patterns let a trailing newline, non-ASCII digits and, after the "!", any Unicode word through.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

__all__ = [
    "CHANNEL",
    "GROUP",
    "INVALID_NAME",
    "MAX_NAME_LENGTH",
    "RESERVED",
    "get_handler_name",
    "group_name",
    "non_local_name",
    "require_valid_channel_name",
    "require_valid_group_name",
]

MAX_NAME_LENGTH = 100
"""A name must be shorter than this, in characters."""

INVALID_NAME = (
    "{} name must be a valid unicode string with length < 100 containing only ASCII "
    "alphanumerics, hyphens, underscores, or periods."
)

GROUP = re.compile(r"^[A-Za-z0-9\-_.]+\Z")
CHANNEL = re.compile(r"^[A-Za-z0-9\-_.]+(![A-Za-z0-9\-_.]*)?\Z")
"""What the names of channels are made of, and (``GROUP``) those of groups."""
_FORBIDDEN = re.compile(r"[^A-Za-z0-9\-_.]")

RESERVED = ("compat.", "__")
"""How the names of this library's own groups begin: ``compat.user.7``, ``__broadcast__``."""
_HASHED = re.compile(r"\.\.[0-9a-f]{32}\Z")
"""How a name ends that ``group_name`` made with a hash: two periods and 128 bits of SHA-256."""
_READABLE = 64
_READ = 256
"""Characters of a text that are looked at for the readable part: normalizing takes quadratic time."""


def require_valid_group_name(name: object) -> bool:
    """Return True if ``name`` may name a group.

    Raises TypeError with upstream's text, then what was found and which rule it breaks.
    """
    if isinstance(name, str) and len(name) < MAX_NAME_LENGTH and GROUP.match(name):
        return True
    raise TypeError(_explain("Group", name))


def require_valid_channel_name(name: object, receive: bool = False) -> bool:
    """Return True if ``name`` may name a channel.

    ``receive``: the name is to be received from, so one with a "!" must end there (the process-local part
    is not a queue of its own). Raises TypeError as ``require_valid_group_name`` does.
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
    cure = " compat.names.group_name(text) makes a safe group name of any text." if kind == "Group" else ""
    return f"{text} Found {shown!r}: {' and '.join(rules)}.{cure}"


def non_local_name(name: str) -> str:
    """The part of a channel's name up to and including "!", or all of it when it has none."""
    at = name.find("!")
    return name if at < 0 else name[: at + 1]


def group_name(text: str, prefix: str = "") -> str:
    """A valid group name for any text: readable where it can be, and another one for every other text.

    ``prefix + text`` is returned as it is where it is valid. Otherwise the name is the readable part of it,
    two periods and a hash of the whole. A valid text is hashed too where it looks like such a name, and where
    it would name a group of this library's own (``RESERVED``) under a ``prefix`` that does not: whoever
    chooses ``text`` cannot choose a name that belongs to another text.

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
    """The name of the method that handles ``message``: its type with "." replaced by "_".

    Raises ValueError when there is no type, when the type is not a string, or when the name would begin
    with an underscore, so that a message cannot reach a private method (Channels' rule).
    """
    if "type" not in message:
        raise ValueError(
            "Incoming message has no 'type' attribute: it names the method that handles the message, such as "
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
