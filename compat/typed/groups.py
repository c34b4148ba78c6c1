"""Group names of several parts."""

from __future__ import annotations

import re

from compat.names import group_name

__all__ = ["safe_group_name"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def safe_group_name(*parts: object, namespace: str | None = None) -> str:
    """Return a valid group name of ``namespace`` and ``parts``, joined by dots.

    Characters that are not allowed become hyphens, and a name that is too long ends in a hash of the whole.
    Different texts may have the same name; use ``compat.names.group_name`` to avoid that. Raises ValueError
    if no character is left.

    >>> safe_group_name("user", 42, namespace="notification")
    'notification.user.42'
    >>> safe_group_name("room", "Weekly Sync!")
    'room.Weekly-Sync'
    """
    texts = (str(part) for part in (namespace, *parts) if part is not None)
    name = ".".join(text for part in texts if (text := _UNSAFE.sub("-", part).strip("-")))
    if not name:
        raise ValueError(f"safe_group_name{parts!r}: no part contains an ASCII letter or digit")
    return group_name(name)
