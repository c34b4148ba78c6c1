"""Sessions in the cookie itself, signed: no store, any number of processes, nothing to clean up.

``SESSION_ENGINE = "compat.session_cookies"`` and a ``SECRET_KEY`` choose it; the package itsdangerous signs
(the extra ``[sessions]``). What follows from there being no store: the client can read its session, but not
change it; a copied cookie works until its time is up, also after a logout; and a websocket, which cannot send
a cookie, can read a session but not change it for later.
"""

from __future__ import annotations

import time
from typing import Any

from compat.exceptions import ImproperlyConfigured
from compat.session_base import Data, SessionBase
from compat.settings import settings

__all__ = ["CookieSession", "SessionStore"]

SALT = "compat.session_cookies"
LARGEST_COOKIE = 4000
"""Browsers keep 4096 bytes of a cookie, attributes included (RFC 6265, 6.1), and drop what is larger."""


class CookieSession(SessionBase):
    """A session whose key is its own data, signed with ``SECRET_KEY`` (or one of ``SECRET_KEY_FALLBACKS``).

    The data is JSON. Raises ImproperlyConfigured without a ``SECRET_KEY``, and ValueError for data that is no
    JSON or too large for a cookie.
    """

    clock = staticmethod(time.time)

    def read(self, key: str) -> Data | None:
        from itsdangerous import BadData

        try:
            (lifetime_s, data), signed_at = _serializer().loads(key, return_timestamp=True)
            expired = self.clock() - signed_at.timestamp() >= lifetime_s
        except (BadData, TypeError, ValueError):
            return None  # tampered with, or signed with another secret, or of another shape
        return None if expired or not isinstance(data, dict) else data

    def write(self, key: str | None, data: Data, lifetime_s: int) -> str:
        try:
            signed = _serializer().dumps([lifetime_s, data])
        except TypeError as error:
            raise ValueError(f"a session in a cookie is JSON, and this one cannot be: {error}") from error
        text = signed.decode() if isinstance(signed, bytes) else str(signed)
        if len(text) > LARGEST_COOKIE:
            raise ValueError(
                f"the session is too large for a cookie: {len(text)} bytes once signed, browsers keep about "
                f"{LARGEST_COOKIE}. Keep its data elsewhere, or choose another SESSION_ENGINE."
            )
        return text

    def remove(self, key: str) -> None:
        """Nothing is kept: the cookie goes when the response deletes it."""


SessionStore = CookieSession
"""What ``SESSION_ENGINE = "compat.session_cookies"`` gives."""


def _serializer() -> Any:
    try:
        from itsdangerous import URLSafeTimedSerializer
    except ModuleNotFoundError as error:
        raise ImproperlyConfigured(
            "SESSION_ENGINE = 'compat.session_cookies' needs the package itsdangerous: "
            "pip install 'channels-compat[sessions]'"
        ) from error
    secret = settings.get("SECRET_KEY")
    if not secret:
        raise ImproperlyConfigured(
            "SESSION_ENGINE = 'compat.session_cookies' signs with SECRET_KEY, which is not set. Make one by "
            "python -c 'import secrets; print(secrets.token_urlsafe(50))', and keep it out of the repository."
        )
    # itsdangerous signs with the last key and accepts them all.
    keys = [*reversed(list(settings.get("SECRET_KEY_FALLBACKS") or ())), secret]
    return URLSafeTimedSerializer(keys, salt=SALT)
