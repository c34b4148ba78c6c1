"""``channels_redis.serializers``: the names of ``compat.layers.redis.serializers``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.layers.redis.serializers import *

mirror(__name__, "compat.layers.redis.serializers")
