"""Who is here, for pages: ``socket.presence(group)`` of the page's socket.

A page may see the people of a group that its consumer has joined, under a pattern with ``"public": True``, if
``presence_allowed(scope, group)`` of the consumer's class agrees. It is sent all of them first, and then what
changes. A page whose connection is busy gets all of them again instead of the changes.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from compat.clock import steady
from compat.engine.contracts import Resumed
from compat.engine.inbox import Inbox
from compat.exceptions import LayerUnavailable
from compat.resume.wire import MARK, Malformed
from compat.types import Message

if TYPE_CHECKING:
    from compat.resume.link import Link

__all__ = ["PagePeople", "WatchesPeople"]

log = logging.getLogger("compat.resume")

MAX_GROUP, MAX_GROUPS = 100, 32
"""Characters of a group's name, and groups of one connection that its page may ask for."""
JOINS_S, LOOK_S = 2.0, 0.1
"""Seconds that a page's request waits for its consumer to join the group, and between two looks."""
AGAIN_S = 1.0
"""Seconds between two messages with all people of a group, at least."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


class PagePeople:
    """The groups that the page of one connection watches."""

    __slots__ = ("_asking", "_connection", "_consumer", "_ends", "_inbox", "_layer", "_sent")

    def __init__(self, connection: WatchesPeople, layer: Any, inbox: Inbox, consumer: Any) -> None:
        self._connection = connection
        self._layer = layer
        self._inbox = inbox
        self._consumer = consumer
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, Callable[[], None]] = {}
        """For each watched group, the function that ends the watching."""
        self._sent: dict[str, float] = {}
        """For each group that the page has asked for, the time of the last answer, by ``steady()``."""

    def asked(self, members: dict[str, Any]) -> None:
        """Begin to watch a group for the page, or end that if ``on`` is False; raise Malformed."""
        group = members.get("group")
        if not isinstance(group, str) or not 0 < len(group) <= MAX_GROUP:
            raise Malformed('"group" of a presence frame must be the name of a group')
        if members.get("on") is False:
            self._end(group)
        else:
            self._ask(group)

    def _ask(self, group: str) -> None:
        if group in self._asking:
            return
        if group not in self._sent and len(self._sent) >= MAX_GROUPS:
            self._sent = {
                name: at
                for name, at in self._sent.items()
                if name in self._ends or name in self._asking or at > steady() - AGAIN_S
            }
        if group not in self._sent and len(self._sent) >= MAX_GROUPS:
            self._refuse(group, "too many")
            return
        self._sent.setdefault(group, 0.0)
        task = self._asking[group] = self._inbox.loop.create_task(self._begin(group))
        task.add_done_callback(lambda task: self._answered(group, task))

    def _answered(self, group: str, task: asyncio.Task[None]) -> None:
        if self._asking.get(group) is task:
            del self._asking[group]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, LayerUnavailable):
            self._later(group)
        elif error is not None:
            self._refuse(group, "failed")
            log.error("presence: %s: %s", type(error).__name__, error, exc_info=error)

    def _later(self, group: str) -> None:
        """Send all people later, unless the page has stopped watching them by then."""
        self._forget(group)
        self._ends[group] = self._inbox.loop.call_later(AGAIN_S, self._ask, group).cancel

    async def _begin(self, group: str) -> None:
        wait_s = self._sent[group] + AGAIN_S - steady()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        self._sent[group] = steady()
        why = await self._why_not(group)
        link = self._connection.link
        self._forget(group)
        if why:
            self._refuse(group, why)
        elif link is not None and link.busy is not None:
            self._later(group)
        else:
            channel = self._inbox.channel
            end = await self._layer.show(group, channel, lambda text: self._show(group, text))
            if end is not None and group in self._ends:
                end()  # a change came meanwhile and could not be sent, so all people are sent later
            elif end is not None:
                self._ends[group] = end

    async def _why_not(self, group: str) -> str:
        """Return why the page may not see a group, or an empty text."""
        rule = self._layer.presence_rules.of(group)
        if rule is None or not rule.public:
            return "not public"
        end = steady() + JOINS_S
        while group not in self._inbox.groups:
            if steady() > end:
                return "not joined"
            await asyncio.sleep(LOOK_S)
        allowed = getattr(self._consumer, "presence_allowed", None)
        answer = True if allowed is None else allowed(self._consumer.scope, group)
        return "" if (await answer if inspect.isawaitable(answer) else answer) else "not allowed"

    def _show(self, group: str, text: str) -> None:
        link = self._connection.link
        if group not in self._inbox.groups:
            self._forget(group)
            self._refuse(group, "not joined")
        elif link is None or link.busy is None:
            self._tell(text)
        else:  # the change is left out, because the client reads slowly
            self._later(group)

    def _refuse(self, group: str, why: str) -> None:
        self._tell(_encode({"group": group, "refused": why}))

    def _tell(self, text: str) -> None:
        self._connection.tell({"type": "websocket.send", "text": f'{MARK}{{"type":"presence",{text[1:]}'})

    def _forget(self, group: str) -> None:
        """Stop watching a group."""
        end = self._ends.pop(group, None)
        if end is not None:
            end()

    def _end(self, group: str) -> None:
        self._forget(group)
        asking = self._asking.pop(group, None)
        if asking is not None:
            asking.cancel()

    def close(self) -> None:
        """Stop watching all groups; a page that comes back asks for them again."""
        for group in (*self._ends, *self._asking):
            self._end(group)


class WatchesPeople(Resumed):
    """Base of a resumable connection: its page may watch who is here, on a layer with presence."""

    __slots__ = ("people",)

    link: Link | None

    def __init__(self) -> None:
        self.people: PagePeople | None = None

    def show_people(self, layer: Any, inbox: Inbox, consumer: Any) -> None:
        """See ``engine.contracts.Resumed``."""
        self.people = PagePeople(self, layer, inbox, consumer)

    def tell(self, message: Message) -> None:
        """Send a control frame."""
        raise NotImplementedError

    def watch_people(self, link: Link | None, members: dict[str, Any]) -> None:
        """See ``owner.Owner``; without presence there is no answer, as for any unknown frame."""
        if link is self.link and self.people is not None:
            self.people.asked(members)

    def pause_watching(self) -> None:
        """Stop watching, because the client is away."""
        if self.people is not None:
            self.people.close()

    def end_watching(self) -> None:
        """Stop watching for good, because the connection has ended."""
        self.pause_watching()
        self.people = None
