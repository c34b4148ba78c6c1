"""What this process has of the system: memory, open files, and objects that the garbage collector tracks."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["Footprint", "footprint", "resident"]


class Footprint(NamedTuple):
    """Counts of one moment, after a garbage collection."""

    memory: int
    """Resident bytes."""
    descriptors: int
    objects: int


def footprint() -> Footprint:
    """What this process has now."""
    memory = resident()
    return Footprint(memory, len(os.listdir("/proc/self/fd")), len(gc.get_objects()))


def resident() -> int:
    """Bytes of memory that this process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
