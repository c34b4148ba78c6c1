"""A WSGI application out of the project's pages: the same chain, run to its end for each request."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from asgiref.sync import async_to_sync

from ...conf import settings
from ...http.request import HttpRequest, QueryDict
from ...urls import set_script_prefix
from .. import signals
from .base import BaseHandler
from .static import static_file_response

__all__ = ["WSGIHandler", "WSGIRequest"]

PIECE = 64 * 2**10
"""Bytes of a body that are read at a time."""


class WSGIRequest(HttpRequest):
    """A request made of a WSGI environ."""

    def __init__(self, environ: dict[str, Any]) -> None:
        super().__init__()
        self.environ = self.META = environ
        self.script_name = str(settings.FORCE_SCRIPT_NAME or _text(environ.get("SCRIPT_NAME", ""))).rstrip(
            "/"
        )
        self.path_info = _text(environ.get("PATH_INFO", "")) or "/"
        self.path = f"{self.script_name}/{self.path_info.removeprefix('/')}"
        self.method = environ["REQUEST_METHOD"].upper()
        self._stream = _body(environ)
        self._set_content_type(environ.get("CONTENT_TYPE", ""))

    def _query(self) -> QueryDict:
        return QueryDict(self.environ.get("QUERY_STRING", ""), encoding=self._query_encoding)

    def _cookie_header(self) -> str:
        return _text(self.environ.get("HTTP_COOKIE", ""))

    def _get_scheme(self) -> str:
        return str(self.environ.get("wsgi.url_scheme", "http"))


def _body(environ: dict[str, Any]) -> Any:
    """The body in a file, which is in memory up to FILE_UPLOAD_MAX_MEMORY_SIZE, then on disk."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    file = tempfile.SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE, mode="w+b")
    while left > 0 and (piece := environ["wsgi.input"].read(min(left, PIECE))):
        file.write(piece)
        left -= len(piece)
    file.seek(0)
    return file


def _text(value: str) -> str:
    """PEP 3333 passes bytes as latin-1."""
    return value.encode("latin-1").decode("utf-8", "replace")


class WSGIHandler(BaseHandler):
    """The application."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        set_script_prefix(_text(environ.get("SCRIPT_NAME", "")))
        signals.request_started.send(sender=type(self), environ=environ)
        response = async_to_sync(self._respond)(WSGIRequest(environ))
        if not response.streaming:
            response.headers.setdefault("Content-Length", str(len(response.content)))
        cookies = [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
        start_response(f"{response.status_code} {response.reason_phrase}", [*response.items(), *cookies])
        response._closable.append(lambda: signals.request_finished.send(sender=type(self)))
        return response  # type: ignore[no-any-return]  # iterable, and closed by the server

    async def _respond(self, request: WSGIRequest) -> Any:
        return await static_file_response(request) or await self.get_response(request)
