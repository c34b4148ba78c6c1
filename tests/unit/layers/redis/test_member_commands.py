"""The commands that tell Redis who has joined a group."""

from __future__ import annotations

from compat.layers.redis.census import Census
from compat.layers.redis.keys import Keys
from compat.layers.redis.member_commands import MemberCommands


def test_commands_that_are_made_again_are_the_same() -> None:
    """Was: a cluster that had moved the group never heard that the process has members of it."""
    one, other = "specific.abc!1", "specific.abc!2"
    census = Census("specific.abc!", lambda: 0)
    for channel in (one, other):
        census.joined("room", channel)
    commands = MemberCommands(Keys("asgi", 1), census, {"room": {one: 0.0, other: 0.0}}, 100, 200)
    first, again, others = (
        [command[0] for command in commands.enter("room", channel)] for channel in (one, one, other)
    )
    assert first == again
    assert b"SADD" in first and b"SADD" not in others, "the list of a process has a group once"
