"""``channels.generic.http``: the names of ``compat.generic.http``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.db import aclose_old_connections as aclose_old_connections
    from compat.generic.http import *

mirror(
    __name__, "compat.generic.http", elsewhere={"aclose_old_connections": "compat.db:aclose_old_connections"}
)
