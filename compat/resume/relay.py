"""The relay: a client that comes back to another process is connected to the home of its connection.

Each process has one mailbox on the channel layer. The ends of its links send items to another process in
batches, one at a time. Batches are numbered, so a lost one is noticed, and the links between the two
processes are dropped. Their clients come back, and the journal has the lost frames. Batches go both ways
every few seconds, so that each side knows that the other one is alive.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import Any

from compat.clock import steady
from compat.codes import ABNORMAL, SERVICE_RESTART
from compat.engine.scheduler import turn
from compat.layers.memory import InMemoryChannelLayer
from compat.resume.ends import Attach, AwayEnd, HomeEnd
from compat.resume.link import Link
from compat.resume.logouts import LOGGED_OUT
from compat.resume.mailbox import NOT_UNDERSTOOD, ProcessMailbox
from compat.resume.peer import SILENT_S, Peer
from compat.resume.posts import LATER, frames_of, take
from compat.resume.registry import registry
from compat.resume.wire import Malformed
from compat.tickets import Place, Ticket
from compat.types import Message, Receive, Send

__all__ = ["ELSEWHERE", "Relay", "relay_of"]

log = logging.getLogger("compat.resume")

ELSEWHERE = "elsewhere"
"""Why a client cannot come back: its home does not answer."""
ANSWER_S = 1.0  # a home may take so many seconds to answer
NO_LINK = 0  # the number of what concerns none; links have numbers from 1
NAMED_AT_ONCE = 50  # connections that get another ticket in one turn of the event loop
ALIVE_S = 2.0
"""Seconds between two batches, even empty ones, while there are links."""


class Relay:
    """The links between this process and others, over one channel layer, on one event loop."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.loop = asyncio.get_running_loop()
        self.mailbox = ProcessMailbox(layer, self._heard, self._opened)
        self.peers: dict[str, Peer] = {}
        self.links = 0
        """How many sockets have been relayed to other processes so far; numbers them."""
        self.timer: asyncio.TimerHandle | None = None
        self._posting: set[asyncio.Task[None]] = set()

    @property
    def channel(self) -> str:
        """This process's mailbox; empty until it is open."""
        return self.mailbox.channel

    async def home(self) -> str:
        """Return this process's mailbox, which is opened at the first call; "" while the layer is away."""
        return await self.mailbox.open()

    async def _opened(self) -> None:
        """Name this process in the tickets of connections that began before it had a name."""
        for count, connection in enumerate(registry.nameless_of(self), start=1):
            connection.name_home(self.channel)
            if not count % NAMED_AT_ONCE:
                await turn()

    def _heard(self, message: Message) -> None:
        if message.get("type") == "compat.relay":
            self._take(message)
        elif message.get("type") == LOGGED_OUT:
            registry.log_out(frozenset(message["sessions"]))

    def _take(self, message: Message) -> None:
        peer = self._peer(str(message["from"]))
        if not peer.follows(message["seq"]):
            log.warning("a batch from another process is lost: the clients of its links come back")
            # Links that begin with this batch have lost nothing.
            begun = [numbers for numbers, kind, _ in message["items"] if kind == "ok"]
            peer.drop_links(but={number for numbers in begun for number in numbers})
        for numbers, kind, value in message["items"]:
            for number in numbers:
                try:
                    self._take_item(peer, number, kind, value)
                except Exception:
                    log.exception(NOT_UNDERSTOOD)
                    if kind == "attach" and number not in peer.homes:
                        peer.put(number, "no", ELSEWHERE)
                    else:  # an item of some link is lost, and it is not known of which
                        peer.drop_links()
        if message.get("asks") and not peer.has_links():  # the peer has some, and sees that a batch is lost
            peer.show_life()

    def _take_item(self, peer: Peer, number: int, kind: str, value: Any) -> None:
        if kind == "attach":
            self._attach(peer, number, Attach(*value))
        elif kind == "post":
            task = self.loop.create_task(self._post(peer, number, value))
            self._posting.add(task)
            task.add_done_callback(self._posted)
        elif kind in ("posting", "posted", "malformed"):
            self._answered(peer, number, kind, value)
        elif kind == "refused":
            registry.refuse(bytes.fromhex(value[0]), value[1])
        elif kind in HomeEnd.KINDS:
            if (home := peer.homes.get(number)) is not None:
                home.take(kind, value)
            elif kind != "left":  # after a lost batch this side has no such link any more
                peer.put(number, "close", [SERVICE_RESTART, ""])
        elif (away := peer.aways.get(number)) is not None:
            away.take(kind, value)
        elif kind == "ok" or kind.startswith("out "):  # the item about its end is lost
            peer.put(number, "left", ABNORMAL)

    def _posted(self, task: asyncio.Task[None]) -> None:
        self._posting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("frames that another process has passed on: %r", error, exc_info=error)

    def _answered(self, peer: Peer, number: int, kind: str, value: str) -> None:
        answered = peer.posts.get(number)
        if answered is None or answered.done():
            return
        if kind == "posting":
            peer.slow.add(number)
        elif kind == "malformed":
            answered.set_exception(Malformed(value))
        else:
            answered.set_result(value)

    def _peer(self, channel: str) -> Peer:
        found = self.peers.get(channel)
        if found is None:
            found = self.peers[channel] = Peer(self.layer, channel, self.channel, self.loop)
            if self.timer is None:
                self.timer = contextvars.Context().run(self.loop.call_later, ALIVE_S, self._look)
        return found

    def _look(self) -> None:
        """Show the peers that this process is alive, and drop the links with those that are silent."""
        now = steady()
        for channel, peer in tuple(self.peers.items()):
            if peer.has_links():
                if now - peer.heard > SILENT_S:
                    peer.drop_links()
                peer.show_life(asks=True)
            elif now - peer.heard > SILENT_S and not peer.is_dead() and peer.is_idle():
                del self.peers[channel]
        self.timer = self.loop.call_later(ALIVE_S, self._look) if self.peers else None

    def _not_reached(self) -> str:
        """Return why another process cannot be asked; ``LATER`` while this one's mailbox may still open."""
        return LATER if self.mailbox.may_open() else ELSEWHERE

    def _reached(self, home: str) -> Peer | None:
        """Return the process that has the mailbox ``home``; None if it cannot be asked now."""
        peer = self._peer(home) if self.channel else None
        return None if peer is None or peer.is_dead() else peer

    # At the home

    def _attach(self, peer: Peer, number: int, asked: Attach) -> None:
        identity = bytes.fromhex(asked.connection)
        found = registry.find(identity)
        if found is None:
            why: str | None = registry.count_gone(identity)
        elif registry.stopping:  # this process could not tell the socket's end when it has stopped
            why = LATER
        elif (why := found.why_not(asked.generation, asked.received)) is not None:
            registry.lose(why)
        elif found.is_shut_out():
            why = LATER
        if found is None or why is not None:
            peer.put(number, "no", why)
            return
        peer.put(number, "ok", found.subprotocol)
        end = peer.homes[number] = HomeEnd(peer, number)
        link = Link(end.receive, end.send, found, asked.received, relayed=True)
        place = Place(bytes.fromhex(asked.user), bytes.fromhex(asked.path), self.channel)
        found.belongs_to(asked.session)
        found.resume(link, place, asked.generation, posts=asked.posts)
        link.begin()
        if link.task is not None:  # reading ends at a malformed frame
            link.task.add_done_callback(lambda _: end.leave())

    async def _post(self, peer: Peer, number: int, value: str) -> None:
        alive = self.loop.create_task(self._show_posting(peer, number))
        outcome = ELSEWHERE  # an item that cannot be read could not be read at the next attempt either
        try:
            connection, generation, first, text = value.split(" ", 3)
            identity, posted = bytes.fromhex(connection), (int(generation), int(first), frames_of(text))
            outcome = LATER
            found = registry.find(identity)
            outcome = registry.count_gone(identity) if found is None else await take(found, *posted)
            peer.put(number, "posted", outcome)
        except Malformed as error:
            peer.put(number, "malformed", str(error))
        except Exception:
            peer.put(number, "posted", outcome)
            raise
        finally:
            alive.cancel()

    async def _show_posting(self, peer: Peer, number: int) -> None:
        """Tell the process of the request, from time to time, that the post is under way."""
        while True:
            await asyncio.sleep(ANSWER_S / 2)
            peer.put(number, "posting", "")

    # At the socket

    async def post(self, ticket: Ticket, first: int, text: str) -> str:
        """Hand frames that a client has posted to a connection in another process; return what ``take`` does.

        ``ELSEWHERE``: it does not answer. Raises Malformed.
        """
        peer = self._reached(ticket.home)
        if peer is None:
            return self._not_reached()
        self.links += 1
        number = self.links
        answered: asyncio.Future[str] = self.loop.create_future()
        peer.posts[number] = answered
        try:
            peer.put(number, "post", f"{ticket.connection.hex()} {ticket.generation} {first} {text}")
            peer.slow.add(number)
            while not answered.done() and number in peer.slow:
                peer.slow.discard(number)
                await asyncio.wait((answered,), timeout=ANSWER_S)
            if answered.done():
                return answered.result()
            peer.does_not_answer()
            return ELSEWHERE
        finally:
            del peer.posts[number]
            peer.slow.discard(number)

    def refuse(self, ticket: Ticket) -> None:
        """Let the home of a connection know that its client may not come back any more."""
        peer = self._reached(ticket.home)
        if peer is not None:
            peer.put(NO_LINK, "refused", [ticket.connection.hex(), ticket.generation])

    async def serve(
        self,
        ticket: Ticket,
        received: int,
        place: Place,
        receive: Receive,
        send: Send,
        *,
        posts: bool = False,
        session: str = "",
        most: float | None = None,
    ) -> str | None:
        """Serve a socket whose connection lives in another process; return why it cannot, or None.

        ``posts``: it is a response. ``session``: see ``rules.session_of``. ``most``: see ``AwayEnd``. The
        reason is ``LATER`` if this process cannot ask.
        """
        peer = self._reached(ticket.home)
        if peer is None:
            return self._not_reached()
        self.links += 1
        number = self.links
        away = peer.aways[number] = AwayEnd(peer, number, self.loop, most)
        untold = True  # the home may have a link that has to be ended from here
        try:
            whose = place.user.hex(), place.path.hex()
            asked = Attach(ticket.connection.hex(), ticket.generation, received, *whose, posts, session)
            peer.put(number, "attach", list(asked))
            await asyncio.wait((away.answered,), timeout=ANSWER_S)
            if not away.answered.done():
                peer.does_not_answer()
                return ELSEWHERE
            kind, value = away.answered.result()
            if kind == "no":
                untold = value == LATER  # this side says so too, if the answer was lost
                return str(value)
            untold = False
            await away.serve(str(value), receive, send)
            return None
        finally:
            del peer.aways[number]
            if untold:
                peer.put(number, "left", ABNORMAL)


_relays: dict[tuple[Any, asyncio.AbstractEventLoop], Relay] = {}
"""By layer and event loop."""


def relay_of(layer: Any) -> Relay | None:
    """Return the relay over ``layer`` on the running loop; None if no other process reads that layer."""
    if layer is None or isinstance(layer, InMemoryChannelLayer):
        return None
    key = layer, asyncio.get_running_loop()
    found = _relays.get(key)
    if found is None:
        for other in tuple(_relays):
            if other[1].is_closed():
                _relays.pop(other, None)
        found = _relays[key] = Relay(layer)
    return found
