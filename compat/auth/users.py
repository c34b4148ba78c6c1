"""Users without Django: the anonymous user, and the users that AUTHENTICATION_BACKENDS load for a session.

A backend is a class with ``get_user(user_id)``, plain or async, like Django's. The session stores the user's
id and the dotted path of the backend under Django's keys.
"""

from __future__ import annotations

import hmac
import importlib
import inspect
from typing import Any

from compat.db import database_sync_to_async
from compat.exceptions import ImproperlyConfigured
from compat.settings import settings
from compat.types import Scope

__all__ = ["BACKEND_SESSION_KEY", "HASH_SESSION_KEY", "SESSION_KEY", "AnonymousUser", "SessionUsers"]

SESSION_KEY = "_auth_user_id"
BACKEND_SESSION_KEY = "_auth_user_backend"
HASH_SESSION_KEY = "_auth_user_hash"


class AnonymousUser:
    """The user of a connection without a login, with the attributes of Django's."""

    id = None
    pk = None
    username = ""
    is_active = False
    is_staff = False
    is_superuser = False
    is_anonymous = True
    is_authenticated = False

    def __str__(self) -> str:
        return "AnonymousUser"

    def __repr__(self) -> str:
        return "<AnonymousUser>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self.__class__)

    def __hash__(self) -> int:
        return hash(AnonymousUser)

    def get_username(self) -> str:
        return self.username

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        return False

    def has_perms(self, perm_list: Any, obj: Any = None) -> bool:
        return False

    def has_module_perms(self, module: str) -> bool:
        return False

    def get_all_permissions(self, obj: Any = None) -> set[str]:
        return set()


class SessionUsers:
    """Log in, log out and load users by the session; the ``compat.integration.Users`` without a framework."""

    def anonymous(self) -> AnonymousUser:
        return AnonymousUser()

    def user_id(self, session: Any) -> Any:
        return session[SESSION_KEY]

    def is_anonymous(self, session: Any) -> bool:
        """Return True if the session names no user of a configured backend. No user is loaded."""
        path = session.get(BACKEND_SESSION_KEY)
        return session.get(SESSION_KEY) is None or path not in settings.AUTHENTICATION_BACKENDS

    async def get_user(self, scope: Scope) -> Any:
        """Return the user of the session, or AnonymousUser.

        If the user's password has changed (``get_session_auth_hash()`` differs), the session is flushed.
        """
        session = await loaded(scope["session"])
        if self.is_anonymous(session):
            return AnonymousUser()
        user = await call(_backend(session[BACKEND_SESSION_KEY]).get_user, session[SESSION_KEY])
        if user is not None and not _same_hash(session, user):
            await flush(session)
            user = None
        return AnonymousUser() if user is None else user

    async def login(self, scope: Scope, user: Any, backend: str | None) -> None:
        """Store ``user`` in the session under a new key; the data of an anonymous session is kept."""
        path = backend or getattr(user, "backend", None) or _only_backend()
        session = await loaded(scope["session"])
        user_id = str(_id_of(user))
        other_user = session.get(SESSION_KEY, user_id) != user_id
        if other_user or (SESSION_KEY in session and not _same_hash(session, user)):
            await flush(session)
        elif SESSION_KEY not in session and hasattr(session, "acycle_key"):
            await session.acycle_key()
        session[SESSION_KEY] = user_id
        session[BACKEND_SESSION_KEY] = path
        session[HASH_SESSION_KEY] = _hash_of(user)
        scope["user"] = user

    async def logout(self, scope: Scope) -> None:
        await flush(scope["session"])
        if "user" in scope:
            scope["user"] = AnonymousUser()


async def loaded(session: Any) -> Any:
    """Return ``session`` with its data loaded; a plain dict (Starlette's session) needs no loading."""
    if hasattr(session, "aload_once"):
        await session.aload_once()
    return session


async def flush(session: Any) -> None:
    """Empty ``session`` and drop its key."""
    if hasattr(session, "aflush"):
        await session.aflush()
    else:
        session.clear()


async def call(function: Any, *args: Any) -> Any:
    """Return the result of an async or plain function; the plain one runs in a thread, because it may
    block.
    """
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
        return await function(*args)
    result = await database_sync_to_async(function)(*args)
    return await result if inspect.isawaitable(result) else result


def _backend(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as error:
        raise ImproperlyConfigured(
            f"AUTHENTICATION_BACKENDS: {path!r} cannot be imported ({error}). Each entry is the dotted path "
            "of a class with get_user(user_id)."
        ) from error


def _only_backend() -> str:
    backends = list(settings.AUTHENTICATION_BACKENDS)
    if len(backends) == 1:
        return str(backends[0])
    found = ", ".join(map(repr, backends)) or "none"
    raise ValueError(
        f"login() cannot tell which backend knows the user: AUTHENTICATION_BACKENDS has {found}. Pass "
        "login(scope, user, backend='dotted.path'), or set the backend attribute on the user."
    )


def _id_of(user: Any) -> Any:
    for name in ("pk", "id"):
        if (value := getattr(user, name, None)) is not None:
            return value
    raise ValueError(f"login() needs a user with an id or pk, to find it again; {user!r} has neither")


def _hash_of(user: Any) -> str:
    return str(user.get_session_auth_hash()) if hasattr(user, "get_session_auth_hash") else ""


def _same_hash(session: Any, user: Any) -> bool:
    expected = _hash_of(user)
    return not expected or hmac.compare_digest(str(session.get(HASH_SESSION_KEY) or ""), expected)
