"""The registry's Lua scripts, each from the file of its name, behind what all of them share."""

from __future__ import annotations

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
    """A script of this folder, behind what all of them share."""

    __slots__ = ()

    def _read(self, name: str) -> bytes:
        return (FOLDER / "registry.lua").read_bytes() + (FOLDER / f"{name}.lua").read_bytes()


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
