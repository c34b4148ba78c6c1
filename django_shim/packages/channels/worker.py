"""``channels.worker``: the names of ``compat.worker``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.worker import *

mirror(__name__, "compat.worker")
