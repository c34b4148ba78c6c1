"""What the Python servers have in common: notes in a file that outlives them, and a handler that waits."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

__all__ = ["PING_S", "PONG_S", "gate", "note", "text_of"]

FOLDER = Path(os.environ["FAULTS_FOLDER"])
PING_S, PONG_S = float(os.environ["FAULTS_PING_S"]), float(os.environ["FAULTS_PONG_S"])
POLL_S = 0.02


def note(what: str, who: str, number: int = 0) -> None:
    """Add a line to the notes of all servers; the kernel has it when the call returns."""
    with open(FOLDER / "notes", "a", encoding="utf-8") as notes:
        notes.write(json.dumps([what, who, number]) + "\n")


async def gate(who: str) -> None:
    """Wait until the runner has created the file ``who``."""
    while not (FOLDER / who).exists():  # noqa: ASYNC110 - the runner is another process
        await asyncio.sleep(POLL_S)


def text_of(number: int, size: int) -> str:
    """Return the text of a number, filled up to ``size`` characters."""
    return str(number).rjust(size)
