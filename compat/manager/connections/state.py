"""``Connection``: the state of one client, on any server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from compat.clock import steady
from compat.manager.connections.heartbeat import HeartbeatMonitor
from compat.manager.typed import ConnectionState

if TYPE_CHECKING:
    from compat.manager.connections.gate import Gate
    from compat.manager.connections.outbox import Outbox

__all__ = ["Connection", "now"]


def now() -> datetime:
    """Return the current time in UTC, with its time zone."""
    return datetime.now(timezone.utc)


@dataclass(slots=True, eq=False)
class Connection:
    """One client's connection.

    A connection of another server has ``websocket`` None, and its counters stay at 0; the manager's methods
    accept it and reach the other server.
    """

    websocket: Any
    channel_name: str
    """The id of the connection, which the manager's methods take, and ``sender_id`` of its messages."""
    user_id: str | None = ""
    """The user of the connection; empty or None without a user."""
    connected_at: datetime = field(default_factory=now)
    last_activity: datetime = field(default_factory=now)
    """The time of the last frame in either direction."""
    last_heartbeat: datetime = field(default_factory=now)
    """The time of the last frame from the client, a pong or any other."""
    groups: set[str] = field(default_factory=set)
    metadata: dict[str, Any] = field(default_factory=dict)
    """The metadata that ``connect()`` was given, and ``server_instance_id``."""
    message_count: int = 0
    """Frames sent to the client."""
    bytes_sent: int = 0
    bytes_received: int = 0
    heartbeat_timeout: float = 60.0
    """Seconds of silence after which the client counts as gone."""
    heartbeat: HeartbeatMonitor = field(default_factory=HeartbeatMonitor)
    state: ConnectionState = ConnectionState.CONNECTED
    address: str = ""
    """The connection's channel in the layer; ``channel_name`` unless ``connect()`` was given an id."""
    close_code: int | None = None
    """The close code once the connection has ended, else None."""
    messages_received: int = 0
    outbox: Outbox | None = field(default=None, repr=False)
    """The queue of frames to the client while it is connected to this process, else None."""
    gate: Gate | None = field(default=None, repr=False)
    """The replaced ``receive()`` while the client is connected to this process, else None."""
    loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)
    """The event loop of its websocket."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    """Held while it joins or leaves a group, or is taken out of all, so that this is done in order."""
    # When it was made, heard and active: the points in time above are for people, and their clock may jump.
    _made: float = field(init=False, repr=False)
    _heard: float = field(default_factory=steady, init=False, repr=False)
    _active: float = field(default_factory=steady, init=False, repr=False)

    def __post_init__(self) -> None:
        self._made = steady() - (now() - self.connected_at).total_seconds()
        self.address = self.address or self.channel_name
        self.heartbeat.allow(self.heartbeat_timeout)

    def begin(self) -> None:
        """Note that its websocket is about to be accepted, on the running event loop."""
        self.loop = asyncio.get_running_loop()

    def plug_in(self, outbox: Outbox, gate: Gate) -> None:
        """Send through ``outbox`` and receive through ``gate``."""
        self.outbox, self.gate = outbox, gate

    def open(self) -> None:
        """Record that the client is connected."""
        self.state = ConnectionState.CONNECTED

    def closed_with(self, code: int) -> int:
        """Set the close code to ``code`` unless there is one already, and return the close code."""
        if self.close_code is None:
            self.close_code = code
        return self.close_code

    def client_left(self, code: int) -> None:
        """Record that the client has closed the connection with ``code``."""
        self.close_code = code

    def leave(self) -> None:
        """Record that the connection is being removed from its groups and the registry."""
        self.state = ConnectionState.DISCONNECTING

    def end(self) -> None:
        """Record that the connection has ended, or could not be accepted."""
        self.state = ConnectionState.DISCONNECTED
        self.gate = None

    @property
    def reading(self) -> bool:
        """True while its endpoint waits for a frame; otherwise frames of the client may be waiting."""
        return self.gate is not None and self.gate.reading

    @property
    def is_local(self) -> bool:
        """True for a connection of this server."""
        return self.websocket is not None

    @property
    def is_alive(self) -> bool:
        """True while it is connected and the client has sent a frame within ``heartbeat_timeout`` seconds."""
        if self.state is not ConnectionState.CONNECTED:
            return False
        return self.silence < self.heartbeat_timeout

    @property
    def silence(self) -> float:
        """Seconds since the last frame from the client."""
        return steady() - self._heard

    @property
    def idle_time(self) -> float:
        """Seconds since the last frame in either direction."""
        return steady() - self._active

    @property
    def connection_duration(self) -> float:
        """Seconds since the connection was made."""
        return steady() - self._made

    def update_activity(self) -> None:
        """Record that a frame has been sent or received."""
        self.last_activity, self._active = now(), steady()

    def update_heartbeat(self) -> bool:
        """Record that the client has sent a pong; return True if it answers a ping."""
        self._note_frame()
        return self.heartbeat.record_pong()

    def excuse(self) -> None:
        """Let its silence begin now: the client is away."""
        self._heard = steady()

    def heard(self, size: int) -> None:
        """Count a frame from the client, of ``size`` bytes, and record that the client is alive."""
        self._note_frame()
        self.messages_received += 1
        self.bytes_received += size

    def _note_frame(self) -> None:
        self.last_heartbeat = self.last_activity = now()
        self._heard = self._active = steady()

    def told(self, size: int) -> None:
        """Count a frame to the client, of ``size`` bytes."""
        self.message_count += 1
        self.bytes_sent += size

    def to_dict(self) -> dict[str, Any]:
        """Return the public fields in JSON types; points in time in ISO 8601, durations in seconds."""
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
