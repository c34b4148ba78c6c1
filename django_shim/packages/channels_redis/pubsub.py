"""``channels_redis.pubsub``: the names of ``compat.layers.redis.pubsub``, and upstream's imports."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.layers.redis.pubsub import *
    from compat.layers.redis.serializers import registry as registry
    from compat.layers.redis.upstream_names import RedisPubSubLoopLayer as RedisPubSubLoopLayer
    from compat.layers.redis.upstream_names import RedisSingleShardConnection as RedisSingleShardConnection
    from compat.layers.redis.utils import create_pool as create_pool
    from compat.layers.redis.utils import decode_hosts as decode_hosts

mirror(
    __name__,
    "compat.layers.redis.pubsub",
    elsewhere={
        "_close_redis": "compat.layers.redis.utils:_close_redis",
        "_consistent_hash": "compat.layers.redis.utils:_consistent_hash",
        "_wrap_close": "compat.layers.redis.utils:_wrap_close",
        "RedisPubSubLoopLayer": "compat.layers.redis.upstream_names:RedisPubSubLoopLayer",
        "RedisSingleShardConnection": "compat.layers.redis.upstream_names:RedisSingleShardConnection",
        "create_pool": "compat.layers.redis.utils:create_pool",
        "decode_hosts": "compat.layers.redis.utils:decode_hosts",
        "registry": "compat.layers.redis.serializers:registry",
    },
)
