"""The application in front of a consumer or an endpoint: it makes resumable connections, or finds them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from compat import tickets
from compat.advice.endpoint import ASGISignature
from compat.advice.handlers import require_application
from compat.codes import NOT_THERE, SERVICE_RESTART, TRY_AGAIN_LATER
from compat.engine.contracts import RESUMABLE_KEY
from compat.engine.fast.forgetting import forget_handshake
from compat.engine.fast.write_batching import OneWrite
from compat.engine.reader import cancels_late_calls
from compat.engine.redaction import hide_tickets
from compat.layers import DEFAULT_CHANNEL_LAYER, get_channel_layer, required_layer
from compat.resume.connection import ResumableConnection
from compat.resume.histories import Returned
from compat.resume.link import Link
from compat.resume.outliving import App, Ending, run_on
from compat.resume.posts import LATER, Carrier, frames_of, reach, take
from compat.resume.registry import registry
from compat.resume.relay import ELSEWHERE, Relay, relay_of
from compat.resume.rules import (
    frame_limit,
    is_allowed,
    path_of,
    principal_of,
    principal_of_page,
    resume_seconds,
    session_of,
)
from compat.resume.turning import send_on, turn_away
from compat.resume.wire import PROTOCOL, Malformed, Offer, hide_offer, offer_of
from compat.subprotocols import offered_in
from compat.types import Receive, Scope, Send

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["Resumable", "is_offered", "serve"]

hide_tickets()

OF_PAGE = "page"
"""The reason for a client with a page's ticket, which has never had a connection."""
FINAL = frozenset(("used", "position"))
"""The reasons for which a client with a valid ticket gets no history: it, or its copy, has it already."""


def is_offered(scope: Scope) -> bool:
    """Return True if the client of a websocket offers to come back; make its subprotocols a list."""
    if not any(PROTOCOL in line for line in scope.get("subprotocols") or ()):
        return False
    scope["subprotocols"] = items = offered_in(scope)
    return PROTOCOL in items


class Resumable:
    """An ASGI application whose websockets outlive their sockets: ``Resumable(endpoint)``.

    For plain endpoints; consumers do the same by themselves. ``app``: an ASGI application, or a function of a
    ``WebSocket`` of Starlette; a consumer's class raises TypeError. ``seconds``: how long a connection waits
    for its client (None: ``CHANNEL_RESUME_SECONDS``). ``key(scope)`` names the principal by a str, bytes, a
    number, or a tuple of these, because its ``repr()`` is compared; by default it is the user of
    ``scope["user"]``. ``allowed(scope)`` is asked at each return. Both may be async. ``alias``: the channel
    layer over which other processes are reached.
    """

    __signature__ = ASGISignature()

    def __init__(
        self,
        app: App | Callable[[WebSocket], Any],
        *,
        seconds: float | None = None,
        key: Callable[[Scope], Any] | None = None,
        allowed: Callable[[Scope], Any] | None = None,
        alias: str = DEFAULT_CHANNEL_LAYER,
    ) -> None:
        require_application(app, "Resumable()")
        self.app = _application(app)
        if seconds is not None:
            resume_seconds(seconds, "Resumable(seconds=…)")
        self.seconds = seconds
        self.resume_key = key
        self.resume_allowed = allowed
        self.channel_layer_alias = alias

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket" or not is_offered(scope):
            await self.app(scope, receive, send)
        elif seconds := resume_seconds(self.seconds):
            alias = self.channel_layer_alias
            layer = get_channel_layer(alias)
            if layer is None and alias != DEFAULT_CHANNEL_LAYER:
                layer = required_layer(alias, f"Resumable(alias={alias!r})")
            await serve(self, seconds, layer, self.app, scope, receive, send)
        else:
            hide_offer(scope)
            await self.app(scope, receive, send)


def _application(app: Any) -> App:
    """Return an ASGI application: ``app``, or what calls it, if it is a function of a ``WebSocket``."""
    if not (inspect.isfunction(app) or inspect.ismethod(app)):
        return cast("App", app)
    parameters = list(inspect.signature(app, follow_wrapped=False).parameters.values())
    takes_one = len(parameters) == 1 and parameters[0].kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    if not takes_one:
        return cast("App", app)
    from starlette.routing import websocket_session  # which projects without plain endpoints need not load

    return websocket_session(app)


async def serve(
    rules: Any, seconds: float, layer: Any, app: App, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve one socket of a client that can come back; other processes are reached over ``layer``.

    ``rules`` may have ``resume_key(scope)`` and ``resume_allowed(scope)``. ``app`` is called for a client
    that is new, or whose connection does not exist any more. Origin and cookies have been checked.
    """
    made = await _made(rules, seconds, layer, scope, receive, send)
    if made is None:
        return
    if cancels_late_calls():
        await run_on(app, scope, made)
        return
    async with Ending(made):
        await app(scope, made.receive, made.send)


async def _made(
    rules: Any, seconds: float, layer: Any, scope: Scope, receive: Receive, send: Send
) -> ResumableConnection | None:
    """Return a new connection for the socket; None if its client had one, or was turned away."""
    offer = offer_of(scope["subprotocols"])
    hide_offer(scope)
    carrier = reach(scope)
    who = await principal_of(rules, scope)
    arrival = Arrival(rules, scope, receive, send, carrier is not None, who, relay_of(layer))
    if carrier is not None and carrier.read is not None:
        await arrival.post(carrier, offer or Offer("", 0, only=True))
        return None
    if registry.stopping:  # the client would get what it has missed, but no ticket with the new positions
        await send_on(scope, receive, send)
        return None
    session = session_of(rules, scope)
    why: str | None = None
    returned: Returned | None = None
    if offer is not None:
        ticket, secret, why = await arrival.checked(offer)
        if ticket is not None and why is None:
            why = await arrival.come_back(ticket, secret, offer.received, session)
            if why is None:
                return None
            # Only a consumer joins groups before its client is told what was recovered.
            if why not in FINAL and ticket.cursors and isinstance(rules, type):
                returned = Returned(ticket, secret, why)
        if offer.only:
            await turn_away(receive, send, NOT_THERE)
            return None
    place = tickets.place_of(who, path_of(scope), await arrival.home())
    made = ResumableConnection(seconds, place, why, returned, scope.get("path", ""))
    made.belongs_to(session)
    if arrival.relay is not None and not place.home:
        registry.name_later(made, arrival.relay)
    scope[RESUMABLE_KEY] = made
    scope["resume"] = None
    if why not in (None, OF_PAGE):
        registry.count_replaced()
        scope["resume"] = {"recovered": "", "why": why}
    if returned is not None:
        returned.begin(made)
        scope["compat.progress"] = returned
    made.begin(receive, send, posts=arrival.posts)
    return made


@dataclass(slots=True)
class Arrival:
    """A socket, or a request in place of one, whose client may have a connection already."""

    rules: Any
    scope: Scope
    receive: Receive
    send: Send
    posts: bool
    """True for a request: its client posts its frames."""
    who: str
    """The principal: see ``rules.principal_of``."""
    relay: Relay | None

    async def home(self) -> str:
        """Return the name of this process among those that share a layer; empty if it shares none."""
        return "" if self.relay is None else await self.relay.home()

    async def checked(
        self, offer: Offer, *, posted: bool = False
    ) -> tuple[tickets.Ticket | None, object, str | None]:
        """Return the ticket that a client offers, and what it is signed with; or why it may not come back.

        ``posted``: it is for frames, and not for a link.
        """
        try:
            ticket, secret = tickets.read(offer.ticket)
        except tickets.Refused as refused:
            return None, None, registry.lose(refused.why)
        who = principal_of_page(self.rules, self.scope, self.who) if ticket.is_of_page else self.who
        place = tickets.place_of(who, path_of(self.scope), "", secret)
        if place.user != ticket.user:
            return None, None, registry.lose("user")
        if place.path != ticket.path and not ticket.is_of_page:
            return None, None, registry.lose("path")
        # An authenticator is asked for links only, and the consumer of a page's first link asks its own.
        if not await is_allowed(self.rules, self.scope, anew=not (posted or ticket.is_of_page)):
            if isinstance(self.rules, type):  # a wrapper of an endpoint may only check this socket's Origin
                await self._end_park(ticket)
            return None, None, registry.lose("refused")
        return ticket, secret, None

    async def _end_park(self, ticket: tickets.Ticket) -> None:
        """End the connection of a client that may not come back, if it is parked."""
        if registry.refuse(ticket.connection, ticket.generation) or self.relay is None:
            return
        if ticket.home not in ("", await self.home()):
            self.relay.refuse(ticket)

    async def post(self, carrier: Carrier, offer: Offer) -> None:
        """Hand the frames of a request to the connection of its ticket, here or in another process."""
        ticket, _, why = await self.checked(offer, posted=True)
        if ticket is None or why is not None or ticket.is_of_page:
            carrier.settle(why or OF_PAGE)
            return
        assert carrier.read is not None
        text = await carrier.read()
        if text is None:
            return
        try:
            frames = frames_of(text)
            found = registry.find(ticket.connection)
            if found is None and self.relay is not None and ticket.home not in ("", await self.home()):
                carrier.settle(await self.relay.post(ticket, offer.received, text))
            elif found is None:
                carrier.settle(registry.count_gone(ticket.connection))
            else:
                carrier.settle(await take(found, ticket.generation, offer.received, frames))
        except Malformed as error:
            carrier.settle(str(error), malformed=True)

    async def come_back(
        self, ticket: tickets.Ticket, secret: object, received: int, session: str
    ) -> str | None:
        """Serve the socket of a client that comes back to its connection; return why it cannot, or None."""
        if ticket.is_of_page:
            return OF_PAGE
        path, home = path_of(self.scope), await self.home()
        # Another process may not have the new key yet: it gets hashes made with the key of the ticket.
        place = tickets.place_of(self.who, path, home, secret)
        found = registry.find(ticket.connection)
        if found is None and self.relay is not None and ticket.home not in ("", home):
            call = ticket, received, place, self.receive, self.send
            most = frame_limit(self.rules)
            why = await self.relay.serve(*call, posts=self.posts, session=session, most=most)
            if why == LATER:
                await turn_away(self.receive, self.send, TRY_AGAIN_LATER)
                return None
            return registry.lose(why) if why == ELSEWHERE else why  # the home has counted its own answers
        if found is None:
            return registry.count_gone(ticket.connection)
        why = found.why_not(ticket.generation, received)
        if why is not None:
            return registry.lose(why)
        if secret != tickets.current_secret():
            place = tickets.place_of(self.who, path, home)
        if (await self.receive())["type"] != "websocket.connect":
            return None
        link = Link(self.receive, self.send, found, received, relayed=self.posts)
        with OneWrite(link.protocol):
            await self.send({"type": "websocket.accept", "subprotocol": found.subprotocol})
            forget_handshake(link.framed)
            if found.why_not(ticket.generation, received) is not None:  # another socket was faster
                await self.send({"type": "websocket.close", "code": SERVICE_RESTART})
                return None
            if found.is_shut_out():
                await self.send({"type": "websocket.close", "code": TRY_AGAIN_LATER})
                return None
            found.belongs_to(session)
            place = place._replace(home=home or found.place.home)  # it may have got its name meanwhile
            found.resume(link, place, ticket.generation, posts=self.posts)
        await link.until_left()
        return None
