"""A communicator for one HTTP request and its response."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypedDict, overload
from urllib.parse import unquote, urlparse

from compat.testing.application import ApplicationCommunicator
from compat.types import ASGIApp, Message, Scope

__all__ = ["HttpCommunicator", "HttpResponse"]


class HttpResponse(TypedDict):
    """The return value of ``get_response``; header names and values are bytes."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class HttpCommunicator(ApplicationCommunicator):
    """Sends one request to ``application``: ``HttpCommunicator(application, "GET", "/page")``.

    The method may also follow the path, by name: ``HttpCommunicator(application, "/page", method="POST")``;
    without one it is GET. A method has no slash, so the two forms cannot be confused.

    ``path`` may have a query string and percent escapes; ``headers`` are pairs of bytes. For a body in parts,
    or a response that streams, use ``send_input`` and ``receive_output``.
    """

    @overload
    def __init__(
        self,
        application: ASGIApp,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Iterable[tuple[bytes, bytes]] | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        application: ASGIApp,
        path: str,
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: Iterable[tuple[bytes, bytes]] | None = None,
    ) -> None: ...

    def __init__(self, application: ASGIApp, *request: Any, **named: Any) -> None:
        first = request[0] if request else None
        if isinstance(first, str) and first.startswith("/"):
            if len(request) > 1 or "path" in named:
                raise TypeError(
                    f"HttpCommunicator(application, {', '.join(map(repr, request))}): only the path may come "
                    "before method=, body= and headers=; or put the method before the path"
                )
            request, named = (), {"path": first, **named}
        if not request:
            named = {"method": "GET", **named}
        self._prepare(application, *request, **named)

    def _prepare(
        self,
        application: ASGIApp,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Iterable[tuple[bytes, bytes]] | None = None,
    ) -> None:
        if not isinstance(body, bytes):
            raise AssertionError(f"body must be bytes, not {type(body).__name__}: encode a text first")
        url = urlparse(path)
        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method.upper(),
            "path": unquote(url.path),
            "query_string": url.query.encode(),
            "headers": headers or [],
        }
        self.body = body
        self.sent_request = False
        super().__init__(application, scope)

    async def send_request(self, *, more_body: bool = False) -> None:
        """Send the request; with ``more_body``, send the rest of the body with ``send_input``."""
        self.sent_request = True
        request: Message = {"type": "http.request", "body": self.body}
        await self.send_input({**request, "more_body": True} if more_body else request)

    async def get_response(self, timeout: float | None = 1) -> HttpResponse:
        """Send the request, unless it has been sent, and return the whole response.

        ``timeout`` applies to each message of the application. Raises AssertionError for an unexpected
        message.
        """
        if not self.sent_request:
            await self.send_request()
        start = await self._expect("http.response.start", timeout)
        body = b""
        while True:
            part = await self._expect("http.response.body", timeout)
            content = part.get("body", b"")
            if not isinstance(content, bytes):
                raise AssertionError(f"the response's body must be bytes, not {type(content).__name__}")
            body += content
            if not part.get("more_body", False):
                return {"status": start["status"], "headers": start.get("headers", []), "body": body}

    async def _expect(self, kind: str, timeout: float | None) -> Any:
        message = await self.receive_output(timeout)
        if message["type"] != kind:
            raise AssertionError(f"Expected type '{kind}', but was '{message['type']}'")
        return message
