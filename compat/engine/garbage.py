"""``CHANNEL_GC``: Python's cyclic garbage collector, set up for a process with very many connections.

A full collection of CPython looks at every object of every connection: 130 ms for 10,000 of them, in which no
client is served. With this setting, what has survived two collections is frozen (``gc.freeze()``), so later
ones do not look at it. A frozen object is freed as ever when the last reference to it goes; only a cycle of
frozen objects stays. So everything is thawed, and looked at once, whenever twice as many objects are frozen
as the last time: the garbage of cycles is never more than what is alive.

This relies on ``gc.callbacks`` being called after each collection, and on the generations of CPython up to
3.13. From 3.14 on the collector works in small steps by itself, and the setting changes nothing.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

from compat.metrics import report_start
from compat.settings import settings

__all__ = ["Freezer", "tend"]

THRESHOLDS = (10_000, 2, 0)
"""A young collection looks at 10,000 objects, in under 1 ms; every third one also at those of the last two.

0: an old collection comes as soon as the interpreter's own rule allows it. There is little to look at.
"""
FEWEST = 200_000
"""Frozen objects for which thawing is not worth it."""


class Freezer:
    """Freezes what lasts, and thaws it when there is twice as much; ``collected`` is for ``gc.callbacks``."""

    def __init__(self) -> None:
        self._lasting = FEWEST
        """How many objects were alive after the last look at all of them; ``FEWEST`` at least."""
        self._frozen_at_most = 0
        """How many have been frozen since."""
        self._thawed = True

    def collected(self, phase: str, info: dict[str, Any]) -> None:
        """See ``gc.callbacks``."""
        generation = info["generation"]
        if phase != "stop" or generation == 0 or (self._thawed and generation == 1):
            return
        gc.freeze()
        self._frozen_at_most += THRESHOLDS[0] * (THRESHOLDS[1] + 1)
        if self._thawed:
            self._thawed = False
            self._lasting = max(gc.get_freeze_count(), FEWEST)
            self._frozen_at_most = 0
        elif self._frozen_at_most >= self._lasting:
            # Most of them may be gone. To count them takes a tenth of the time of a collection.
            self._frozen_at_most = max(0, gc.get_freeze_count() - self._lasting)
            if self._frozen_at_most >= self._lasting:
                gc.unfreeze()
                self._thawed = True


def tend() -> None:
    """Set the collector up, if ``CHANNEL_GC`` is on; the environment variable goes before the setting."""
    ours = any(isinstance(getattr(call, "__self__", None), Freezer) for call in gc.callbacks)
    if settings.is_on("CHANNEL_GC") and not ours and sys.version_info < (3, 14):
        gc.set_threshold(*THRESHOLDS)
        gc.callbacks.append(Freezer().collected)


report_start(tend)
