"""The current time, and time zones: USE_TZ, TIME_ZONE, and a zone that may be chosen per context."""

from __future__ import annotations

import contextlib
import functools
import zoneinfo
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from ..conf import settings

__all__ = [
    "activate",
    "datetime",
    "deactivate",
    "get_current_timezone",
    "get_current_timezone_name",
    "get_default_timezone",
    "get_default_timezone_name",
    "get_fixed_timezone",
    "is_aware",
    "is_naive",
    "localdate",
    "localtime",
    "make_aware",
    "make_naive",
    "now",
    "override",
    "template_localtime",
    "timedelta",
    "timezone",
]

_active: ContextVar[tzinfo | None] = ContextVar("django_timezone", default=None)


def get_fixed_timezone(offset: int | timedelta) -> timezone:
    """A zone at a fixed offset from UTC, given in minutes."""
    if isinstance(offset, timedelta):
        offset = int(offset.total_seconds() // 60)
    sign = "-" if offset < 0 else "+"
    return timezone(timedelta(minutes=offset), "{}{:02d}{:02d}".format(sign, *divmod(abs(offset), 60)))


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
    """The zone of TIME_ZONE."""
    return _zone(settings.TIME_ZONE)


def get_default_timezone_name() -> str:
    """Its name."""
    return _name(get_default_timezone())


def get_current_timezone() -> tzinfo:
    """The zone set by ``activate`` or ``override`` in this context, else the default one."""
    return _active.get() or get_default_timezone()


def get_current_timezone_name() -> str:
    """Its name."""
    return _name(get_current_timezone())


def _name(zone: tzinfo) -> str:
    return zone.tzname(None) or str(zone)


def activate(timezone: tzinfo | str) -> None:
    """Use this zone (an object, or a name) in the current context."""
    _active.set(_zone(timezone) if isinstance(timezone, str) else timezone)


def deactivate() -> None:
    """Go back to the default zone."""
    _active.set(None)


@contextlib.contextmanager
def override(timezone: tzinfo | str | None) -> Iterator[None]:
    """Use a zone within a ``with`` block or a decorated function; None is the default one."""
    token = _active.set(_zone(timezone) if isinstance(timezone, str) else timezone)
    try:
        yield
    finally:
        _active.reset(token)


def now() -> datetime:
    """The current time: aware and in UTC when USE_TZ is on, naive local time otherwise."""
    return datetime.now(tz=timezone.utc if settings.USE_TZ else None)


def is_aware(value: Any) -> bool:
    """Does it know its offset from UTC?"""
    return value.utcoffset() is not None


def is_naive(value: Any) -> bool:
    """Does it not?"""
    return value.utcoffset() is None


def make_aware(value: datetime, timezone: tzinfo | None = None) -> datetime:
    """A naive time as one of ``timezone`` (default: the current one); ValueError for an aware one."""
    if is_aware(value):
        raise ValueError(f"{value} has a zone already")
    return value.replace(tzinfo=timezone or get_current_timezone())


def make_naive(value: datetime, timezone: tzinfo | None = None) -> datetime:
    """An aware time as the clock of ``timezone`` shows it; ValueError for a naive one."""
    if is_naive(value):
        raise ValueError(f"{value} has no zone to be converted from")
    return value.astimezone(timezone or get_current_timezone()).replace(tzinfo=None)


def localtime(value: datetime | None = None, timezone: tzinfo | None = None) -> datetime:
    """An aware time (default: now) in ``timezone`` (default: the current one); ValueError for a naive one."""
    moment = now() if value is None else value
    if is_naive(moment):
        raise ValueError(f"{moment} has no zone to be converted from")
    return moment.astimezone(timezone or get_current_timezone())


def localdate(value: datetime | None = None, timezone: tzinfo | None = None) -> Any:
    """The date of ``localtime``."""
    return localtime(value, timezone).date()


def template_localtime(value: Any, use_tz: bool | None = None) -> Any:
    """What a template shows for ``value``: an aware datetime in the current zone; anything else as it is."""
    wanted = settings.USE_TZ if use_tz is None else use_tz
    if (
        isinstance(value, datetime)
        and wanted
        and is_aware(value)
        and getattr(value, "convert_to_local_time", True)
    ):
        return localtime(value)
    return value
