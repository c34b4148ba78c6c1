"""Log records as JSON, with the connection that each is about.

The setting ``CHANNEL_LOG_JSON`` does it for the loggers of this library and of uvicorn. In a configuration
of ``logging`` (Django's ``LOGGING``) name the formatter::

    "formatters": {"json": {"()": "compat.logs.JSONFormatter"}}

A record that is written while a consumer's handler runs, by whomever, has the fields of its connection.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from contextvars import ContextVar, Token
from typing import Any

from compat.metrics import report_start
from compat.settings import settings

__all__ = ["FIELD", "JSONFormatter", "about", "connection", "enter", "use_json"]

SETTING = "CHANNEL_LOG_JSON"
FIELD = "connection"
"""The attribute of a record that has the fields of the connection it is about."""
MAX_PATH = 200
SERVERS = ("uvicorn", "uvicorn.access", "uvicorn.error", "gunicorn.access", "gunicorn.error")
STANDARD = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime", "color_message", FIELD))
"""The attributes that every record has, and uvicorn's."""

WITNESSES = ("compat.logs", "channels_compat")
"""Loggers that nobody uses, one inside of ours and one outside: who disables both disables all loggers."""

_current: ContextVar[tuple[Any, str] | None] = ContextVar("compat_connection", default=None)
_followed = False


def about(consumer: Any, channel: str) -> dict[str, str]:
    """Return the fields of a consumer's connection: ``consumer``, ``path``, ``channel`` and ``user``.

    ``user`` is the user's key (``pk``) and not a name; it is missing for an anonymous one.
    """
    cls, scope = type(consumer), consumer.scope
    fields = {"consumer": f"{cls.__module__}.{cls.__qualname__}"}
    path = scope.get("path")
    if isinstance(path, str):
        fields["path"] = path if len(path) <= MAX_PATH else path[: MAX_PATH - 1] + "…"
    if channel:
        fields["channel"] = channel
    try:
        key = getattr(scope.get("user"), "pk", None)
        if key is not None:
            fields["user"] = str(key)
    except Exception:  # noqa: BLE001 - a lazy user may ask a database, and a log line must not fail
        pass
    return fields


def enter(consumer: Any, channel: str) -> Token[tuple[Any, str] | None] | None:
    """Note whose handlers run in this task from now on, if a ``JSONFormatter`` is used; else return None."""
    return _current.set((consumer, channel)) if _followed else None


def leave(entered: Token[tuple[Any, str] | None] | None) -> None:
    """Note whose handlers ran before ``enter`` returned ``entered``."""
    if entered is not None:
        _current.reset(entered)


def connection() -> dict[str, str]:
    """Return the fields of the connection whose handler runs here; empty elsewhere and with no formatter."""
    current = _current.get()
    return {} if current is None else about(*current)


class JSONFormatter(logging.Formatter):
    """Writes a record as one line of JSON.

    ``{"time", "level", "logger", "message"}``, then the connection's fields (``about``), the record's
    ``extra`` and, after an error, ``exception`` with its traceback. ``time`` is in UTC.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        global _followed
        super().__init__(*args, **kwargs)
        _followed = True
        for name in WITNESSES:
            logging.getLogger(name)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what has no form in JSON becomes its ``repr()``.

        An ``extra`` does not replace the first four fields, nor ``exception`` and ``stack`` where they are.
        """
        _enable_again()
        own: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, FIELD, None)
        about_it = fields if isinstance(fields, dict) else connection()
        extra = {key: value for key, value in vars(record).items() if key not in STANDARD}
        told = {**own, **about_it, **extra, **own}  # the order of the first, the values of the last
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            told["exception"] = record.exc_text
        if record.stack_info:
            told["stack"] = self.formatStack(record.stack_info)
        try:
            return _json(told)
        except Exception:  # noqa: BLE001 - objects of the user's
            return _json({str(key): _with_form(value) for key, value in told.items()})


def use_json() -> None:
    """Write the records of this library as JSON to the standard error, and those of uvicorn where they go.

    The records of this library do not reach the handlers of the root logger any more.
    """
    formatter = JSONFormatter()
    own = logging.getLogger("compat")
    if not any(isinstance(handler.formatter, JSONFormatter) for handler in own.handlers):
        to_stderr = logging.StreamHandler(sys.stderr)
        to_stderr.setFormatter(formatter)
        own.addHandler(to_stderr)
        own.propagate = False
    for name in SERVERS:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(formatter)


def _as_set() -> None:
    _enable_again()
    if settings.get(SETTING):
        use_json()


def _enable_again() -> None:
    """Enable our loggers if a configuration that names the formatter has disabled all that there are.

    Without ``disable_existing_loggers``, it disables those that it does not name: ours, which exist because
    it has imported the formatter, and whose records it was made for. Who disables some of them is obeyed.
    """
    loggers = logging.root.manager.loggerDict
    if all(getattr(loggers.get(name), "disabled", False) for name in WITNESSES):
        for name, logger in list(loggers.items()):
            ours = name in WITNESSES or f"{name}.".startswith("compat.")
            if ours and isinstance(logger, logging.Logger):
                logger.disabled = False


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"


def _json(value: Any) -> str:
    return json.dumps(value, default=_text, allow_nan=False)


def _with_form(value: Any) -> Any:
    """Return a value that has a form in JSON: this one, or its ``repr()``."""
    try:
        _json(value)
    except Exception:  # noqa: BLE001 - objects of the user's
        return _text(value)
    return value


def _text(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - an object of the user's
        return f"<{type(value).__name__}, whose repr() raises {type(error).__name__}>"


report_start(_as_set)
