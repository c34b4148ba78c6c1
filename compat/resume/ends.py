"""The two ends of a link between processes: one at the socket, one at the home of its connection."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from compat.codes import ABNORMAL, COMES_BACK, NO_STATUS, NORMAL, SERVICE_RESTART, TOO_BIG, TRY_AGAIN_LATER
from compat.engine.limits import frame_size
from compat.engine.socket import closes_otherwise
from compat.resume.journal import MAX_BYTES, payload_of, size_of
from compat.resume.link import send_away
from compat.resume.posts import LATER
from compat.resume.wire import MARK, MAX_CONTROL, control, is_control
from compat.types import Message, Receive, Send

if TYPE_CHECKING:
    from compat.resume.peer import Peer

__all__ = ["Attach", "AwayEnd", "HomeEnd"]

log = logging.getLogger("compat.resume")

WINDOW = 64
"""Messages of a client that may be on their way to the home, or wait there; a large one counts as several."""
WEIGHT_BYTES = 16 * 1024
MAX_HELD = 4 * MAX_BYTES
"""With more bytes waiting at the socket, a client that does not read gets no further frame."""
MESSAGE_BYTES = 256


def _packed(message: Message) -> tuple[str, str]:
    """Return the kind and the text by which a frame travels; layers with JSON take no bytes."""
    text = message.get("text")
    if text is not None:
        return "text", text
    return "binary", base64.b64encode(message.get("bytes") or b"").decode()


def _unpacked(kind: str, value: str, message_type: str) -> Message:
    if kind.endswith("text"):
        return {"type": message_type, "text": value}
    return {"type": message_type, "bytes": base64.b64decode(value)}


def _weight(message: Message) -> int:
    """Return how much of the window a client's frame takes."""
    return 1 + size_of(payload_of(message)) // WEIGHT_BYTES


def _exceeds(message: Message, most: float) -> bool:
    """Return True if a client's frame has more than ``most`` bytes for its consumer."""
    text = message.get("text") or ""
    if is_control(text):  # of which characters count
        return len(text) > max(most, MAX_CONTROL)
    return frame_size(message) > most + (text[:1] == MARK)  # which is doubled where it is the client's


def _kept(message: Message) -> int:
    """Return how many bytes a frame counts as while it waits; an empty one takes memory too."""
    return MESSAGE_BYTES + size_of(payload_of(message))


class Attach(NamedTuple):
    """The request of a socket's end to its home; its fields travel in this order."""

    connection: str
    generation: int
    received: int
    user: str
    path: str
    posts: bool = False
    session: str = ""


class HomeEnd:
    """The end at the home of the connection: to the link it is the socket."""

    KINDS = frozenset(("text", "binary", "left"))
    """The kinds of items that come from the other end."""

    def __init__(self, peer: Peer, number: int) -> None:
        self.peer, self.number = peer, number
        self.came: asyncio.Queue[Message] = asyncio.Queue()
        self.taken = 0

    def take(self, kind: str, value: Any) -> None:
        """Take an item from the other end."""
        if kind == "left":
            self.came.put_nowait({"type": "websocket.disconnect", "code": value})
        else:
            self.came.put_nowait(_unpacked(kind, value, "websocket.receive"))

    def drop(self) -> None:
        """End the link, because the other process is lost, or an item from it."""
        self.leave()
        self.came.put_nowait({"type": "websocket.disconnect", "code": ABNORMAL})
        self.peer.put(self.number, "close", [SERVICE_RESTART, ""])

    def leave(self) -> None:
        """Take nothing more, because the link has ended; its last message may not have been read."""
        self.peer.homes.pop(self.number, None)

    async def receive(self) -> Message:
        """Return the client's next message."""
        message = await self.came.get()
        if message["type"] == "websocket.disconnect":
            self.leave()
        else:
            self.taken += _weight(message)
            if self.taken >= WINDOW // 2:
                self.peer.put(self.number, "credit", self.taken)
                self.taken = 0
        return message

    async def send(self, message: Message) -> None:
        """Send an ASGI message to the other end, which passes it to the socket."""
        if message["type"] == "websocket.send":
            kind, value = _packed(message)
            self.peer.put(self.number, f"out {kind}", value)
        else:
            self.peer.put(self.number, "close", [message.get("code", NORMAL), message.get("reason") or ""])


class AwayEnd:
    """The end at the socket: it passes frames on in both directions, without reading them.

    A client that sends a frame of more than ``most`` bytes is closed.
    """

    def __init__(
        self, peer: Peer, number: int, loop: asyncio.AbstractEventLoop, most: float | None = None
    ) -> None:
        self.peer, self.number, self.most = peer, number, most
        self.answered: asyncio.Future[tuple[str, Any]] = loop.create_future()
        self.out: asyncio.Queue[Message] = asyncio.Queue()
        """Frames from the home that wait for the client."""
        self.held = 0
        """Their bytes. The journal limits these, unless the client acknowledges what it has not read."""
        self.full = False
        """True once the client has been asked to come back later; it gets nothing more."""
        self.credit = WINDOW
        self.moved = asyncio.Event()
        """Set when there is more credit, or the home has closed."""
        self.closed = False
        """True if the home takes nothing more."""
        self.final: int | None = None
        """The code of the home's close; None if it has not closed, or this end has closed before."""

    def take(self, kind: str, value: Any) -> None:
        """Take an item from the home."""
        if kind in ("ok", "no"):
            if not self.answered.done():
                self.answered.set_result((kind, value))
        elif kind == "credit":
            self.credit += value
            self.moved.set()
        elif kind == "close":
            self._close(*value)
        elif self.held > MAX_HELD and not self.full:
            self._give_up()
        elif not self.full:
            message = _unpacked(kind, value, "websocket.send")
            self.held += _kept(message)
            self.out.put_nowait(message)

    def _close(self, code: int, reason: str = "", *, own: bool = False) -> None:
        if not self.closed:
            self.closed = True
            self.final = None if own else code
            self.out.put_nowait({"type": "websocket.close", "code": code, "reason": reason})
            self.moved.set()

    def _give_up(self) -> None:
        log.warning("a relayed client does not read: it is asked to come back later")
        self.full = True
        self.out = asyncio.Queue()
        self.out.put_nowait({"type": "websocket.close", "code": TRY_AGAIN_LATER})
        self.peer.put(self.number, "left", ABNORMAL)

    def _refuse(self, message: Message, most: float) -> None:
        """Close the client of a frame that is too large, as the home's consumer would."""
        size = frame_size(message)
        log.warning(
            "a relayed client is closed with %d: a message of %d bytes; %g allowed", TOO_BIG, size, most
        )
        self.peer.put(self.number, *_packed(control("bye")))  # it does not come back with this frame
        self.peer.put(self.number, "left", TOO_BIG)
        self._close(TOO_BIG)

    def drop(self) -> None:
        """Ask the client to come back, because the home cannot be reached, or is lost."""
        self.take("no", LATER)
        self._close(SERVICE_RESTART, own=True)

    async def serve(self, subprotocol: str, receive: Receive, send: Send) -> None:
        """Accept the socket, and pass frames on until the client has left."""
        code = ABNORMAL
        pump: asyncio.Task[None] | None = None
        try:
            if (await receive())["type"] != "websocket.connect":
                return
            await send({"type": "websocket.accept", "subprotocol": subprotocol})
            pump = asyncio.get_running_loop().create_task(self._pump(send))
            while (message := await receive())["type"] != "websocket.disconnect":
                if self.most is not None and not self.closed and _exceeds(message, self.most):
                    self._refuse(message, self.most)
                elif not self.closed:
                    self.peer.put(self.number, *_packed(message))
                    self.credit -= _weight(message)
                while self.credit <= 0 and not self.closed:
                    self.moved.clear()
                    await self.moved.wait()
            code = message.get("code", NO_STATUS)
        except asyncio.CancelledError:
            if pump is not None:
                pump.cancel()
                await send_away(send)
            raise
        finally:
            if pump is not None:
                pump.cancel()
            # That this process stops, or has dropped the link, does not mean that the client has left.
            ours = code == SERVICE_RESTART and code != self.final
            self.peer.put(self.number, "left", ABNORMAL if ours else code)

    async def _pump(self, send: Send) -> None:
        try:
            while True:
                message = await self.out.get()
                try:
                    await send(message)
                except Exception:
                    final = message["type"] == "websocket.close" and message["code"] not in COMES_BACK
                    if not (final and await closes_otherwise(send, message)):
                        raise
                if message["type"] == "websocket.send":
                    self.held -= _kept(message)
        except Exception as error:  # noqa: BLE001 - any server; its disconnect follows
            log.debug("a relayed socket has ended: %r", error)
