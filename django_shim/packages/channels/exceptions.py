"""``channels.exceptions``: the names of ``compat.exceptions``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.exceptions import *

mirror(__name__, "compat.exceptions")
