"""What passes between a client and its consumer: ``Message``, its priority, and a connection's states."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["ConnectionState", "Message", "MessagePriority"]


class ConnectionState(Enum):
    """Where a connection is in its life; it only ever moves down this list."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTING = "disconnecting"
    DISCONNECTED = "disconnected"


class MessagePriority(Enum):
    """How urgent its sender finds a message; it is carried along, nothing here reorders by it."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @classmethod
    def of(cls, value: Any) -> MessagePriority:
        """The priority called ``value``; NORMAL for anything that is none."""
        if isinstance(value, cls):
            return value
        try:
            return cls(value)
        except ValueError:
            return cls.NORMAL


@dataclass(slots=True)
class Message:
    """One message of a client, or for one.

    A text frame ``{"type", "data", "metadata", "ttl_seconds", "priority"}`` fills the fields of those names;
    a binary frame is ``type="binary"`` with ``binary_data``. ``data`` and ``binary_data`` exclude each other
    (ValueError). ``created_at`` is in seconds of the wall clock.
    """

    type: str
    data: Any = None
    sender_id: str | None = None
    """``channel_name`` of the connection that sent it."""
    group: str | None = None
    metadata: dict[str, Any] | None = None
    priority: MessagePriority = MessagePriority.NORMAL
    ttl_seconds: float | None = None
    """Seconds after ``created_at`` for which it is worth handling; None: for ever."""
    created_at: float = field(default_factory=time.time)
    binary_data: bytes | None = None
    size: int | None = field(default=None, repr=False, compare=False)
    """Bytes that it had on the wire, where it came over one."""

    def __post_init__(self) -> None:
        if self.data is not None and self.binary_data is not None:
            raise ValueError("a Message has either data (JSON) or binary_data (bytes), not both")

    def set_data(self, data: Any) -> None:
        """Have ``data`` in place of what came: what a schema has made of it."""
        self.data = data

    def is_expired(self) -> bool:
        """True when more than ``ttl_seconds`` have passed since it was made."""
        return self.ttl_seconds is not None and time.time() - self.created_at > self.ttl_seconds

    def to_dict(self) -> dict[str, Any]:
        """Every field but ``size``; ``binary_data`` in base64, and only where there is some."""
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
        """The inverse of ``to_dict``; what is missing has its default, and the type is then "message"."""
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
