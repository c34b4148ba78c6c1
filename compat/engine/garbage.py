"""``CHANNEL_GC``: Python's cyclic garbage collector, set up for a process with very many connections.

A full collection of CPython looks at every object of every connection: 130 ms for 10,000 of them, in which no
client is served. With this setting, what has survived a collection of the middle generation is frozen
(``gc.freeze()``), so later ones do not look at it. A frozen object is freed as ever when the last reference
to it goes; only a cycle of frozen objects stays. So everything is thawed, and looked at once, when twice as
many objects are frozen as were alive the last time; and by each ``gc.collect()``.

What a program has frozen itself, before a fork perhaps, is thawed with the rest. This relies on
``gc.callbacks`` being called before and after each collection, and on the generations of CPython up to 3.13.
From 3.14 on the collector works in small steps by itself, and the setting changes nothing.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

from compat.metrics import report_start
from compat.settings import settings

__all__ = ["Freezer", "tend"]

YOUNG, MIDDLE, NEVER = 10_000, 2, 1_000_000
"""A young collection looks at 10,000 objects, in under 1 ms; every fourth at those of the last three, too.

An old one does not come by itself, but when there is much to look at.
"""
FEWEST = 200_000
"""Frozen objects for which thawing is not worth it."""


class Freezer:
    """Freezes what lasts, and thaws it when there is twice as much; ``collected`` is for ``gc.callbacks``."""

    def __init__(self) -> None:
        self._lasting = FEWEST
        """How many objects were alive after the last look at all of them; ``FEWEST`` at least."""
        self._frozen_since = 0
        """How many have been frozen since, as far as one can know without counting them."""
        self._thawed = False
        self.thaw()

    def thaw(self) -> None:
        """Let the next collection of the middle generation be one of all."""
        gc.unfreeze()
        self._thawed = True
        gc.set_threshold(YOUNG, MIDDLE, 0)

    def collected(self, phase: str, info: dict[str, Any]) -> None:
        """See ``gc.callbacks``."""
        generation = info["generation"]
        if phase == "start" and generation == 2 and not self._thawed:  # gc.collect()
            gc.unfreeze()
        if phase == "start" or generation == 0 or (generation == 1 and self._thawed):
            return
        gc.freeze()
        if generation == 2:
            self._thawed, self._frozen_since = False, 0
            self._lasting = max(gc.get_freeze_count(), FEWEST)
            gc.set_threshold(YOUNG, MIDDLE, NEVER)
            return
        self._frozen_since += YOUNG * (MIDDLE + 2)
        if self._frozen_since >= self._lasting:
            # Most of them may be gone. To count them takes a tenth of the time of a collection.
            alive = gc.get_freeze_count()
            self._frozen_since = max(0, alive - self._lasting)
            if alive >= 2 * self._lasting:
                self.thaw()
            elif 2 * alive < self._lasting:
                self._lasting = max(alive, FEWEST)


def tend() -> None:
    """Set the collector up, if ``CHANNEL_GC`` is on; the environment variable goes before the setting."""
    ours = any(isinstance(getattr(call, "__self__", None), Freezer) for call in gc.callbacks)
    if settings.is_on("CHANNEL_GC") and not ours and sys.version_info < (3, 14):
        gc.callbacks.append(Freezer().collected)


report_start(tend)
