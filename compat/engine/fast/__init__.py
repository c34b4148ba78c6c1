"""Faster replacements for parts of the engine.

Each one behaves like the plain part that it replaces. ``CHANNEL_FAST``, a setting or environment variable,
selects them: all (True, the default), none (False), or a list of names. A part that relies on internals of
asyncio, uvicorn or asgiref says so in its docstring, checks them at import, and is left out if the check
fails.

    scheduling      wakes readers in rounds                    instead of ``engine.scheduler``
    reading         reads the socket in the consumer's task    instead of ``engine.reader`` and ``loop``
    write_batching  writes the frames of a burst at once       instead of one write for each frame
    framing         makes a frame once for all its clients,    instead of the server, for each client,
                    and parses short frames and handshakes     each frame and each handshake
    bridge          runs many sync consumers in one thread     instead of ``engine.threads``

The other parts need ``scheduling``. The module ``conversation`` is the loop of ``reading``, and
``at_once`` belongs to it; ``forgetting``, ``handshaking`` and ``unframing`` belong to ``framing``;
``handling``, ``pool``, ``sync_inbox``, ``thread_locals``, ``unsent`` and ``workers`` belong to ``bridge``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from compat.exceptions import ImproperlyConfigured
from compat.settings import settings

__all__ = ["PARTS", "in_use", "leave_out"]

PARTS = ("scheduling", "reading", "write_batching", "framing", "bridge")

log = logging.getLogger("compat.consumer")

_left_out: set[str] = set()


def in_use() -> frozenset[str]:
    """Return the names of the parts that ``CHANNEL_FAST`` selects and that work on this platform.

    The environment overrides the setting. Raises ImproperlyConfigured for an unknown name.
    """
    said: object = os.environ.get("CHANNEL_FAST", "").strip().lower() or settings.kept("CHANNEL_FAST")
    if said in (True, "1", "true", "yes", "on"):
        names = set(PARTS)
    elif said in (False, None, "0", "false", "no", "off"):
        names = set()
    else:
        listed = said.split(",") if isinstance(said, str) else said
        names = {str(name).strip() for name in listed} if isinstance(listed, Iterable) else {repr(said)}
    if unknown := names.difference(PARTS):
        raise ImproperlyConfigured(
            f"CHANNEL_FAST names {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}. "
            "True uses all of them, False none"
        )
    return frozenset(names - _left_out)


def leave_out(part: str, reason: str) -> None:
    """Leave ``part`` out and log the reason; called by the part's module if its check at import fails."""
    _left_out.add(part)
    log.info("CHANNEL_FAST: the part %r is left out: %s", part, reason)
