"""A response as a link: an event stream, or the answer to a poll.

Each event is one line of JSON: ``{"open": protocol}`` first, then the frames of the server (a text is a
string, a binary frame a list with its base64), and at the end ``{"again": true}`` if the client is to ask
again, or ``{"close": [code, reason]}``. A response that ends with neither was cut.

Before a response ends so that the client asks again, it says ``pause`` in the client's name. The connection
then closes this link behind all that it has sent there, and does not count its client as away for a while.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable
from typing import Any

from compat.codes import ABNORMAL, NORMAL, SERVICE_RESTART
from compat.fallback.requests import (
    HEADERS,
    NOT_RESUMABLE,
    announces_body,
    refuse_request,
    websocket_scope,
)
from compat.redis.waiting import settle
from compat.resume.link import PAUSED
from compat.resume.outliving import ResponseOver, outlive
from compat.resume.posts import Carrier
from compat.resume.registry import registry
from compat.resume.wire import MARK, control
from compat.types import Message, Receive, Scope, Send

__all__ = ["answer_link"]

STREAM_S, POLL_S = 120.0, 20.0
"""How long a response lasts at most, in seconds: a stream, and a poll for which there is nothing."""
GATHER_S = 0.02
"""What is sent within this time of the first frame goes into the same answer to a poll."""
ENOUGH, MAX_ANSWER = 64 * 1024, 2**20
"""Bytes with which the answer to a poll is to end, and how many more, before another frame, cut it."""
PAUSE_S, END_S = 5.0, 5.0
"""How long a connection may take to close a link that pauses, and a client to read the rest of a response."""
EMPTY_S = 5.0
"""Within what time a request must come to its end, if it does not say that it has no body."""
BAD_REQUEST, FORBIDDEN, TOO_LATE, UPGRADE_REQUIRED, FAILED, UNAVAILABLE = 400, 403, 408, 426, 500, 503
NO_BODY = "A request for frames has no body.\n"
STOPPING = (UNAVAILABLE, "The server is about to stop.\n", (b"connection", b"close"))
"""The answer of a server that stops; it would wait for what is asked next on the same connection."""
PAUSE = {"type": "websocket.receive", "text": control("pause")["text"]}

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


async def answer_link(
    app: Any, scope: Scope, offered: list[str], receive: Receive, send: Send, *, polls: bool
) -> None:
    """Serve a request as a websocket whose frames to the client are the response."""
    if announces_body(scope):  # which need never come: nothing has been checked yet, or counted
        return await refuse_request(send, BAD_REQUEST, NO_BODY)
    try:
        first = await asyncio.wait_for(receive(), EMPTY_S)
    except asyncio.TimeoutError:
        return await refuse_request(send, TOO_LATE, f"The request has not ended within {EMPTY_S:g} s.\n")
    if first["type"] != "http.request" or first.get("body") or first.get("more_body"):
        return await refuse_request(send, BAD_REQUEST, NO_BODY)
    if registry.stopping:
        return await refuse_request(send, *STOPPING)
    stream = Stream(send, polls=polls)
    # A task of its own: a connection outlives its first link, and servers end calls whose response is over.
    serving = app(websocket_scope(scope, offered, stream.carrier), stream.receive, stream.send)
    running = asyncio.ensure_future(serving)
    running.add_done_callback(stream.application_ended)
    outlive(running, scope.get("path", ""))
    leaving = asyncio.ensure_future(_left(receive, stream))
    registry.opened(stream.pause)
    try:
        await stream.over
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stream.finish(), END_S)
    finally:
        stream.disconnect()
        leaving.cancel()
        registry.closed(stream.pause)


async def _left(receive: Receive, stream: Stream) -> None:
    """Tell the stream when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.client_left()


class Stream:
    """What an application takes for the socket of its client, while a response lasts."""

    def __init__(self, send: Send, *, polls: bool) -> None:
        self.carrier = Carrier()
        self.loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self.loop.create_future()
        """Done when the application sends nothing more."""
        self._http_send = send
        self._polls = polls
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._incoming.put_nowait({"type": "websocket.connect"})
        self._accepted = self._begun = self._gathering = self._pausing = self._left = self._told = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._events: list[bytes] = []
        """What goes into the answer to a poll, and at the end of a stream."""
        self._size = 0
        """Their bytes, in all."""
        self._most = 0
        """With how many a response that pauses is cut."""
        self._code = ABNORMAL
        """That of the application's close, as servers give it."""
        self._sent_all = False
        """The response has been sent to its end."""
        self._refusal: tuple[Any, ...] | None = None
        """The arguments of ``refuse_request`` after the first."""
        self._timer: asyncio.TimerHandle | None = None
        """Ends the response."""

    # For the application

    async def receive(self) -> Message:
        """Return the next message of the client, of which there are few: its frames come by posts."""
        return await self._incoming.get()

    async def send(self, message: Message) -> None:
        """Send an ASGI message to the client; raise ResponseOver if nothing can be sent any more."""
        kind = message["type"]
        if self.over.done():
            raise ResponseOver("the response has ended")
        if kind == "websocket.send":
            await self._send(message)
        elif kind == "websocket.accept":
            await self._accept(message)
        elif kind == "websocket.close":
            self._close(message)
        else:  # the response that refuses a handshake
            self._begun = True
            await self._http_send({**message, "type": kind.removeprefix("websocket.")})
            if kind.endswith(".body") and not message.get("more_body"):
                settle(self.over)

    async def _accept(self, message: Message) -> None:
        if not self.carrier.reached:
            self._refuse(UPGRADE_REQUIRED, NOT_RESUMABLE)
            return
        self._accepted = True
        self._wait(POLL_S if self._polls else STREAM_S, self.pause)
        self._headers = list(message.get("headers") or ())
        self._events.append(_event({"open": message.get("subprotocol") or ""}))
        if not self._polls:
            await self._flush()
        if registry.stopping:
            self.pause()

    async def _send(self, message: Message) -> None:
        text = message.get("text")
        frame = text if text is not None else [base64.b64encode(message.get("bytes") or b"").decode()]
        event = _event(frame)
        self._events.append(event)
        if not self._polls:
            await self._flush()
            return
        before, self._size = self._size, self._size + len(event)
        if not before and text is not None and _goes_on(text):
            return  # a client that has had a hello need not be answered for another one
        if self._pausing:
            if before > self._most:
                settle(self.over)  # it does not pause
        elif not self._gathering:
            self._gathering = True
            self._wait(GATHER_S, self.pause)
        elif self._size > ENOUGH:
            self.pause()

    def _close(self, message: Message) -> None:
        code = message.get("code", NORMAL)
        if not self._accepted:
            if code == SERVICE_RESTART:
                self._refuse(*STOPPING)
            else:
                self._refuse(FORBIDDEN, "The application has refused the connection.\n")
            return
        reason = message.get("reason") or ""
        again = self._pausing and reason == PAUSED
        self._events.append(_event({"again": True} if again else {"close": [code, reason]}))
        if not again:
            self._code = code
        settle(self.over)

    def _refuse(self, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
        self._refusal = self._refusal or (status, text, *headers)
        settle(self.over)

    # For the response

    def pause(self) -> None:
        """End the response, behind what has been sent, so that the client asks again."""
        if self._accepted and not self._pausing and not self.over.done():
            self._pausing = True
            self._most = self._size + MAX_ANSWER
            self._incoming.put_nowait(PAUSE)
            self._wait(PAUSE_S, lambda: settle(self.over))

    def client_left(self) -> None:
        """The client has left the response."""
        self._left = True
        self.disconnect()

    def application_ended(self, ended: object) -> None:
        """The application has returned, or failed."""
        if not self._accepted:
            self._refuse(FAILED, "The application has ended without an answer.\n")
        if not self._accepted or not self.over.done():  # else when the rest has been sent
            self.disconnect()

    def disconnect(self) -> None:
        """Let the application read that its client is gone; nothing more is sent."""
        settle(self.over)
        if self._timer is not None:
            self._timer.cancel()
        if not self._told:
            self._told = True
            code = self._code if self._sent_all and not self._left else ABNORMAL
            self._incoming.put_nowait({"type": "websocket.disconnect", "code": code})

    async def finish(self) -> None:
        """Send the rest of the response."""
        if self._left:
            return
        if self._refusal is not None and not self._begun:
            await refuse_request(self._http_send, *self._refusal)
        elif self._accepted:
            await self._flush(more=False)
            self._sent_all = True
            self.disconnect()  # before the server says so of a client that has all

    async def _flush(self, *, more: bool = True) -> None:
        if not self._begun:
            self._begun = True
            headers = [(b"content-type", b"text/event-stream; charset=utf-8"), *HEADERS, *self._headers]
            await self._http_send({"type": "http.response.start", "status": 200, "headers": headers})
        body = b"".join(self._events)
        self._events.clear()
        await self._http_send({"type": "http.response.body", "body": body, "more_body": more})

    def _wait(self, seconds: float, call: Callable[[], object]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, call)


def _goes_on(text: str) -> bool:
    """Return True for the hello of a link that goes on after a pause."""
    return text[:1] == MARK and "again" in json.loads(text[1:])


def _event(value: Any) -> bytes:
    return f"data: {_encode(value)}\n\n".encode()
