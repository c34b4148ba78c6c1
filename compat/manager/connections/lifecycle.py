"""Accept connections and register them, and remove them from groups and registry when they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any

from starlette.websockets import WebSocketDisconnect, WebSocketState

from compat.codes import ABNORMAL, INTERNAL_ERROR, NO_STATUS, NORMAL, POLICY_VIOLATION, TRY_AGAIN_LATER
from compat.engine.refusal import shown
from compat.manager.backends.records import require_connection_id, require_user_id
from compat.manager.connections.gate import Gate
from compat.manager.connections.membership import Membership
from compat.manager.connections.origin import OriginCheck
from compat.manager.connections.outbox import Limits, Outbox
from compat.manager.connections.parts import means
from compat.manager.connections.state import Connection
from compat.manager.exceptions import BackendError, BaseError, ConnectionError
from compat.manager.typed import ConnectionState
from compat.manager.utils.batching import run_with_concurrency_limit
from compat.names import group_name

__all__ = ["Lifecycle"]

log = logging.getLogger("compat.manager")

CLOSE_WITHIN_S = 2.0
"""Seconds that a client may take to read the waiting frames and the close."""
GONE = frozenset((NO_STATUS, ABNORMAL))
"""Close codes that mean that the client has left, so that no close frame is sent."""
ENDED_AT_ONCE = 100
USER_PART = 20
"""How many characters of a user's id are part of a channel's name."""


class Lifecycle(Membership):
    """``connect`` and ``disconnect``."""

    outbox_limits: Limits
    _origins: OriginCheck
    _endings: dict[Connection, asyncio.Task[None]]

    async def connect(
        self,
        websocket: Any,
        user_id: str | None = None,
        connection_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        subprotocol: str | None = None,
        headers: Iterable[tuple[bytes, bytes]] | None = None,
    ) -> Connection:
        """Accept ``websocket``, unless it is accepted already, and return it as a connection of ``user_id``.

        From then on its ``receive()`` raises WebSocketDisconnect with the client's code. ``channel_name`` is
        ``connection_id``, or a random name. Raises ConnectionError before accepting if a limit is reached,
        the id is taken, the page's Origin is not allowed, or the backend cannot be reached. A Starlette or
        FastAPI endpoint need not catch it: the client is refused. Raises WebSocketDisconnect if the client
        leaves, or the connection is ended, before it is open.
        """
        if connection_id is not None:
            require_connection_id(connection_id)
        self._check_origin(websocket)
        connection = await self._admit(websocket, user_id, connection_id, metadata)
        try:
            connection.begin()
            if websocket.application_state == WebSocketState.CONNECTING:
                await websocket.accept(subprotocol=subprotocol, headers=headers)
            self._require_not_ended(connection)
            await self._plug_in(connection)
            self._require_not_ended(connection)
        except BaseException as error:
            await self._hold(self._undo(connection))
            if isinstance(error, BackendError):
                raise self._refused(error) from error
            if isinstance(error, (OSError, RuntimeError)):  # the client has left before it was accepted
                raise WebSocketDisconnect(ABNORMAL) from error
            raise
        connection.open()
        self.statistics.count_connected()
        return connection

    def allows_origin_of(self, scope: Any) -> bool:
        """Return True if the Origin of ``scope`` is in ``allowed_origins``, or in those of the settings."""
        return self._origins.allows(scope)

    def _check_origin(self, websocket: Any) -> None:
        problem = self._origins.problem(websocket.scope)
        if problem is not None:
            self.statistics.count_refused()
            path = shown(websocket.scope.get("path", ""))
            log.warning("websocket %s refused with 403: %s", path, problem)
            raise ConnectionError(
                "Pages of this site may not connect",
                error_code="ORIGIN_NOT_ALLOWED",
                ws_code=POLICY_VIOLATION,
            )

    async def _admit(
        self,
        websocket: Any,
        user_id: str | None,
        connection_id: str | None,
        metadata: dict[str, Any] | None,
    ) -> Connection:
        """Register a new connection with the backend and return it; no message reaches it yet."""
        address = None
        if user_id is not None:
            require_user_id(user_id)
        try:
            address = await self.backend.new_channel(_prefix(user_id))
            return await self.registry.register(
                websocket,
                connection_id,
                user_id,
                {**(metadata or {}), "server_instance_id": self.backend.server_id},
                address=address,
                state=ConnectionState.CONNECTING,
            )
        except BaseException as error:
            if address is not None:
                await self._hold(self._give_up(address))
            if isinstance(error, BackendError):
                raise self._refused(error) from error
            if isinstance(error, ConnectionError):
                self.statistics.count_refused()
                log.warning("refused a connection: %s (%s)", error, error.error_code)
            raise

    async def _give_up(self, address: str) -> None:
        with contextlib.suppress(BaseError, OSError):
            await self.backend.unsubscribe(address)

    def _refused(self, error: BaseError) -> ConnectionError:
        self.statistics.count_refused()
        log.warning("refused a connection: %s", error)
        return ConnectionError(
            "The server cannot take connections just now",
            error_code=error.error_code,
            category=error.category,
            context=error.context,
            retryable=True,
            cause=error,
            ws_code=TRY_AGAIN_LATER,
        )

    async def _plug_in(self, connection: Connection) -> None:
        outbox = Outbox(connection, self.outbox_limits, self.statistics, self._broken)
        connection.plug_in(outbox, Gate(connection, self.statistics))
        await self.switchboard().plug_in(connection)

    def _require_not_ended(self, connection: Connection) -> None:
        """Raise WebSocketDisconnect if somebody has ended a connection before it was open."""
        if not self._stays(connection):
            raise WebSocketDisconnect(connection.closed_with(ABNORMAL))

    async def _undo(self, connection: Connection) -> None:
        """Remove a connection that could not be accepted, or was ended before it was open."""
        connection.end()
        await self._take_out(connection)
        code = connection.close_code
        if code is not None:  # it was not open yet when it was closed
            await self._close(connection, code, code in GONE)

    async def _unregister(self, connection: Connection) -> None:
        """Remove it from the registry, unless another connection has its id by now."""
        if self.registry.get(connection.channel_name) is connection:
            await self.registry.unregister(connection.channel_name)

    @contextlib.asynccontextmanager
    async def session(
        self, websocket: Any, user_id: str | None = None, **options: Any
    ) -> AsyncIterator[Connection]:
        """Connect for the duration of a block: ``async with manager.session(websocket, user) as mine``.

        The end of the block ends the connection with 1000, or with 1011 after an exception.
        WebSocketDisconnect is the normal end, and is not raised out of the block.
        """
        connection = await self.connect(websocket, user_id, **options)
        code = INTERNAL_ERROR
        try:
            yield connection
            code = NORMAL
        except WebSocketDisconnect as end:
            code = end.code
        except BaseError as error:
            code = error.ws_code
            raise
        finally:
            await self.disconnect(connection, code)

    # The end

    async def disconnect(self, connection_id: Connection | str, code: int = 1000) -> None:
        """End a connection: it leaves its groups and the registry, and its client is closed with ``code``.

        Waiting frames are sent first. It may be called more than once, and for a connection on another
        server; nothing happens for an unknown connection, or for one whose id is another's by now.
        """
        here = self.local(connection_id)
        ending = self._ending_of(connection_id if here is None else here)
        if ending is None and here is None:
            record = await self.record_of(connection_id)
            if record is not None and record.server != self.backend.server:
                await self.ask(record, "disconnect", code)
            return
        if ending is None and here is not None:
            loop = here.loop
            if loop is not None and loop is not asyncio.get_running_loop():
                await self.on_loop_of(here, self.disconnect(here, code))
                return
            ending = self._endings[here] = asyncio.get_running_loop().create_task(self._end(here, code))
        assert ending is not None
        if ending.get_loop() is not asyncio.get_running_loop():
            return
        await asyncio.shield(ending)

    def _ending_of(self, connection: Connection | str) -> asyncio.Task[None] | None:
        """Return the task that ends a connection, if there is one; for an id that of its last connection."""
        if isinstance(connection, Connection) and connection.is_local:
            return self._endings.get(connection)
        endings = reversed(tuple(self._endings.items()))
        return next((ending for one, ending in endings if means(connection, one)), None)

    async def disconnect_user(self, user_id: str, code: int = 1008) -> int:
        """End all connections of a user on all servers, and return how many there were.

        A client that does not read delays the end of no other. Raises the first error after the last one.
        """
        records = await self.backend.registry_user_records(require_user_id(user_id))
        endings = (self.disconnect(record.connection_id, code) for record in records)
        for outcome in await run_with_concurrency_limit(endings, ENDED_AT_ONCE):
            if isinstance(outcome, BaseException):
                raise outcome
        return len(records)

    async def _end(self, connection: Connection, code: int) -> None:
        gone = connection.close_code is not None or code in GONE
        was_open = connection.state is ConnectionState.CONNECTED
        connection.leave()
        connection.closed_with(code)
        try:
            leaving = asyncio.ensure_future(self._take_out(connection))
            await self._close(connection, code, gone)
            if connection.gate is not None:
                connection.gate.interrupt()
            await leaving
        finally:
            connection.end()
            if was_open:
                self.statistics.count_disconnected()
            self._endings.pop(connection, None)

    async def _take_out(self, connection: Connection) -> None:
        """Remove it from its groups and the registry; without a backend, this is done later."""
        async with connection.changing:  # a join that is under way would add what is removed here
            outcomes = await asyncio.gather(
                self.switchboard().unplug(connection),
                self._unregister(connection),
                return_exceptions=True,
            )
            connection.groups.clear()
        for outcome in outcomes:
            if isinstance(outcome, (BaseError, OSError, asyncio.TimeoutError)):
                log.warning(
                    "connection %s: the backend will be told later: %s", connection.channel_name, outcome
                )
            elif isinstance(outcome, BaseException):
                raise outcome

    @staticmethod
    async def _close(connection: Connection, code: int, gone: bool) -> None:
        """Send the waiting frames and the close within ``CLOSE_WITHIN_S``; nothing if the client has left."""
        outbox, websocket = connection.outbox, connection.websocket
        if not gone and outbox is not None and not outbox.broken:
            with contextlib.suppress(asyncio.TimeoutError, WebSocketDisconnect):
                await asyncio.wait_for(outbox.drained(), CLOSE_WITHIN_S)
        if outbox is not None:
            outbox.discard()
        if gone or websocket.application_state != WebSocketState.CONNECTED:
            return
        with contextlib.suppress(asyncio.TimeoutError, RuntimeError, OSError, WebSocketDisconnect):
            await asyncio.wait_for(websocket.close(code), CLOSE_WITHIN_S)

    def _broken(self, connection: Connection, code: int) -> None:
        """End a connection whose outbox has found that the client is gone, or too slow."""
        self._start(self.disconnect(connection, code))

    async def _obey(self, connection: Connection, what: str, arguments: list[Any]) -> None:
        """Carry out a command of another server's manager for ``connection``."""
        try:
            if what == "disconnect":
                await self.disconnect(connection, int(arguments[0]))
            elif what == "join":
                await self._join(connection, str(arguments[0]))
            elif what == "leave":
                await self._leave(connection, str(arguments[0]))
            else:
                log.warning("another server asks to %r a connection, which this version cannot", what)
        except BaseError as error:
            log.warning("another server asked to %s %s: %s", what, connection.channel_name, error)


def _prefix(user_id: str | None) -> str:
    """Return the first part of a connection's channel name, before the unique part."""
    if not user_id:
        return "ws"
    return f"ws.{group_name(user_id)[:USER_PART].rstrip('.-') or 'user'}"
