"""``channels.routing``: the names of ``compat.routing``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.routing import *

mirror(__name__, "compat.routing")
