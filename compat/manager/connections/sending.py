"""Send to one connection, a user, a group or everybody, on any server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from compat.layers.redis.keys import EXCLUDE_KEY, PLACE_KEY, RESERVED_KEY
from compat.manager.backends.records import Record, require_user_id
from compat.manager.connections.parts import ManagerParts, id_of
from compat.manager.connections.state import Connection
from compat.manager.exceptions import BackendError, ValidationError
from compat.manager.frames import Frame, frame_of
from compat.manager.json_types import plain_message
from compat.manager.relay import EXCEPT_KEY
from compat.manager.typed import Message
from compat.manager.utils.batching import run_with_concurrency_limit
from compat.names import is_own_type

__all__ = ["Sending"]

RESERVED = frozenset((EXCEPT_KEY, RESERVED_KEY, EXCLUDE_KEY, PLACE_KEY))
AT_ONCE = 50
"""How many messages to connections on other servers are sent at the same time."""

Sendable = dict[str, Any] | Message


class Sending(ManagerParts):
    """The methods of a manager that send. Messages are dicts or ``Message``, and reach clients as JSON.

    ``connection_id`` is a ``Connection`` or its ``channel_name``, here and in the other methods of a manager.

    None of these methods waits for a slow client. They raise BackendError if the layer or the registry cannot
    be reached, TypeError for a message without a form in JSON, ValidationError for one with reserved names.
    """

    async def send_personal(self, connection_id: Connection | str, message: Sendable) -> bool:
        """Send to one connection on any server.

        Returns True if the message is in the connection's outbox or, for another server, in the layer, and
        False if there is no such connection, it is about to end, or it is so slow that a frame was lost: this
        one or, with ``on_overflow="drop_oldest"``, an older one.
        """
        content = self._content(message)
        self.statistics.count_call()
        here = self.local(connection_id)
        if here is not None:
            return await self._push(here, frame_of(content, self.serializer))
        record = await self.record_of(connection_id)
        if record is None:
            return False
        await self.backend.publish(record.address, content)
        return True

    async def send(self, connection_id: Connection | str, message: Sendable) -> bool:
        """Call ``send_personal``; a shorter name."""
        return await self.send_personal(connection_id, message)

    async def send_group(self, group: str, message: Sendable) -> None:
        """Send to every member of ``group``: connections of managers, and consumers that have joined it."""
        self.statistics.count_call()
        await self.backend.group_send(group, self._content(message))
        await asyncio.sleep(0)  # lets the outboxes of fast clients empty, also during a loop of sends

    async def send_to_group(self, group: str, message: Sendable) -> None:
        """Call ``send_group``; a name that goes with ``send_to_user``."""
        await self.send_group(group, message)

    async def send_group_except(
        self,
        group: str,
        message: Sendable,
        exclude_connection_id: Connection | str | Iterable[Connection | str],
    ) -> None:
        """Send to every member of ``group`` except one or several connections."""
        given: Any = exclude_connection_id
        several = [given] if isinstance(given, (str, Connection)) else list(given)
        self.statistics.count_call()
        await self.backend.group_send(group, self._content(message), await self._names(several))
        await asyncio.sleep(0)

    async def _names(self, connections: Iterable[Connection | str]) -> list[str]:
        """Return the ids of connections, and their addresses if these differ."""
        names: dict[str, None] = {}
        for one in connections:
            names[id_of(one)] = None
            known = one if isinstance(one, Connection) else self.local(one)
            if known is not None:
                names[known.address] = None
        return list(names)

    async def send_to_user(self, user_id: str, message: Sendable) -> int:
        """Send to all connections of a user on all servers, and return how many there were.

        Those for which ``send_personal`` would return False are not counted.
        """
        content = self._content(message)
        self.statistics.count_call()
        records = await self.backend.registry_user_records(require_user_id(user_id))
        here, away = list[Connection](), list[Record]()
        for record in records:
            connection = self.registry.get(record.connection_id)
            if connection is None:
                away.append(record)
            else:
                here.append(connection)
        reached = 0
        if here:
            frame = frame_of(content, self.serializer)
            for connection in here:
                reached += self.push(connection, frame)
            await asyncio.sleep(0)
        return reached + await self._publish_to(away, content)

    async def broadcast(self, message: Sendable) -> None:
        """Send to every connection of every server, and to consumers that have joined ``__broadcast__``."""
        self.statistics.count_call()
        await self.backend.broadcast(self._content(message))
        await asyncio.sleep(0)

    async def _publish_to(self, records: list[Record], content: dict[str, Any]) -> int:
        """Send to connections of other servers; raise BackendError only if none could be reached."""
        if not records:
            return 0
        sends = (self.backend.publish(record.address, content) for record in records)
        outcomes = await run_with_concurrency_limit(sends, AT_ONCE)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for failure in failures:
            if not isinstance(failure, BackendError) or len(failures) == len(records):
                raise failure
        return len(records) - len(failures)

    async def _push(self, connection: Connection, frame: Frame) -> bool:
        pushed = self.push(connection, frame)
        await asyncio.sleep(0)
        return pushed

    @staticmethod
    def _content(message: Sendable) -> dict[str, Any]:
        """Return ``message`` as a plain dict; raise ValidationError for reserved names.

        Messages often contain a client's data, which must not become a command to managers or layers.
        """
        content = plain_message(message)
        if is_own_type(content.get("type")) or not RESERVED.isdisjoint(content):
            raise ValidationError(
                f"a message may not have the keys {', '.join(sorted(RESERVED))}, nor a type for which "
                "consumers in its group have a handler of the library: one that begins with '_', 'compat.', "
                "'http.', 'typed.' or 'websocket.', or names another one, such as 'presence.diff'",
                error_code="RESERVED_NAME",
            )
        return content

    @staticmethod
    def push(connection: Connection, frame: Frame) -> bool:
        """Put a frame into a connection's outbox, on any event loop.

        Returns False if the client is gone, or a frame was lost, this one or an older one.
        """
        outbox = connection.outbox
        if outbox is None or outbox.broken:
            return False
        if connection.loop is asyncio._get_running_loop():
            return outbox.push(frame)
        outbox.push_soon(frame)
        return True
