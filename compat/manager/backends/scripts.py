"""The registry's Lua scripts, each from the file of its name, behind what all of them share."""

from __future__ import annotations

import hashlib
from pathlib import Path

from compat.layers.redis.scripts import Script

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
    "RegistryScript",
]

FOLDER = Path(__file__).parent


class RegistryScript(Script):
    """One script: its text, and the digest under which Redis keeps it."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (FOLDER / "registry.lua").read_bytes() + (FOLDER / f"{name}.lua").read_bytes()
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


ADMIT = RegistryScript("admit")
DEAD = RegistryScript("dead")
ENTER = RegistryScript("enter")
JOIN = RegistryScript("join")
LEAVE = RegistryScript("leave")
MEMBERS = RegistryScript("members")
OVERVIEW = RegistryScript("overview")
REMOVE = RegistryScript("remove")
RENEW = RegistryScript("renew")
SWEEP = RegistryScript("sweep")
