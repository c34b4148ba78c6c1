"""``scope["user"]``: who is at the other end of a connection.

Names and behaviour are those of ``channels.auth``. Django's users with Django; without it, the users of
AUTHENTICATION_BACKENDS of one's own (``compat.users``), or whatever ``AuthMiddleware(get_user=…)`` returns.
A connection without a session is anonymous, and no store or database is asked about it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from compat import integration, lazy
from compat.exceptions import LayerUnavailable
from compat.middleware import BaseMiddleware
from compat.outage import refuse_for_outage
from compat.sessions import CookieMiddleware, SessionMiddleware
from compat.types import ASGIApp, Receive, Scope, Send, is_served
from compat.users import (
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
    AnonymousUser,
    SessionUsers,
    call,
)

if TYPE_CHECKING:

    class UserLazyObject(lazy.LazyObject):
        """What ``scope["user"]`` is until AuthMiddleware has resolved it, and, around the user, after."""


__all__ = [
    "BACKEND_SESSION_KEY",
    "HASH_SESSION_KEY",
    "SESSION_KEY",
    "AnonymousUser",
    "AuthMiddleware",
    "AuthMiddlewareStack",
    "UserLazyObject",
    "get_user",
    "login",
    "logout",
]


GetUser = Callable[[Scope], Any]
"""Takes the scope, returns the user, or None for an anonymous one; async, or plain (then run in a thread)."""

_own_users = SessionUsers()


async def get_user(scope: Scope) -> Any:
    """The user that ``scope["session"]`` names, or an AnonymousUser.

    Raises ValueError where the scope has no session.
    """
    session = _session(scope)
    users = _users()
    if hasattr(session, "is_empty") and session.is_empty():
        return users.anonymous()  # no cookie: nothing to look up, no thread to enter
    return await users.get_user(scope)


async def login(scope: Scope, user: Any, backend: str | None = None) -> None:
    """Name ``user`` (or, for None, ``scope["user"]``) in the session and put it into the scope.

    The session gets a new key, so that one that was known before does not become valuable. After a websocket
    message the caller saves it: ``await scope["session"].asave()``. Raises ValueError where the scope has no
    session, where there is no user, and where several backends are configured and none is named.
    """
    _session(scope)
    if user is None:
        user = scope.get("user")
    if user is None:
        raise ValueError("User must be passed as an argument or must be present in the scope.")
    await _users().login(scope, user, backend)


async def logout(scope: Scope) -> None:
    """Empty the session; ``scope["user"]``, if there is one, becomes anonymous.

    Raises ValueError where the scope has no session.
    """
    if "session" not in scope:
        raise ValueError(
            "Login cannot find session in scope. You should wrap your consumer in SessionMiddleware."
        )
    await _users().logout(scope)


class AuthMiddleware(BaseMiddleware):
    """Puts the user into ``scope["user"]`` before the application inside is called.

    Needs SessionMiddleware outside of it, unless ``get_user`` is given: any async callable that takes the
    scope and returns the user or None. Subclasses may replace ``populate_scope`` and ``resolve_scope``.
    """

    # Not named get_user: subclasses have methods of that name.
    _user_function: GetUser | None = None

    def __init__(self, inner: ASGIApp, get_user: GetUser | None = None) -> None:
        super().__init__(inner)
        self._user_function = get_user

    def populate_scope(self, scope: Scope) -> None:
        """Put a stand-in for the user into the scope, unless somebody has put a user there."""
        if "session" not in scope and self._user_function is None:
            raise ValueError(
                "AuthMiddleware cannot find session in scope. SessionMiddleware must be above it: use "
                "AuthMiddlewareStack, or give it a function of your own, AuthMiddleware(inner, get_user=…)."
            )
        if "user" not in scope:
            scope["user"] = _lazy_user_class()()

    async def resolve_scope(self, scope: Scope) -> None:
        """Look the user up and put it behind the stand-in."""
        stand_in = scope["user"]
        if not issubclass(type(stand_in), (lazy.LazyObject, lazy.base())):
            return  # a user that middleware further out has found; not ours to replace
        if self._user_function is None:
            stand_in._wrapped = await get_user(scope)
        else:
            user = await call(self._user_function, scope)
            stand_in._wrapped = _users().anonymous() if user is None else user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = dict(scope)
        self.populate_scope(scope)
        try:
            await self.resolve_scope(scope)
        except LayerUnavailable as error:  # sessions are in its Redis: nobody knows who this is, for now
            if not is_served(scope) or scope.get("type") not in ("http", "websocket"):
                raise
            return await refuse_for_outage(scope, receive, send, error)
        return await super().__call__(scope, receive, send)


def AuthMiddlewareStack(inner: ASGIApp, get_user: GetUser | None = None) -> CookieMiddleware:
    """``inner`` with cookies, a session and a user."""
    return CookieMiddleware(SessionMiddleware(AuthMiddleware(inner, get_user)))


def _users() -> integration.Users:
    return integration.users() or _own_users


def _session(scope: Scope) -> Any:
    if "session" not in scope:
        raise ValueError("Cannot find session in scope. You should wrap your consumer in SessionMiddleware.")
    return scope["session"]


def _get_user_session_key(session: Any) -> Any:
    """Upstream's name for it; packages that look users up by themselves import it."""
    return _users().user_id(session)


def _lazy_user_class() -> Any:
    base: Any = lazy.base()
    return _derive(base)


@functools.cache
def _derive(base: Any) -> Any:
    """``UserLazyObject`` for this base: Django's class once Django is loaded, ours before and without."""

    def _setup(self: Any) -> None:
        raise ValueError(
            "Accessing scope user before it is ready. AuthMiddleware resolves it before it calls the "
            "application inside of it; middleware of your own can await its resolve_scope(scope)."
        )

    doc = 'What scope["user"] is until AuthMiddleware has resolved it, and, around the user, after.'
    return type("UserLazyObject", (base,), {"__doc__": doc, "__module__": __name__, "_setup": _setup})


def __getattr__(name: str) -> Any:
    if name == "UserLazyObject":
        return _lazy_user_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
