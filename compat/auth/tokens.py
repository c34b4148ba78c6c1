"""Users by token, from a header, the query string or a websocket subprotocol. Tokens are hidden in logs.

    def user_of(token):                      # plain or async; None for an invalid token
        return users.get(token)

    application = TokenAuthMiddleware(URLRouter([...]), user_of)

A browser cannot set headers on a websocket, so it sends the token as a subprotocol after a keyword:
``new WebSocket(url, ["bearer", token])``. The server answers with the keyword (browsers require an answer),
never with the token. A token in the query string always works, but proxies log it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import unquote_plus

from compat import integration
from compat.auth.users import AnonymousUser, call
from compat.engine.redaction import hide_header, hide_parameter, hide_subprotocols
from compat.engine.refusal import refuse, shown, status_seen
from compat.middleware import BaseMiddleware
from compat.subprotocols import offered_in, offering
from compat.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Header", "Place", "Query", "Subprotocol", "TokenAuthMiddleware"]

log = logging.getLogger("compat.security")

GetUser = Callable[[str], Any]
"""A function, async or plain, that takes a token and returns its user, or None for an invalid token. A plain
one runs in a thread.
"""


class Place(Protocol):
    """A place of tokens: finds a token in a scope, and removes it from the application's scope."""

    def find(self, scope: Scope) -> str | None:
        """Return the token, or None."""
        ...

    def taken(self, scope: Scope) -> Scope:
        """Return the application's scope for a connection whose token was found here."""
        ...


class Header:
    """``Authorization: Bearer <token>``, or another header; with ``scheme=""`` the token is the whole
    value.
    """

    def __init__(self, name: str = "Authorization", scheme: str = "Bearer") -> None:
        self.name, self.scheme = name, scheme
        self._key = name.lower().encode("latin1")
        hide_header(name)

    def find(self, scope: Scope) -> str | None:
        for name, value in scope.get("headers", ()):
            if name == self._key:
                scheme, _, token = value.decode("latin1").strip().rpartition(" ")
                if scheme.strip().lower() == self.scheme.lower() and token:
                    return str(token)
        return None

    def taken(self, scope: Scope) -> Scope:
        return scope

    def __str__(self) -> str:
        return f"the header {self.name!r}" + (f" (scheme {self.scheme!r})" if self.scheme else "")


class Query:
    """``?token=<token>``, or another parameter."""

    def __init__(self, name: str = "token") -> None:
        self.name = name
        hide_parameter(name)

    def find(self, scope: Scope) -> str | None:
        # A name in percent escapes does not count, because it would not be hidden in the server's log.
        for pair in scope.get("query_string", b"").decode("latin1").split("&"):
            name, _, value = pair.partition("=")
            if name == self.name and value:
                return unquote_plus(value)
        return None

    def taken(self, scope: Scope) -> Scope:
        return scope

    def __str__(self) -> str:
        return f"the query parameter {self.name!r}"


class Subprotocol:
    """The subprotocol after ``word``: a client offers ``["bearer", token]``, and may offer others.

    The application sees ``word`` and the others, not the token. If it accepts without a subprotocol, ``word``
    is chosen.
    """

    def __init__(self, word: str = "bearer") -> None:
        self.word = word
        hide_subprotocols()

    def find(self, scope: Scope) -> str | None:
        offered = offered_in(scope)
        after = offered.index(self.word) + 1 if self.word in offered else len(offered)
        return offered[after] if after < len(offered) else None

    def taken(self, scope: Scope) -> Scope:
        offered = offered_in(scope)
        del offered[offered.index(self.word) + 1]
        return {**scope, "subprotocols": offered, "headers": offering(scope.get("headers", ()), offered)}

    def __str__(self) -> str:
        return f"the subprotocol after {self.word!r}"


class TokenAuthMiddleware(BaseMiddleware):
    """Middleware that puts the user of a token into ``scope["user"]``, for websockets and HTTP.

    ``get_user(token)`` returns the user. ``places``: where to search for a token, in order; the first token
    found counts. Without a valid token, ``scope["user"]`` keeps the user that outer middleware has set, or
    becomes an AnonymousUser; with ``required=True``, the connection is refused with 401 (403 by servers that
    cannot send another status). ``invalid``: exceptions of ``get_user`` that mean an invalid token, such as
    ``(jwt.InvalidTokenError,)``. Raises TypeError if ``get_user`` is no function, or ``places`` no list of
    places.
    """

    def __init__(
        self,
        inner: ASGIApp,
        get_user: GetUser,
        *,
        places: Sequence[Place] | None = None,
        required: bool = False,
        invalid: tuple[type[Exception], ...] = (),
    ) -> None:
        super().__init__(inner)
        if not callable(get_user):
            raise TypeError(
                f"TokenAuthMiddleware(…, {get_user!r}): expected a function that takes a token and "
                "returns its user or None"
            )
        self.places: Sequence[Place] = [Header(), Subprotocol()] if places is None else _checked(places)
        self.required = required
        self.invalid = invalid
        self._user_of = get_user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] not in ("http", "websocket"):
            return await self.inner(scope, receive, send)
        scope = dict(scope)
        place, token = self._find(scope)
        user = None if token is None else await self._user(token)
        if user is None and self.required:
            return await self._refuse(scope, receive, send, place)
        if place is not None:
            scope = dict(place.taken(scope))
        if isinstance(place, Subprotocol):
            send = _answering(send, place.word)
        if user is not None:
            scope["user"] = user
        elif "user" not in scope:
            users = integration.users()
            scope["user"] = AnonymousUser() if users is None else users.anonymous()
        return await super().__call__(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[Place | None, str | None]:
        for place in self.places:
            if (token := place.find(scope)) is not None:
                return place, token
        return None, None

    async def _user(self, token: str) -> Any:
        try:
            return await call(self._user_of, token)
        except self.invalid:
            return None

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, place: Place | None) -> None:
        where = ", ".join(map(str, self.places)) or "nowhere"
        cause = f"no token in {where}" if place is None else f"the token in {place} is not valid"
        status, path = status_seen(scope, 401), shown(scope.get("path", ""))
        log.warning("%s %s refused with %s: %s", scope["type"], path, status, cause)
        challenge = (b"www-authenticate", b"Bearer")
        await refuse(scope, receive, send, 401, "Unauthorized", headers=[challenge])


def _checked(places: Any) -> Sequence[Place]:
    """Return ``places``; raise TypeError for anything but a list or tuple of places."""
    if not isinstance(places, list | tuple):
        raise TypeError(
            f"TokenAuthMiddleware(places={places!r}): expected a list, such as [Header(), Subprotocol()]"
        )
    for place in places:
        is_one = all(callable(getattr(place, name, None)) for name in ("find", "taken"))
        if not is_one or isinstance(place, type):
            made = f"{place.__name__}()" if is_one else "Header(), Query() or Subprotocol()"
            raise TypeError(f"TokenAuthMiddleware(places=…): {place!r} is no place of tokens; write {made}")
    return places


def _answering(send: Send, word: str) -> Send:
    """Return a ``send`` that chooses ``word`` if the application accepts without a subprotocol."""

    async def answer(message: Message) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": word}
        await send(message)

    return answer
