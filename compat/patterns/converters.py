"""The converters of ``path()``, such as ``<int:n>``: Django's five, and those that a project registers."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Callable
from typing import Any, Protocol

__all__ = [
    "Converter",
    "IntConverter",
    "PathConverter",
    "SlugConverter",
    "StringConverter",
    "UUIDConverter",
    "get_converters",
    "register_converter",
]


class Converter(Protocol):
    """The conversion of a part of a path for ``<type:name>`` in a route.

    ``to_python`` raises ValueError for a text that matches ``regex`` but is not a value; then the route does
    not match.
    """

    regex: str

    def to_python(self, value: str, /) -> Any: ...

    def to_url(self, value: Any, /) -> str: ...


class StringConverter:
    """``<str:x>``, or ``<x>``: one or more characters except slashes."""

    regex = "[^/]+"

    def to_python(self, value: str) -> Any:
        return value

    def to_url(self, value: Any) -> str:
        return str(value)


class SlugConverter(StringConverter):
    """``<slug:x>``: ASCII letters, digits, ``-`` and ``_``."""

    regex = "[-a-zA-Z0-9_]+"


class PathConverter(StringConverter):
    """``<path:x>``: one or more characters, slashes included."""

    regex = ".+"


class IntConverter(StringConverter):
    """``<int:x>``: ASCII digits, as an int."""

    regex = "[0-9]+"

    def to_python(self, value: str) -> Any:
        return int(value)


class UUIDConverter(StringConverter):
    """``<uuid:x>``: a UUID in lower case with its dashes, as a ``uuid.UUID``."""

    regex = "-".join(f"[0-9a-f]{{{length}}}" for length in (8, 4, 4, 4, 12))

    def to_python(self, value: str) -> Any:
        return uuid.UUID(value)


_registered: dict[str, Converter] = {
    "int": IntConverter(),
    "path": PathConverter(),
    "slug": SlugConverter(),
    "str": StringConverter(),
    "uuid": UUIDConverter(),
}


def get_converters() -> dict[str, Converter]:
    """Return all converters by their names."""
    return dict(_registered)


def register_converter(converter: Callable[[], Converter], type_name: str) -> None:
    """Register a converter class for ``<type_name:parameter>`` in routes that are defined later.

    An existing name is replaced, with a DeprecationWarning (Django 5.2; an error in Django 6.0).
    """
    if type_name in _registered:
        warnings.warn(
            f"register_converter(): the converter {type_name!r} exists already, and Django 6.0 refuses to "
            "replace it. Choose another name.",
            DeprecationWarning,
            stacklevel=2,
        )
    _registered[type_name] = converter()
