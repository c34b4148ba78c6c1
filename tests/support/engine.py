"""What tests of the engine ask of the loop they run on."""

from __future__ import annotations

import asyncio

from compat.engine.fast.scheduling import Rounds
from compat.engine.parts import scheduler_of

__all__ = ["rounds"]


def rounds() -> Rounds:
    """The scheduler of the running loop, where the fast parts are used."""
    found = scheduler_of(asyncio.get_running_loop())
    assert isinstance(found, Rounds)
    return found
