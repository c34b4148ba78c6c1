"""``channels_redis.pubsub``: the names of ``compat.layers.redis.pubsub``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.layers.redis.pubsub import *

mirror(__name__, "compat.layers.redis.pubsub")
