"""Limits for one websocket; off by default, and then without cost.

Each limit is a setting, and an attribute of consumer classes that overrides the setting:

======================================  ============================  =======================================
setting                                 class attribute               what happens beyond it
======================================  ============================  =======================================
``CHANNEL_MAX_MESSAGE_SIZE`` (bytes)    ``max_message_size``          closed with 1009
``CHANNEL_MAX_MESSAGES_PER_SECOND``     ``max_messages_per_second``   closed with 1008
``CHANNEL_IDLE_TIMEOUT`` (seconds)      ``idle_timeout``              a silent client is closed with 1001
``CHANNEL_HEARTBEAT`` (seconds)         ``heartbeat``                 calls ``send_heartbeat()`` that often
======================================  ============================  =======================================

A client is silent if it sends no message: pings and the control frames of ``compat.resume`` do not count. A
consumer whose client is closed here ends as if the client had left: ``disconnect(code)`` is called once.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

from compat.codes import GOING_AWAY, POLICY_VIOLATION, TOO_BIG
from compat.engine.contracts import RESUMABLE_KEY, Resumed
from compat.engine.events import HEARTBEAT, Event
from compat.engine.inbox import Inbox
from compat.engine.refusal import shown
from compat.engine.reports import surviving
from compat.engine.shielding import uncancel
from compat.exceptions import ImproperlyConfigured
from compat.settings import settings
from compat.types import Message, Receive

__all__ = [
    "Guard",
    "Heartbeat",
    "frame_size",
    "guarded",
    "limit_of",
    "limited",
    "setting_limit",
]

log = logging.getLogger("compat.limits")

Parked = Callable[[], bool]
"""Returns True while the client is away and may come back; there are no heartbeats then."""

PER_MESSAGE = ("CHANNEL_MAX_MESSAGE_SIZE", "CHANNEL_MAX_MESSAGES_PER_SECOND", "CHANNEL_IDLE_TIMEOUT")
OF_A_CONNECTION = (*PER_MESSAGE, "CHANNEL_HEARTBEAT")


def limit_of(consumer: Any, attribute: str, setting: str) -> float | None:
    """Return the limit of ``consumer``: its class attribute, else the setting; None means no limit.

    A method of that name belongs to the application, and is not a limit. Raises ImproperlyConfigured if the
    value is not a number above 0.
    """
    own = getattr(consumer, attribute, None)
    if own is None or callable(own):
        return setting_limit(setting)
    return _checked(own, f"{type(consumer).__name__}.{attribute}")


def setting_limit(setting: str) -> float | None:
    """Return the limit in a setting; None, and an invalid value, mean what they mean for ``limit_of``."""
    value = settings.kept(setting)
    return None if value is None else _checked(value, setting)


def _checked(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ImproperlyConfigured(f"{where} must be a number above 0, or None for no limit; found {value!r}")
    return float(value)


class Guard:
    """A ``receive`` callable with limits: for a frame beyond a limit it closes, and returns a disconnect."""

    def __init__(self, consumer: Any, receive: Receive, close: Any) -> None:
        self.receive = receive
        self.close = close
        self.name = type(consumer).__name__
        self.path = consumer.scope.get("path", "-")
        self.size = limit_of(consumer, "max_message_size", "CHANNEL_MAX_MESSAGE_SIZE")
        self.rate = limit_of(consumer, "max_messages_per_second", "CHANNEL_MAX_MESSAGES_PER_SECOND")
        self.idle = limit_of(consumer, "idle_timeout", "CHANNEL_IDLE_TIMEOUT")
        self.resumed: Resumed | None = consumer.scope.get(RESUMABLE_KEY)
        """If the client may come back: it may then send many frames at once, so above the rate limit its
        socket is read more slowly, and not closed.
        """
        self.tokens = self.rate or 0.0
        self.refilled = 0.0

    async def __call__(self) -> Message:
        """Return the client's next message, or a disconnect if the client has exceeded a limit."""
        within_s = self.idle
        while (message := await self._receive(within_s)) is None:
            assert self.idle is not None
            within_s = self.idle - self._here_s()
            if within_s <= 0:
                return await self._end(GOING_AWAY, f"silent for {self.idle:g} s")
        if message["type"] == "websocket.receive":
            if self.size is not None and frame_size(message) > self.size:
                return await self._end(
                    TOO_BIG, f"a message of {frame_size(message)} bytes; {self.size:g} allowed"
                )
            while self.rate is not None and not self._token():
                if self.resumed is None:
                    return await self._end(POLICY_VIOLATION, f"more than {self.rate:g} messages a second")
                await asyncio.sleep((1 - self.tokens) / self.rate)
        return message

    async def _receive(self, within_s: float | None) -> Message | None:
        """Return the client's next message, or None if none has come within ``within_s`` seconds.

        ``asyncio.wait_for`` would make a task, and before Python 3.12 it loses a cancellation that arrives
        together with a message.
        """
        if within_s is None:
            return await self.receive()
        task, late = asyncio.current_task(), False

        def over() -> None:
            nonlocal late
            late = True
            assert task is not None
            task.cancel()

        timer = asyncio.get_running_loop().call_later(within_s, over)
        try:
            message = await self.receive()
        except asyncio.CancelledError:
            if not late or uncancel():
                raise
            return None
        finally:
            timer.cancel()
        if late:  # a ``wait_for`` in middleware has swallowed the cancellation, as said above
            uncancel()
        return message

    def _here_s(self) -> float:
        """Return for how many seconds the client has been connected since it was away last."""
        if self.resumed is None:
            return math.inf
        return max(asyncio.get_running_loop().time() - self.resumed.here_since, 0.0)

    def _token(self) -> bool:
        now = asyncio.get_running_loop().time()
        assert self.rate is not None
        # A client that was quiet for a second may send the messages of one second at once.
        self.tokens = min(max(self.rate, 1.0), self.tokens + (now - self.refilled) * self.rate)
        self.refilled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    async def _end(self, code: int, reason: str) -> Message:
        with surviving():
            log.warning("%s at %s: closed with %d: %s", self.name, shown(self.path), code, reason)
        await self.close(code)
        return {"type": "websocket.disconnect", "code": code, "reason": reason}


def limited(consumer: Any) -> bool:
    """Return True if a limit per message or a heartbeat is set."""
    own = (
        consumer.max_message_size,
        consumer.max_messages_per_second,
        consumer.idle_timeout,
        consumer.heartbeat,
    )
    return own != (None, None, None, None) or not settings.all_none(OF_A_CONNECTION)


def guarded(consumer: Any, receive: Receive, close: Any) -> Receive:
    """Return ``receive`` behind a ``Guard``, or ``receive`` itself if no limit is set."""
    guard = Guard(consumer, receive, close)
    return receive if (guard.size, guard.rate, guard.idle) == (None, None, None) else guard


def frame_size(message: Message) -> int:
    """Return how many bytes a frame has; a text counts as UTF-8."""
    text = message.get("text")
    if text is None:
        return len(message.get("bytes") or b"")
    return len(text) if text.isascii() else len(text.encode())


class Heartbeat:
    """Puts a message of type ``compat.heartbeat`` into a consumer's inbox every ``interval`` seconds.

    No heartbeat is added while the last one waits or the inbox is full. A heartbeat takes no message's place.
    """

    def __init__(self, inbox: Inbox, interval: float, parked: Parked) -> None:
        self.inbox = inbox
        self.interval = interval
        self.parked = parked
        self.last: Event | None = None
        self.timer = inbox.loop.call_later(interval, self._beat)

    def _beat(self) -> None:
        inbox = self.inbox
        full = inbox.overflowed or len(inbox.events) > inbox.room
        if not (full or self.last in inbox.events or self.parked()):
            self.last = (math.inf, {"type": HEARTBEAT}, None)
            inbox.replay((self.last,), more=False)
        self.timer = inbox.loop.call_later(self.interval, self._beat)

    def cancel(self) -> None:
        """Stop the heartbeat."""
        self.timer.cancel()
