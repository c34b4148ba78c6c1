"""``channels.layers``: the names of ``compat.layers``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.layers import *

mirror(__name__, "compat.layers")
