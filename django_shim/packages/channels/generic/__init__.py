"""``channels.generic``: the names of ``compat.generic``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.generic import *

mirror(__name__, "compat.generic")
