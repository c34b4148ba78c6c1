"""Text to bytes and back, and IRIs to URIs."""

from __future__ import annotations

import datetime
import locale
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from ..unserved import NOT_A_PACKAGE, attribute_of

__all__ = [
    "DEFAULT_LOCALE_ENCODING",
    "DjangoUnicodeDecodeError",
    "escape_uri_path",
    "filepath_to_uri",
    "force_bytes",
    "force_str",
    "iri_to_uri",
    "is_protected_type",
    "punycode",
    "smart_bytes",
    "smart_str",
    "uri_to_iri",
]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)

DEFAULT_LOCALE_ENCODING = locale.getpreferredencoding(False) or "ascii"

# RFC 3986 section 2.2 and 2.3, and "%", which is left alone so that a second pass changes nothing.
_URI_CHARACTERS = "/#%[]=:;$&()+,!?*@'~"


class DjangoUnicodeDecodeError(UnicodeDecodeError):
    """A UnicodeDecodeError that also shows the whole object."""

    def __str__(self) -> str:
        return f"{super().__str__()}. You passed in {self.object!r} ({type(self.object)})"


def is_protected_type(obj: Any) -> bool:
    """True for the scalars that ``force_str(..., strings_only=True)`` leaves as they are."""
    return isinstance(
        obj,
        (
            type(None),
            int,
            float,
            Decimal,
            datetime.datetime,
            datetime.date,
            datetime.time,
            datetime.timedelta,
        ),
    )


def force_str(s: Any, encoding: str = "utf-8", strings_only: bool = False, errors: str = "strict") -> Any:
    """``s`` as a str: bytes are decoded, anything else goes through ``str()``."""
    if type(s) is str or (strings_only and is_protected_type(s)):
        return s
    if not isinstance(s, (bytes, bytearray, memoryview)):
        return str(s)
    try:
        return str(bytes(s), encoding, errors)
    except UnicodeDecodeError as error:
        raise DjangoUnicodeDecodeError(*error.args) from None


def force_bytes(s: Any, encoding: str = "utf-8", strings_only: bool = False, errors: str = "strict") -> Any:
    """``s`` as bytes in ``encoding``; bytes count as UTF-8, and are re-encoded for another encoding."""
    if strings_only and is_protected_type(s):
        return s
    if isinstance(s, bytes) and encoding == "utf-8":
        return s
    if isinstance(s, bytes):
        s = s.decode("utf-8", errors)
    if isinstance(s, memoryview):
        return bytes(s)
    return str(s).encode(encoding, errors)


smart_str = force_str
smart_bytes = force_bytes


def iri_to_uri(iri: Any) -> Any:
    """Percent-encode what may not stand in a URI; what is encoded already stays."""
    return None if iri is None else quote(str(iri), safe=_URI_CHARACTERS)


def uri_to_iri(uri: Any) -> Any:
    """Decode the percent escapes that stand for non-ASCII text; invalid UTF-8 stays escaped."""
    if uri is None:
        return None
    parts = force_bytes(uri).split(b"%")
    decoded = parts[0]
    for part in parts[1:]:
        byte = unquote_to_bytes(b"%" + part[:2])
        # ASCII stays escaped: an escaped reserved character means something else than a bare one.
        decoded += byte + part[2:] if len(byte) == 1 and byte[0] >= 0x80 else b"%" + part
    return _escape_broken(decoded).decode()


def _escape_broken(data: bytes) -> bytes:
    """``data`` with what is not UTF-8 percent-encoded again."""
    kept = b""
    while True:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            kept += data[: error.start] + quote(data[error.start : error.end]).encode()
            data = data[error.end :]
        else:
            return kept + data


def escape_uri_path(path: str) -> str:
    """Percent-encode a path, ``?`` and ``#`` included."""
    return quote(path, safe="/:@&+$,-_.!~*'()")


def punycode(domain: str) -> str:
    """The ASCII form of an internationalised domain name."""
    return domain.encode("idna").decode("ascii")


def filepath_to_uri(path: Any) -> Any:
    """A relative file path, of any platform, as the path of a URL."""
    return None if path is None else quote(str(path).replace("\\", "/"), safe="/~!*()'")
