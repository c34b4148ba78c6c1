"""Rules for the names of rooms and people."""

import re
import unicodedata

MAX_ROOM = 40
MAX_NAME = 24
ROOM = re.compile(rf"[a-z0-9_-]{{1,{MAX_ROOM}}}")
EVERYBODY = "in-any-room"  # the group of all consumers
RULE = f"Room names are made of a to z, 0 to 9, - and _, with at most {MAX_ROOM} characters."


def tidy(text):
    """Return the room name for ``text``: "Book club" is book-club."""
    return "-".join(text.lower().split())


def problem_with(room):
    """Return what is wrong with a room name, as a text for the user; None if it is valid."""
    if not room:
        return "Which room? Type a name, any name: the room opens when you enter."
    if not ROOM.fullmatch(room):
        return RULE
    return None


def suggest(room):
    """Return the most similar valid name, or "": café gives cafe."""
    plain = unicodedata.normalize("NFKD", tidy(room)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")[:MAX_ROOM]


def group_of(room):
    """Return the group of the people in ``room``."""
    return f"room.{room}"


def clean_name(text):
    """Return a person's name without line breaks, control characters and repeated blanks."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split())[:MAX_NAME].rstrip()
