"""The Lua scripts of the queue layer, each from the file of its name."""

from __future__ import annotations

from pathlib import Path

from compat.redis.scripts import Script

__all__ = ["ALL", "FANOUT", "HOLD", "MEMBERS", "POP", "PUSH", "RENEW", "SEND", "TAKE"]

FOLDER = Path(__file__).parent

FANOUT = Script(FOLDER, "fanout")
"""All of a ``group_send``, where everything is on one host."""
HOLD = Script(FOLDER, "hold")
"""Note that a message is in flight."""
MEMBERS = Script(FOLDER, "members")
"""The members of a group whose process is alive."""
POP = Script(FOLDER, "pop")
"""Take one message of a plain channel."""
PUSH = Script(FOLDER, "push")
"""Put a group's message into the queues of one host."""
RENEW = Script(FOLDER, "renew")
"""Prolong a lease, and take the members of dead processes out of their groups."""
SEND = Script(FOLDER, "send")
"""Put a message into one queue."""
TAKE = Script(FOLDER, "take")
"""Take messages out of the queue of a process."""
ALL = (FANOUT, HOLD, MEMBERS, POP, PUSH, RENEW, SEND, TAKE)
