"""``channels.middleware``: the names of ``compat.middleware``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.middleware import *

mirror(__name__, "compat.middleware")
