"""``channels_redis.utils``: the names of ``compat.layers.redis.utils``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.layers.redis.utils import *

mirror(__name__, "compat.layers.redis.utils")
