"""Log the error that ends a consumer in one record, even if a logging handler raises."""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator
from typing import Any, Protocol

from compat.advice.hints import hint
from compat.engine.inbox import Inbox
from compat.engine.outage import is_outage, report_outage
from compat.engine.refusal import listed, on_one_line, shown
from compat.exceptions import ImproperlyConfigured, InvalidChannelLayerError
from compat.logs import FIELD, about
from compat.settings import settings
from compat.types import Message

__all__ = [
    "describe",
    "explained",
    "hint_for",
    "instead_of_handler",
    "kind_of",
    "named",
    "report",
    "unknown_policy",
    "warn",
]

log = logging.getLogger("compat.consumer")

LAYER_METHODS = frozenset(
    (
        "send",
        "receive",
        "new_channel",
        "flush",
        "group_add",
        "group_discard",
        "group_send",
        "capacity",
        "expiry",
    )
)


def unknown_policy(own: str | None) -> str:
    """Return what is done about a message without a handler: ``own`` of the consumer, else the setting.

    Raises ImproperlyConfigured if there is no such policy.
    """
    policy = own or settings.get("CHANNEL_UNKNOWN_MESSAGE")
    if policy not in ("raise", "log", "ignore"):
        raise ImproperlyConfigured(
            f"CHANNEL_UNKNOWN_MESSAGE must be 'raise', 'log' or 'ignore'; found {policy!r}"
        )
    return str(policy)


def instead_of_handler(consumer: Any, message: Message) -> Any:
    """Return what is called with a message without a handler; raise ValueError if that is the policy."""
    policy = unknown_policy(consumer.unknown_message)
    if policy == "raise":
        raise ValueError(f"No handler for message type {on_one_line(str(message['type']))}")
    if policy == "log":
        kind = shown(str(message["type"]))  # a client may have chosen it
        log.warning("%s: No handler for message type %s; ignored", describe(consumer), kind)
    return _pass if consumer._sync else _apass


async def _apass(message: Message) -> None:
    """Ignore a message without a handler."""


def _pass(message: Message) -> None:
    """Ignore a message without a handler, in a sync consumer."""


@contextlib.contextmanager
def surviving() -> Iterator[None]:
    """Print an exception of the block instead of raising it, as ``logging`` does for most errors.

    The application's logging handlers, filters and formatters may raise anything.
    """
    try:
        yield
    except Exception:  # noqa: BLE001 - see above
        if logging.raiseExceptions and sys.stderr is not None:
            traceback.print_exc()


class Reported(Protocol):
    """A connection, as far as log lines are about it."""

    consumer: Any
    inbox: Inbox

    def name(self) -> str: ...


def report(connection: Reported, error: BaseException, where: str, level: int = logging.ERROR) -> None:
    """Log ``error``, which was raised in ``where``, once; an outage is logged once for all consumers."""
    if is_outage(error):
        with surviving():
            report_outage(error)
        return
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an exception of the user's own
        text = type(error).__name__
    said = hint_for(connection.consumer, error, connection.inbox.current)
    text = f"{text}. {said}" if said else text
    with surviving():
        extra = {FIELD: about(connection.consumer, connection.inbox.channel)}
        log.log(level, "%s failed in %s: %s", connection.name(), where, text, exc_info=error, extra=extra)


def warn(connection: Reported, text: str) -> None:
    """Log a warning about a connection."""
    with surviving():
        extra = {FIELD: about(connection.consumer, connection.inbox.channel)}
        log.warning("%s: %s", connection.name(), text, extra=extra)


def hint_for(consumer: Any, error: BaseException, current: Message | None) -> str:
    """Return a sentence that explains ``error``, or an empty string."""
    with surviving():
        return hint(consumer, error, current)
    return ""


def explained(consumer: Any, error: BaseException) -> BaseException:
    """Return ``error``; if a missing layer was used, return an InvalidChannelLayerError that says so."""
    missing = isinstance(error, AttributeError) and error.obj is None and error.name in LAYER_METHODS
    if not missing or consumer.channel_layer is not None:
        return error
    told = InvalidChannelLayerError(consumer._compat_missing_layer())
    told.__cause__ = error
    return told


def describe(consumer: Any) -> str:
    """Return the name of a consumer's class and the path that it serves, for log lines."""
    cls = type(consumer)
    return f"{cls.__module__}.{cls.__qualname__} at {shown(consumer.scope.get('path', '-'))}"


def named(consumer: Any, channel: str) -> str:
    """Return a consumer's description and its channel, for log lines."""
    return f"{describe(consumer)} (channel {channel or 'none'})"


def kind_of(message: Message) -> str:
    """Return a message's type for log lines; if it has none, name its keys."""
    if message.get("type"):
        return on_one_line(str(message["type"]))
    return f"a message without 'type' (its keys: {listed(map(str, message))})"
