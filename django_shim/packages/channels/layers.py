"""``channels.layers``: the names of ``compat.layers``, and the clock that tests patch here."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    import time as time

    from compat.layers import *

mirror(__name__, "compat.layers", elsewhere={"time": "compat.layers.memory:time"})
