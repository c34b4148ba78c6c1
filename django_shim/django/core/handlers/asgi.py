"""An ASGI application out of the project's pages."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from asgiref.sync import ThreadSensitiveContext

from compat.types import Receive, Scope, Send

from ...conf import settings
from ...http.cookie import parse_cookie
from ...http.request import HttpRequest, QueryDict
from ...http.response import HttpResponseBadRequest
from ...urls import set_script_prefix
from .. import signals
from ..exceptions import RequestAborted
from .base import BaseHandler
from .static import static_file_response

__all__ = ["ASGIHandler", "ASGIRequest", "get_script_prefix"]

logger = logging.getLogger("django.request")


def get_script_prefix(scope: Scope) -> str:
    """Where the application is mounted, without a slash at its end."""
    if settings.FORCE_SCRIPT_NAME:
        return str(settings.FORCE_SCRIPT_NAME)
    return str(scope.get("root_path", "") or "")


class ASGIRequest(HttpRequest):
    """A request made of an ASGI scope and an open file with the body."""

    def __init__(self, scope: Scope, body_file: Any) -> None:
        super().__init__()
        self.scope = scope
        self.script_name = get_script_prefix(scope).rstrip("/")
        path = scope["path"]
        below = path.removeprefix(self.script_name) if f"{path}/".startswith(f"{self.script_name}/") else path
        self.path_info = below if below.startswith("/") else f"/{below}"
        self.path = f"{self.script_name}{self.path_info}"
        self.method = scope["method"].upper()
        self.META = _meta(scope, self)
        self._stream = body_file
        self._set_content_type(self.META.get("CONTENT_TYPE", ""))
        self.COOKIES = parse_cookie(self.META.get("HTTP_COOKIE", ""))
        self._read_query()

    def _read_query(self) -> None:
        self.GET = QueryDict(self.META.get("QUERY_STRING", ""), encoding=self._encoding)

    def _get_scheme(self) -> str:
        return str(self.scope.get("scheme") or "http")

    def close(self) -> None:
        super().close()
        self._stream.close()


def _meta(scope: Scope, request: ASGIRequest) -> dict[str, Any]:
    """The scope in the words of CGI, which is what ``request.META`` speaks."""
    query = scope.get("query_string", b"")
    meta: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "QUERY_STRING": query.decode() if isinstance(query, bytes) else query,
        "SCRIPT_NAME": request.script_name,
        "PATH_INFO": request.path_info,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
    }
    if client := scope.get("client"):
        meta["REMOTE_ADDR"] = meta["REMOTE_HOST"] = client[0]
        meta["REMOTE_PORT"] = client[1]
    server = scope.get("server") or ("unknown", "0")
    meta["SERVER_NAME"], meta["SERVER_PORT"] = server[0], str(server[1] or 0)
    for raw_name, raw_value in scope.get("headers", []):
        name, value = raw_name.decode("latin1"), raw_value.decode("latin1")
        if "_" in name:
            continue  # "X_Forwarded_For" must not pass for "X-Forwarded-For"
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"
        if key in meta:
            value = f"{meta[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        meta[key] = value
    return meta


class ASGIHandler(BaseHandler):
    """The application. While DEBUG is on it also serves the apps' static files (``contrib.staticfiles``)."""

    request_class = ASGIRequest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(
                f"get_asgi_application() takes HTTP, not {scope['type']}. Serve the router of the project, "
                "and name it in ASGI_APPLICATION: "
                'ProtocolTypeRouter({"http": get_asgi_application(), "websocket": ...})'
            )
        async with ThreadSensitiveContext():
            await self._handle(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive)
        except RequestAborted:
            return
        set_script_prefix(get_script_prefix(scope))
        await signals.request_started.asend(sender=type(self), scope=scope)
        try:
            await _until_client_leaves(self._answer(scope, body, send), receive)
        finally:
            body.close()
            await signals.request_finished.asend(sender=type(self))

    async def _answer(self, scope: Scope, body: Any, send: Send) -> None:
        try:
            request = self.request_class(scope, body)
        except (UnicodeDecodeError, ValueError) as error:
            logger.warning("Bad Request (%s): %s", type(error).__name__, scope["path"], exc_info=error)
            response: Any = HttpResponseBadRequest()
        else:
            response = await static_file_response(request) or await self.get_response(request)
        try:
            await send_response(response, send, scope["method"])
        finally:
            response.close()


async def read_body(receive: Receive) -> Any:
    """The request's body in a file, which is in memory up to FILE_UPLOAD_MAX_MEMORY_SIZE."""
    file = tempfile.SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE, mode="w+b")
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            file.close()
            raise RequestAborted
        if chunk := message.get("body"):
            file.write(chunk)
        if not message.get("more_body", False):
            file.seek(0)
            return file


async def _until_client_leaves(answer: Awaitable[None], receive: Receive) -> None:
    """Run ``answer``; cancel it when the client goes away first, so that a stream ends with its reader."""
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (answering, leaving):
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
    if not answering.cancelled():
        answering.result()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_response(response: Any, send: Send, method: str) -> None:
    """Status, headers, cookies, body; no body where HTTP has none (HEAD, 204, 304)."""
    without_body = (
        method.upper() == "HEAD" or response.status_code in (204, 304) or response.status_code < 200
    )
    if (
        not response.streaming
        and "Content-Length" not in response.headers
        and response.status_code not in (204, 304)
    ):
        response.headers["Content-Length"] = str(len(response.content))
    start = {
        "type": "http.response.start",
        "status": response.status_code,
        "headers": encoded_headers(response),
    }
    await send(start)
    if response.streaming and not without_body:
        async for piece in response:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.body", "body": b"" if without_body else response.content})


def encoded_headers(response: Any) -> list[tuple[bytes, bytes]]:
    """Headers and cookies as ASGI has them."""
    pairs = [
        *response.headers.items(),
        *(("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()),
    ]
    return [(name.lower().encode("ascii"), str(value).encode("latin-1")) for name, value in pairs]
