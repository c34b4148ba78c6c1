"""An ASGI application out of the project's pages."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse

from compat.engine.socket import says_gone
from compat.types import Receive, Scope, Send

from ...conf import settings
from ...http import HttpRequest, HttpResponseBadRequest, QueryDict
from ...urls import set_script_prefix
from ...utils.log import one_line
from .. import signals
from .base import BaseHandler
from .static import static_file_response
from .threads import RequestContext

__all__ = ["ASGIHandler", "ASGIRequest", "get_script_prefix"]

logger = logging.getLogger("django.request")

LISTEN_AFTER_S = 0.01
"""How long a page may take before the handler listens for the client's leaving. Most pages take less."""


def get_script_prefix(scope: Scope) -> str:
    """Return where the application is mounted, without a slash at its end."""
    if settings.FORCE_SCRIPT_NAME:
        return str(settings.FORCE_SCRIPT_NAME)
    return str(scope.get("root_path", "") or "")


class ASGIRequest(HttpRequest):
    """A request made of an ASGI scope and an open file with the body."""

    def __init__(self, scope: Scope, body_file: Any) -> None:
        super().__init__()
        self.scope = scope
        self.script_name = get_script_prefix(scope).rstrip("/")
        self.path = path = scope["path"]
        below = path.removeprefix(self.script_name) if f"{path}/".startswith(f"{self.script_name}/") else path
        self.path_info = below if below.startswith("/") else f"/{below}"
        self.method = scope["method"].upper()
        self.META = _meta(scope, self)
        self._stream = body_file
        self._set_content_type(self.META.get("CONTENT_TYPE", ""))

    def _query(self) -> QueryDict:
        return QueryDict(self.META.get("QUERY_STRING", ""), encoding=self._query_encoding)

    def _get_scheme(self) -> str:
        return str(self.scope.get("scheme") or "http")


def _meta(scope: Scope, request: ASGIRequest) -> dict[str, Any]:
    """Return the scope as CGI variables, for ``request.META``."""
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
    headers: dict[str, list[str]] = {}
    for raw_name, raw_value in scope.get("headers", []):
        name = raw_name.decode("latin1")
        if "_" in name:
            continue  # "X_Forwarded_For" must not pass for "X-Forwarded-For"
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"
        headers.setdefault(key, []).append(raw_value.decode("latin1"))
    for key, values in headers.items():
        meta[key] = ("; " if key == "HTTP_COOKIE" else ",").join(values)
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
        async with RequestContext():
            await self._handle(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        with body_file() as body:
            try:
                await read_body(scope, receive, body)
            except ClientDisconnect:
                return
            set_script_prefix(get_script_prefix(scope))
            await signals.request_started.asend(sender=type(self), scope=scope)
            try:
                with suppress(ClientDisconnect):
                    await _until_client_leaves(self._answer(scope, body, _to_client(send)), receive)
            finally:
                await signals.request_finished.asend(sender=type(self))

    async def _answer(self, scope: Scope, body: Any, send: Send) -> None:
        try:
            request = self.request_class(scope, body)
        except ValueError as error:  # a query string that is not UTF-8
            path = one_line(scope["path"])
            logger.warning("Bad Request (%s): %s", type(error).__name__, path, exc_info=error)
            return await send_response(HttpResponseBadRequest(), scope, send)
        try:
            response = await static_file_response(request) or await self.get_response(request)
            try:
                await send_response(response, scope, send)
            finally:
                response.close()
        finally:
            request.close()


def body_file() -> tempfile.SpooledTemporaryFile[bytes]:
    """Return a file for a request's body. It is in memory up to FILE_UPLOAD_MAX_MEMORY_SIZE, then on disk."""
    return tempfile.SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE, mode="w+b")


async def read_body(scope: Scope, receive: Receive, body: Any) -> None:
    """Write the request's body to the file ``body``; ClientDisconnect where it does not come to its end."""
    async for chunk in Request(scope, receive).stream():
        body.write(chunk)
    body.seek(0)


async def _until_client_leaves(answer: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Run ``answer``; cancel it when the client goes away first, so that a stream ends with its reader."""
    loop = asyncio.get_running_loop()
    answering = loop.create_task(answer)
    leaving: asyncio.Task[None] | None = None

    def listen() -> None:
        nonlocal leaving
        leaving = loop.create_task(_disconnected(receive))
        leaving.add_done_callback(lambda _: answering.cancel())

    timer = loop.call_later(LISTEN_AFTER_S, listen)
    try:
        await answering
    except asyncio.CancelledError:
        if leaving is None or not leaving.done():
            raise
    finally:
        timer.cancel()
        if leaving is not None and not leaving.done():
            leaving.cancel()
            with suppress(asyncio.CancelledError):
                await leaving


def _to_client(send: Send) -> Send:
    """Return ``send`` with ClientDisconnect for any error that says that the client has left.

    uvicorn tells only the last of several pipelined requests that it has.
    """

    async def sends(message: Any) -> None:
        try:
            await send(message)
        except Exception as error:
            if says_gone(error):
                raise ClientDisconnect from error
            raise

    return sends


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def has_no_body(status: int) -> bool:
    """Return True for a status whose responses have no body in HTTP."""
    return status in (204, 304) or status < 200


async def send_response(response: Any, scope: Scope, send: Send) -> None:
    """Status, headers, cookies, body; no body where HTTP has none (HEAD, 204, 304)."""
    status = response.status_code
    empty = has_no_body(status)
    if empty:
        del response.headers["Content-Length"]  # servers drop a connection on which less than that follows
    elif not (response.streaming or "Content-Length" in response.headers):
        response.headers["Content-Length"] = str(len(response.content))
    without_body = empty or scope["method"].upper() == "HEAD"
    cookies = (cookie.OutputString() for cookie in response.cookies.values())
    headers = [
        *response.headers.encoded(),
        *((b"set-cookie", cookie.encode("latin-1")) for cookie in cookies),
    ]
    if response.streaming and not without_body:
        streamed = StreamingResponse(response, status)
        streamed.raw_headers = headers
        return await streamed.stream_response(send)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if without_body else response.content})
