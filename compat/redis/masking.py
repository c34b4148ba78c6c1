"""Values of the configuration in messages and log lines, without the passwords in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["masked", "safe_repr"]

SECRET = re.compile("password|encryption|secret", re.IGNORECASE)


def safe_repr(value: Any) -> str:
    """Return ``repr(value)`` without the passwords of URLs, and without values whose names are of secrets."""
    if isinstance(value, (str, bytes)):
        return repr(masked(value))
    if isinstance(value, Mapping):
        shown = (
            f"{key!r}: {repr('***') if SECRET.search(str(key)) else safe_repr(one)}"
            for key, one in value.items()
        )
        return f"{{{', '.join(shown)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(safe_repr, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(safe_repr, value))}{',' * (len(value) == 1)})"
    return masked(repr(value))  # whatever it is, such as a set


def masked(url: str | bytes) -> str:
    """Return a URL without its passwords: that of the user, and those among the options."""
    text = url.decode(errors="replace") if isinstance(url, bytes) else url
    text = re.sub(r"(?i)([?&][^=&]*password=)[^&]*", r"\1***", text)
    scheme, _, rest = text.rpartition("://")
    login, at, address = rest.rpartition("@")
    if not at or ":" not in login:
        return text
    return f"{scheme}://{login.partition(':')[0]}:***@{address}"
