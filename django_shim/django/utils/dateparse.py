"""Dates, times and durations out of ISO 8601 text; None for what is not one."""

from __future__ import annotations

import datetime
import re
from typing import Any, TypeVar

from .timezone import get_fixed_timezone

__all__ = ["parse_date", "parse_datetime", "parse_duration", "parse_time"]

_DATE = r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
_TIME = r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:[.,](?P<microsecond>\d{1,6})\d*)?)?"
_ZONE = r"(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?"
_ISO_DURATION = re.compile(
    r"(?P<sign>[-+]?)P(?:(?P<days>\d+(?:[.,]\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:[.,]\d+)?)H)?(?:(?P<minutes>\d+(?:[.,]\d+)?)M)?(?:(?P<seconds>\d+(?:[.,]\d+)?)S)?)?$"
)
_PLAIN_DURATION = re.compile(
    r"(?:(?P<days>-?\d+) (?:days?, )?)?(?P<sign>-?)(?:(?:(?P<hours>\d+):)?(?P<minutes>\d+):)?"
    r"(?P<seconds>\d+(?:[.,]\d{1,6})?)\d*$"
)


def _numbers(match: re.Match[str], *names: str) -> dict[str, Any]:
    found = {name: match[name] for name in names if match[name] is not None}
    if "microsecond" in found:
        found["microsecond"] = found["microsecond"].ljust(6, "0")
    return {name: int(text) for name, text in found.items()}


T = TypeVar("T", datetime.date, datetime.time, datetime.datetime)


def _iso(kind: type[T], value: str) -> T | None:
    """What Python's own parser makes of it; it takes more forms with each version."""
    try:
        return kind.fromisoformat(value)
    except ValueError:
        return None


def parse_date(value: str) -> datetime.date | None:
    """``"2026-11-20"``; ValueError for a date that is well formed and does not exist."""
    if (iso := _iso(datetime.date, value)) is not None:
        return iso
    match = re.match(_DATE + "$", value)
    return datetime.date(**_numbers(match, "year", "month", "day")) if match else None


def parse_time(value: str) -> datetime.time | None:
    """``"10:30:05.5"``; ValueError for a time that is well formed and does not exist."""
    if (iso := _iso(datetime.time, value)) is not None:
        return iso.replace(tzinfo=None)
    match = re.match(_TIME + "$", value)
    return datetime.time(**_numbers(match, "hour", "minute", "second", "microsecond")) if match else None


def parse_datetime(value: str) -> datetime.datetime | None:
    """``"2026-11-20T10:30:05+02:00"``, with or without a zone; ValueError as for the parts."""
    if (iso := _iso(datetime.datetime, value)) is not None:
        return iso
    match = re.match(_DATE + r"[T ]\s*" + _TIME + r"\s*" + _ZONE + "$", value)
    if match is None:
        return None
    numbers = _numbers(match, "year", "month", "day", "hour", "minute", "second", "microsecond")
    zone = match["zone"]
    if zone is None:
        return datetime.datetime(**numbers)
    if zone == "Z":
        return datetime.datetime(**numbers, tzinfo=datetime.timezone.utc)
    minutes = int(zone[1:3]) * 60 + int(zone[-2:] if len(zone) > 3 else 0)
    return datetime.datetime(**numbers, tzinfo=get_fixed_timezone(-minutes if zone[0] == "-" else minutes))


def parse_duration(value: str) -> datetime.timedelta | None:
    """``"3 04:05:06"``, ``"5:06"`` or ISO 8601 (``"P3DT4H"``)."""
    match = _PLAIN_DURATION.match(value) or _ISO_DURATION.match(value)
    if match is None:
        return None
    parts = {k: float(v.replace(",", ".")) for k, v in match.groupdict().items() if v and k != "sign"}
    days = datetime.timedelta(parts.pop("days", 0.0))
    rest = datetime.timedelta(**parts)
    if match.re is _ISO_DURATION:
        return -(days + rest) if match["sign"] == "-" else days + rest
    return days - rest if match["sign"] == "-" else days + rest
