"""``DjangoJSONEncoder``: JSON that also takes dates, decimals and UUIDs."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from typing import Any

from ...utils.timezone import is_aware

__all__ = ["DjangoJSONEncoder"]


class DjangoJSONEncoder(json.JSONEncoder):
    """Dates and times in the form of ECMA-262 (milliseconds), durations in ISO 8601, the rest as text."""

    def default(self, o: Any) -> Any:
        if isinstance(o, datetime.datetime):
            return _milliseconds(o.isoformat()).replace("+00:00", "Z")
        if isinstance(o, datetime.date):
            return o.isoformat()
        if isinstance(o, datetime.time):
            if is_aware(o):
                raise ValueError("a time with a zone and without a date has no form in JSON")
            return _milliseconds(o.isoformat())
        if isinstance(o, datetime.timedelta):
            return _duration(o)
        return str(o) if isinstance(o, (decimal.Decimal, uuid.UUID)) else super().default(o)


def _milliseconds(text: str) -> str:
    """Microseconds cut to milliseconds."""
    whole, dot, rest = text.partition(".")
    return whole + dot + rest[:3] + rest[6:]


def _duration(value: datetime.timedelta) -> str:
    sign, value = ("-", -value) if value < datetime.timedelta(0) else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}P{value.days}DT{hours:02d}H{minutes:02d}M{seconds:02d}{fraction}S"
