"""The Lua scripts of the queue and the streams layer, each from the file with its name."""

from __future__ import annotations

from pathlib import Path

from compat.redis.scripts import Script
from compat.redis.streams.history import RECORD_PART

__all__ = [
    "ADD_JOB",
    "ALL",
    "BURY",
    "CLEAN",
    "DISCARD",
    "FANOUT",
    "FANOUT_RECORDED",
    "HOLD",
    "LOOK",
    "MAKE_GROUP",
    "MEMBERS",
    "POP",
    "PUSH",
    "PUT_BACK",
    "REJOIN",
    "RENEW",
    "SEND",
    "TAKE",
]

FOLDER = Path(__file__).parent

CLOCK = ("clock",)

ADD_JOB = Script(FOLDER, "add_job")
"""Streams layer: put a message into a plain channel."""
BURY = Script(FOLDER, "bury")
"""Streams layer: move a message to the dead letters."""
CLEAN = Script(FOLDER, "clean")
"""Take a dead process out of some of its groups."""
DISCARD = Script(FOLDER, "discard")
"""Take a channel of another process out of a group."""
FANOUT = Script(FOLDER, "fanout", CLOCK)
"""Do a whole ``group_send`` on a single host."""
FANOUT_RECORDED = Script(FOLDER, "fanout", (*CLOCK, RECORD_PART))
"""The same, for a group with a history."""
HOLD = Script(FOLDER, "hold")
"""Record that a message is in flight."""
LOOK = Script(FOLDER, "look")
"""Look whether members of a process are in their groups."""
MAKE_GROUP = Script(FOLDER, "group")
"""Streams layer: make the consumer group of a plain channel."""
MEMBERS = Script(FOLDER, "members")
"""Return the members of a group whose process is alive."""
POP = Script(FOLDER, "pop")
"""Take messages of a plain channel."""
PUSH = Script(FOLDER, "push", CLOCK)
"""Put a group's message into the queues of one host."""
PUT_BACK = Script(FOLDER, "put_back")
"""Put a message back into its plain channel."""
REJOIN = Script(FOLDER, "rejoin")
"""Enter the members of a process in some groups again."""
RENEW = Script(FOLDER, "renew")
"""Renew a lease, and find leases that have run out."""
SEND = Script(FOLDER, "send", CLOCK)
"""Put a message into one queue."""
TAKE = Script(FOLDER, "take")
"""Take messages from the queue of a process."""
ALL = (CLEAN, DISCARD, FANOUT, FANOUT_RECORDED, LOOK, MEMBERS, POP, PUSH, REJOIN, RENEW, SEND, TAKE)
"""The scripts of the queue layer, but HOLD and PUT_BACK: they are sent with their text, because nobody hears
that Redis does not know them.
"""
