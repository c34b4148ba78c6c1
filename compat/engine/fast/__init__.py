"""The parts of the engine that are there for speed.

Each replaces a plain part, and does the same. ``CHANNEL_FAST``, as a setting or in the environment, says
which of them are used: all (True, the default), none (False), or some by their names. A part that relies on
internals of asyncio, uvicorn or asgiref says so in its docstring, checks that at import, and is left out
where it is not so.

    scheduling      readers are woken in rounds                in place of ``engine.scheduler``
    reading         the socket is read in the consumer's task  in place of ``engine.reader``, ``loop``
    write_batching  frames in a row leave in one write         in place of a write for each
    bridge          sync handlers, a thread for many           in place of ``engine.threads``

The others rest on ``scheduling``. ``conversation`` is the loop of ``reading``, ``pool``, ``sync_inbox`` and
``thread_locals`` belong to ``bridge``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from compat.exceptions import ImproperlyConfigured
from compat.settings import settings

__all__ = ["PARTS", "in_use", "leave_out"]

PARTS = ("scheduling", "reading", "write_batching", "bridge")

log = logging.getLogger("compat.consumer")

_left_out: set[str] = set()


def in_use() -> frozenset[str]:
    """Return the parts that ``CHANNEL_FAST`` asks for and that can be used.

    The environment goes before the setting. Raise ImproperlyConfigured for a name that no part has.
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
    """Note that ``part`` cannot be used, which its module finds when it is imported, and log why."""
    _left_out.add(part)
    log.info("CHANNEL_FAST: the part %r is left out: %s", part, reason)
