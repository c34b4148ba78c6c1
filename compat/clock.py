"""The clock of the engine: seconds that neither stand still nor jump.

Tests freeze and move ``time.monotonic``: with a patch of the attribute, or with freezegun, which also replaces
every module's own reference to the function. The engine's deadlines and pauses keep to this clock instead, so
that a message is delivered whatever a test does to the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType

__all__ = ["steady", "timers_run"]

# An object of its own, which is not recognised as time.monotonic. When this module is imported under a frozen
# clock, that function is somebody else's.
steady: Callable[[], float] = partial(
    time.monotonic
    if isinstance(time.monotonic, BuiltinFunctionType)
    else partial(time.clock_gettime, time.CLOCK_MONOTONIC)
)
"""Seconds, as ``time.monotonic()`` counts them where nobody has replaced it."""


def timers_run() -> bool:
    """False while the timers of asyncio's loops do not: ``time.monotonic``, which they go by, is replaced."""
    return isinstance(time.monotonic, BuiltinFunctionType)
