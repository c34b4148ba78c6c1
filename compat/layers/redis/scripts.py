"""The Lua scripts that run inside Redis, each from the file of its name."""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["ALL", "FANOUT", "HOLD", "MEMBERS", "POP", "PUSH", "RENEW", "SEND", "TAKE", "Script"]


class Script:
    """One script: its text, and the digest under which Redis keeps it."""

    __slots__ = ("digest", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = self._read(name)
        self.digest = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()

    def _read(self, name: str) -> bytes:
        return (Path(__file__).parent / f"{name}.lua").read_bytes()


FANOUT = Script("fanout")
HOLD = Script("hold")
MEMBERS = Script("members")
POP = Script("pop")
PUSH = Script("push")
RENEW = Script("renew")
SEND = Script("send")
TAKE = Script("take")
ALL = (FANOUT, HOLD, MEMBERS, POP, PUSH, RENEW, SEND, TAKE)
