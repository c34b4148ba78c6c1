"""``channels.db``: the names of ``compat.db``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.db import *

mirror(__name__, "compat.db")
