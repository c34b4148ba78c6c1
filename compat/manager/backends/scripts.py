"""The registry's Lua scripts, each from the file with its name, after the functions that all of them use."""

from __future__ import annotations

from pathlib import Path

from compat.redis.scripts import Script

__all__ = [
    "ADMIT",
    "DEAD",
    "ENTER",
    "FORGET",
    "JOIN",
    "LEAVE",
    "OVERVIEW",
    "RENEW",
    "RETIRE",
]

FOLDER = Path(__file__).parent
SHARED = ("registry",)

ADMIT = Script(FOLDER, "admit", SHARED)
DEAD = Script(FOLDER, "dead", SHARED)
ENTER = Script(FOLDER, "enter", SHARED)
FORGET = Script(FOLDER, "forget", SHARED)
JOIN = Script(FOLDER, "join", SHARED)
LEAVE = Script(FOLDER, "leave", SHARED)
OVERVIEW = Script(FOLDER, "overview", SHARED)
RENEW = Script(FOLDER, "renew", SHARED)
RETIRE = Script(FOLDER, "retire", SHARED)
