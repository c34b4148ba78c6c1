"""A link: one socket of a resumable connection. It reads the frames, and finds out how the socket has ended.

``Outward`` sends.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

from compat.codes import COMES_BACK, GOING_AWAY, MALFORMED, NO_STATUS, NORMAL, OF_A_PAGE, SERVICE_RESTART
from compat.engine.fast.unframing import offer_texts, unframe
from compat.engine.parts import bursts_of
from compat.engine.reader import Interruptible, holds_closes_back, is_stop
from compat.engine.refusal import shown
from compat.engine.scheduler import turn
from compat.engine.socket import closes_otherwise
from compat.redis.waiting import settle
from compat.resume.journal import payload_of, size_of
from compat.resume.outward import Outward
from compat.resume.owner import Owner
from compat.resume.wire import MARK, Malformed, is_control, read_control, read_count
from compat.types import Message, Receive, Send

__all__ = ["PAUSED", "REPLACED", "Link", "send_away"]

log = logging.getLogger("compat.resume")

PAUSED, REPLACED = "paused", "replaced"
"""The reasons in closes: the client has asked for it by ``pause``, or it is back on another link."""
CLOSE_TIMEOUT_S = 2.0
GOODBYE_S, LAST_LOOK_S = 0.3, 0.05
"""Seconds after a ``bye`` in which the client's close may come, with a code of its choice; and seconds for
reading that close, if it has come while the loop was busy.
"""
GOODBYES = frozenset((NORMAL, GOING_AWAY))
"""Close codes after which a client does not come back. 1005 is not one: uvicorn reports it for a cut too."""
MAX_CONTROLS, CONTROLS_S = 500, 1.0
"""How many control frames are read in so many seconds. A client that is not hostile sends a few a minute, in
addition to its acknowledgements.
"""

_ACK = re.compile(MARK + r'\{"type": ?"ack", ?"n": ?([0-9]{1,15})\}').fullmatch
"""An acknowledgement as most clients write it; ``_control`` reads all forms."""


class Link(Outward):
    """One socket, for as long as it is open."""

    __slots__ = (
        *("goodbye", "heard", "heard_from", "left", "overdue", "paused", "raw_receive", "reading"),
        *("relayed", "task"),
    )

    def __init__(
        self, receive: Receive, send: Send, owner: Owner, sent: int = 0, *, relayed: bool = False
    ) -> None:
        raw_receive, raw_send = receive, send
        if holds_closes_back():
            apart = Interruptible(receive, send)
            raw_receive, raw_send = apart.receive, apart.send
        bursts = bursts_of(asyncio.get_running_loop())
        super().__init__(raw_send, bursts and bursts.protocol_of(receive, send), owner, sent)
        self.raw_receive = raw_receive
        self.relayed = relayed
        """True if the socket is in another process, or a response: the server does not close it."""
        self.task: asyncio.Task[Any] | None = None
        """Runs ``read``, if the socket is not read in steps or by ``until_left``."""
        self.left: asyncio.Future[None] | None = None
        """Done when reading has ended; ``until_left`` waits for it."""
        self.overdue: asyncio.TimerHandle | None = None
        """Ends the link if the reader does not report its end in time."""
        self.reading: Any = None
        """The coroutine of ``receive()`` that ``_step`` runs."""
        self.heard, self.heard_from = 0, 0.0
        """How many control frames have come since that time of the loop."""
        self.goodbye = self.paused = False
        """The client has said that it does not come back; that it comes back at once (``pause``)."""

    def begin(self) -> None:
        """Read the socket: in steps if its ``receive()`` waits only for a queue, else in a task."""
        if self._reads_in_steps():
            self._first_step()
        else:
            self.task = self.loop.create_task(self.read())

    async def until_left(self) -> None:
        """Read the socket as ``begin`` does, and return when the client has left it."""
        try:
            await self._until_left()
        except asyncio.CancelledError:
            self._stop_sending()
            await send_away(self.raw_send)
            raise

    async def _until_left(self) -> None:
        if not self._reads_in_steps():
            await self.read()
            return
        self.left = self.loop.create_future()
        try:
            self._first_step()
            await self.left
        finally:  # the server may end the call
            if self.reading is not None:
                self.reading.close()
            self._end(NO_STATUS, goodbye=False)

    def _first_step(self) -> None:
        unframe(self.framed)
        offer_texts(self.framed, self._takes_text)
        space = self.owner.space()
        if space is None:
            self._step()
        else:
            space.add_done_callback(self._step)

    def _reads_in_steps(self) -> bool:
        return isinstance(getattr(self.raw_receive, "__self__", None), asyncio.BaseProtocol)

    # How it ends

    def failed(self, message: Message, error: Exception) -> None:
        """Handle the ``error`` of the server's ``send(message)``."""
        closed = self.after_close
        if message["type"] == "websocket.close" and closed is not None and not closed.done():
            closed.set_exception(error)  # the server may take another code
            return
        log.debug("a link has ended: %r", error)
        self.drop(SERVICE_RESTART)  # the socket may be open: nothing is sent there any more
        # The reader reports the end, because it may be about to read the client's goodbye.
        self._end_within(CLOSE_TIMEOUT_S, NO_STATUS)

    def _end_within(self, seconds: float, code: int) -> None:
        if self.overdue is not None:
            self.overdue.cancel()
        self.overdue = self.loop.call_later(seconds, self._end_overdue, code)

    def _end_overdue(self, code: int) -> None:
        self.drop(code)
        self._end(code, goodbye=self.goodbye)

    def _closed(self, message: Message) -> None:
        self._stop_sending()
        if self.paused:
            self.owner.ended(self, message.get("code", NO_STATUS), goodbye=self.goodbye)

    # What comes

    async def read(self) -> None:
        """Read the socket until the client has left it."""
        try:
            space = self.owner.space()
            if space is not None and not self.relayed:
                await asyncio.shield(space)  # others may wait for this future too
                space = None
            while True:
                message = await self.raw_receive()
                if message["type"] == "websocket.disconnect":
                    self._left(message)
                    return
                if space is not None and not is_control(message.get("text")):
                    await asyncio.shield(space)
                    space = None
                room = self._take(message)
                await (turn() if room is None else asyncio.shield(room))
        except Malformed as error:
            await self._refuse(error)
        except Exception as error:  # noqa: BLE001 - a server's failure to read
            log.debug("a link cannot be read: %r", error)
        finally:
            self._end(NO_STATUS, goodbye=False)

    def _step(self, awaited: asyncio.Future[Any] | None = None) -> None:
        """Do what ``read`` does, without a task: run ``receive()`` up to its next wait."""
        if self.left is not None and self.left.done():
            return
        try:
            reading: Any = self.reading or self.raw_receive()
            try:
                awaited = reading.send(None)
            except StopIteration as returned:
                self.reading = None
                message: Message = returned.value
            else:
                self.reading = reading
                if awaited is None:
                    self.loop.call_soon(self._step)
                else:
                    awaited._asyncio_future_blocking = False
                    awaited.add_done_callback(self._step)
                return
            if message["type"] == "websocket.disconnect":
                self._left(message)
            elif (room := self._take(message)) is not None:
                room.add_done_callback(self._step)
            else:
                self.loop.call_soon(self._step)  # the client may have sent a flood of them
        except Malformed as error:
            self.task = self.loop.create_task(self._refuse(error))
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a server's failure to read
            log.debug("a link cannot be read: %r", error)
            self._end(NO_STATUS, goodbye=False)

    def _left(self, message: Message) -> None:
        code = message.get("code", NO_STATUS)
        last = code in GOODBYES or code in OF_A_PAGE or is_stop(message)
        if self.gone and code == SERVICE_RESTART:
            last = False  # this was our close, after a frame that could not be written
        self._end(code, goodbye=self.goodbye or last)

    async def _refuse(self, error: Malformed) -> None:
        log.warning("a client of %s is closed with %d: %s", shown(self.owner.where), MALFORMED, error)
        closed = self.close({"type": "websocket.close", "code": MALFORMED, "reason": str(error)})
        await asyncio.wait((closed,), timeout=CLOSE_TIMEOUT_S)
        self._end(MALFORMED, goodbye=True)

    def _end(self, code: int, *, goodbye: bool) -> None:
        self._stop_sending()
        if self.overdue is not None:
            self.overdue.cancel()  # which lets go of this link
        if self.left is not None:
            settle(self.left)
        self.owner.ended(self, code, goodbye=goodbye)

    def _take(self, message: Message) -> asyncio.Future[None] | None:
        text = message.get("text")
        if text and text[0] == MARK:
            if is_control(text):
                known = self.owner.journal.acknowledged
                self._control(text)
                # Acknowledgements of new frames are not counted: we send these frames, and so limit them.
                return None if self.owner.journal.acknowledged > known else self._slowed()
            message = {**message, "text": text[1:]}
        return self.owner.came(self, message, size_of(payload_of(message)))

    def _takes_text(self, text: str, waits: bool) -> bool:
        """Take a text before ``_step`` reads it, if that makes no other difference; return False if not.

        ``waits``: messages wait before it; only acknowledgements are taken then.
        """
        if self.gone:
            return False
        if text[0] == MARK and (found := _ACK(text)) is not None:
            count = min(int(found[1]), self.sent)
            if count <= self.owner.journal.acknowledged:  # it acknowledges nothing new; too many are slowed
                if self.heard + 1 >= MAX_CONTROLS:
                    return False
                self.heard += 1
            self.owner.acknowledged(self, count)
            return True
        if waits or is_control(text) or self.owner.space() is not None:
            return False
        self._take({"type": "websocket.receive", "text": text})
        return True

    def _slowed(self) -> asyncio.Future[None] | None:
        """Count a control frame; return a future to wait for before the next one if there are too many."""
        self.heard += 1
        if self.heard < MAX_CONTROLS:
            return None
        now, end = self.loop.time(), self.heard_from + CONTROLS_S
        if now >= end:
            self.heard, self.heard_from = 0, now
            return None
        later: asyncio.Future[None] = self.loop.create_future()
        self.loop.call_at(end, settle, later)
        return later

    def _control(self, text: str) -> None:
        members = read_control(text)
        kind = members["type"]
        if kind == "ack":
            self.owner.acknowledged(self, read_count(members))
        elif kind == "ping":
            self.owner.pinged(self)
        elif kind == "presence":
            self.owner.watch_people(self, members)
        elif kind == "bye":
            self.bye()
            if self.overdue is None:
                self.overdue = self.loop.call_later(GOODBYE_S, self._end_within, LAST_LOOK_S, NORMAL)
        elif kind == "pause" and self.after_close is None and self.owner.may_pause():
            self.paused = True
            self.close({"type": "websocket.close", "code": SERVICE_RESTART, "reason": PAUSED})

    def close_anyhow(self, message: Message) -> None:
        """Close as ``close`` does, or with another code if the server rejects this one."""

        def look(closed: asyncio.Future[None]) -> None:
            if closed.exception() is not None:
                self.close_otherwise(message)

        self.close(message).add_done_callback(look)

    def close_otherwise(self, message: Message) -> None:
        """Close with another code, because the server has rejected that of ``message``.

        Do nothing for a client that is to come back: after another code it would not. It notices the end when
        its ping is not answered.
        """
        if message.get("code") not in COMES_BACK:
            closing = asyncio.wait_for(closes_otherwise(self.raw_send, message), CLOSE_TIMEOUT_S)
            _keep(self.loop.create_task(closing))

    def bye(self) -> None:
        """Note that the client has said that it does not come back."""
        self.goodbye = True

    def drop(self, code: int, reason: str = "") -> None:
        """Close the socket with ``code`` at once; the frames that wait for it are not sent."""
        if self.gone:
            return
        self._stop_sending()
        if self.busy is not None:
            self.busy.cancel()
        _keep(self.loop.create_task(self._drop({"type": "websocket.close", "code": code, "reason": reason})))

    async def _drop(self, close: Message) -> None:
        try:
            await asyncio.wait_for(self.raw_send(close), CLOSE_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - the client may have left long ago
            log.debug("a replaced link could not be closed: %r", error)


async def send_away(send: Send) -> None:
    """Close a socket whose call the server cancels, as hypercorn does when it stops; so its client returns.

    After 1011, the code that hypercorn sends by itself, a client does not come back.
    """
    try:
        await asyncio.wait_for(send({"type": "websocket.close", "code": SERVICE_RESTART}), CLOSE_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 - any server; the socket may be closed
        log.debug("a link whose call ends could not be closed: %r", error)


def _keep(task: asyncio.Task[Any]) -> None:
    _closing.add(task)  # there is no other reference to it
    task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[Any]] = set()
