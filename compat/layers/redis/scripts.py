"""The Lua scripts of the queue layer, each from the file with its name."""

from __future__ import annotations

from pathlib import Path

from compat.redis.scripts import Script

__all__ = ["ALL", "FANOUT", "HOLD", "MEMBERS", "POP", "PUSH", "RENEW", "SEND", "TAKE"]

FOLDER = Path(__file__).parent

FANOUT = Script(FOLDER, "fanout")
"""Do a whole ``group_send`` on a single host."""
HOLD = Script(FOLDER, "hold")
"""Record that a message is in flight."""
MEMBERS = Script(FOLDER, "members")
"""Return the members of a group whose process is alive."""
POP = Script(FOLDER, "pop")
"""Take one message of a plain channel."""
PUSH = Script(FOLDER, "push")
"""Put a group's message into the queues of one host."""
RENEW = Script(FOLDER, "renew")
"""Renew a lease, and remove the members of dead processes from their groups."""
SEND = Script(FOLDER, "send")
"""Put a message into one queue."""
TAKE = Script(FOLDER, "take")
"""Take messages from the queue of a process."""
ALL = (FANOUT, HOLD, MEMBERS, POP, PUSH, RENEW, SEND, TAKE)
