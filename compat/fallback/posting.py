"""A request with frames of a client: read when its ticket has been found good, and answered with 204."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from compat.codes import ABNORMAL
from compat.fallback.requests import HEADERS, NOT_RESUMABLE, refuse_request, websocket_scope
from compat.redis.waiting import settle
from compat.resume.outliving import outlive
from compat.resume.posts import GAP, LATER, TAKEN, Carrier
from compat.types import Message, Receive, Scope, Send

__all__ = ["MAX_BODY", "answer_post"]

log = logging.getLogger("compat.fallback")

MAX_BODY = 2**20
"""Bytes of a request. The page's socket sends 64 KiB at once; a single frame may be larger."""
MAX_DISCARDED = 2**24
"""What is read of one that is too long: its client may not hear the answer before it has sent all."""
TOO_LONG = f"A request with frames may have {MAX_BODY} bytes.\n"
READ_S = 30.0
"""Seconds in which the body must come."""
END_S = 5.0
"""Seconds that an application has to end when it has answered: one that is not resumable has no client."""
BAD_REQUEST, FORBIDDEN, TOO_LATE, CONFLICT, GONE, TOO_LARGE = 400, 403, 408, 409, 410, 413
UPGRADE_REQUIRED, FAILED, UNAVAILABLE, NO_CONTENT = 426, 500, 503, 204


async def answer_post(app: Any, scope: Scope, offered: list[str], receive: Receive, send: Send) -> None:
    """Pass the frames of a request on to the connection of its ticket, and answer what became of them."""
    body = _Body(scope, receive)
    carrier = Carrier(body.read)
    handshake = _Handshake(receive)
    try:
        serving = app(websocket_scope(scope, offered, carrier), handshake.receive, handshake.send)
        await handshake.of(serving, scope.get("path", ""))
    except Exception:
        if handshake.accepted:  # to a plain application its client has left
            return await _tell(send, carrier, handshake)
        log.exception("an application has failed at a request with frames")
        return await refuse_request(send, FAILED, "The application has failed.\n")
    if body.refusal is None:
        await _tell(send, carrier, handshake)
    else:
        await refuse_request(send, *body.refusal)


async def _tell(send: Send, carrier: Carrier, handshake: _Handshake) -> None:
    outcome = carrier.outcome
    if outcome == TAKEN:
        await send({"type": "http.response.start", "status": NO_CONTENT, "headers": [*HEADERS]})
        await send({"type": "http.response.body", "body": b""})
    elif outcome == GAP:
        await refuse_request(send, CONFLICT, "Frames are missing before these ones.\n")
    elif outcome == LATER:
        await refuse_request(send, UNAVAILABLE, "The consumer is busy: send the frames again.\n")
    elif outcome is not None and carrier.malformed:
        await refuse_request(send, BAD_REQUEST, f"{outcome}.\n")
    elif outcome is not None:
        await refuse_request(send, GONE, f"There is no such connection ({outcome}).\n")
    elif handshake.accepted and not carrier.reached:
        await refuse_request(send, UPGRADE_REQUIRED, NOT_RESUMABLE)
    else:
        await refuse_request(send, handshake.status or FORBIDDEN, "The request was refused.\n")


class _Handshake:
    """What an application sees of a request with frames: a handshake, whose client leaves when it is over."""

    def __init__(self, http_receive: Receive) -> None:
        self._http_receive = http_receive
        self.accepted = False
        self.status: int | None = None
        self._came = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def of(self, serving: Awaitable[None], path: str) -> None:
        """Await a call of an application, but not for long when it has answered: nobody is there any more."""
        call = asyncio.ensure_future(serving)
        try:
            await asyncio.wait((call, self._over), return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                await asyncio.wait((call,), timeout=END_S)
            if call.cancel():
                await asyncio.wait((call,), timeout=END_S)
        except asyncio.CancelledError:  # the server ends the request
            call.cancel()
            await asyncio.wait((call,), timeout=END_S)
            raise
        finally:
            if not call.done():
                outlive(call, path)  # it does not let itself be cancelled
        if call.done() and not (call.cancelled() and self._over.done()):
            call.result()

    async def receive(self) -> Message:
        if not self._came:
            self._came = True
            return {"type": "websocket.connect"}
        if not self._over.done():
            leaving = asyncio.ensure_future(self._left())
            try:
                await asyncio.wait((leaving, self._over), return_when=asyncio.FIRST_COMPLETED)
            finally:
                leaving.cancel()
        return {"type": "websocket.disconnect", "code": ABNORMAL}

    async def _left(self) -> None:
        """Return when the client has left; who asks for a second message does not take its frames."""
        while (await self._http_receive())["type"] != "http.disconnect":
            pass
        settle(self._over)

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            self.accepted = True
        elif kind == "websocket.send":
            raise ConnectionResetError("the client has sent a request, which takes no frames")
        elif kind == "websocket.http.response.start":
            self.status = message["status"]
        settle(self._over)


class _Body:
    """The body of a request, which is read once its ticket has been found good."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope, self._receive = scope, receive
        self.refusal: tuple[int, str] | None = None
        """The status and the sentence for a body that is not taken."""

    async def read(self) -> str | None:
        """Return the text, or None: then ``refusal`` says why."""
        try:
            return (await asyncio.wait_for(self._whole(), READ_S)).decode()
        except _Refused as refused:
            self.refusal = refused.status, refused.text
        except asyncio.TimeoutError:
            self.refusal = TOO_LATE, f"The body has not come within {READ_S:g} s.\n"
        except UnicodeDecodeError:
            self.refusal = BAD_REQUEST, "The body must be UTF-8.\n"
        return None

    async def _whole(self) -> bytes:
        length = next((value for name, value in self._scope["headers"] if name == b"content-length"), b"0")
        if length.isdigit() and int(length) > MAX_DISCARDED:
            raise _Refused(TOO_LARGE, TOO_LONG)
        body, size, more = bytearray(), 0, True
        while more and size <= MAX_DISCARDED:
            message = await self._receive()
            if message["type"] != "http.request":
                raise _Refused(BAD_REQUEST, "The client has left.\n")
            part, more = message.get("body") or b"", bool(message.get("more_body"))
            size += len(part)
            if size <= MAX_BODY:
                body += part
        if size > MAX_BODY:
            raise _Refused(TOO_LARGE, TOO_LONG)
        return bytes(body)


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
