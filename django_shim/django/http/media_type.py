"""Media types (``text/html; charset=utf-8``), as Content-Type and Accept have them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

__all__ = ["MediaType", "parse_accept", "parse_content_type"]


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
    try:
        charset, _, encoded = value.split("'")
        return unquote(encoded, charset)
    except (ValueError, LookupError):
        return value


def parse_accept(header: str) -> list[MediaType]:
    """Return the types of an Accept header, those with the highest quality first."""
    found = [MediaType(one) for one in header.split(",") if one.strip()]
    return sorted(found, key=_quality, reverse=True)


def _quality(media_type: MediaType) -> float:
    try:
        return float(media_type.params.pop("q", 1))
    except ValueError:
        return 1.0
