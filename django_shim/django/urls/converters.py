"""The converters of ``<type:name>`` in a route, under the names that Django gives them."""

from __future__ import annotations

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
    "get_converters",
    "register_converter",
]
