"""A client of resumable connections that speaks the wire by hand: one step of it per call, nothing beside."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State
from websockets.typing import Origin, Subprotocol

from tests.support.clients import SAME_ORIGIN, Refused
from tests.support.servers import Address

__all__ = ["COME_BACK", "MARK", "PROTOCOL", "Closed", "Resuming", "end_links", "number_of"]

PROTOCOL = "channels.resume.v1"
MARK = "\x10"
COME_BACK = (1001, 1005, 1006, 1012, 1013)
"""Close codes of a server after which a client comes back."""
ACK_FRAMES, ACK_BYTES = 128, 64 * 1024
DEADLINE_S = 30.0

Frame = str | bytes

links: list[ClientConnection] = []
"""Every link of this test; see ``end_links``."""


async def end_links() -> None:
    """Abort what a test has left open."""
    for link in links:
        link.transport.abort()
    for link in links:
        await link.wait_closed()
    links.clear()


class Closed(AssertionError):
    """The server has closed the link instead of sending a frame."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code} instead of a frame")
        self.code = code


def number_of(frame: Frame) -> int:
    """The last number in a frame."""
    text = frame if isinstance(frame, str) else frame.decode()
    return int(re.findall(r"\d+", text)[-1])


class Resuming:
    """One page's connection, over one link after another. Every wait has a deadline.

    It reads only when it is asked for something. ``acks`` False: it acknowledges nothing by itself.
    ``receive_buffer`` is the size in bytes of its socket's, for a client that does not read.
    """

    def __init__(
        self,
        server: Address,
        path: str,
        *,
        protocols: Sequence[str] = (),
        origin: str | None = SAME_ORIGIN,
        headers: Mapping[str, str] | None = None,
        acks: bool = True,
        receive_buffer: int | None = None,
        compression: str | None = None,
    ) -> None:
        self.server = server
        self.path = path
        self.protocols = list(protocols)
        self.origin = server.origin if origin == SAME_ORIGIN else origin
        """It stays the first server's: the page does not change when another process answers."""
        self.headers = dict(headers or {})
        self.acks = acks
        self.receive_buffer = receive_buffer
        self.compression = compression
        self.link: ClientConnection
        self.ticket: str | None = None
        self.park: float = 0
        self.recovered: str | None = None
        """None for a new connection, and while the verdict has not come."""
        self.why: str | None = None
        self.received = 0
        """Data frames that have come in this connection."""
        self.frames: deque[Frame] = deque()
        """Those that have come while something else was waited for."""
        self.controls: deque[dict[str, Any]] = deque()
        """What the server has said beside its hello and its acknowledgements."""
        self.sent: list[Frame] = []
        """Data frames of this connection; the server may have those from ``acknowledged`` on, or not."""
        self.acknowledged = 0
        self.unsure: list[Frame] = []
        """Frames of earlier connections that the server may have or not."""
        self._said = 0
        self._said_bytes = 0

    # Links

    async def open(self, *, to: Address | None = None) -> Resuming:
        """Open the first link, or a new connection without a ticket."""
        self.ticket, self.received = None, 0
        await self._open(to, [])
        return self

    async def back(
        self,
        *,
        to: Address | None = None,
        ticket: str | None = None,
        received: int | None = None,
        only: bool = False,
    ) -> str:
        """Open another link, with the newest ticket, and return "all", "groups" or "".

        The older link stays as it is: see ``cut``. ``to`` is another server, ``ticket`` another ticket and
        ``received`` another count than its own.
        """
        await self.present(to=to, ticket=ticket, received=received, only=only)
        if self.recovered is None:
            await self.told("verdict")
        assert self.recovered is not None
        return self.recovered

    async def present(
        self,
        *,
        to: Address | None = None,
        ticket: str | None = None,
        received: int | None = None,
        only: bool = False,
        hear: bool = True,
    ) -> None:
        """Open another link with a ticket, as ``back``, but do not wait for a verdict after the hello.

        ``hear`` False: the hello is left unread, too.
        """
        shown = ticket if ticket is not None else self.ticket
        count = received if received is not None else self.received
        await self._open(to, [f"channels.ticket.{shown}.{count}" + ".only" * only], hear=hear)

    async def _open(self, to: Address | None, items: list[str], *, hear: bool = True) -> None:
        self.server = server = to or self.server
        options: dict[str, Any] = {}
        if self.receive_buffer is not None:
            options["sock"] = sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (server.host, server.port))
        try:
            self.link = await connect(
                server.ws(self.path),
                origin=cast("Origin | None", self.origin),
                additional_headers=self.headers,
                subprotocols=cast("Sequence[Subprotocol]", [PROTOCOL, *self.protocols, *items]),
                open_timeout=DEADLINE_S,
                close_timeout=DEADLINE_S,
                ping_interval=None,
                compression=self.compression,
                max_size=None,
                proxy=None,
                **options,
            )
        except InvalidStatus as error:
            body = bytes(error.response.body or b"").decode("utf-8", "replace")
            raise Refused(error.response.status_code, body) from None
        links.append(self.link)
        if hear:
            await self._hear()

    async def _hear(self) -> None:
        frame = await self._frame()
        assert isinstance(frame, str) and frame.startswith(MARK) and frame[1:2] != MARK, (
            f"no hello: {frame!r}"
        )
        hello = json.loads(frame[1:])
        assert hello["type"] == "hello", hello
        self.ticket, self.park = hello["ticket"], hello["park"]
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,4096}", self.ticket or ""), "base64url, and at most 4 KiB"
        self.recovered, self.why = hello.get("recovered"), hello.get("why")
        if self.recovered == "all":
            await self._go_on(hello["have"])
        else:
            assert hello["have"] == 0
            self.unsure += self.sent[self.acknowledged :]
            self.sent, self.acknowledged = [], 0
            self.received = self._said = self._said_bytes = 0
        if self.acks:
            await self.ack()

    async def _go_on(self, have: int) -> None:
        assert self.acknowledged <= have <= len(self.sent), f"{have} of {len(self.sent)} frames"
        self.acknowledged = have
        for frame in self.sent[have:]:
            await self._write(_escaped(frame))

    def cut(self, *, reset: bool = True) -> None:
        """End the TCP connection without a close frame: reset it, or end it in order."""
        transport = self.link.transport
        sock = transport.get_extra_info("socket")
        if reset and sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()

    async def close(self, code: int = 1000) -> None:
        """Leave with a close frame."""
        await self.link.close(code)

    async def leave(self) -> None:
        """Leave as a page does: ``bye``, and a close."""
        await self.say("bye")
        await self.close()

    async def close_without_code(self) -> None:
        """Leave with a close frame that has no code, as ``close()`` of a page's own socket does."""
        self.link.protocol.send_close()
        self.link.transport.write(b"".join(self.link.protocol.data_to_send()))
        await asyncio.wait_for(self.link.wait_closed(), DEADLINE_S)

    # Frames

    async def send(self, frame: Frame) -> None:
        """Send a data frame; on a link that has ended it is sent with the next one."""
        self.sent.append(frame)
        await self._write(_escaped(frame))

    async def say(self, kind: str, **members: Any) -> None:
        """Send a control frame."""
        await self._write(MARK + json.dumps({"type": kind, **members}))

    async def ack(self, count: int | None = None) -> None:
        """Say how many frames have come, or that ``count`` have."""
        self._said, self._said_bytes = self.received, 0
        await self.say("ack", n=self.received if count is None else count)

    async def write(self, frame: Frame) -> None:
        """Send a frame as it is, and count nothing."""
        await self._write(frame)

    async def _write(self, frame: Frame) -> None:
        if self.link.state is State.CLOSING:  # send() would wait until all that has come is read
            return
        try:
            await asyncio.wait_for(self.link.send(frame), DEADLINE_S)
        except ConnectionClosed:
            pass

    async def receive(self) -> Frame:
        """Return the next data frame. Raises Closed."""
        while not self.frames:
            await self._read()
        return self.frames.popleft()

    async def receive_json(self) -> Any:
        return json.loads(await self.receive())

    async def numbers(self, count: int) -> list[int]:
        """Return the numbers of the next ``count`` frames."""
        return [number_of(await self.receive()) for _ in range(count)]

    async def numbers_until(self, last: int) -> list[int]:
        """Return the numbers of the next frames, up to ``last``."""
        got = await self.numbers(1)
        while got[-1] != last:
            got += await self.numbers(1)
        return got

    async def closed(self) -> int | None:
        """Return the code with which the link ends; frames that come before are kept."""
        while True:
            try:
                await self._read()
            except Closed as closed:
                return closed.code

    async def all_acknowledged(self) -> None:
        """Wait until the server has acknowledged all frames."""
        while self.acknowledged < len(self.sent):
            await self._read()

    async def pong(self) -> None:
        """Ping, and wait for the answer: what was sent before has been read."""
        await self.say("ping")
        await self.told("pong")

    async def told(self, kind: str) -> dict[str, Any]:
        """Return the next control frame of a type."""
        while True:
            for said in self.controls:
                if said["type"] == kind:
                    self.controls.remove(said)
                    return said
            await self._read()

    async def _frame(self) -> Frame:
        try:
            return await asyncio.wait_for(self.link.recv(), DEADLINE_S)
        except ConnectionClosed:
            raise Closed(self.link.protocol.close_code) from None
        except asyncio.TimeoutError:
            raise AssertionError(f"nothing came within {DEADLINE_S} s") from None

    async def _read(self) -> None:
        frame = await self._frame()
        if isinstance(frame, str) and frame.startswith(MARK):
            if not frame.startswith(MARK * 2):
                await self._control(json.loads(frame[1:]))
                return
            frame = frame[1:]
        self.received += 1
        self.frames.append(frame)
        self._said_bytes += len(frame)
        if self.acks and (self.received - self._said >= ACK_FRAMES or self._said_bytes >= ACK_BYTES):
            await self.ack()

    async def _control(self, said: dict[str, Any]) -> None:
        kind = said["type"]
        assert kind != "hello", "only the first frame of a link is one"
        self.ticket = said.get("ticket", self.ticket)
        if kind == "ack":
            assert self.acknowledged <= said["n"] <= len(self.sent), f"{said} of {len(self.sent)} frames"
            self.acknowledged = said["n"]
            if self.acks and ("ticket" in said or said.get("ask")):
                await self.ack()
        else:
            if kind == "verdict":
                self.recovered, self.why = said["recovered"], said.get("why")
            self.controls.append(said)


def _escaped(frame: Frame) -> Frame:
    return MARK + frame if isinstance(frame, str) and frame.startswith(MARK) else frame
