"""Watch a group: what is sent to it, as it comes, for any number of watchers by one channel in the layer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from compat.clock import call_later, steady
from compat.engine.direct_inbox import attached
from compat.engine.subscription import Subscription
from compat.exceptions import LayerUnavailable
from compat.live.redacting import Rule, as_text
from compat.metrics import Throttle
from compat.names import LIVE
from compat.redis.waiting import settle, wait_for_result
from compat.resume.registry import registry
from compat.types import Message

__all__ = ["MOST_WATCHERS", "TooMany", "Watches"]

log = logging.getLogger("compat.live")

MOST_WATCHERS, MOST_WATCHED = 200, 20
"""How many may watch in one process, and how many groups."""
MOST_A_SECOND = 50
"""How many messages of a group are shown within a second; others are counted."""
MOST_WAITING = 200
"""How many lines may wait for a watcher that reads slowly; others are counted."""
SKIPPED_S = 1.0
"""How long messages that are not shown are counted, before a watcher is told of them."""
RETRY_MS = 250
"""How soon a browser asks again."""
WATCH_S, ALIVE_S = 300.0, 15.0
"""How long a watcher is served before it must ask again, and how often it is told that it is served."""


class TooMany(Exception):
    """As many watch as may."""


class Watcher:
    """One who watches: the lines that wait for them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.skipped = 0
        self._loop = asyncio.get_running_loop()
        self.news: asyncio.Future[None] = self._loop.create_future()
        self.ended = False

    def put(self, line: str) -> None:
        """Queue a line; an empty one is a message that is not shown."""
        if line and len(self.lines) < MOST_WAITING:
            self.lines.append(line)
            settle(self.news)
            return
        self.skipped += 1
        if self.skipped == 1:
            call_later(self._loop, SKIPPED_S, self._tell)

    def _tell(self) -> None:
        settle(self.news)

    def end(self) -> None:
        """Serve them no longer."""
        self.ended = True
        settle(self.news)

    async def taken(self) -> str:
        """Return the events that wait, in the form of server-sent events; a comment if none has come."""
        if not self.lines and not self.skipped and not self.ended:
            await wait_for_result(self.news, ALIVE_S)
        self.news = self._loop.create_future()
        events = [f"data: {line}\n\n" for line in self.lines]
        if self.skipped:
            events.append(f"event: skipped\ndata: {self.skipped}\n\n")
        self.lines, self.skipped = [], 0
        return "".join(events) or ": nothing new\n\n"


class Watch:
    """One group that is watched."""

    def __init__(self, group: str, rule: Rule) -> None:
        self.group = group
        self.watchers: set[Watcher] = set()
        self.subscription: Subscription | None = None
        self.opening = asyncio.Lock()
        self._rule = rule
        self._second = 0.0
        self._shown = 0
        self._throttle = Throttle()

    def deliver(self, message: Message) -> None:
        """Show a message to all who watch."""
        now = steady()
        if now - self._second >= 1:
            self._second, self._shown = now, 0
        self._shown += 1
        line = self._line(message) if self._shown <= MOST_A_SECOND else ""
        for watcher in self.watchers:
            watcher.put(line)

    def _line(self, message: Message) -> str:
        """Return the message as one line; nothing for one that is not to be shown, or has no form."""
        try:
            shown = self._rule(self.group, message)
            return "" if shown is None else as_text(shown)
        except Exception:
            if self._throttle.due("rule"):
                log.exception("a message of a group that is watched cannot be shown")
            return ""


Key = tuple[asyncio.AbstractEventLoop, Any, str]
"""An event loop, a layer and a group."""


class Watches:
    """The groups that are watched in this process."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._watched: dict[Key, Watch] = {}

    @contextlib.asynccontextmanager
    async def watch(self, layer: Any, group: str) -> AsyncIterator[AsyncIterator[str]]:
        """Watch a group: iterate over its events, as the text of server-sent events.

        They end after ``WATCH_S``, and when the server stops. Raises TooMany, LayerUnavailable.
        """
        key = (asyncio.get_running_loop(), layer, group)
        watch = self._watched.get(key)
        watching = sum(len(one.watchers) for one in self._watched.values())
        if watching >= MOST_WATCHERS or (watch is None and len(self._watched) >= MOST_WATCHED):
            raise TooMany
        if watch is None:
            watch = self._watched[key] = Watch(group, self._rule)
        watcher = Watcher()
        watch.watchers.add(watcher)
        registry.opened(watcher.end)
        try:
            async with watch.opening:
                if watch.subscription is None:
                    watch.subscription = await _joined(layer, group, watch, lambda: self._lost(key, watch))
            yield _events(watcher)
        finally:
            registry.closed(watcher.end)
            watch.watchers.discard(watcher)
            await self._close_if_empty(key, watch)

    def _lost(self, key: Key, watch: Watch) -> None:
        """End a watch whose layer, of another library, has raised an error; its viewers ask again."""
        self._watched.pop(key, None)
        for watcher in watch.watchers:
            watcher.end()

    async def _close_if_empty(self, key: Key, watch: Watch) -> None:
        async with watch.opening:
            if watch.watchers:
                return
            if self._watched.get(key) is watch:
                del self._watched[key]
            subscription, watch.subscription = watch.subscription, None
            if subscription is not None:
                await _left(subscription, watch.group)


async def _joined(layer: Any, group: str, watch: Watch, on_failure: Callable[[], None]) -> Subscription:
    channel = await layer.new_channel(LIVE)
    subscription = await attached(layer, channel, watch.deliver, lambda error: on_failure())
    try:
        rules = getattr(layer, "rules", None)
        nothing = (0,) if rules and rules.of(group) is not None else ()  # of the history
        await layer.group_add(group, subscription.channel, *nothing)
    except BaseException:
        await _left(subscription, group)
        raise
    return subscription


async def _left(subscription: Subscription, group: str) -> None:
    with contextlib.suppress(LayerUnavailable, OSError, asyncio.TimeoutError):
        if subscription.pump is not None:  # a layer without ``detach`` does not leave the groups
            await subscription.layer.group_discard(group, subscription.channel)
        await subscription.end()


async def _events(watcher: Watcher) -> AsyncIterator[str]:
    last = steady() + WATCH_S
    yield f"retry: {RETRY_MS}\n\n"
    while not watcher.ended and steady() < last:
        yield await watcher.taken()
