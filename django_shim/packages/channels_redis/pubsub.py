"""``channels_redis.pubsub``: the names of ``compat.layers.redis.pubsub``, and what it passes on."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.layers.redis.hosts import create_pool as create_pool
    from compat.layers.redis.hosts import decode_hosts as decode_hosts
    from compat.layers.redis.pubsub import *
    from compat.layers.redis.serializers import registry as registry

mirror(
    __name__,
    "compat.layers.redis.pubsub",
    elsewhere={
        "create_pool": "compat.layers.redis.hosts:create_pool",
        "decode_hosts": "compat.layers.redis.hosts:decode_hosts",
        "registry": "compat.layers.redis.serializers:registry",
    },
)
