"""The Lua scripts of the queue layer, each from the file with its name."""

from __future__ import annotations

from pathlib import Path

from compat.redis.scripts import Script

__all__ = ["ALL", "CLEAN", "FANOUT", "HOLD", "MEMBERS", "POP", "PUSH", "RENEW", "SEND", "TAKE"]

FOLDER = Path(__file__).parent

CLOCK = ("clock",)

CLEAN = Script(FOLDER, "clean")
"""Take a dead process out of some of its groups."""
FANOUT = Script(FOLDER, "fanout", CLOCK)
"""Do a whole ``group_send`` on a single host."""
HOLD = Script(FOLDER, "hold")
"""Record that a message is in flight."""
MEMBERS = Script(FOLDER, "members")
"""Return the members of a group whose process is alive."""
POP = Script(FOLDER, "pop")
"""Take messages of a plain channel."""
PUSH = Script(FOLDER, "push", CLOCK)
"""Put a group's message into the queues of one host."""
RENEW = Script(FOLDER, "renew")
"""Renew a lease, and find those that have run out."""
SEND = Script(FOLDER, "send", CLOCK)
"""Put a message into one queue."""
TAKE = Script(FOLDER, "take")
"""Take messages from the queue of a process."""
ALL = (CLEAN, FANOUT, HOLD, MEMBERS, POP, PUSH, RENEW, SEND, TAKE)
