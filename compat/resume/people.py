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
from typing import TYPE_CHECKING, Any

from compat.clock import steady
from compat.engine.contracts import Resumed
from compat.engine.inbox import Inbox
from compat.exceptions import LayerUnavailable
from compat.resume.wire import MARK, Malformed

if TYPE_CHECKING:
    from compat.resume.link import Link

__all__ = ["PagePeople", "WatchesPeople"]

log = logging.getLogger("compat.resume")

MAX_GROUP = 100
JOINS_S, LOOK_S = 2.0, 0.1
"""How long a page may ask before its consumer has joined the group, in seconds."""
AGAIN_S = 1.0
"""All people of a group are sent to a page this often, at most."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


class PagePeople:
    """The groups that the page of one connection watches."""

    __slots__ = ("_asking", "_connection", "_consumer", "_inbox", "_layer", "_sent")

    def __init__(self, connection: WatchesPeople, layer: Any, inbox: Inbox, consumer: Any) -> None:
        self._connection = connection
        self._layer = layer
        self._inbox = inbox
        self._consumer = consumer
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._sent: dict[str, float] = {}
        """The groups that are watched: when all of their people were sent, by ``steady()``."""

    def asked(self, members: dict[str, Any]) -> None:
        """The page wants to see a group, or, with ``on`` False, no more; raise Malformed."""
        group = members.get("group")
        if not isinstance(group, str) or not 0 < len(group) <= MAX_GROUP:
            raise Malformed('"group" of a presence frame must be the name of a group')
        if members.get("on") is False:
            self._end(group)
        else:
            self._ask(group)

    def _ask(self, group: str) -> None:
        if group not in self._asking:
            task = self._asking[group] = self._inbox.loop.create_task(self._begin(group))
            task.add_done_callback(lambda task: self._asked(group, task))

    def _asked(self, group: str, task: asyncio.Task[None]) -> None:
        if self._asking.get(group) is task:
            del self._asking[group]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, LayerUnavailable):
            self._inbox.loop.call_later(AGAIN_S, self._again, group)
        elif error is not None:
            log.error("presence: %s: %s", type(error).__name__, error, exc_info=error)

    def _again(self, group: str) -> None:
        if self._connection.people is self:
            self._ask(group)

    async def _begin(self, group: str) -> None:
        wait_s = self._sent.get(group, 0) + AGAIN_S - steady()
        if group in self._sent and wait_s > 0:
            await asyncio.sleep(wait_s)
        why = await self._why_not(group)
        if why:
            self._tell(_encode({"group": group, "refused": why}))
            return
        self._sent[group] = steady()
        self._layer.unshow(group, self._inbox.channel)
        await self._layer.show(group, self._inbox.channel, lambda text: self._show(group, text))

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
            self._end(group)
        elif link is None or link.busy is None:
            self._tell(text)
        else:
            self._late(link, group)

    def _late(self, link: Link, group: str) -> None:
        """Send all people later: what has changed now is left out, because the client reads slowly."""
        self._layer.unshow(group, self._inbox.channel)
        self._inbox.loop.call_later(AGAIN_S, self._again, group)

    def _tell(self, text: str) -> None:
        link = self._connection.link
        if link is not None:
            link.tell({"type": "websocket.send", "text": f'{MARK}{{"type":"presence",{text[1:]}'})

    def _end(self, group: str) -> None:
        if self._sent.pop(group, None) is not None:
            self._layer.unshow(group, self._inbox.channel)
        asking = self._asking.pop(group, None)
        if asking is not None:
            asking.cancel()

    def close(self) -> None:
        """The page has left its link, or the connection has ended; a page that comes back asks again."""
        for group in (*self._sent, *self._asking):
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

    def watch_people(self, link: Link, members: dict[str, Any]) -> None:
        """See ``link.Owner``; without presence nobody answers, as to any frame that is not known."""
        if link is self.link and self.people is not None:
            self.people.asked(members)

    def watch_no_more(self) -> None:
        """The connection has ended."""
        if self.people is not None:
            self.people.close()
            self.people = None
