"""``channels.testing.websocket``: the names of ``compat.testing.websocket``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.testing.websocket import *

mirror(__name__, "compat.testing.websocket")
