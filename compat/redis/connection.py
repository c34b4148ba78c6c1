"""One connection to Redis for one event loop; the commands of one turn of the loop leave in one write.

redis-py connects (URL, TLS, password, sentinel, unix socket) and parses; this module decides when to read,
and ``compat.redis.outgoing`` when to write. Any number of tasks may send commands at once; replies come in
the order of the commands. If a connection breaks, or a reply takes too long, it is closed for good: every
waiting call gets ``LayerUnavailable``, and the next call has to open another connection.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError, ResponseError

from compat.clock import Deadline, steady
from compat.redis.encoding import Argument, encode, require_short
from compat.redis.hosts import Host, abandon
from compat.redis.loops import start_apart
from compat.redis.outgoing import GATHER_S, Outgoing
from compat.redis.reasons import MOVED, REPLICA, late, reason_of, refusal_of
from compat.redis.scripts import Script
from compat.redis.servers import Server, introduced, is_slave
from compat.redis.tls_hints import with_hint
from compat.redis.unavailable import Redirected, RedisUnavailable
from compat.redis.waiting import fail, within

__all__ = ["ROLE", "Explain", "Link", "answered", "ask_all", "opened"]


Explain = Callable[[Host, str], RedisUnavailable]
"""Makes the error for a host and a reason; a layer's method, because the text names the layer."""


class OnMessage(Protocol):
    """Called for each message that is published to a topic of the connection.

    Returns None, or an awaitable to wait for before the next message is read.
    """

    def __call__(self, topic: bytes, body: bytes) -> Awaitable[None] | None: ...


ROLE = encode((b"ROLE",))

PUSHED = frozenset((b"message", b"smessage", b"sunsubscribe"))


async def opened(host: Host, pool: ConnectionPool, explain: Explain) -> tuple[AbstractConnection, Server]:
    """Open a connection to a master, log in, and return it with what the server says about itself.

    Raises LayerUnavailable, at the latest after the host's time limit.
    """
    connection = host.connection(pool)

    async def open_and_ask() -> Server:
        await host.connect(connection)
        return await introduced(connection)

    try:
        server = await within(host.connect_timeout_s, open_and_ask())
    except (RedisError, OSError, asyncio.TimeoutError) as error:
        await abandon(connection)
        timed_out = isinstance(error, asyncio.TimeoutError)
        reason = late(host.connect_timeout_s) if timed_out else reason_of(error)
        reason = with_hint(reason, connection, pool.connection_kwargs)
        if host.is_shard:  # which may be on any node
            reason = reason.at(f"{getattr(connection, 'host', '')}:{getattr(connection, 'port', '')}")
        raise explain(host, reason) from error
    except BaseException:
        await abandon(connection)
        raise
    if server.is_replica:
        await abandon(connection)
        raise explain(host, REPLICA)
    return connection, server


class Link:
    """An open connection, which is made by ``Link.open`` and ends with ``close`` or a failure.

    ``on_message`` is called for each message of the topics that ``call(b"SUBSCRIBE", topic)`` has subscribed
    to; each such call names one topic. If a cluster ends a subscription, because the topic's slot has moved,
    it ends the link. ``on_end`` is called once, with the reason, if the connection ends without ``close``. A
    reply may take ``patience_s`` seconds. Before a command Redis is asked whether it is still the master,
    unless it was within ``role_every_s`` seconds: a replica takes what is published, and passes it to nobody.
    In a cluster it passes that to its master, and refuses the rest; the link then takes no more commands.
    Use a link only on the event loop that opened it.
    """

    passed_on = 0
    """How many commands another node of a cluster was asked instead (``ShardLink``)."""

    def __init__(
        self,
        connection: AbstractConnection,
        server: Server,
        host: Host,
        explain: Explain,
        patience_s: float,
        on_message: OnMessage | None,
        on_end: Callable[[str], None] | None,
        role_every_s: float,
    ) -> None:
        self.connection = connection
        self.server = server
        self.host = host
        self.explain = explain
        self.patience_s = patience_s
        self.on_message = on_message
        self.on_end = on_end
        self.closed = False
        self._is_retired = False
        self.reason = ""
        """Why the connection has ended."""
        self.loop = asyncio.get_running_loop()
        self._pending: deque[asyncio.Future[Any] | None] = deque()
        self._role: asyncio.Future[Any] = self.loop.create_future()
        """Stands in ``_pending`` for the reply of ROLE; it never has a result."""
        self._role_every_s = role_every_s
        self._asked_role = steady()
        self._unsubscribing: dict[bytes, int] = {}
        """How many replies to SUNSUBSCRIBE have not come, by topic; a cluster sends others by itself."""
        self._outgoing = Outgoing(0 if on_message is None else GATHER_S)
        self._heard = 0.0
        """When the last reply came, or when the oldest waiting command was sent."""
        self._deadline = Deadline(self.loop, patience_s, self._late, lambda: self._heard)
        self._tasks = {start_apart(self.loop, self._read()), start_apart(self.loop, self._write())}
        for task in self._tasks:
            task.add_done_callback(self._tasks.discard)

    @classmethod
    async def open(
        cls,
        host: Host,
        pool: ConnectionPool,
        explain: Explain,
        *,
        extra_patience_s: float = 0,
        on_message: OnMessage | None = None,
        on_end: Callable[[str], None] | None = None,
        scripts: Iterable[Script] = (),
        role_every_s: float = math.inf,
    ) -> Link:
        """Connect and return the link; raise LayerUnavailable, at the latest after the host's time limit."""
        connection, server = await opened(host, pool, explain)
        patience_s = host.reply_timeout_s + extra_patience_s
        link = cls(connection, server, host, explain, patience_s, on_message, on_end, role_every_s)
        for script in scripts:  # if the user may not run SCRIPT LOAD, EVAL still works
            link.tell(b"SCRIPT", b"LOAD", script.text)
        return link

    def call(self, *arguments: Argument) -> asyncio.Future[Any]:
        """Send a command; return a future for the reply, or for NoScriptError or LayerUnavailable.

        Raises MessageTooLarge for an argument that Redis would not take.
        """
        future: asyncio.Future[Any] = self.loop.create_future()
        if self._is_retired:
            fail(future, Redirected(self.host.where, MOVED))
        elif self.closed:
            fail(future, self.explain(self.host, self.reason))
        else:
            self._submit(arguments, future)
        return future

    def tell(self, *arguments: Argument) -> None:
        """Send a command, and ignore its reply; do nothing if the connection is closed."""
        if not self.closed:
            self._submit(arguments, None)

    def unsubscribe(self, command: bytes, topic: str) -> None:
        """Send a command that ends a subscription."""
        if self.closed:
            return
        if command == b"SUNSUBSCRIBE":
            self._unsubscribing[topic.encode()] = self._unsubscribing.get(topic.encode(), 0) + 1
        self._submit((command, topic), None)

    def _submit(self, arguments: tuple[Argument, ...], future: asyncio.Future[Any] | None) -> None:
        packed = encode(arguments)  # may raise, so do it before a reply is expected
        if len(packed) > self.server.longest:
            require_short(arguments, self.server.longest)
        if not self._pending:
            self._heard = steady()
            if self._deadline.timer is None:
                self._deadline.start()
        if self._role_every_s < math.inf and steady() - self._asked_role > self._role_every_s:
            self._asked_role = steady()
            self._pending.append(self._role)
            self._outgoing.add(ROLE)
        self._pending.append(future)
        self._outgoing.add(packed)

    async def _write(self) -> None:
        connection, outgoing = self.connection, self._outgoing
        try:
            while True:
                batch = await outgoing.batch()
                if not connection.is_connected:  # otherwise redis-py would silently reconnect
                    raise ConnectionError("connection closed by server")
                await connection.send_packed_command(batch, check_health=False)
        except (RedisError, OSError) as error:
            self.end(reason_of(error))

    async def _read(self) -> None:
        connection, on_message = self.connection, self.on_message
        try:
            while True:
                try:
                    reply = await connection.read_response(disable_decoding=True)
                except ResponseError as error:
                    reply = error
                self._heard = steady()
                if on_message is not None and isinstance(reply, list) and reply[0] in PUSHED:
                    if reply[0] != b"sunsubscribe":
                        pause = on_message(reply[1], reply[2])
                        if pause is not None:
                            await pause
                        continue
                    left = self._unsubscribing.pop(reply[1], 0)
                    if not left:
                        self.end(MOVED)
                        return
                    if left > 1:
                        self._unsubscribing[reply[1]] = left - 1
                if not self._pending:  # the slot moved as a subscription was ended: so both have said
                    self.end(MOVED)
                    return
                future = self._pending.popleft()
                if self._is_retired and not self._pending:
                    self.loop.call_soon(self.close_soon)
                if future is self._role:  # looked at before the replies that have come with it
                    if is_slave(reply) and self.host.is_shard:
                        self.close_soon()
                    elif is_slave(reply):
                        self.end(REPLICA)
                    if self.closed:
                        return
                    continue
                if future is None or future.done():
                    continue
                if isinstance(reply, Exception):
                    self._refuse(future, reply)
                    if self.closed:
                        return
                else:
                    future.set_result(reply)
        except (RedisError, OSError) as error:
            self.end(reason_of(error))
        finally:
            if not self.closed:  # cancelled: the event loop ends
                self._shut("its event loop ended")

    def _refuse(self, future: asyncio.Future[Any], error: Exception) -> None:
        """Pass an error reply to the call that waits for it."""
        if isinstance(error, NoScriptError):
            fail(future, error)  # ``Script.run`` handles it
            return
        redirect = self.host.redirect_of(error)
        reason = redirect or refusal_of(error)
        if redirect is None:
            fail(future, self.explain(self.host, reason))
        else:
            fail(future, Redirected(f"{self.host.where}: {error}", redirect))
        if reason is REPLICA:
            self.end(reason)  # the next connection may reach the new master

    def _late(self) -> None:
        """End the connection if a reply has been expected for ``patience_s``."""
        if self._pending:
            self.end(late(self.patience_s))

    def end(self, reason: str) -> None:
        """Close the connection because it is of no more use; waiting calls get LayerUnavailable."""
        if self.closed:
            return
        on_end = self.on_end
        self._shut(reason)
        if on_end is not None:
            on_end(reason)

    def _shut(self, reason: str) -> None:
        self.closed = True
        self.reason = reason
        self._deadline.cancel()
        self._outgoing.close()
        pending, self._pending = self._pending, deque()
        for future in pending:
            if future is not None and future is not self._role and not future.done():
                fail(future, self.explain(self.host, reason))
        this = asyncio.current_task(self.loop) if asyncio._get_running_loop() is self.loop else None
        for task in self._tasks:
            if task is not this:
                task.cancel()
        if not self.loop.is_closed():
            closing = self.loop.create_task(abandon(self.connection))
            self._tasks.add(closing)
            closing.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Close the connection now; waiting calls get LayerUnavailable."""
        if not self.closed:
            self._shut("the connection was closed")

    def close_soon(self) -> None:
        """Close the connection when the replies have come that it waits for."""
        self._is_retired = True
        if not self.is_waiting():
            self.close()

    def is_waiting(self) -> bool:
        """Return True while a reply is expected."""
        return bool(self._pending)

    async def aclose(self) -> None:
        """Close the connection, and wait until the socket is closed."""
        self.close()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def answered(link: Link, commands: Sequence[Sequence[Argument]]) -> list[asyncio.Future[Any]]:
    """Send commands in one write, and return the futures for their replies when all are done."""
    answers = [link.call(*command) for command in commands]
    if answers:
        await asyncio.wait(answers)
    return answers


async def ask_all(make: Callable[[], Sequence[Sequence[Argument]]], link: Link) -> None:
    """Send the commands that ``make()`` returns; raise an error at the end, Redirected before others."""
    errors = [error for answer in await answered(link, make()) if (error := answer.exception()) is not None]
    if errors:
        raise next((error for error in errors if isinstance(error, Redirected)), errors[0])
