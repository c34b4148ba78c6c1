"""``messages.success(request, "Saved.")`` and the like."""

from __future__ import annotations

from typing import Any

from ...conf import settings
from . import constants

__all__ = [
    "MessageFailure",
    "add_message",
    "debug",
    "error",
    "get_level",
    "get_messages",
    "info",
    "set_level",
    "success",
    "warning",
]


class MessageFailure(Exception):
    """The request has no place for messages."""


def add_message(
    request: Any, level: int, message: Any, extra_tags: str = "", fail_silently: bool = False
) -> None:
    """Keep a message for the next page; MessageFailure without MessageMiddleware."""
    storage = getattr(request, "_messages", None)
    if storage is not None:
        storage.add(level, message, extra_tags)
    elif not fail_silently:
        raise MessageFailure(
            "there is no place for messages in this request: MIDDLEWARE lacks "
            "'django.contrib.messages.middleware.MessageMiddleware'."
        )


def get_messages(request: Any) -> Any:
    """Return the messages; iterating over them removes them from the session."""
    return getattr(request, "_messages", [])


def get_level(request: Any) -> int:
    """Below it, messages are dropped."""
    storage = getattr(request, "_messages", None)
    return int(settings.MESSAGE_LEVEL if storage is None else storage.level)


def set_level(request: Any, level: int | None) -> bool:
    """Set that level for this request; None for MESSAGE_LEVEL. False without MessageMiddleware."""
    storage = getattr(request, "_messages", None)
    if storage is None:
        return False
    storage.level = settings.MESSAGE_LEVEL if level is None else level
    return True


def debug(request: Any, message: Any, extra_tags: str = "", fail_silently: bool = False) -> None:
    """A message for developers."""
    add_message(request, constants.DEBUG, message, extra_tags, fail_silently)


def info(request: Any, message: Any, extra_tags: str = "", fail_silently: bool = False) -> None:
    """A message for the user."""
    add_message(request, constants.INFO, message, extra_tags, fail_silently)


def success(request: Any, message: Any, extra_tags: str = "", fail_silently: bool = False) -> None:
    """It has worked."""
    add_message(request, constants.SUCCESS, message, extra_tags, fail_silently)


def warning(request: Any, message: Any, extra_tags: str = "", fail_silently: bool = False) -> None:
    """It might not work."""
    add_message(request, constants.WARNING, message, extra_tags, fail_silently)


def error(request: Any, message: Any, extra_tags: str = "", fail_silently: bool = False) -> None:
    """It has not worked."""
    add_message(request, constants.ERROR, message, extra_tags, fail_silently)
