"""``SessionMiddleware``: ``request.session``, saved with the response."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

import compat.auth  # noqa: F401 - before its modules, or threads that import them wait for each other
from compat.auth.users import loaded
from compat.sessions import session_store
from compat.sessions.base import UpdateError

from ...conf import settings
from ...core.handlers.loop import LoopMiddleware
from ...utils.cache import patch_vary_headers
from .exceptions import SessionInterrupted

__all__ = ["SessionMiddleware"]


class SessionMiddleware(LoopMiddleware):
    """A session that changed is saved and its cookie sent; one that was emptied has its cookie deleted.

    A store may have to be waited for: on the event loop, or in the thread in which the hooks of a project's
    subclass run.
    """

    @cached_property
    def SessionStore(self) -> Any:
        """The class of the sessions."""
        return session_store()

    async def __acall__(self, request: Any) -> Any:
        if not self.hooks_run_on_loop:
            return await super().__acall__(request)
        self._open(request)
        if settings.CSRF_USE_SESSIONS:
            await loaded(request.session)  # CsrfViewMiddleware reads it on the event loop
        response = await self.get_response(request)
        if self._has_to_save(request, response):
            session = request.session
            with _told():
                await session.asave() if hasattr(session, "asave") else await sync_to_async(session.save)()
            self._set_cookie(session, response)
        return response

    def process_request(self, request: Any) -> None:
        """Make ``request.session``."""
        self._open(request)
        if settings.CSRF_USE_SESSIONS:
            async_to_sync(loaded)(request.session)  # as above

    def process_response(self, request: Any, response: Any) -> Any:
        """Save the session if it has changed, and return ``response`` with its cookie.

        Raises SessionInterrupted if the session has been deleted meanwhile.
        """
        if self._has_to_save(request, response):
            with _told():
                request.session.save()
            self._set_cookie(request.session, response)
        return response

    def _open(self, request: Any) -> None:
        request.session = self.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))

    def _has_to_save(self, request: Any, response: Any) -> bool:
        session = getattr(request, "session", None)
        if session is None:  # a project's middleware leaves this request without one
            return False
        if session.accessed:
            patch_vary_headers(response, ["Cookie"])
        if session.is_empty():
            if settings.SESSION_COOKIE_NAME in request.COOKIES:
                self._delete_cookie(response)
            return False
        return bool(session.modified or settings.SESSION_SAVE_EVERY_REQUEST) and response.status_code < 500

    def _set_cookie(self, session: Any, response: Any) -> None:
        # Both forms of the lifetime: set_cookie derives the date from the seconds.
        max_age = None if session.get_expire_at_browser_close() else session.get_expiry_age()
        options = _cookie_options("domain", "path", "secure", "httponly", "samesite")
        response.set_cookie(settings.SESSION_COOKIE_NAME, session.session_key, max_age=max_age, **options)

    def _delete_cookie(self, response: Any) -> None:
        response.delete_cookie(settings.SESSION_COOKIE_NAME, **_cookie_options("domain", "path", "samesite"))
        patch_vary_headers(response, ["Cookie"])


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except UpdateError as error:
        raise SessionInterrupted(
            "this session ended in another request while this one was being answered: its user may have "
            "logged out in another tab."
        ) from error


def _cookie_options(*names: str) -> dict[str, Any]:
    return {name: getattr(settings, f"SESSION_COOKIE_{name.upper()}") for name in names}
