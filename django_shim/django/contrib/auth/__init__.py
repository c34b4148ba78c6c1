"""Users without a database: anonymous ones, and those of a project's own AUTHENTICATION_BACKENDS.

Who is logged in is kept in the session: ``channels.auth.login`` puts a user there.
"""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync

import compat.auth  # noqa: F401 - before its modules, or threads that import them wait for each other
from compat.auth.users import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, SessionUsers

from ...conf import settings
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
    """Return the user whom the session names, or AnonymousUser."""
    if _has_no_session(request):
        return _users.anonymous()  # nothing to wait for: also on the event loop
    return async_to_sync(aget_user)(request)


async def aget_user(request: Any) -> Any:
    """As ``get_user``."""
    if _has_no_session(request):
        return _users.anonymous()
    return await _users.get_user({"session": request.session})


def _has_no_session(request: Any) -> bool:
    session = getattr(request, "session", None)
    return session is None or bool(session.is_empty())
