"""``channels.security.websocket``: the names of ``compat.security.websocket``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.security.websocket import *

mirror(__name__, "compat.security.websocket")
