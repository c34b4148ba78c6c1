"""``BaseSerializer``: the interface of serializers."""

from __future__ import annotations

import abc
from typing import Any

__all__ = ["BaseSerializer"]


class BaseSerializer(abc.ABC):
    """A format for messages; ``binary`` tells whether clients get binary frames or text frames."""

    binary: bool = False
    for_clients: bool = True
    """False for a format that is not safe or not suitable for clients."""

    @abc.abstractmethod
    def dumps(self, data: Any) -> bytes:
        """Return ``data`` as bytes; raise TypeError or ValueError for a value that the format lacks."""

    @abc.abstractmethod
    def loads(self, data: bytes | str) -> Any:
        """Return the value that ``dumps`` has encoded; raise ValueError for bytes of another format."""

    def text(self, data: Any) -> str:
        """Return ``data`` as the content of a text frame; only for formats that are not ``binary``."""
        return self.dumps(data).decode()
