"""What a LOGGING setting refers to by dotted path, and what keeps a record on one line."""

from __future__ import annotations

import logging
import logging.config
from typing import Any

from ..conf import settings
from .module_loading import import_string

__all__ = ["RequireDebugFalse", "RequireDebugTrue", "ServerFormatter", "configure_logging"]


def configure_logging(logging_config: str | None, logging_settings: dict[str, Any] | None) -> None:
    """Apply the LOGGING setting through LOGGING_CONFIG (default: ``logging.config.dictConfig``)."""
    if logging_config and logging_settings:
        import_string(logging_config)(logging_settings)


def one_line(value: object) -> object:
    """Return ``value`` for a record: of a text from a client, what is not printable is escaped."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return value.encode("unicode_escape").decode("ascii")


class RequireDebugFalse(logging.Filter):
    """Lets records pass when DEBUG is off."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not settings.DEBUG


class RequireDebugTrue(logging.Filter):
    """Lets records pass when DEBUG is on."""

    def filter(self, record: logging.LogRecord) -> bool:
        return bool(settings.DEBUG)


class ServerFormatter(logging.Formatter):
    """A formatter that also knows ``server_time``."""

    default_time_format = "%d/%b/%Y %H:%M:%S"

    def format(self, record: logging.LogRecord) -> str:
        if self.uses_server_time() and not hasattr(record, "server_time"):
            record.server_time = self.formatTime(record, self.datefmt)
        return super().format(record)

    def uses_server_time(self) -> bool:
        """Does the format mention it?"""
        return "{server_time}" in (self._fmt or "") or "%(server_time)" in (self._fmt or "")
