"""Users without a database: anonymous ones, and those of a project's own AUTHENTICATION_BACKENDS.

A backend is a class with ``authenticate(request, **credentials)`` and ``get_user(user_id)``. Who is logged in
is kept in the session, where ``channels.auth`` finds it for websockets.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async

from compat.exceptions import ImproperlyConfigured
from compat.users import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, SessionUsers

from ...conf import settings
from ...core.exceptions import PermissionDenied
from ...middleware.csrf import rotate_token
from ...unserved import attribute_of, needs_django
from ...utils.module_loading import import_string
from .signals import user_logged_in, user_logged_out, user_login_failed

__all__ = [
    "BACKEND_SESSION_KEY",
    "HASH_SESSION_KEY",
    "REDIRECT_FIELD_NAME",
    "SESSION_KEY",
    "aauthenticate",
    "aget_user",
    "alogin",
    "alogout",
    "authenticate",
    "get_backends",
    "get_user",
    "get_user_model",
    "load_backend",
    "login",
    "logout",
    "user_logged_in",
    "user_logged_out",
    "user_login_failed",
]

REDIRECT_FIELD_NAME = "next"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"

__getattr__ = attribute_of(__name__)

_users = SessionUsers()


def get_user_model() -> Any:
    """The class that AUTH_USER_MODEL names by its dotted path; else ``User``, of which there are no
    instances.
    """
    from .models import User

    if settings.AUTH_USER_MODEL == "auth.User":
        return User
    try:
        return import_string(settings.AUTH_USER_MODEL)
    except ImportError:
        return User  # "accounts.User" is a model's label, and there are no models


def load_backend(path: str) -> Any:
    """An instance of the backend; ImportError for Django's own, which ask a database."""
    if path == MODEL_BACKEND:
        raise ImportError(
            f"{needs_django(path)} Or name a backend of your own in AUTHENTICATION_BACKENDS: a class with "
            "authenticate(request, **credentials) and get_user(user_id).",
            name="django",
        )
    return import_string(path)()


def _get_backends(return_tuples: bool = False) -> list[Any]:
    backends = [(load_backend(path), path) for path in settings.AUTHENTICATION_BACKENDS]
    if not backends:
        raise ImproperlyConfigured("AUTHENTICATION_BACKENDS is empty: nobody can log in.")
    return list(backends) if return_tuples else [backend for backend, _ in backends]


def get_backends() -> list[Any]:
    """An instance of each backend."""
    return _get_backends()


def authenticate(request: Any = None, **credentials: Any) -> Any:
    """The user whom the credentials belong to, by the first backend that knows them, or None."""
    return async_to_sync(aauthenticate)(request, **credentials)


async def aauthenticate(request: Any = None, **credentials: Any) -> Any:
    """As ``authenticate``; a backend may be sync or async."""
    for path, function in _able(request, credentials):
        try:
            call: Any = function if iscoroutinefunction(function) else sync_to_async(function)
            user = await call(request, **credentials)
        except PermissionDenied:
            break  # this one says: nobody else is to be asked
        if user is not None:
            user.backend = path
            return user
    await user_login_failed.asend(sender=__name__, credentials=_without_secrets(credentials), request=request)
    return None


def _able(request: Any, credentials: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The backends that take such credentials."""
    for backend, path in _get_backends(return_tuples=True):
        function = getattr(backend, "authenticate", None) or getattr(backend, "aauthenticate", None)
        if function is None:
            continue
        try:
            inspect.signature(function).bind(request, **credentials)
        except TypeError:
            continue
        yield path, function


def _without_secrets(credentials: dict[str, Any]) -> dict[str, Any]:
    secret = ("api", "token", "key", "secret", "password", "signature")
    return {
        name: "*" * 20 if any(s in name.lower() for s in secret) else value
        for name, value in credentials.items()
    }


def login(request: Any, user: Any, backend: str | None = None) -> None:
    """Keep the user in the session, under a new key."""
    async_to_sync(alogin)(request, user, backend)


async def alogin(request: Any, user: Any, backend: str | None = None) -> None:
    """As ``login``."""
    scope = {"session": _session(request), "user": user}
    await _users.login(scope, user, backend)
    request.user = user
    rotate_token(request)
    await user_logged_in.asend(sender=type(user), request=request, user=user)


def logout(request: Any) -> None:
    """Empty the session; the user is anonymous from here on."""
    async_to_sync(alogout)(request)


async def alogout(request: Any) -> None:
    """As ``logout``."""
    user = await aget_user(request)
    named = user if getattr(user, "is_authenticated", True) else None
    await user_logged_out.asend(sender=type(user), request=request, user=named)
    await _users.logout({"session": _session(request)})
    request.user = _users.anonymous()


def get_user(request: Any) -> Any:
    """The user whom the session names, or AnonymousUser."""
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


def _session(request: Any) -> Any:
    session = getattr(request, "session", None)
    if session is None:
        raise ImproperlyConfigured(
            "the request has no session: put 'django.contrib.sessions.middleware.SessionMiddleware' into "
            "MIDDLEWARE, before 'django.contrib.auth.middleware.AuthenticationMiddleware'."
        )
    return session
