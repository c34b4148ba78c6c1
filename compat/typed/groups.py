"""Names of groups made of several parts."""

from __future__ import annotations

import re

from compat.names import group_name

__all__ = ["safe_group_name"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def safe_group_name(*parts: object, namespace: str | None = None) -> str:
    """A valid group name of ``parts``, joined by dots, after ``namespace``.

    What a group's name may not contain becomes a hyphen; a name that would be too long ends in a hash of all
    of it. Different texts can so get one name: where that matters use ``compat.names.group_name``. Raises
    ValueError where nothing is left.

    >>> safe_group_name("user", 42, namespace="notification")
    'notification.user.42'
    >>> safe_group_name("room", "Weekly Sync!")
    'room.Weekly-Sync'
    """
    texts = (str(part) for part in (namespace, *parts) if part is not None)
    name = ".".join(text for part in texts if (text := _UNSAFE.sub("-", part).strip("-")))
    if not name:
        raise ValueError(f"safe_group_name{parts!r}: no part has a letter or a digit of ASCII")
    return group_name(name)
