"""``Connection``: what is known of one client, on whichever server it is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from compat.manager.connections.heartbeat import HeartbeatMonitor
from compat.manager.typed import ConnectionState

if TYPE_CHECKING:
    from compat.manager.connections.gate import Gate
    from compat.manager.connections.outbox import Outbox

__all__ = ["Connection", "now"]


def now() -> datetime:
    """The time, with its zone (UTC)."""
    return datetime.now(timezone.utc)


@dataclass(slots=True, eq=False)
class Connection:
    """One client's connection.

    A connection of another server has ``websocket`` None: it can be named to the manager, which reaches it
    there, and its counters stay at 0.
    """

    websocket: Any
    channel_name: str
    """Its id: what the manager's methods take, and what ``sender_id`` of its messages is."""
    user_id: str | None = ""
    """The user whose it is; empty or None where there is none."""
    connected_at: datetime = field(default_factory=now)
    last_activity: datetime = field(default_factory=now)
    """When a frame went either way."""
    last_heartbeat: datetime = field(default_factory=now)
    """When the client was last heard: a pong, or any other frame."""
    groups: set[str] = field(default_factory=set)
    metadata: dict[str, Any] = field(default_factory=dict)
    """What ``connect()`` was given, and ``server_instance_id``."""
    message_count: int = 0
    """Frames sent to the client."""
    bytes_sent: int = 0
    bytes_received: int = 0
    heartbeat_timeout: float = 60.0
    """Seconds of silence after which it is not alive."""
    heartbeat: HeartbeatMonitor = field(default_factory=HeartbeatMonitor)
    state: ConnectionState = ConnectionState.CONNECTED
    address: str = ""
    """The channel on the layer that reaches it; ``channel_name``, unless ``connect()`` was given an id."""
    close_code: int | None = None
    """The code that it ended with, once it has."""
    messages_received: int = 0
    outbox: Outbox | None = field(default=None, repr=False)
    """Its way out, while it is connected here."""
    gate: Gate | None = field(default=None, repr=False)
    """Its way in, while it is connected here."""
    loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)
    """The event loop that its websocket belongs to."""

    def __post_init__(self) -> None:
        self.address = self.address or self.channel_name
        self.heartbeat.allow(self.heartbeat_timeout)

    def plug_in(self, outbox: Outbox, gate: Gate) -> None:
        """Send by ``outbox`` and receive by ``gate``, on the running event loop."""
        self.loop = asyncio.get_running_loop()
        self.outbox, self.gate = outbox, gate

    def open(self) -> None:
        """The client is connected."""
        self.state = ConnectionState.CONNECTED

    def closed_with(self, code: int) -> int:
        """Return the code that it ended with: ``code``, unless there was one before."""
        if self.close_code is None:
            self.close_code = code
        return self.close_code

    def client_left(self, code: int) -> None:
        """The client has closed the connection with ``code``."""
        self.close_code = code

    def leave(self) -> None:
        """The connection is being taken out of everything."""
        self.state = ConnectionState.DISCONNECTING

    def end(self) -> None:
        """The connection is over, or did not become one."""
        self.state = ConnectionState.DISCONNECTED
        self.gate = None

    @property
    def reading(self) -> bool:
        """True while its endpoint waits for a frame: only then does silence say anything of the client."""
        return self.gate is not None and self.gate.reading

    @property
    def is_local(self) -> bool:
        """True for a connection of this server."""
        return self.websocket is not None

    @property
    def is_alive(self) -> bool:
        """True while it is connected and has been heard of within ``heartbeat_timeout`` seconds."""
        if self.state is not ConnectionState.CONNECTED:
            return False
        return (now() - self.last_heartbeat).total_seconds() < self.heartbeat_timeout

    @property
    def idle_time(self) -> float:
        """Seconds since a frame went either way."""
        return (now() - self.last_activity).total_seconds()

    @property
    def connection_duration(self) -> float:
        """Seconds since it was made."""
        return (now() - self.connected_at).total_seconds()

    def update_activity(self) -> None:
        """A frame has been sent or received."""
        self.last_activity = now()

    def update_heartbeat(self) -> None:
        """The client has answered a ping."""
        self.last_heartbeat = self.last_activity = now()
        self.heartbeat.record_pong()

    def heard(self, size: int) -> None:
        """Count a frame of the client, of ``size`` bytes: the client is there."""
        self.last_heartbeat = self.last_activity = now()
        self.messages_received += 1
        self.bytes_received += size

    def told(self, size: int) -> None:
        """Count a frame to the client, of ``size`` bytes."""
        self.message_count += 1
        self.bytes_sent += size

    def to_dict(self) -> dict[str, Any]:
        """What may be shown of it, as JSON has it; times in ISO 8601 and seconds."""
        return {
            "channel_name": self.channel_name,
            "user_id": self.user_id,
            "state": self.state.value,
            "connected_at": self.connected_at.isoformat(),
            "last_activity": self.last_activity.isoformat(),
            "connection_duration": self.connection_duration,
            "idle_time": self.idle_time,
            "groups": sorted(self.groups),
            "message_count": self.message_count,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "server_instance_id": self.metadata.get("server_instance_id"),
        }
