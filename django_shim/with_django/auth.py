"""Django's users: loading them by session, login and logout, with Django's signals.

Session keys, hashes and signals are those of ``django.contrib.auth`` and ``channels.auth``. The key of a
session changes only at a login and logout, because a websocket cannot send a new cookie.
"""

# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import auth
from django.contrib.auth import get_user_model, load_backend, user_logged_in, user_logged_out
from django.core.exceptions import AppRegistryNotReady
from django.utils.crypto import constant_time_compare

from compat.db import database_sync_to_async
from compat.resume.logouts import logged_out
from compat.types import Scope

__all__ = [
    "DjangoUsers",
    "constant_time_compare",
    "get_user_model",
    "key_of_user",
    "load_backend",
    "user_logged_in",
    "user_logged_out",
]
"""Those of Django are here because tests patch them in ``channels.auth``, which takes them from here."""


class DjangoUsers:
    """The ``compat.integration.Users`` of Django; database queries run in the database thread."""

    def anonymous(self) -> Any:
        return _anonymous()

    def user_id(self, session: Any) -> Any:
        return _user_id(session)

    async def get_user(self, scope: Scope) -> Any:
        return await _get_user(scope["session"])

    async def login(self, scope: Scope, user: Any, backend: str | None) -> None:
        await _login(scope, user, backend)

    async def logout(self, scope: Scope) -> None:
        await _logout(scope)


@database_sync_to_async
def _get_user(session: Any) -> Any:
    try:
        user_id = _user_id(session)
        path = session[auth.BACKEND_SESSION_KEY]
    except KeyError:
        return _anonymous()
    if path not in settings.AUTHENTICATION_BACKENDS:
        return _anonymous()
    user = load_backend(path).get_user(user_id)
    if user is not None and not _is_current(session, user):
        _flush(session)
        user = None
    return user or _anonymous()


@database_sync_to_async
def _login(scope: Scope, user: Any, backend: str | None) -> None:
    session = scope["session"]
    session_hash = user.get_session_auth_hash() if hasattr(user, "get_session_auth_hash") else ""
    path = backend or getattr(user, "backend", None) or _only_backend()
    if auth.SESSION_KEY not in session:
        session.cycle_key()
    elif _user_id(session) != user.pk or (session_hash and not _same(session, session_hash)):
        _flush(session)  # that of another user, or from before a change of the password
    session[auth.SESSION_KEY] = user._meta.pk.value_to_string(user)
    session[auth.BACKEND_SESSION_KEY] = path
    session[auth.HASH_SESSION_KEY] = session_hash
    scope["user"] = user
    user_logged_in.send(sender=user.__class__, request=None, user=user)


@database_sync_to_async
def _logout(scope: Scope) -> None:
    # The signal is sent before, while the user is still known.
    user = scope.get("user")
    if user is not None and getattr(user, "is_authenticated", True):
        user_logged_out.send(sender=user.__class__, request=None, user=user)
    _flush(scope["session"])
    if "user" in scope:
        scope["user"] = _anonymous()


def key_of_user(session: Any) -> str | None:
    """Return the key of a session that names a user, else None: any client may have made up the key.

    What cannot be read may have named one. Raises nothing, because a logout goes on.
    """
    try:
        names_user = auth.SESSION_KEY in session
    except Exception:  # noqa: BLE001 - any store
        names_user = True
    key = getattr(session, "session_key", None)
    return key if names_user and isinstance(key, str) else None


def _flush(session: Any) -> None:
    """Empty a session, and end what waits for its user."""
    key = key_of_user(session)
    session.flush()
    if key:
        logged_out(key)


def _is_current(session: Any, user: Any) -> bool:
    """Return False if the user's password, or every secret that could have signed the session, has
    changed.
    """
    if not hasattr(user, "get_session_auth_hash"):
        return True
    if _same(session, user.get_session_auth_hash()):
        return True
    older = getattr(user, "get_session_auth_fallback_hash", None)
    return older is not None and any(_same(session, value) for value in older())


def _same(session: Any, expected: str) -> bool:
    found = session.get(auth.HASH_SESSION_KEY)
    return bool(found) and constant_time_compare(found, expected)


def _user_id(session: Any) -> Any:
    """Return the primary key of the user, which the session has as a string."""
    return get_user_model()._meta.pk.to_python(session[auth.SESSION_KEY])


def _only_backend() -> str:
    backends = settings.AUTHENTICATION_BACKENDS
    if len(backends) == 1:
        return str(backends[0])
    raise ValueError(
        "You have multiple authentication backends configured and therefore must provide the `backend` "
        f"argument or set the `backend` attribute on the user. Configured: {', '.join(backends)}."
    )


def _anonymous() -> Any:
    try:
        from django.contrib.auth.models import AnonymousUser
    except AppRegistryNotReady as error:
        raise AppRegistryNotReady(
            "scope['user'] needs a configured Django: call get_asgi_application() or django.setup() in "
            "asgi.py, before the first connection."
        ) from error
    return AnonymousUser()
