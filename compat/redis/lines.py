"""Direct lines: connections that a thread, or an event loop made for one call, uses by itself.

Passing a call to the background loop and back wakes two threads, which costs as much as the call itself. With
a line, the caller writes the command and reads the reply. redis-py opens the connection and logs in on the
background loop, as for any other connection; then the line takes over its socket, which is not possible with
TLS. hiredis parses the replies; without it there are no lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import select
import socket
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

from compat.clock import call_later, steady
from compat.redis.commands import Share
from compat.redis.connection import ROLE, Explain, opened
from compat.redis.encoding import Argument, encode, require_short
from compat.redis.hosts import Host, abandon
from compat.redis.loops import background
from compat.redis.native import are_greenlets
from compat.redis.reasons import REPLICA, is_replica, late, reason_of, refusal_of
from compat.redis.scripts import Script
from compat.redis.servers import Server, is_slave
from compat.redis.shards import Shards

__all__ = ["Line", "Lines"]

log = logging.getLogger("compat.layers")

MOST = 4
"""The number of lines of a layer; if more threads send at the same moment, they use the background loop."""
AGAIN_S = 30.0
"""Seconds to wait after a line could not be opened."""
RECEIVE_BYTES = 65536
INCOMPLETE = object()


def _parser() -> Any:
    try:
        from hiredis import Reader
    except ImportError:
        return None
    return Reader


Parser = _parser()


class Line:
    """One connection for one call at a time, with the interface ``Commands``.

    ``loop`` is the event loop that awaits its coroutines; if it is None, they block and never suspend.
    """

    station = None

    def __init__(
        self, sock: socket.socket, server: Server, host: Host, explain: Explain, role_every_s: float
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.owes = False
        """True from a command until its reply; a line that is given back in this state is closed."""
        self._socket = sock
        self._server = server
        self._role_every_s = role_every_s
        self._asked_role = steady()
        self._host = host
        self._explain = explain
        self._parser = Parser(protocolError=ConnectionError, replyError=_error, notEnoughData=INCOMPLETE)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._ended = ""
        self.is_late = False
        """True if a reply has not come in time."""

    def is_alive(self) -> bool:
        """Return False if the socket is readable although no reply is expected: Redis has closed it."""
        return not self._poll.poll(0)

    def close(self) -> None:
        self._socket.close()

    def end(self, reason: str) -> None:
        """Make the line unusable, from any thread; a call that waits raises LayerUnavailable at once."""
        self._ended = reason
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    async def call(self, index: int, *arguments: Argument) -> Any:
        """Return the reply to a command; raise LayerUnavailable or NoScriptError."""
        packed = encode(arguments)
        if len(packed) > self._server.longest:
            require_short(arguments, self._server.longest)
        self.owes = True
        if steady() - self._asked_role > self._role_every_s:
            self._asked_role = steady()
            if is_slave(await self._reply(ROLE)):
                raise self._explain(self._host, REPLICA)
        reply = await self._reply(packed)
        if not isinstance(reply, ResponseError):
            self.owes = False
            return reply
        self.owes = is_replica(reply)  # closes the line; the next connection may reach the new master
        raise reply if isinstance(reply, NoScriptError) else self._explain(self._host, refusal_of(reply))

    async def run(self, index: int, script: Script, keys: list[str], *arguments: Argument) -> Any:
        """Run a script and return its reply."""
        return await script.run(partial(self.call, index), keys, *arguments)

    async def share(self, index: int, share: Share) -> Any:
        """Run a script for this caller alone, and return its answer."""
        script, keys, same, once, own, answers = share
        (answer,) = answers(await self.run(index, script, keys, *same, once(), *own))
        return answer

    async def _reply(self, packed: bytes) -> Any:
        """Write a command, and return the reply to it."""
        try:
            return self._ask(packed) if self.loop is None else await self._ask_on(self.loop, packed)
        except OSError as error:
            raise self._explain(self._host, self._reason(error)) from error

    def _ask(self, packed: bytes) -> Any:
        self._socket.settimeout(self._host.reply_timeout_s)
        self._socket.sendall(packed)
        reply = INCOMPLETE
        while reply is INCOMPLETE:
            reply = self._parse(self._socket.recv(RECEIVE_BYTES))
        return reply

    async def _ask_on(self, loop: asyncio.AbstractEventLoop, packed: bytes) -> Any:
        self._socket.setblocking(False)
        timer = call_later(loop, self._host.reply_timeout_s, self._give_up)
        try:
            await loop.sock_sendall(self._socket, packed)
            reply = INCOMPLETE
            while reply is INCOMPLETE:
                reply = self._parse(await loop.sock_recv(self._socket, RECEIVE_BYTES))
            return reply
        finally:
            timer.cancel()

    def _parse(self, data: bytes) -> Any:
        if not data:
            raise ConnectionError("connection closed by server")
        self._parser.feed(data)
        return self._parser.gets()

    def _give_up(self) -> None:
        """End a read that takes too long."""
        self.is_late = True
        self.end(late(self._host.reply_timeout_s))

    def _reason(self, error: OSError) -> str:
        if isinstance(error, TimeoutError) and error.errno is None:  # because of settimeout
            self._give_up()
        return self._ended or reason_of(error)


def _error(text: str) -> ResponseError:
    """Return the exception that redis-py would raise for an error reply."""
    return NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text.removeprefix("ERR "))


class Lines:
    """The lines of a layer, which callers on any thread take and give back; there are none with several
    hosts or a cluster.

    ``shards()`` returns the connections of the background loop. ``role_every_s``: see ``Link``. When the
    sentinels name another master, or a reply does not come in time, the other lines end too.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        explain: Explain,
        shards: Callable[[], Shards],
        role_every_s: float = math.inf,
    ) -> None:
        self._role_every_s = role_every_s
        self._host = hosts[0]
        self._explain = explain
        self._shards = shards
        self._idle: deque[Line] = deque()
        self._lines: set[Line] = set()
        """All lines, idle or in use."""
        self._misses = 0
        self._is_opening = False
        is_one = len(hosts) == 1 and not hosts[0].is_shard
        possible = is_one and Parser is not None and hasattr(select, "poll") and not are_greenlets()
        self._not_before = 0.0 if possible else math.inf
        """The time, by ``clock.steady()``, before which no line is opened."""
        self._pid = os.getpid()
        weakref.finalize(self, _close_all, self._idle)

    def take(self, loop: asyncio.AbstractEventLoop | None = None) -> Line | None:
        """Return a line for ``loop``, or a blocking one if ``loop`` is None; give it back after use.

        Returns None if no line is free; the caller then uses the background loop.
        """
        if self._pid != os.getpid():
            self._start_afresh()
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                return None
            if line.is_alive():
                line.loop = loop
                return line
            self._end(line)

    def give_back(self, line: Line) -> None:
        """Make the line available again, or close it if it was left in the middle of a call."""
        if line.owes:
            self._end(line)
        else:
            self._idle.append(line)
        if line.is_late:
            self.close()  # another call would wait for as long

    def missed(self) -> None:
        """Count a call that found no line; from the second one on, open a line for the next call."""
        self._misses += 1
        if self._misses > 1 and self._is_short():
            background.submit(self._open())

    def _is_short(self) -> bool:
        if self._idle or self._is_opening or len(self._lines) >= MOST:
            return False
        return steady() >= self._not_before

    async def _open(self) -> None:
        if not self._is_short():  # two callers may have asked at once
            return
        self._is_opening = True
        try:
            shards = self._shards()
            connection, server = await opened(self._host, shards.pool(0), self._explain)
            try:
                line = self._line_over(connection, server)
            finally:
                await abandon(connection)
        except Exception as error:  # noqa: BLE001 - calls also work without a line
            self._not_before = steady() + AGAIN_S
            log.debug("no direct line to Redis at %s: %s", self._host.where, error)
        else:
            if line is None:
                self._not_before = math.inf
            else:
                self._lines.add(shards.following.add(0, line))
                self._idle.append(line)
        finally:
            self._is_opening = False

    def _line_over(self, connection: AbstractConnection, server: Server) -> Line | None:
        """Return a line over the socket of an open connection; None for TLS, whose state redis-py holds."""
        writer = connection._writer
        if writer is None or writer.get_extra_info("ssl_object") is not None:
            return None
        descriptor = os.dup(writer.get_extra_info("socket").fileno())
        sock = socket.socket(fileno=descriptor)
        return Line(sock, server, self._host, self._explain, self._role_every_s)

    def close(self) -> None:
        """Close the lines that are not in use; they reopen when needed."""
        while self._idle:
            self._end(self._idle.pop())

    def _end(self, line: Line) -> None:
        self._lines.discard(line)
        line.close()

    def _start_afresh(self) -> None:
        """Drop the parent's lines in a forked process; closing these copies does not affect the parent."""
        self._pid = os.getpid()
        self._is_opening = False
        self._lines.clear()
        _close_all(self._idle)


def _close_all(lines: deque[Line]) -> None:
    while lines:
        lines.pop().close()
