"""Text to bytes and back, and IRIs to URIs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

__all__ = [
    "escape_uri_path",
    "filepath_to_uri",
    "force_bytes",
    "force_str",
    "iri_to_uri",
    "smart_bytes",
    "smart_str",
]


# RFC 3986 section 2.2 and 2.3, and "%", which is left alone so that a second pass changes nothing.
_URI_CHARACTERS = "/#%[]=:;$&()+,!?*@'~"


def force_str(s: Any, encoding: str = "utf-8", *, errors: str = "strict") -> str:
    """Return ``s`` as a str: bytes are decoded, anything else goes through ``str()``."""
    return str(bytes(s), encoding, errors) if isinstance(s, (bytes, bytearray, memoryview)) else str(s)


def force_bytes(s: Any, encoding: str = "utf-8", *, errors: str = "strict") -> bytes:
    """Return ``s`` as bytes in ``encoding``; bytes stay as they are."""
    return bytes(s) if isinstance(s, (bytes, bytearray, memoryview)) else str(s).encode(encoding, errors)


smart_str = force_str
smart_bytes = force_bytes


def iri_to_uri(iri: Any) -> Any:
    """Percent-encode what may not stand in a URI; what is encoded already stays."""
    return None if iri is None else quote(str(iri), safe=_URI_CHARACTERS)


def escape_uri_path(path: str) -> str:
    """Percent-encode a path, ``?`` and ``#`` included."""
    return quote(path, safe="/:@&+$,-_.!~*'()")


def filepath_to_uri(path: Any) -> Any:
    """Return a relative file path, of any platform, as the path of a URL."""
    return None if path is None else quote(str(path).replace("\\", "/"), safe="/~!*()'")
