"""``channels_redis``: the names of ``compat.layers.redis``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.layers.redis import *

__version__ = "4.3.0"

mirror(__name__, "compat.layers.redis", submodules=("core", "pubsub", "serializers", "utils"))
