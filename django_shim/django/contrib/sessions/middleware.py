"""``SessionMiddleware``: ``request.session``, saved with the response."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async

import compat.auth  # noqa: F401 - before its modules, or threads that import them wait for each other
from compat.auth.users import loaded
from compat.sessions import session_store
from compat.sessions.base import UpdateError

from ...conf import settings
from ...core.handlers.loop import LoopMiddleware
from ...unserved import lacks, needs_django
from ...utils.cache import patch_vary_headers
from .exceptions import SessionInterrupted

__all__ = ["SessionMiddleware"]


NAME = "django.contrib.sessions.middleware.SessionMiddleware"
UNSERVED = ("process_request", "process_response", "SessionStore")
"""What subclasses of Django's use. A store may have to be waited for, so here nothing calls such hooks."""


class SessionMiddleware(LoopMiddleware):
    """A session that changed is saved and its cookie sent; one that was emptied has its cookie deleted."""

    __getattr__ = lacks(NAME, " ".join(UNSERVED))

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in UNSERVED:
            if hasattr(cls, name):
                what = f"{NAME}.{name}, which {cls.__module__}.{cls.__qualname__} overrides,"
                raise ImportError(needs_django(what), name="django")

    async def __acall__(self, request: Any) -> Any:
        key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        request.session = session_store()(key)
        if settings.CSRF_USE_SESSIONS:
            await loaded(request.session)  # CsrfViewMiddleware reads it on the event loop
        response = await self.get_response(request)
        session = request.session
        if session.accessed:
            patch_vary_headers(response, ["Cookie"])
        if session.is_empty():
            if settings.SESSION_COOKIE_NAME in request.COOKIES:
                self._delete_cookie(response)
            return response
        if (session.modified or settings.SESSION_SAVE_EVERY_REQUEST) and response.status_code < 500:
            await self._save(session)
            self._set_cookie(session, response)
        return response

    async def _save(self, session: Any) -> None:
        try:
            await session.asave() if hasattr(session, "asave") else await sync_to_async(session.save)()
        except UpdateError as error:
            raise SessionInterrupted(
                "this session ended in another request while this one was being answered: its user may have "
                "logged out in another tab."
            ) from error

    def _set_cookie(self, session: Any, response: Any) -> None:
        # Both forms of the lifetime: set_cookie derives the date from the seconds.
        max_age = None if session.get_expire_at_browser_close() else session.get_expiry_age()
        options = _cookie_options("domain", "path", "secure", "httponly", "samesite")
        response.set_cookie(settings.SESSION_COOKIE_NAME, session.session_key, max_age=max_age, **options)

    def _delete_cookie(self, response: Any) -> None:
        response.delete_cookie(settings.SESSION_COOKIE_NAME, **_cookie_options("domain", "path", "samesite"))
        patch_vary_headers(response, ["Cookie"])


def _cookie_options(*names: str) -> dict[str, Any]:
    return {name: getattr(settings, f"SESSION_COOKIE_{name.upper()}") for name in names}
