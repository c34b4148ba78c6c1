"""The life of a connection: it is accepted and registered, joins and leaves groups, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any

from starlette.websockets import WebSocketDisconnect, WebSocketState

from compat.codes import ABNORMAL, INTERNAL_ERROR, NORMAL, POLICY_VIOLATION, TRY_AGAIN_LATER
from compat.engine.refusal import shown
from compat.manager.backends.base import BaseBackend
from compat.manager.backends.messaging import require_group
from compat.manager.backends.records import require_connection_id, require_user_id
from compat.manager.config import WSConfig
from compat.manager.connections.endings import Endings
from compat.manager.connections.gate import Gate
from compat.manager.connections.membership import Membership, unknown
from compat.manager.connections.origin import OriginCheck
from compat.manager.connections.outbox import Limits, Outbox
from compat.manager.connections.sending import Sending
from compat.manager.connections.state import Connection
from compat.manager.connections.switchboard import CONTROL, Switchboard
from compat.manager.exceptions import BackendError, BaseError, ConnectionError
from compat.manager.serializers.base import BaseSerializer
from compat.manager.typed import ConnectionState
from compat.manager.utils.batching import run_with_concurrency_limit
from compat.names import group_name
from compat.redis.loops import PerLoop

__all__ = ["Lifecycle"]

log = logging.getLogger("compat.manager")

ENDED_AT_ONCE = 100
USER_PART = 20
"""How many characters of a user's id are part of a channel's name."""


class Lifecycle(Sending):
    """``connect`` and ``disconnect``, and the groups in between; ``limits`` are those of each outbox."""

    def __init__(
        self,
        config: WSConfig,
        serializer: BaseSerializer,
        layer: Any,
        backend: BaseBackend | None,
        limits: Limits,
        origins: OriginCheck,
    ) -> None:
        super().__init__(config, serializer, layer, backend)
        self.outbox_limits = limits
        self._origins = origins
        self._membership = Membership(self, self._hold)
        self._endings = Endings(self)
        self._switchboards: PerLoop[Switchboard] = PerLoop(self._new_switchboard)

    def _new_switchboard(self, loop: asyncio.AbstractEventLoop) -> Switchboard:
        return Switchboard(loop, self.backend, self.serializer, self.statistics, self._obey)

    def switchboard(self) -> Switchboard:
        """Return the switchboard of the running event loop."""
        loop = asyncio.get_running_loop()
        if self.home is None:
            self._settle(loop)
        return self._switchboards.get(loop)

    # The beginning

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
            await self._hold(self._endings.undo(connection))
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
        if not self._membership.may_join(connection):
            raise WebSocketDisconnect(connection.closed_with(ABNORMAL))

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

    # Its groups

    async def join_group(self, connection_id: Connection | str, group: str) -> None:
        """Add a connection to a group; it gets the messages that are sent to the group from now on.

        Raises SystemError if there are MAX_TOTAL_GROUPS already, ConnectionError for an unknown connection.
        """
        await self._in_group(connection_id, group, "join")

    async def leave_group(self, connection_id: Connection | str, group: str) -> None:
        """Remove a connection from a group; do nothing if it is not a member."""
        await self._in_group(connection_id, group, "leave")

    async def _in_group(self, connection: Connection | str, group: str, what: str) -> None:
        require_group(group)
        here = self.local(connection)
        if here is not None:
            change = self._membership.join if what == "join" else self._membership.leave
            await self.on_loop_of(here, change(here, group))
            return
        if not await self.ask(connection, what, group) and what == "join":
            raise unknown(connection, group)

    # The end

    async def disconnect(self, connection_id: Connection | str, code: int = 1000) -> None:
        """End a connection: it leaves its groups and the registry, and its client is closed with ``code``.

        Waiting frames are sent first. It may be called more than once, and for a connection on another
        server; nothing happens for an unknown connection, or for one whose id is another's by now.
        """
        here = self.local(connection_id)
        ending = self._endings.of(connection_id if here is None else here)
        if ending is None:
            if here is None:
                await self.ask(connection_id, "disconnect", code)
                return
            if here.loop not in (None, asyncio.get_running_loop()):
                await self.on_loop_of(here, self.disconnect(here, code))
                return
            ending = self._endings.begin(here, code)
        if ending.get_loop() is asyncio.get_running_loop():
            await asyncio.shield(ending)

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

    def _broken(self, connection: Connection, code: int) -> None:
        """End a connection whose outbox has found that the client is gone, or too slow."""
        self._start(self.disconnect(connection, code))

    # Commands of managers on other servers

    async def ask(self, connection: Connection | str, what: str, *arguments: Any) -> bool:
        """Send the command ``what`` to the manager of a connection on another server.

        Returns False if there is no such connection.
        """
        record = await self.record_of(connection)
        if record is None or record.server == self.backend.server:
            return False
        await self.backend.publish(record.address, {"type": CONTROL, "do": what, "with": list(arguments)})
        return True

    async def _obey(self, connection: Connection, what: str, arguments: list[Any]) -> None:
        """Carry out a command of another server's manager for ``connection``."""
        try:
            if what == "disconnect":
                await self.disconnect(connection, int(arguments[0]))
            elif what == "join":
                await self._membership.join(connection, str(arguments[0]))
            elif what == "leave":
                await self._membership.leave(connection, str(arguments[0]))
            else:
                log.warning("another server asks to %r a connection, which this version cannot", what)
        except BaseError as error:
            log.warning("another server asked to %s %s: %s", what, connection.channel_name, error)


def _prefix(user_id: str | None) -> str:
    """Return the first part of a connection's channel name, before the unique part."""
    if not user_id:
        return "ws"
    return f"ws.{group_name(user_id)[:USER_PART].rstrip('.-') or 'user'}"
