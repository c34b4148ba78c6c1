"""Frames in order, with the size that a limit is compared with; and what ends a client."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from compat.exceptions import CompatError

__all__ = [
    "LIMIT_BYTES",
    "LIMIT_FRAMES",
    "Closed",
    "Frame",
    "Frames",
    "MalformedControl",
    "QueueFull",
    "size_of",
]

Frame = str | bytes
"""What one data frame carries: text or bytes."""

LIMIT_BYTES = 1 << 20
LIMIT_FRAMES = 10_000
"""How much a client keeps in each direction. A single frame may be larger than the first."""


class Closed(CompatError, ConnectionError):
    """The connection has ended, with a close code and a reason; 1006 if no close frame has come."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"the connection is closed with {self.code}{f' ({self.reason})' if self.reason else ''}"


class QueueFull(CompatError):
    """The client is away, and the frames that wait for its return leave no room for another."""


class MalformedControl(CompatError):
    """The server has sent a control frame that is not one."""


class Frames:
    """Frames in order, and their size in bytes."""

    def __init__(self) -> None:
        self._frames: deque[tuple[Frame, int]] = deque()
        self.size = 0

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return (frame for frame, _ in self._frames)

    @property
    def is_full(self) -> bool:
        """Return True if nothing more should be added."""
        return self.size >= LIMIT_BYTES or len(self._frames) >= LIMIT_FRAMES

    @property
    def exceeds(self) -> bool:
        """Return True if there is more than should be kept."""
        return self.size > LIMIT_BYTES or len(self._frames) > LIMIT_FRAMES

    @property
    def first(self) -> Frame:
        """The oldest frame."""
        return self._frames[0][0]

    def append(self, frame: Frame) -> None:
        """Add ``frame`` at the end."""
        size = size_of(frame)
        self._frames.append((frame, size))
        self.size += size

    def popleft(self) -> Frame:
        """Remove and return the oldest frame."""
        frame, size = self._frames.popleft()
        self.size -= size
        return frame

    def put_back(self, other: Frames) -> None:
        """Move all frames of ``other`` to the front, in their order."""
        self._frames.extendleft(reversed(other._frames))
        self.size += other.size
        other.clear()

    def clear(self) -> None:
        """Remove all frames."""
        self._frames.clear()
        self.size = 0


def size_of(frame: Frame) -> int:
    """Return the bytes of ``frame`` on the wire. Raises UnicodeEncodeError for text that is not UTF-8."""
    return len(frame) if isinstance(frame, bytes) or frame.isascii() else len(frame.encode())
