"""What of a message the live page shows: not what looks like a secret, and not all of what is long."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from compat.types import Message

__all__ = ["HIDDEN", "Rule", "as_text", "redact"]

Rule = Callable[[str, Message], Any]
"""Takes a group's name and a message, and returns what is shown of it, or None: nothing."""

HIDDEN = "•••"
SECRET = re.compile(
    r"pass(word|wd|phrase|code)?$|secret|token|api_?key|auth|cookie|session|credential|signature|jwt|^pin$|"
    r"otp|cvc|cvv|iban|card_?number",
    re.IGNORECASE,
)
"""What the keys of secrets contain."""
MAX_TEXT, MAX_ITEMS, MAX_DEPTH, MAX_SHOWN = 300, 50, 6, 4000
"""Characters of a text, items of a dict or list, how deep they are, and characters of the whole."""
MAX_KEY, MAX_PARSED = 100, 10_000
"""Characters of a key, and of a text in which JSON is looked for."""


def redact(group: str, message: Message) -> Any:
    """Return ``message`` with dots for what the keys of secrets hold, and the beginning of long texts."""
    return _shown(message, MAX_DEPTH)


def _shown(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _shown_text(value, depth)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        items = list(value.items())
        shown = {
            str(key)[:MAX_KEY]: HIDDEN if SECRET.search(str(key)) else _shown(one, depth - 1)
            for key, one in items[:MAX_ITEMS]
        }
        return shown if len(items) <= MAX_ITEMS else {**shown, "…": f"{len(items) - MAX_ITEMS} more"}
    if isinstance(value, list | tuple):
        listed = [_shown(one, depth - 1) for one in value[:MAX_ITEMS]]
        return listed if len(value) <= MAX_ITEMS else [*listed, f"… {len(value) - MAX_ITEMS} more"]
    return f"<{type(value).__name__}>"


def _shown_text(text: str, depth: int) -> Any:
    """Return the beginning of a text; of one that is JSON, as frames are, what is shown of its content."""
    if text.lstrip()[:1] in ("{", "[") and depth > 0:
        if len(text) > MAX_PARSED:
            return f"… ({len(text)} characters)"
        try:
            return _shown(json.loads(text), depth - 1)
        except (ValueError, RecursionError):
            pass
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"


def as_text(shown: Any) -> str:
    """Return what is shown as JSON, at most ``MAX_SHOWN`` characters; raises TypeError or ValueError."""
    text = json.dumps(shown, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
