"""The clock of the engine: seconds that neither stand still nor jump.

Tests freeze and move ``time.monotonic``: with a patch of the attribute, or with freezegun, which replaces
every module's own reference to the function too. The engine's deadlines and pauses keep to this clock
instead, so that a message is delivered whatever a test does to the time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType

__all__ = ["steady", "timers_run"]

steady: Callable[[], float]
if sys.platform == "win32":
    steady = time.monotonic
elif isinstance(time.monotonic, BuiltinFunctionType):
    steady = partial(time.monotonic)  # an object of its own, which freezegun does not find
else:
    steady = partial(time.clock_gettime, time.CLOCK_MONOTONIC)  # imported under a frozen clock
"""Seconds, as ``time.monotonic()`` counts them where nobody has replaced it."""


def timers_run() -> bool:
    """False while the timers of asyncio's loops do not: ``time.monotonic``, which they go by, is replaced."""
    return isinstance(time.monotonic, BuiltinFunctionType)
