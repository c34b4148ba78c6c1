"""``BaseSerializer``: the two methods and the one fact that the manager needs of a serializer."""

from __future__ import annotations

import abc
from typing import Any

__all__ = ["BaseSerializer"]


class BaseSerializer(abc.ABC):
    """A format. ``binary``: its frames to clients are binary ones, or text where it is False."""

    binary: bool = False
    for_clients: bool = True
    """False for a format that no client should be asked to read."""

    @abc.abstractmethod
    def dumps(self, data: Any) -> bytes:
        """``data`` as bytes; TypeError or ValueError for what the format has no place for."""

    @abc.abstractmethod
    def loads(self, data: bytes | str) -> Any:
        """The inverse of ``dumps``; ValueError for what is not of this format."""

    def text(self, data: Any) -> str:
        """``data`` as a text frame carries it; only where ``binary`` is False."""
        return self.dumps(data).decode()
