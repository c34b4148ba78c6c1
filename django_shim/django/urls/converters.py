"""The converters of ``<type:name>`` in a route, under the names that Django gives them."""

from __future__ import annotations

from typing import Any

from compat.patterns import (
    IntConverter,
    PathConverter,
    SlugConverter,
    StringConverter,
    UUIDConverter,
    get_converters,
    register_converter,
)

__all__ = [
    "IntConverter",
    "PathConverter",
    "SlugConverter",
    "StringConverter",
    "UUIDConverter",
    "get_converter",
    "get_converters",
    "register_converter",
]


def get_converter(raw_converter: str) -> Any:
    """The converter of that name; KeyError if there is none."""
    return get_converters()[raw_converter]
