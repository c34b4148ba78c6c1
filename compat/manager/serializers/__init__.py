"""Serializers: how messages become bytes, for clients and between servers."""

from __future__ import annotations

from compat.manager.serializers.base import BaseSerializer
from compat.manager.serializers.json_serializer import JSONSerializer
from compat.manager.serializers.msgpack_serializer import MsgpackSerializer
from compat.manager.serializers.orjson_serializer import ORJSONSerializer
from compat.manager.serializers.pickle_serializer import PickleSerializer

__all__ = ["BaseSerializer", "JSONSerializer", "MsgpackSerializer", "ORJSONSerializer", "PickleSerializer"]
