"""What a LOGGING setting refers to by dotted path."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Callable
from typing import Any

from ..conf import settings
from ..unserved import NOT_A_PACKAGE, attribute_of
from .module_loading import import_string

__all__ = ["CallbackFilter", "RequireDebugFalse", "RequireDebugTrue", "ServerFormatter", "configure_logging"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


def configure_logging(logging_config: str | None, logging_settings: dict[str, Any] | None) -> None:
    """Apply the LOGGING setting through LOGGING_CONFIG (default: ``logging.config.dictConfig``)."""
    if logging_config and logging_settings:
        import_string(logging_config)(logging_settings)


class CallbackFilter(logging.Filter):
    """Lets a record pass when ``callback(record)`` is true."""

    def __init__(self, callback: Callable[[logging.LogRecord], Any]) -> None:
        super().__init__()
        self.callback = callback

    def filter(self, record: logging.LogRecord) -> bool:
        return bool(self.callback(record))


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
