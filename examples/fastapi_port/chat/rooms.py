"""What a room and a person may be called: any name that fits into a path, for group_name() makes it safe."""

from __future__ import annotations

from compat.names import group_name

__all__ = ["MAX_NAME", "MAX_ROOM", "clean_name", "group_of", "problem_with", "tidy"]

MAX_ROOM = 40
MAX_NAME = 24


def tidy(text: str) -> str:
    """A room's name without line breaks, control characters or more than one blank in a row."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split())


def problem_with(room: str) -> str | None:
    """What is wrong with a room's name, in words for the person who typed it; None if nothing is."""
    if not room:
        return "Which room? Type a name, any name: the room opens when you enter."
    if len(room) > MAX_ROOM:
        return f"That name is too long for a door: at most {MAX_ROOM} characters."
    if "/" in room or not room.strip("."):
        return "A room's name has no slash, and something beside full stops."
    return None


def group_of(room: str) -> str:
    """The group of all sockets in ``room``: "café" and "日本" are as good as "lobby"."""
    return group_name(room, prefix="room.")


def clean_name(text: str) -> str:
    """A person's name, short enough for a badge."""
    return tidy(text)[:MAX_NAME].rstrip()
