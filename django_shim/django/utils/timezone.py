"""The current time, and the one time zone of the settings: USE_TZ, TIME_ZONE."""

from __future__ import annotations

import functools
import zoneinfo
from datetime import date, datetime, timezone, tzinfo
from typing import Any

from ..conf import settings

__all__ = [
    "get_current_timezone",
    "get_default_timezone",
    "is_aware",
    "is_naive",
    "localdate",
    "localtime",
    "make_aware",
    "make_naive",
    "now",
    "template_localtime",
]


@functools.lru_cache(maxsize=32)
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return timezone.utc  # needs no time zone database
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(
            f"TIME_ZONE {name!r} is not in this machine's time zone database: check the spelling, or "
            "pip install tzdata"
        ) from error


def get_default_timezone() -> tzinfo:
    """Return the zone of TIME_ZONE."""
    return _zone(settings.TIME_ZONE)


get_current_timezone = get_default_timezone


def now() -> datetime:
    """Return the current time: aware and in UTC when USE_TZ is on, else naive, by the clock of TIME_ZONE."""
    if settings.USE_TZ:
        return datetime.now(timezone.utc)
    return datetime.now(get_default_timezone()).replace(tzinfo=None)


def is_aware(value: Any) -> bool:
    """Does it know its offset from UTC?"""
    return value.utcoffset() is not None


def is_naive(value: Any) -> bool:
    """Does it not?"""
    return value.utcoffset() is None


def make_aware(value: datetime, timezone: tzinfo | None = None) -> datetime:
    """Return a naive time as one of ``timezone`` (default: TIME_ZONE); ValueError for an aware one."""
    if is_aware(value):
        raise ValueError(f"{value} has a zone already")
    return value.replace(tzinfo=timezone or get_current_timezone())


def make_naive(value: datetime, timezone: tzinfo | None = None) -> datetime:
    """Return an aware time as the clock of ``timezone`` shows it; ValueError for a naive one."""
    return localtime(value, timezone).replace(tzinfo=None)


def localtime(value: datetime | None = None, timezone: tzinfo | None = None) -> datetime:
    """Return an aware time (default: now) in ``timezone`` (TIME_ZONE); ValueError for a naive one."""
    moment = now() if value is None else value
    if is_naive(moment):
        raise ValueError(f"{moment} has no zone to be converted from")
    return moment.astimezone(timezone or get_current_timezone())


def localdate(value: datetime | None = None, timezone: tzinfo | None = None) -> date:
    """Return the date of ``localtime``."""
    return localtime(value, timezone).date()


def template_localtime(value: Any) -> Any:
    """Return what a template shows for ``value``: an aware datetime in TIME_ZONE; anything else as it is."""
    if isinstance(value, datetime) and settings.USE_TZ and is_aware(value):
        return localtime(value)
    return value
