"""Rules for the names of rooms and people: group_name() makes a valid group name of any room name."""

from __future__ import annotations

from compat.names import group_name

__all__ = ["EVERYBODY", "MAX_NAME", "MAX_ROOM", "clean_name", "group_of", "problem_with", "tidy"]

MAX_ROOM = 40
MAX_NAME = 24
EVERYBODY = "in-any-room"  # the group of all consumers


def tidy(text: str) -> str:
    """Return a name without line breaks, control characters and repeated blanks."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split())


def problem_with(room: str) -> str | None:
    """Return what is wrong with a room name, as a text for the user; None if it is valid."""
    if not room:
        return "Which room? Type a name, any name: the room opens when you enter."
    if len(room) > MAX_ROOM:
        return f"That name is too long for a door: at most {MAX_ROOM} characters."
    if "/" in room or not room.strip("."):
        return "A room's name has no slash, and something beside full stops."
    return None


def group_of(room: str) -> str:
    """Return the group of the people in ``room``, which may be named "café" or "日本" too."""
    return group_name(room, prefix="room.")


def clean_name(text: str) -> str:
    """Return a person's name, shortened."""
    return tidy(text)[:MAX_NAME].rstrip()
