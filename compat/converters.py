"""What ``<int:n>`` in a route means: the converters of ``path()``, Django's five and those of a project.

Pure: the only state is the table of names.
"""

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
    """What ``<type:name>`` in a route does with a piece of a path.

    ``to_python`` raises ValueError where the piece fits ``regex`` and is no value all the same: the route
    then does not match.
    """

    regex: str

    def to_python(self, value: str, /) -> Any: ...

    def to_url(self, value: Any, /) -> str: ...


class StringConverter:
    """``<str:x>``, or ``<x>``: anything but a slash, at least one character."""

    regex = "[^/]+"

    def to_python(self, value: str) -> Any:
        return value

    def to_url(self, value: Any) -> str:
        return str(value)


class SlugConverter(StringConverter):
    """``<slug:x>``: ASCII letters, digits, ``-`` and ``_``."""

    regex = "[-a-zA-Z0-9_]+"


class PathConverter(StringConverter):
    """``<path:x>``: anything, slashes included."""

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
    """Every converter a route can name, by name."""
    return dict(_registered)


def register_converter(converter: Callable[[], Converter], type_name: str) -> None:
    """Let routes made from now on write ``<type_name:parameter>``. ``converter``: a class, see ``Converter``.

    A name that is taken is taken over, with a DeprecationWarning (Django 5.2; an error from Django 6.0 on).
    """
    if type_name in _registered:
        warnings.warn(
            f"register_converter(): there is a converter {type_name!r} already, and Django 6.0 refuses to "
            "replace it. Give this one a name of its own.",
            DeprecationWarning,
            stacklevel=2,
        )
    _registered[type_name] = converter()
