"""What a room and a person may be called."""

import re
import unicodedata

MAX_ROOM = 40
MAX_NAME = 24
ROOM = re.compile(rf"[a-z0-9_-]{{1,{MAX_ROOM}}}")
RULE = f"Room names are made of a to z, 0 to 9, - and _, with at most {MAX_ROOM} characters."


def tidy(text):
    """The room that somebody means who types ``text``: "Book club" is book-club."""
    return "-".join(text.lower().split())


def problem_with(room):
    """What is wrong with a room's name, in words for the person who typed it; None if nothing is."""
    if not room:
        return "Which room? Type a name, any name: the room opens when you enter."
    if not ROOM.fullmatch(room):
        return RULE
    return None


def suggest(room):
    """The nearest allowed name, or "" when nothing of it can be kept: café gives cafe."""
    plain = unicodedata.normalize("NFKD", tidy(room)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")[:MAX_ROOM]


def group_of(room):
    """The group of all sockets in ``room``."""
    return f"room.{room}"


def clean_name(text):
    """A person's name without line breaks, control characters or more than one blank in a row."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split())[:MAX_NAME].rstrip()
