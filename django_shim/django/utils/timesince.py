"""Distances in time, in words: "3 days, 4 hours"."""

from __future__ import annotations

import datetime
from typing import Any

from .timezone import is_aware

__all__ = ["timesince", "timeuntil"]

_NBSP = "\xa0"
_UNITS = ((60 * 60 * 24 * 7, "week"), (60 * 60 * 24, "day"), (60 * 60, "hour"), (60, "minute"))


def timesince(
    d: Any, now: Any = None, reversed: bool = False, time_strings: Any = None, depth: int = 2
) -> str:
    """From ``d`` to ``now`` (default: the present) in at most ``depth`` adjacent units; "0 minutes" if not
    yet.
    """
    if depth <= 0:
        raise ValueError("depth must be greater than 0.")
    start = _moment(d)
    zone = datetime.timezone.utc if is_aware(start) else None
    end = datetime.datetime.now(zone) if now is None else _moment(now)
    if reversed:
        start, end = end, start
    amounts = _amounts(start, end)
    first = next((i for i, (amount, _) in enumerate(amounts) if amount), None)
    if first is None:
        return f"0{_NBSP}minutes"
    shown: list[str] = []
    for amount, unit in amounts[first : first + depth]:
        if not amount:
            break  # "1 month" and not "1 month, 4 days" with an empty week between
        shown.append(f"{amount}{_NBSP}{unit}{'' if amount == 1 else 's'}")
    return ", ".join(shown)


def timeuntil(d: Any, now: Any = None, time_strings: Any = None, depth: int = 2) -> str:
    """From ``now`` (default: the present) to ``d``."""
    return timesince(d, now, reversed=True, time_strings=time_strings, depth=depth)


def _moment(value: Any) -> datetime.datetime:
    if isinstance(value, datetime.datetime):
        return value
    return datetime.datetime(value.year, value.month, value.day)


def _amounts(start: datetime.datetime, end: datetime.datetime) -> list[tuple[int, str]]:
    if end <= start:
        return []
    months = (end.year - start.year) * 12 + end.month - start.month
    if (end.day, end.time()) < (start.day, start.time()):
        months -= 1
    years, months = divmod(months, 12)
    rest = int((end - _plus_months(start, years * 12 + months)).total_seconds())
    amounts = [(years, "year"), (months, "month")]
    for seconds, unit in _UNITS:
        amount, rest = divmod(rest, seconds)
        amounts.append((amount, unit))
    return amounts


def _plus_months(start: datetime.datetime, months: int) -> datetime.datetime:
    year, month = divmod(start.month - 1 + months, 12)
    last = (
        datetime.date(start.year + year + (month + 1) // 12, (month + 1) % 12 + 1, 1) - datetime.timedelta(1)
    ).day
    return start.replace(year=start.year + year, month=month + 1, day=min(start.day, last))
