"""``CHANNEL_GC``: Python's cyclic garbage collector, set up for a process with very many connections.

A full collection of CPython visits every object of every connection: 130 ms for 10,000 of them, in which no
client is served. With this setting, objects that survive a collection of the middle generation are frozen
(``gc.freeze()``), so later collections do not visit them. A frozen object is still freed with its last
reference; only a cycle of frozen objects stays. So everything is thawed, and collected once, when twice as
many objects are frozen as were alive after the last full collection, and by each ``gc.collect()``.

Objects that the program has frozen itself, for example before a fork, are thawed with the rest. This relies
on ``gc.callbacks`` being called before and after each collection, and on the generations of CPython up to
3.13. From 3.14 on the collector works in small steps by itself, and the setting changes nothing.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

from compat.metrics import report_start
from compat.settings import settings

__all__ = ["Freezer", "tend"]

YOUNG, MIDDLE, NEVER = 10_000, 2, 1_000_000
"""A young collection visits 10,000 objects, in under 1 ms; every fourth one also visits those of the last
three. A full collection is never automatic: ``Freezer`` starts it when enough objects are frozen.
"""
FEWEST = 200_000
"""Up to this number of frozen objects, thawing is not worth its time."""


class Freezer:
    """Freezes old objects, and thaws them when they are twice as many; ``collected`` is a gc callback."""

    def __init__(self) -> None:
        self._lasting = FEWEST
        """How many objects were alive after the last full collection; at least ``FEWEST``."""
        self._frozen_since = 0
        """An estimate of how many have been frozen since, because counting them takes time."""
        self._thawed = False
        self.thaw()

    def thaw(self) -> None:
        """Make the next collection of the middle generation a full one."""
        gc.unfreeze()
        self._thawed = True
        gc.set_threshold(YOUNG, MIDDLE, 0)

    def collected(self, phase: str, info: dict[str, Any]) -> None:
        """Freeze or thaw before and after a collection; see ``gc.callbacks``."""
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
            # Most of them may be gone. Counting them takes a tenth of the time of a collection.
            alive = gc.get_freeze_count()
            self._frozen_since = max(0, alive - self._lasting)
            if alive >= 2 * self._lasting:
                self.thaw()
            elif 2 * alive < self._lasting:
                self._lasting = max(alive, FEWEST)


def tend() -> None:
    """Set the collector up if ``CHANNEL_GC`` is on; the environment variable overrides the setting."""
    ours = any(isinstance(getattr(call, "__self__", None), Freezer) for call in gc.callbacks)
    if settings.is_on("CHANNEL_GC") and not ours and sys.version_info < (3, 14):
        gc.callbacks.append(Freezer().collected)


report_start(tend)
