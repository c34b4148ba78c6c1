"""msgpack: binary frames, smaller than JSON, for clients other than browsers."""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]

from compat.manager.serializers.base import BaseSerializer

__all__ = ["MsgpackSerializer"]


class MsgpackSerializer(BaseSerializer):
    """msgpack in binary frames.

    Keys must be strings, and tuples become lists.
    """

    binary = True

    def dumps(self, data: Any) -> bytes:
        packed: Any = msgpack.packb(data)
        return bytes(packed)

    def loads(self, data: bytes | str) -> Any:
        return msgpack.unpackb(data.encode() if isinstance(data, str) else data)
