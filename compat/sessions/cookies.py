"""Sessions in signed cookies, without a store, for any number of processes.

``SESSION_ENGINE = "compat.session_cookies"`` and a ``SECRET_KEY`` select it. The package itsdangerous signs
the cookies (the extra ``[sessions]``). Without a store, the client can read its session, but not change it; a
copied cookie is valid until it expires, even after a logout; and a websocket, which cannot send a cookie, can
read a session but not save it.
"""

from __future__ import annotations

import time
from typing import Any

from compat.exceptions import ImproperlyConfigured
from compat.sessions.base import Data, SessionBase
from compat.settings import settings
from compat.tickets import former_secrets

__all__ = ["CookieSession", "SessionStore"]

SALT = "compat.session_cookies"
LARGEST_COOKIE = 4000
"""Browsers store cookies of up to 4096 bytes with their attributes (RFC 6265, 6.1), and drop larger ones."""


class CookieSession(SessionBase):
    """A session whose key is its data, signed with ``SECRET_KEY`` (or one of ``SECRET_KEY_FALLBACKS``).

    The data is JSON. Raises ImproperlyConfigured without a ``SECRET_KEY``, and ValueError for data that is
    not JSON or too large for a cookie.
    """

    clock = staticmethod(time.time)

    def read(self, key: str) -> Data | None:
        from itsdangerous import BadData

        try:
            (lifetime_s, data), signed_at = _serializer().loads(key, return_timestamp=True)
            expired = self.clock() - signed_at.timestamp() >= lifetime_s
        except (BadData, TypeError, ValueError):
            return None  # changed, signed with another secret, or of another form
        return None if expired or not isinstance(data, dict) else data

    def write(self, key: str | None, data: Data, lifetime_s: int) -> str:
        try:
            signed = _serializer().dumps([lifetime_s, data])
        except TypeError as error:
            raise ValueError(f"the data of a session in a cookie must be JSON: {error}") from error
        text = signed.decode() if isinstance(signed, bytes) else str(signed)
        if len(text) > LARGEST_COOKIE:
            raise ValueError(
                f"the session is too large for a cookie: it has {len(text)} bytes when signed, and browsers "
                f"store about {LARGEST_COOKIE}. Store its data elsewhere, or choose another SESSION_ENGINE."
            )
        return text

    def remove(self, key: str) -> None:
        """Do nothing: the response deletes the cookie."""


SessionStore = CookieSession
"""The class that ``SESSION_ENGINE = "compat.session_cookies"`` selects."""


def _serializer() -> Any:
    try:
        from itsdangerous import URLSafeTimedSerializer
    except ModuleNotFoundError as error:
        raise ImproperlyConfigured(
            f"{_who()} needs the package itsdangerous: pip install 'channels-compat[sessions]'"
        ) from error
    secret = settings.get("SECRET_KEY")
    if not secret:
        raise ImproperlyConfigured(
            f"{_who()} needs SECRET_KEY, which is not set. Create one with "
            "python -c 'import secrets; print(secrets.token_urlsafe(50))', and keep it out of the repository."
        )
    # itsdangerous signs with the last key, and accepts all of them.
    keys = [*reversed(former_secrets()), secret]
    return URLSafeTimedSerializer(keys, salt=SALT)


def _who() -> str:
    """Return what an error is about: the setting as the project has it, or the class."""
    if settings.is_set("SESSION_ENGINE"):
        return f"SESSION_ENGINE = {settings.SESSION_ENGINE!r}"
    return "CookieSession"
