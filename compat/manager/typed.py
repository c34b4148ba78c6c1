"""Types of the manager: ``Message``, its priority, and the states of a connection."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["ConnectionState", "Message", "MessagePriority"]


class ConnectionState(Enum):
    """The state of a connection, which only moves down this list."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTING = "disconnecting"
    DISCONNECTED = "disconnected"


class MessagePriority(Enum):
    """How urgent a message is for its sender; the manager passes it on, and does not reorder by it."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @classmethod
    def of(cls, value: Any) -> MessagePriority:
        """Return the priority with the value ``value``, or NORMAL if there is none."""
        if isinstance(value, cls):
            return value
        try:
            return cls(value)
        except ValueError:
            return cls.NORMAL


@dataclass(slots=True)
class Message:
    """One message from a client, or to one.

    A text frame ``{"type", "data", "metadata", "ttl_seconds", "priority"}`` fills the fields of those names.
    A binary frame has ``type="binary"`` and ``binary_data``. Both ``data`` and ``binary_data`` raise
    ValueError. ``created_at`` is in seconds of the wall clock.
    """

    type: str
    data: Any = None
    sender_id: str | None = None
    """``channel_name`` of the connection that sent it."""
    group: str | None = None
    metadata: dict[str, Any] | None = None
    priority: MessagePriority = MessagePriority.NORMAL
    ttl_seconds: float | None = None
    """Seconds after ``created_at`` at which the message expires; None: never."""
    created_at: float = field(default_factory=time.time)
    binary_data: bytes | None = None
    size: int | None = field(default=None, repr=False, compare=False)
    """The size of its frame in bytes if it came from a client, else None."""

    def __post_init__(self) -> None:
        if self.data is not None and self.binary_data is not None:
            raise ValueError("a Message has either data (JSON) or binary_data (bytes), not both")

    def set_data(self, data: Any) -> None:
        """Replace ``data`` by its validated form."""
        self.data = data

    def is_expired(self) -> bool:
        """Return True if more than ``ttl_seconds`` have passed since ``created_at``."""
        return self.ttl_seconds is not None and time.time() - self.created_at > self.ttl_seconds

    def to_dict(self) -> dict[str, Any]:
        """Return every field except ``size``; ``binary_data``, in base64, only if there is some."""
        content: dict[str, Any] = {
            "type": self.type,
            "data": self.data,
            "sender_id": self.sender_id,
            "group": self.group,
            "metadata": self.metadata,
            "priority": MessagePriority.of(self.priority).value,
            "ttl_seconds": self.ttl_seconds,
            "created_at": self.created_at,
        }
        if self.binary_data is not None:
            content["binary_data"] = base64.b64encode(self.binary_data).decode("ascii")
        return content

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> Message:
        """Make a message from ``to_dict()``; missing fields have their defaults, a missing type "message"."""
        encoded = payload.get("binary_data")
        created_at = payload.get("created_at")
        return cls(
            type=payload.get("type", "message"),
            data=payload.get("data"),
            sender_id=payload.get("sender_id"),
            group=payload.get("group"),
            metadata=payload.get("metadata"),
            priority=MessagePriority.of(payload.get("priority")),
            ttl_seconds=payload.get("ttl_seconds"),
            created_at=time.time() if created_at is None else created_at,
            binary_data=base64.b64decode(encoded) if isinstance(encoded, str) else encoded,
        )
