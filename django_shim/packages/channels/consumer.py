"""``channels.consumer``: the names of ``compat.consumer``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.consumer import *

mirror(__name__, "compat.consumer")
