"""The running consumers of this process by their channels, so that a log line can name the consumer."""

from __future__ import annotations

from typing import Any

from compat.engine.refusal import shown
from compat.engine.reports import describe
from compat.logs import FIELD, about

__all__ = ["Whose", "enter", "leave"]

_consumers: dict[str, Any] = {}


def enter(channel: str, consumer: Any) -> None:
    """Note that ``consumer`` reads ``channel`` from now on; do nothing for an empty ``channel``."""
    if channel:
        _consumers[channel] = consumer


def leave(channel: str) -> None:
    """Note that no consumer reads ``channel`` any more."""
    _consumers.pop(channel, None)


class Whose:
    """An argument of a log line that names a channel's consumer; it is looked up when the line is written."""

    def __init__(self, channel: str) -> None:
        self.channel = channel

    def __str__(self) -> str:
        """Return a sentence, or an empty string for a channel without a consumer here."""
        consumer = _consumers.get(self.channel)
        if consumer is None:
            return ""
        user = self.fields().get("user")
        return f". Its consumer: {describe(consumer)}" + (f", user {shown(user)}" if user else "")

    def fields(self) -> dict[str, str]:
        """Return the fields of its connection, or the channel alone."""
        consumer = _consumers.get(self.channel)
        return {"channel": self.channel} if consumer is None else about(consumer, self.channel)

    def extra(self) -> dict[str, Any]:
        """Return the argument ``extra`` of a log call."""
        return {FIELD: self.fields()}
