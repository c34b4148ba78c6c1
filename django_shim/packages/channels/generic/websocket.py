"""``channels.generic.websocket``: the names of ``compat.generic.websocket``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.db import aclose_old_connections as aclose_old_connections
    from compat.generic.websocket import *

mirror(
    __name__,
    "compat.generic.websocket",
    elsewhere={"aclose_old_connections": "compat.db:aclose_old_connections"},
)
