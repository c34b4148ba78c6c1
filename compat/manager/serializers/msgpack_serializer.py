"""msgpack: binary frames, smaller than JSON, for clients that are programs."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]

from compat.manager.serializers.base import BaseSerializer

__all__ = ["MsgpackSerializer"]


class MsgpackSerializer(BaseSerializer):
    """Frames are binary. Keys are strings.

    Tuples come back as lists.
    """

    binary = True

    def dumps(self, data: Any) -> bytes:
        packed: Any = msgpack.packb(data)
        return bytes(packed)

    def loads(self, data: bytes | str) -> Any:
        return msgpack.unpackb(data.encode() if isinstance(data, str) else data)
