"""``channels_redis.core``: the names of ``compat.layers.redis.core``, and what it passes on from elsewhere."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.layers import BaseChannelLayer as BaseChannelLayer
    from compat.layers.redis.core import *
    from compat.layers.redis.hosts import create_pool as create_pool
    from compat.layers.redis.hosts import decode_hosts as decode_hosts
    from compat.layers.redis.serializers import registry as registry

mirror(
    __name__,
    "compat.layers.redis.core",
    elsewhere={
        "BaseChannelLayer": "compat.layers:BaseChannelLayer",
        "create_pool": "compat.layers.redis.hosts:create_pool",
        "decode_hosts": "compat.layers.redis.hosts:decode_hosts",
        "registry": "compat.layers.redis.serializers:registry",
    },
)
