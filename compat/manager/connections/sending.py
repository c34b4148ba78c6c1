"""Sending to one connection, a user, a group or all, on whichever server they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from compat.layers.redis.keys import RESERVED_KEY
from compat.layers.redis.pubsub_station import EXCLUDE_KEY
from compat.manager.backends.records import Record
from compat.manager.connections.parts import ManagerParts, id_of
from compat.manager.connections.state import Connection
from compat.manager.connections.switchboard import CONTROL
from compat.manager.exceptions import BackendError, ValidationError
from compat.manager.frames import Frame, frame_of
from compat.manager.plain import plain_message
from compat.manager.relay import EXCEPT_KEY
from compat.manager.typed import Message
from compat.manager.utils.batching import run_with_concurrency_limit

__all__ = ["Sending"]

RESERVED = frozenset((EXCEPT_KEY, RESERVED_KEY, EXCLUDE_KEY))
AT_ONCE = 50
"""Messages to other servers' connections that are under way at a time."""

Sendable = dict[str, Any] | Message


class Sending(ManagerParts):
    """The sending half of a manager. Messages are dicts (or ``Message``), and reach clients as JSON.

    None of these waits for a slow client. BackendError when the layer or the registry cannot be reached,
    TypeError for a message that has no form in JSON, ValidationError for one that uses reserved names.
    """

    async def send_personal(self, connection: Connection | str, message: Sendable) -> bool:
        """Send to one connection, on whichever server; False when there is no such connection.

        True means that it has been handed over: to its outbox here, to the layer for another server.
        """
        content = self._content(message)
        self.statistics.count_call()
        here = self.local(connection)
        if here is not None:
            return await self._push(here, frame_of(content, self.serializer))
        record = await self.backend.registry_find(id_of(connection))
        if record is None:
            return False
        await self.backend.publish(record.address, content)
        return True

    async def send(self, connection: Connection | str, message: Sendable) -> bool:
        """``send_personal``, by a shorter name."""
        return await self.send_personal(connection, message)

    async def send_group(self, group: str, message: Sendable) -> None:
        """Send to every member of ``group``: connections of managers, and consumers that have joined it."""
        self.statistics.count_call()
        await self.backend.group_send(group, self._content(message))
        await asyncio.sleep(0)  # lets the outboxes empty: a loop of sends must not fill those of fast clients

    async def send_to_group(self, group: str, message: Sendable) -> None:
        """``send_group``, by the name that it has beside ``send_to_user``."""
        await self.send_group(group, message)

    async def send_group_except(
        self,
        group: str,
        message: Sendable,
        exclude_connection_id: Connection | str | Iterable[Connection | str],
    ) -> None:
        """``send_group``, leaving out one connection or several."""
        given: Any = exclude_connection_id
        several = [given] if isinstance(given, (str, Connection)) else list(given)
        self.statistics.count_call()
        await self.backend.group_send(group, self._content(message), await self._names(several))
        await asyncio.sleep(0)

    async def _names(self, connections: Iterable[Connection | str]) -> list[str]:
        """Ids of connections, and their addresses where those differ."""
        names: dict[str, None] = {}
        for one in connections:
            names[id_of(one)] = None
            known = one if isinstance(one, Connection) else self.local(one)
            if known is not None:
                names[known.address] = None
        return list(names)

    async def send_to_user(self, user_id: str, message: Sendable) -> int:
        """Send to all connections of a user on all servers; how many it was handed over to."""
        content = self._content(message)
        self.statistics.count_call()
        records = await self.backend.registry_user_records(user_id)
        here = [
            one for one in (self.registry.get(record.connection_id) for record in records) if one is not None
        ]
        away = [record for record in records if self.registry.get(record.connection_id) is None]
        reached = 0
        if here:
            frame = frame_of(content, self.serializer)
            for connection in here:
                reached += self._push_now(connection, frame)
            await asyncio.sleep(0)
        return reached + await self._publish_to(away, content)

    async def broadcast(self, message: Sendable) -> None:
        """Send to every connection of every server, and to consumers that have joined ``__broadcast__``."""
        self.statistics.count_call()
        await self.backend.broadcast(self._content(message))
        await asyncio.sleep(0)

    async def _publish_to(self, records: list[Record], content: dict[str, Any]) -> int:
        """Send to connections of other servers; BackendError only when none could be reached."""
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
        pushed = self._push_now(connection, frame)
        await asyncio.sleep(0)
        return pushed

    @staticmethod
    def _content(message: Sendable) -> dict[str, Any]:
        """``message`` as it travels; ValidationError for one that uses the names of the machinery.

        Messages are often made of what a client has sent, and must not be orders to managers and layers.
        """
        content = plain_message(message)
        if content.get("type") == CONTROL or not RESERVED.isdisjoint(content):
            raise ValidationError(
                f"a message may not have the type {CONTROL!r}, nor the keys {', '.join(sorted(RESERVED))}",
                error_code="RESERVED_NAME",
            )
        return content

    @staticmethod
    def _push_now(connection: Connection, frame: Frame) -> bool:
        """Put a frame into a connection's outbox, whichever loop that is on; False when it is gone."""
        outbox = connection.outbox
        if outbox is None or outbox.broken:
            return False
        if connection.loop is asyncio._get_running_loop():
            return outbox.push(frame)
        outbox.push_soon(frame)
        return True

    async def ask(self, record: Record, what: str, *arguments: Any) -> None:
        """Have the manager that has a connection do something with it."""
        await self.backend.publish(record.address, {"type": CONTROL, "do": what, "with": list(arguments)})
