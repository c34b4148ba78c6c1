"""Closing connections from outside: those of a group or of a user, in every process.

Every websocket consumer of ours handles the message, and so does the manager for its connections; a consumer
of real Channels in a mixed fleet has no handler for it.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from compat.codes import POLICY_VIOLATION
from compat.layers import DEFAULT_CHANNEL_LAYER, required_layer
from compat.names import CLOSE, key_behind, person_group, user_group

__all__ = ["CLOSE", "close_group", "close_user", "user_group"]


async def close_group(
    group: str, code: int = POLICY_VIOLATION, reason: str | None = None, *, alias: str = DEFAULT_CHANNEL_LAYER
) -> Any:
    """Close every connection in ``group`` with ``code``; return the result of ``group_send``.

    Raises InvalidChannelLayerError if no layer ``alias`` is configured.
    """
    layer = required_layer(alias, f"close_group({group!r})")
    return await layer.group_send(group, {"type": CLOSE, "code": code, "reason": reason})


async def close_user(
    user_id: object,
    code: int = POLICY_VIOLATION,
    reason: str | None = None,
    *,
    alias: str = DEFAULT_CHANNEL_LAYER,
) -> Any:
    """Close every connection of a user with ``code``; ``user_id`` is the user, or its key (``pk``, …).

    Only consumers with ``user_groups = True`` are closed, and those that were present in a group as the user.
    Raises TypeError for an object that is neither a user nor a key: a str, an int or a UUID.
    """
    key = _key_of(user_id)
    await close_group(person_group(key), code, reason, alias=alias)
    return await close_group(user_group(key), code, reason, alias=alias)


def _key_of(user: object) -> str:
    key = key_behind(user)
    if key is not user or isinstance(key, str | int | UUID):
        return str(key)
    raise TypeError(
        f"close_user() takes a user or its key: a str, an int or a UUID; found {type(user).__name__} "
        f"{user!r}. The key is what the user's connections are known by: the first of pk, id, identity "
        "and username"
    )
