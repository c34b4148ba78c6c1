"""``channels.generic.websocket``: the names of ``compat.generic.websocket``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.generic.websocket import *

mirror(__name__, "compat.generic.websocket")
