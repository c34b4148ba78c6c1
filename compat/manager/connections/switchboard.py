"""``Switchboard``: connects the clients of one event loop to the channel layer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from compat.closing import CLOSE
from compat.codes import POLICY_VIOLATION, TRY_AGAIN_LATER
from compat.engine.contracts import RESUMABLE_KEY
from compat.engine.direct_inbox import attached
from compat.engine.refusal import shown
from compat.engine.subscription import Subscription, keeps_people
from compat.layers.presence.layer import PERSON
from compat.manager.backends.base import BaseBackend
from compat.manager.backends.messaging import BROADCAST_GROUP, backend_errors, name_in_layer
from compat.manager.connections.state import Connection
from compat.manager.exceptions import ValidationError
from compat.manager.frames import Frame, frame_of
from compat.manager.relay import EXCEPT_KEY, Relays
from compat.manager.serializers.base import BaseSerializer
from compat.manager.statistics import Statistics
from compat.types import Message

__all__ = ["CONTROL", "Switchboard"]

CONTROL = "__manager__"
"""The type of a command from one manager to the manager of a connection: ``{"do": …, "with": […]}``."""

Obey = Callable[[Connection, str, list[Any]], Coroutine[Any, Any, None]]


class Switchboard:
    """The part of a manager on one event loop; use it only on that loop.

    ``obey(connection, what, arguments)`` carries out a command of another server's manager.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        backend: BaseBackend,
        serializer: BaseSerializer,
        statistics: Statistics,
        obey: Obey,
    ) -> None:
        self.loop = loop
        self.backend = backend
        self.serializer = serializer
        self.statistics = statistics
        self.obey = obey
        self.relays = Relays(backend.layer, _name_of, self._to_members, self._lose)
        self._lines: dict[str, Subscription] = {}
        """By address, as the members of the relays, because an id may pass to another connection."""
        self._jobs: set[asyncio.Task[None]] = set()

    async def plug_in(self, connection: Connection) -> None:
        """Deliver messages to the connection's address, and broadcasts, from now on."""

        def deliver(message: Message) -> None:
            self._to_one(connection, message)

        def lose(error: BaseException) -> None:
            self._lose({connection.address: connection}, error)

        with backend_errors(f"connecting {connection.channel_name}"):
            line = await attached(self.backend.layer, connection.address, deliver, lose)
            self._lines[connection.address] = line
            self._attend(connection)
            await self.relays.join(BROADCAST_GROUP, connection.address, connection)

    async def unplug(self, connection: Connection) -> None:
        """Undo ``plug_in``, and leave every group on this loop; raise an error only after all steps."""
        address = connection.address  # another may have its name by now
        line = self._lines.pop(address, None)
        endings: list[Awaitable[None]] = [
            self.relays.leave(group, address) for group in (BROADCAST_GROUP, *tuple(connection.groups))
        ]
        if line is not None:
            endings.append(line.end())
        outcomes = await asyncio.gather(*endings, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def join(self, group: str, connection: Connection) -> None:
        """Deliver messages to ``group`` to a connection from now on."""
        with backend_errors(f"joining group {shown(group, 60)}"):
            await self.relays.join(group, connection.address, connection, earlier=True)
            try:
                await self._enter(group, connection)
            except BaseException:
                await asyncio.shield(self.relays.leave(group, connection.address))
                raise

    async def leave(self, group: str, connection: Connection) -> None:
        """Undo ``join``."""
        with backend_errors(f"leaving group {shown(group, 60)}"):
            try:
                await self.relays.leave(group, connection.address)
            finally:
                if self.backend.presence_rule(group) is not None:
                    await self.backend.layer.left(name_in_layer(group), connection.address)

    async def _enter(self, group: str, connection: Connection) -> None:
        """Make a connection present in a group, if the layer tracks it. Raises ValidationError."""
        rule = self.backend.presence_rule(group)
        if rule is None:
            return
        layer, scope = self.backend.layer, connection.websocket.scope
        key = connection.user_id if rule.key == "user" else None
        try:
            key = key or rule.who(scope, connection.address)
            if key is not None:
                await layer.track(name_in_layer(group), connection.address, key, rule.told(scope))
        except (TypeError, ValueError) as error:
            raise ValidationError(str(error), error_code="PRESENCE", cause=error) from error

    def _attend(self, connection: Connection) -> None:
        """Tell the layer when the client is away, if it tracks people."""
        layer, resumed = self.backend.layer, connection.websocket.scope.get(RESUMABLE_KEY)
        if keeps_people(layer):
            layer.attend(connection.address, {}, hears=False, by_rule=False)
            if resumed is not None:
                resumed.tell_by(lambda kind: layer.away(connection.address, kind == "compat.parked"))
                layer.away(connection.address, resumed.parked)

    def frame(self, message: Any, where: str) -> Frame | None:
        """Return ``message`` as a frame; count and log one that cannot be encoded, and return None."""
        try:
            return frame_of(message, self.serializer)
        except (TypeError, ValueError) as error:
            self.statistics.report_unencodable(where, error)
            return None

    def _to_one(self, connection: Connection, message: Message) -> None:
        kind = message.get("type")
        if kind == CONTROL:
            self._begin(self._obey(connection, message))
            return
        if kind == CLOSE:
            code = message.get("code", POLICY_VIOLATION)
            self._begin(self.obey(connection, "disconnect", [code]))
            return
        if kind == PERSON and isinstance(message.get("message"), dict):
            message = message["message"]  # for its user; whatever it says, it is no command
        if EXCEPT_KEY in message:  # an earlier message of a group
            message = {key: value for key, value in message.items() if key != EXCEPT_KEY}
        frame = self.frame(message, f"connection {connection.channel_name}")
        if frame is not None and connection.outbox is not None:
            connection.outbox.push(frame)

    def _lose(self, members: Mapping[str, Connection], error: BaseException) -> None:
        """End connections that no message reaches any more; their clients come back."""
        self.statistics.report_failed(
            "reading a channel of the layer, whose clients are asked to return,", error
        )
        for connection in tuple(members.values()):
            self._begin(self.obey(connection, "disconnect", [TRY_AGAIN_LATER]))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        job = self.loop.create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def _obey(self, connection: Connection, message: Message) -> None:
        await self.obey(connection, str(message.get("do")), list(message.get("with") or ()))

    def _to_members(self, group: str, message: Message, members: Mapping[str, Connection]) -> None:
        excluded = frozenset(message.get(EXCEPT_KEY) or ())
        if EXCEPT_KEY in message:
            message = {key: value for key, value in message.items() if key != EXCEPT_KEY}
        if message.get("type") == CLOSE:
            for connection in members.values():
                self._to_one(connection, message)
            return
        frame = self.frame(message, f"group {group}")
        if frame is None:
            return
        for connection in members.values():
            if excluded and connection.channel_name in excluded:
                continue
            outbox = connection.outbox
            if outbox is not None:
                outbox.push(frame)

    async def aclose(self) -> None:
        """Cancel the commands that are under way."""
        for job in tuple(self._jobs):
            job.cancel()


def _name_of(group: str) -> str:
    """Return the name of a group in the layer; the broadcast group has the same name there."""
    return group if group == BROADCAST_GROUP else name_in_layer(group)
