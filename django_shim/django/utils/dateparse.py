"""Dates, times and durations out of text; None for what is not one, ValueError for one that does not exist.

Python's own parser of ISO 8601 is asked first. What it does not take and people write all the same (``9:05``,
``2026-3-1``, a comma before the fraction) is taken apart here.
"""

from __future__ import annotations

import datetime
import re
from typing import TypeVar

from .timezone import get_fixed_timezone

__all__ = ["parse_date", "parse_datetime", "parse_duration", "parse_time"]

T = TypeVar("T", datetime.date, datetime.time, datetime.datetime)

_ZONE = re.compile(r" *(Z|[+-]\d\d(:?\d\d)?)$")
_NUMBER = r"(\d+(?:[.,]\d+)?)"
_DAYS = re.compile(r"(-?\d+) (?:days?, )?")
_MICROSECONDS = 6


def parse_date(value: str) -> datetime.date | None:
    """``"2026-11-20"``, ``"2026-3-1"``."""
    if (iso := _iso(datetime.date, value)) is not None:
        return iso
    parts = _numbers(value, "-", 3)
    return None if parts is None or len(value.partition("-")[0]) != 4 else datetime.date(*parts)


def parse_time(value: str) -> datetime.time | None:
    """``"10:30:05.5"``, ``"9:05"``; a zone is left away."""
    if (iso := _iso(datetime.time, value)) is not None:
        return iso.replace(tzinfo=None)
    clock, _, fraction = value.replace(",", ".").partition(".")
    parts = _numbers(clock, ":", 2) or _numbers(clock, ":", 3)
    if parts is None or not (fraction.isdecimal() or not fraction):
        return None
    hour, minute, *second = parts
    microsecond = int(fraction[:_MICROSECONDS].ljust(_MICROSECONDS, "0"))
    return datetime.time(hour, minute, second[0] if second else 0, microsecond)


def parse_datetime(value: str) -> datetime.datetime | None:
    """``"2026-11-20T10:30:05+02:00"``, with a space for the ``T``, with or without a zone."""
    if (iso := _iso(datetime.datetime, value)) is not None:
        return iso
    day, separator, rest = value.replace("T", " ", 1).partition(" ")
    zone = _ZONE.search(rest)
    date = parse_date(day)
    time = parse_time(rest[: zone.start()].strip() if zone else rest.strip())
    if date is None or time is None or not separator:
        return None
    return datetime.datetime.combine(date, time, _zone(zone[1]) if zone else None)


def _iso(kind: type[T], value: str) -> T | None:
    """What Python's own parser makes of it; it takes more forms with each version."""
    try:
        return kind.fromisoformat(value)
    except ValueError:
        return None


def _numbers(text: str, separator: str, count: int) -> list[int] | None:
    """``count`` numbers of one to four digits, or None."""
    parts = text.split(separator)
    if len(parts) != count or not all(part.isdecimal() and len(part) <= 4 for part in parts):
        return None
    return [int(part) for part in parts]


def _zone(text: str) -> datetime.timezone:
    if text == "Z":
        return datetime.timezone.utc
    minutes = int(text[1:3]) * 60 + (int(text[-2:]) if len(text) > 3 else 0)
    return get_fixed_timezone(-minutes if text[0] == "-" else minutes)


def parse_duration(value: str) -> datetime.timedelta | None:
    """``"3 04:05:06"``, ``"5:06"`` or ISO 8601 (``"P3DT4H"``)."""
    return _iso_duration(value) if "P" in value else _plain_duration(value)


def _iso_duration(value: str) -> datetime.timedelta | None:
    sign, _, rest = value.partition("P")
    days, t, clock = rest.partition("T")
    units = {"D": _unit(days, "D"), **{name: _unit(clock, name) for name in "HMS"}}
    written = "".join(f"{text}{name}" for name, text in units.items() if text)
    if sign not in ("", "-", "+") or not written or written != days + clock or (t and not clock):
        return None
    day, hour, minute, second = (float(text.replace(",", ".") or 0) for text in units.values())
    found = datetime.timedelta(day, second, hours=hour, minutes=minute)
    return -found if sign == "-" else found


def _unit(text: str, name: str) -> str:
    match = re.search(_NUMBER + name, text)
    return match[1] if match else ""


def _plain_duration(value: str) -> datetime.timedelta | None:
    prefix = _DAYS.match(value)
    days = int(prefix[1]) if prefix else 0
    clock = value[prefix.end() :] if prefix else value
    parts = clock.removeprefix("-").replace(",", ".").split(":")
    if len(parts) > 3 or not all(part.isdecimal() for part in parts[:-1]):
        return None
    if re.fullmatch(_NUMBER, parts[-1]) is None:
        return None
    hours, minutes, seconds = [0.0] * (3 - len(parts)) + [float(part) for part in parts]
    rest = datetime.timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return datetime.timedelta(days) + (-rest if clock.startswith("-") else rest)
