"""``channels_redis.core``: the names of ``compat.layers.redis.core``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.layers.redis.core import *

mirror(__name__, "compat.layers.redis.core")
