"""JSON by the standard library: compact, in UTF-8, and always readable by a browser's JSON.parse."""

from __future__ import annotations

import json
from typing import Any

from compat.manager.serializers.base import BaseSerializer

__all__ = ["JSONSerializer"]


class JSONSerializer(BaseSerializer):
    """JSON such as ``{"a":1}``; NaN and the infinities raise ValueError, because they are not JSON."""

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

    def text(self, data: Any) -> str:
        return self._encode(data)

    def dumps(self, data: Any) -> bytes:
        return self._encode(data).encode()

    def loads(self, data: bytes | str) -> Any:
        return json.loads(data)
