"""The sending half of a link: it sends the frames of the journal, in order.

A consumer never waits for a socket. A frame that the server takes at once is sent at once, without a task:
the coroutine of ``send()`` is run up to its first wait. If it waits, because the client does not read, a task
runs the rest of it, and the frames that follow stay in the journal until then.

While nothing waits, the consumer's ``Socket`` does what ``writes`` does, without a call of the link: it
writes a finished frame and appends it to the journal.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import Any

from compat.engine.fast.framing import behind_starlette, frame_of, goes_plain, is_open, text_alone
from compat.engine.fast.unframing import offer_texts
from compat.engine.fast.write_batching import readiness_of
from compat.engine.parts import framed_by
from compat.engine.stepping import start
from compat.redis.waiting import settle
from compat.resume.owner import Owner
from compat.resume.wire import MARK
from compat.types import Message, Send

__all__ = ["Outward"]


class Outward:
    """Base of ``Link``."""

    __slots__ = (
        *("_sent", "after_close", "busy", "closing", "controls", "direct", "framed", "gone", "loop"),
        *("owner", "protocol", "raw_send", "ready", "wrapped"),
    )

    def __init__(self, send: Send, protocol: Any, owner: Owner, sent: int) -> None:
        self.owner = owner
        self.raw_send = send
        self.loop = asyncio.get_running_loop()
        self.protocol = protocol
        """The server's protocol, if frames can be batched for it."""
        self.ready = readiness_of(protocol, send)
        self.framed = framed_by(self.loop, send)
        self.wrapped = not hasattr(behind_starlette(send), "__self__")
        """True if a function of middleware wraps the server's ``send()``; Starlette's own does not count."""
        self._sent = sent
        self.controls: deque[Message] | None = None
        """Control frames that wait for the socket, or None."""
        self.closing: Message | None = None
        """The close that is sent after all frames."""
        self.after_close: asyncio.Future[None] | None = None
        self.direct = False
        """True while the consumer's ``Socket`` writes frames by itself."""
        self.busy: asyncio.Task[None] | None = None  # runs a ``send()`` that waits
        self.gone = False  # nothing can be sent any more

    def failed(self, message: Message, error: Exception) -> None:
        """Handle the ``error`` of the server's ``send(message)``."""
        raise NotImplementedError

    def _closed(self, message: Message) -> None:
        """Handle that the socket has been closed with ``message``."""
        raise NotImplementedError

    @property
    def sent(self) -> int:
        """The number of the frame that is sent next."""
        return self.owner.journal.end if self.direct else self._sent

    def takes(self, text: str) -> bool:
        """Add a text to the journal if it can be sent at once, and count it as sent; the caller sends it."""
        ready, journal = self.ready, self.owner.journal
        if ready is None or self.busy is not None or self.gone or self.sent < journal.end or self.owner.over:
            return False
        if journal.queued:
            return False
        if text[0] == MARK or not (text.isascii() and ready.is_set() and journal.add(text, len(text))):
            return False
        self._sent = journal.end
        return True

    def writes(self, text: Any) -> bool:
        """Do what ``flush`` does, for most texts and at less cost; see ``engine.contracts.Resumed``."""
        if type(text) is not str or not text or not self._can_write(text) or not self.takes(text):
            return False
        if self._write(text):
            self._let_write()
        return True

    def _can_write(self, text: str) -> bool:
        """Return True if the frame of a text may be made and written here now, without a wait."""
        framed = self.framed
        return framed is not None and is_open(framed) and goes_plain(framed, len(text))

    def _write(self, text: str) -> bool:
        try:
            self.framed.transport.write(frame_of(text))
        except Exception as error:  # noqa: BLE001 - any transport
            self.failed({"type": "websocket.send"}, error)
            return False
        return True

    def let_write(self) -> None:
        """Let the consumer's socket write the next frames by itself, if nothing waits here."""
        journal = self.owner.journal
        waits = self.busy is not None or self.gone or self._sent < journal.end or self.owner.over
        waits = waits or journal.queued > 0
        if self.framed is not None and self.ready is not None and not self.direct and not waits:
            self._let_write()

    def _let_write(self) -> None:
        socket, journal = self.owner.socket, self.owner.journal
        if socket is not None:
            self.direct = True
            socket.frame_by(self.framed, journal.opened(), journal.free)

    def acknowledged(self, count: int) -> None:
        """Forget the first ``count`` frames, which the client has; at most those that were sent."""
        owner = self.owner
        owner.journal.acknowledge(min(count, self.sent))
        if self.direct and owner.socket is not None:
            owner.socket.frame_by(self.framed, owner.journal.frames, owner.journal.free)

    def take_over(self) -> None:
        """Let this link write the next frames, because something may wait, or the journal changes."""
        if self.direct and self.owner.socket is not None:
            self._sent, self.direct = self.owner.journal.end, False
            self.owner.socket.frame_by(None)

    def flush(self) -> None:
        """Send the frames that wait, as far as the server takes them at once."""
        while self.busy is None and not self.gone and (message := self._next()) is not None:
            self._send(message)

    def tell(self, message: Message) -> None:
        """Send a control frame, before the data frames that wait."""
        if self.gone:
            return
        if self.busy is None:
            self._send(message)
        else:
            self.controls = self.controls or deque(maxlen=16)
            self.controls.append(message)

    def close(self, message: Message) -> asyncio.Future[None]:
        """Close the socket after the frames that wait; return a future that is done when it has been closed.

        The future raises what the server's ``send()`` raises.
        """
        former, closed = self.after_close, self.loop.create_future()
        closed.add_done_callback(lambda done: done.cancelled() or done.exception())  # not all callers wait
        if former is not None:
            closed.add_done_callback(lambda done: settle(former))
        self.after_close = closed
        self.closing = message
        self.flush()
        if self.gone:
            settle(closed)
        return closed

    def _next(self) -> Message | None:
        if self.controls:
            return self.controls.popleft()
        journal = self.owner.journal
        if self.sent < journal.end:
            message = journal.frame(self.sent)
            self._sent += 1
            text = message.get("text")
            return {**message, "text": MARK + text} if text and text[0] == MARK else message
        message, self.closing = self.closing, None  # type: ignore[assignment]
        return message

    def _send(self, message: Message) -> None:
        text = text_alone(message)
        if text is not None and self._can_write(text):
            self._write(text)
            return
        if self.ready is None and (self.wrapped or asyncio.current_task(self.loop) is None):
            # Middleware around send() may have time limits or cancel scopes, which need a task, and end in
            # the one in which they began.
            self.busy = self.loop.create_task(self._send_apart(message))
            return
        try:
            rest = start(self.raw_send(message))
        except Exception as error:  # noqa: BLE001 - any server, and any middleware around its send
            self.failed(message, error)
            return
        if rest is not None:
            self.take_over()
            self.busy = self.loop.create_task(self._see_through(rest, message))
        elif message["type"] == "websocket.close":
            self._closed(message)

    async def _send_apart(self, message: Message) -> None:
        await self._see_through(self.raw_send(message), message)  # not called before: the task may not begin

    async def _see_through(self, rest: Awaitable[None], message: Message) -> None:
        try:
            await rest
        except Exception as error:  # noqa: BLE001 - as above
            self.busy = None
            self.failed(message, error)
        else:
            self.busy = None
            if message["type"] == "websocket.close":
                self._closed(message)
            self.flush()

    def _stop_sending(self) -> None:
        """Send and take nothing more: the socket has ended, or is about to."""
        offer_texts(self.framed, None)
        self.take_over()
        self.gone = True
        if self.after_close is not None:
            settle(self.after_close)
