"""Headers by name, in any case: of a request, which are read, and of a response, which are set."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from email.header import Header
from typing import Any

from ..utils.datastructures import CaseInsensitiveMapping

__all__ = ["BadHeaderError", "HttpHeaders", "ResponseHeaders"]


class HttpHeaders(CaseInsensitiveMapping):
    """The request's headers by name, in any case; in templates also with ``_`` for ``-``."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        found = {}
        for key, value in environ.items():
            if key.startswith("HTTP_") or key in ("CONTENT_LENGTH", "CONTENT_TYPE"):
                found[key.removeprefix("HTTP_").replace("_", "-").title()] = value
        super().__init__(found)

    def __getitem__(self, key: str) -> str:
        return str(super().__getitem__(key.replace("_", "-")))


class BadHeaderError(ValueError):
    """A header with a line break in it."""


class ResponseHeaders(CaseInsensitiveMapping):
    """The response's headers: a mapping that ignores case and can be changed."""

    def __init__(self, data: Any) -> None:
        super().__init__({})
        for key, value in dict(data or {}).items():
            self[key] = value

    def __setitem__(self, key: str, value: Any) -> None:
        name, lower = _header_name(key)
        self._store[lower] = (name, _header_text(value, "latin-1", mime=True))

    def __contains__(self, key: Any) -> bool:
        return key.lower() in self._store  # without the exception of Mapping's

    def __delitem__(self, key: str) -> None:
        self._store.pop(key.lower(), None)

    def setdefault(self, key: str, value: Any) -> None:
        """Set a header that is not set."""
        if key not in self:
            self[key] = value

    def encoded(self) -> list[tuple[bytes, bytes]]:
        """Return names, in lower case, and values as ASGI has them."""
        return [
            (lower.encode("ascii"), value.encode("latin-1")) for lower, (_, value) in self._store.items()
        ]

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove a header; its name and value, or ``default``."""
        return self._store.pop(key.lower(), default)


@functools.lru_cache(maxsize=256)
def _header_name(key: str | bytes) -> tuple[str, str]:
    name = _header_text(key, "ascii", mime=False)
    return name, name.lower()


def _header_text(value: Any, charset: str, mime: bool) -> str:
    text = value.decode(charset) if isinstance(value, bytes) else str(value)
    if not text.isascii():
        try:
            text.encode(charset)
        except UnicodeError:
            if not mime:
                raise
            text = Header(text, "utf-8", maxlinelen=2**31).encode()
    if "\n" in text or "\r" in text:
        raise BadHeaderError(f"a header is one line, and {text!r} has several")
    return text
