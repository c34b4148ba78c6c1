"""What of a message the live page shows: not what looks like a secret, and not all of what is long."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from compat.types import Message

__all__ = ["HIDDEN", "Rule", "as_text", "redact"]

Rule = Callable[[str, Message], Any]
"""Takes a group's name and a message, and returns what is shown of it, or None: nothing."""

HIDDEN = "•••"
WORDS = (
    r"passw|passphrase|passcode|pwd|secret|token|(?:api|private|access|encryption)[-_ ]?key|auth|bearer|csrf|"
    r"cookie|session|credential|signature|jwt|otp|cvc|cvv|iban|ssn|card[-_ ]?number"
)
BEGINS = r"(?:(?<![a-z])|(?-i:(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])))"
SHORT = rf"{BEGINS}(?:pin(?:[-_ ]?(?:code|number))?|sid)"
"""As words, such as in user_pin, userPin and SIMPin: not in a spin."""
SECRET = re.compile(rf"{WORDS}|pass$|{SHORT}$", re.IGNORECASE)
"""What the keys of secrets contain."""
SECRET_IN_TEXT = re.compile(
    rf"(?:(?:{WORDS})[\w-]{{0,20}}|pass|{SHORT})\\{{0,8}}[\"']?\s{{0,4}}[:=]", re.IGNORECASE
)
"""The same key in a text, before its value."""
NAMES, VALUES = frozenset(("name", "key", "field", "header")), frozenset(("value", "values"))
"""The keys of a dict that stands for one key and its value: {"name": "password", "value": …}."""
CREDENTIALS = re.compile(
    r"\bbearer\s{1,4}[\w.~+/=-]{6}|(?<![\w-])eyJ[\w-]+\.[\w-]|://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE
)
"""A bearer token, a JWT, a URL with a password: what is secret under any key."""
MAX_TEXT, MAX_ITEMS, MAX_DEPTH, MAX_SHOWN = 300, 50, 6, 4000
"""Characters of a text, items of a dict or list, how deep they are, and characters of the whole."""
MAX_KEY, MAX_PARSED = 100, 10_000
"""Characters of a key, and of a text in which JSON is looked for."""
MAX_VALUES, MAX_READ = 300, 20_000
"""How many values of a message are shown, and how many characters of its texts are read."""
MORE = "…"


def redact(group: str, message: Message) -> Any:
    """Return ``message`` with dots for what the keys of secrets hold, and the beginning of long texts."""
    return _Redacting().shown(message, MAX_DEPTH)


def as_text(shown: Any) -> str:
    """Return what is shown as JSON, at most ``MAX_SHOWN`` characters; raises TypeError or ValueError."""
    text = json.dumps(shown, ensure_ascii=False)
    text = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}{MORE}"
    return text.encode(errors="replace").decode()  # a client may have sent half a surrogate pair


class _Redacting:
    """What may still be shown of one message: its size is its sender's choice."""

    def __init__(self) -> None:
        self.values, self.characters = MAX_VALUES, MAX_READ

    def shown(self, value: Any, depth: int) -> Any:
        self.values -= 1
        if self.values < 0:
            return MORE
        if isinstance(value, str):
            return self._text(value, depth)
        if isinstance(value, bytes | bytearray | memoryview):
            return f"<{len(value)} bytes>"
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth == 0:
            return MORE
        if isinstance(value, Mapping):
            return self._dict(value, depth - 1)
        if isinstance(value, list | tuple):
            if len(value) == 2 and _is_secret(value[0]):
                return [self.shown(value[0], depth - 1), HIDDEN]
            listed = [self.shown(one, depth - 1) for one in value[: min(MAX_ITEMS, self.values)]]
            return (
                listed if len(value) == len(listed) else [*listed, f"{MORE} {len(value) - len(listed)} more"]
            )
        return f"<{type(value).__name__}>"

    def _dict(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        items = list(islice(value.items(), min(MAX_ITEMS, self.values)))
        hidden = VALUES if any(str(key).lower() in NAMES and _is_secret(one) for key, one in items) else ()
        told = {
            str(key)[:MAX_KEY]: HIDDEN
            if SECRET.search(str(key)) or str(key).lower() in hidden
            else self.shown(one, depth)
            for key, one in items
        }
        return told if len(value) == len(told) else {**told, MORE: f"{len(value) - len(told)} more"}

    def _text(self, text: str, depth: int) -> Any:
        """Return the beginning of a text; of JSON, as frames are, what is shown of its content."""
        size = f"{MORE} ({len(text)} characters)"
        self.characters -= min(len(text), MAX_PARSED)
        if len(text) > MAX_PARSED or self.characters < 0:
            return size
        if text.lstrip()[:1] in ("{", "[", '"'):
            try:
                return self.shown(json.loads(text), depth - 1) if depth > 0 else size
            except (ValueError, RecursionError):
                return size
        if SECRET_IN_TEXT.search(text) or CREDENTIALS.search(text):
            return size
        return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + size


def _is_secret(name: Any) -> bool:
    """Return True for a text that could be the key of a secret."""
    return isinstance(name, str) and len(name) <= MAX_KEY and SECRET.search(name) is not None
