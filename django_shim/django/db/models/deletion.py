"""What a foreign key does when its target goes: names for the definitions of fields."""

from __future__ import annotations

from typing import Any

__all__ = ["CASCADE", "DO_NOTHING", "PROTECT", "RESTRICT", "SET", "SET_DEFAULT", "SET_NULL"]

CASCADE = "CASCADE"
DO_NOTHING = "DO_NOTHING"
PROTECT = "PROTECT"
RESTRICT = "RESTRICT"
SET_DEFAULT = "SET_DEFAULT"
SET_NULL = "SET_NULL"


def SET(value: Any) -> str:
    """To a value."""
    return "SET"
