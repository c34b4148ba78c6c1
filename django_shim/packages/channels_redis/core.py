"""``channels_redis.core``: the names of ``compat.layers.redis.core``, and upstream's imports."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.layers import BaseChannelLayer as BaseChannelLayer
    from compat.layers.redis.core import *
    from compat.layers.redis.serializers import registry as registry
    from compat.layers.redis.upstream_names import RedisLoopLayer as RedisLoopLayer
    from compat.layers.redis.utils import create_pool as create_pool
    from compat.layers.redis.utils import decode_hosts as decode_hosts

mirror(
    __name__,
    "compat.layers.redis.core",
    elsewhere={
        "_close_redis": "compat.layers.redis.utils:_close_redis",
        "_consistent_hash": "compat.layers.redis.utils:_consistent_hash",
        "_wrap_close": "compat.layers.redis.utils:_wrap_close",
        "BaseChannelLayer": "compat.layers:BaseChannelLayer",
        "RedisLoopLayer": "compat.layers.redis.upstream_names:RedisLoopLayer",
        "create_pool": "compat.layers.redis.utils:create_pool",
        "decode_hosts": "compat.layers.redis.utils:decode_hosts",
        "registry": "compat.layers.redis.serializers:registry",
    },
)
