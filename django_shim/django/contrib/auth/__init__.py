"""Users without a database: anonymous ones, and those of a project's own AUTHENTICATION_BACKENDS.

Who is logged in is kept in the session: ``channels.auth.login`` puts a user there.
"""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import async_to_sync

import compat.auth  # noqa: F401 - before its modules, or threads that import them wait for each other
from compat.auth.users import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, SessionUsers

from ...conf import settings
from ...core.exceptions import SynchronousOnlyOperation
from ...utils.module_loading import import_string
from .signals import user_logged_in, user_logged_out

__all__ = [
    "BACKEND_SESSION_KEY",
    "HASH_SESSION_KEY",
    "SESSION_KEY",
    "aget_user",
    "get_user",
    "get_user_model",
    "user_logged_in",
    "user_logged_out",
]


_users = SessionUsers()


def get_user_model() -> Any:
    """Return the class that AUTH_USER_MODEL names by its dotted path; else ``User``, of which there are no
    instances.
    """
    from .models import User

    if settings.AUTH_USER_MODEL == "auth.User":
        return User
    try:
        return import_string(settings.AUTH_USER_MODEL)
    except ImportError:
        return User  # "accounts.User" is a model's label, and there are no models


def get_user(request: Any) -> Any:
    """Return the user whom the session names, or AnonymousUser.

    Raises SynchronousOnlyOperation on an event loop, if that takes a backend or a store that waits.
    """
    on_loop = asyncio._get_running_loop() is not None
    session = getattr(request, "session", None)
    try:
        if session is None or _users.is_anonymous(session):
            return _users.anonymous()
    except RuntimeError as error:
        if not on_loop:
            raise
        raise _takes_await() from error
    if on_loop:
        raise _takes_await()
    return async_to_sync(aget_user)(request)


async def aget_user(request: Any) -> Any:
    """As ``get_user``."""
    session = getattr(request, "session", None)
    return _users.anonymous() if session is None else await _users.get_user({"session": session})


def _takes_await() -> SynchronousOnlyOperation:
    return SynchronousOnlyOperation(
        "request.user is not loaded yet, and async code cannot wait for it here: write await "
        "request.auser() first. Afterwards, request.user and templates have the user, too."
    )
