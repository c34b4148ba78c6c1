"""Strings that are known to be HTML already, so that templates do not escape them again."""

from __future__ import annotations

from typing import Any

__all__ = ["SafeData", "SafeString", "mark_safe"]


class SafeData:
    """Mixed into whatever needs no escaping; ``__html__`` is the protocol that Jinja2 and others share."""

    def __html__(self) -> Any:
        return self


class SafeString(str, SafeData):
    """HTML. ``safe + safe`` stays safe; ``safe + "text"`` is plain text, and is escaped when shown."""

    __slots__ = ()

    def __add__(self, other: str) -> str:
        joined = super().__add__(other)
        return SafeString(joined) if isinstance(other, SafeData) else joined

    def __str__(self) -> str:
        return self


def mark_safe(value: Any) -> Any:
    """Return ``value`` as HTML that is shown as it is.

    Never on text that a user typed: that is how pages are taken over.
    """
    if hasattr(value, "__html__"):
        return value
    return SafeString(value)
