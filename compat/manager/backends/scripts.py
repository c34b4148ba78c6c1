"""The registry's Lua scripts, each from the file with its name, after the functions that all of them use."""

from __future__ import annotations

from pathlib import Path

from compat.redis.scripts import Script

__all__ = [
    "ADMIT",
    "DEAD",
    "ENTER",
    "JOIN",
    "LEAVE",
    "MEMBERS",
    "OVERVIEW",
    "REMOVE",
    "RENEW",
    "SWEEP",
]

FOLDER = Path(__file__).parent
SHARED = ("registry",)

ADMIT = Script(FOLDER, "admit", SHARED)
DEAD = Script(FOLDER, "dead", SHARED)
ENTER = Script(FOLDER, "enter", SHARED)
JOIN = Script(FOLDER, "join", SHARED)
LEAVE = Script(FOLDER, "leave", SHARED)
MEMBERS = Script(FOLDER, "members", SHARED)
OVERVIEW = Script(FOLDER, "overview", SHARED)
REMOVE = Script(FOLDER, "remove", SHARED)
RENEW = Script(FOLDER, "renew", SHARED)
SWEEP = Script(FOLDER, "sweep", SHARED)
