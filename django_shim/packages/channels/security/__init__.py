"""``channels.security``: the names of ``compat.security``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.security import *

mirror(__name__, "compat.security")
