"""Dates and times by format letters, as the ``date`` and ``time`` filters take them ("N j, Y, P").

One function per letter, in a table; a backslash takes the next letter as it is. English names only.
"""

from __future__ import annotations

import calendar
import email.utils
import functools
import re
from collections.abc import Callable
from datetime import date, datetime, time, timezone
from typing import Any, ClassVar

from .timezone import get_current_timezone, is_naive, make_aware

__all__ = ["DateFormat", "TimeFormat", "format", "time_format"]

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip
AP_MONTHS = ("Jan.", "Feb.", "March", "April", "May", "June", "July", "Aug.", "Sept.", "Oct.", "Nov.", "Dec.")
"""Months as the Associated Press abbreviates them."""


def _hour12(value: Any) -> int:
    return value.hour % 12 or 12


def _f(value: Any) -> str:
    return f"{_hour12(value)}:{value.minute:02d}" if value.minute else str(_hour12(value))


def _a(value: Any) -> str:
    return "p.m." if value.hour > 11 else "a.m."


def _p(value: Any) -> str:
    if value.minute == 0 and value.hour in (0, 12):
        return "noon" if value.hour else "midnight"
    return f"{_f(value)} {_a(value)}"


def _offset(value: Any) -> int | None:
    # For a datetime only: without a date, the zone of a time does not say which of its offsets is meant.
    offset = _aware(value).utcoffset() if isinstance(value, datetime) else None
    return None if offset is None else int(offset.total_seconds())


def _o(value: Any) -> str:
    seconds = _offset(value)
    if seconds is None:
        return ""
    sign = "-" if seconds < 0 else "+"
    return "{}{:02d}{:02d}".format(sign, *divmod(abs(seconds) // 60, 60))


def _t_zone(value: Any) -> str:
    if not isinstance(value, datetime):
        return ""
    zone = value.tzinfo or get_current_timezone()
    return zone.tzname(value.replace(tzinfo=None)) or _o(value)


def _e(value: Any) -> str:
    return (value.tzname() or "") if isinstance(value, datetime) and value.tzinfo else ""


def _suffix(value: Any) -> str:
    if value.day in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(value.day % 10, "th")


def _aware(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return make_aware(moment) if is_naive(moment) else moment


def _summer(value: Any) -> str:
    return str(int(bool(_aware(value).dst()))) if isinstance(value, datetime) else ""


def _timestamp(value: Any) -> str:
    return str(int(_aware(value).astimezone(timezone.utc).timestamp()))


TIME_LETTERS: dict[str, Callable[[Any], object]] = {
    "a": _a,
    "A": lambda v: "PM" if v.hour > 11 else "AM",
    "e": _e,
    "f": _f,
    "g": _hour12,
    "G": lambda v: v.hour,
    "h": lambda v: f"{_hour12(v):02d}",
    "H": lambda v: f"{v.hour:02d}",
    "i": lambda v: f"{v.minute:02d}",
    "O": _o,
    "P": _p,
    "s": lambda v: f"{v.second:02d}",
    "T": _t_zone,
    "u": lambda v: f"{v.microsecond:06d}",
    "Z": lambda v: "" if _offset(v) is None else _offset(v),
}

DATE_LETTERS: dict[str, Callable[[Any], object]] = {
    "b": lambda v: MONTHS[v.month - 1][:3].lower(),
    "c": lambda v: v.isoformat(),
    "d": lambda v: f"{v.day:02d}",
    "D": lambda v: DAYS[v.weekday()][:3],
    "E": lambda v: MONTHS[v.month - 1],
    "F": lambda v: MONTHS[v.month - 1],
    "I": _summer,
    "j": lambda v: v.day,
    "l": lambda v: DAYS[v.weekday()],
    "L": lambda v: calendar.isleap(v.year),
    "m": lambda v: f"{v.month:02d}",
    "M": lambda v: MONTHS[v.month - 1][:3],
    "n": lambda v: v.month,
    "N": lambda v: AP_MONTHS[v.month - 1],
    "o": lambda v: v.isocalendar()[0],
    "r": lambda v: email.utils.format_datetime(_aware(v)),
    "S": _suffix,
    "t": lambda v: calendar.monthrange(v.year, v.month)[1],
    "U": _timestamp,
    "w": lambda v: (v.weekday() + 1) % 7,
    "W": lambda v: v.isocalendar()[1],
    "y": lambda v: f"{v.year % 100:02d}",
    "Y": lambda v: f"{v.year:04d}",
    "z": lambda v: v.timetuple().tm_yday,
}


@functools.lru_cache(maxsize=256)
def _pieces(formatstr: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\\.|.", formatstr, re.DOTALL))


class TimeFormat:
    """Formats one time."""

    letters: ClassVar[dict[str, Callable[[Any], object]]] = TIME_LETTERS

    def __init__(self, obj: Any) -> None:
        self.data = obj

    def format(self, formatstr: str) -> str:
        """Return ``obj`` by the letters of ``formatstr``.

        TypeError for a letter of a time of day and a date, AttributeError for one of a date and a time of
        day.
        """
        return "".join(self._piece(piece) for piece in _pieces(str(formatstr)))

    def _piece(self, piece: str) -> str:
        if len(piece) > 1:
            return piece[1:]
        if piece in TIME_LETTERS and type(self.data) is date:
            raise TypeError(f"{piece!r} formats a time of day, and {self.data} has none")
        has_no_date = isinstance(self.data, time) and piece not in "cI"  # ISO 8601 has times; I shows nothing
        if piece in DATE_LETTERS and (has_no_date or piece not in self.letters):
            raise AttributeError(f"{piece!r} formats a date, and {self.data} is formatted as a time of day")
        letter = self.letters.get(piece)
        return piece if letter is None else str(letter(self.data))


class DateFormat(TimeFormat):
    """Formats one date or datetime."""

    letters: ClassVar[dict[str, Callable[[Any], object]]] = {**TIME_LETTERS, **DATE_LETTERS}


def format(value: Any, format_string: str) -> str:
    """Return a date or datetime by the letters of ``format_string``."""
    return DateFormat(value).format(format_string)


def time_format(value: Any, format_string: str) -> str:
    """Return a time by the letters of ``format_string``."""
    return TimeFormat(value).format(format_string)
