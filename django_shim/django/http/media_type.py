"""Media types (``text/html; charset=utf-8``), as Content-Type and Accept have them."""

from __future__ import annotations

import re
from encodings.aliases import aliases
from typing import Any
from urllib.parse import unquote

__all__ = ["MediaType", "is_charset", "parse_accept", "parse_content_type"]

NO_CHARSETS = frozenset(f"{name}_codec" for name in ("base64", "bz2", "hex", "quopri", "uu", "zlib")) | {
    "mbcs",
    "rot_13",
    "tactis",
}
CHARSETS = frozenset(
    (*(name for pair in aliases.items() if pair[1] not in NO_CHARSETS for name in pair), "cp874", "koi8_u")
)


def is_charset(name: str) -> bool:
    """Return True if ``name``, which a client has sent, is that of a charset.

    Do not ask ``codecs.lookup``: Python keeps each name that it has been asked for, and it knows codecs that
    are no charsets, of which "punycode" takes quadratic time.
    """
    return name.lower().replace("-", "_") in CHARSETS


class MediaType:
    """``text/html; charset=utf-8`` taken apart; ``match`` knows ``*/*`` and ``text/*``."""

    def __init__(self, media_type_raw_line: str) -> None:
        full, self.params = parse_content_type(media_type_raw_line or "")
        self.main_type, _, self.sub_type = full.partition("/")

    def __str__(self) -> str:
        parameters = "".join(f"; {name}={value}" for name, value in self.params.items())
        return (
            f"{self.main_type}/{self.sub_type}{parameters}" if self.sub_type else self.main_type + parameters
        )

    def __repr__(self) -> str:
        return f"<MediaType: {self}>"

    @property
    def is_all_types(self) -> bool:
        """``*/*``"""
        return self.main_type == "*" and self.sub_type == "*"

    def match(self, other: Any) -> bool:
        """Does ``other`` fit this, wildcards included?"""
        wanted = other if isinstance(other, MediaType) else MediaType(other)
        if self.is_all_types:
            return True
        return self.main_type == wanted.main_type and self.sub_type in ("*", wanted.sub_type)


_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))')
"""One parameter. Takes time in proportion to the header, whatever the header is."""


def parse_content_type(line: str) -> tuple[str, dict[str, str]]:
    """Return the type in lower case, and its parameters."""
    parameters = {}
    for name, quoted, plain in _PARAMETER.findall(line):
        value = quoted.replace('\\"', '"').replace("\\\\", "\\") or plain.strip()
        if name.endswith("*"):
            name, value = name[:-1], _extended(value)
        parameters[name.lower()] = value
    return line.partition(";")[0].strip().lower(), parameters


def _extended(value: str) -> str:
    """Return the text of ``charset'language'percent-encoded`` (RFC 8187); anything else as it is."""
    charset, *rest = value.split("'")
    return unquote(rest[1], charset) if len(rest) == 2 and is_charset(charset) else value


def parse_accept(header: str) -> list[MediaType]:
    """Return the types of an Accept header, those with the highest quality first; none whose quality is 0."""
    found = [MediaType(one) for one in header.split(",") if one.strip()]
    rated = [(quality, one) for one in found if (quality := _quality(one))]
    return [one for _, one in sorted(rated, key=lambda pair: pair[0], reverse=True)]


def _quality(media_type: MediaType) -> float:
    try:
        quality = float(media_type.params.get("q", 1))
    except ValueError:
        return 1.0
    return round(quality, 3) if 0 <= quality <= 1 else 1.0
