"""``channels.utils``: the names of ``compat.utils``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.utils import *

mirror(__name__, "compat.utils")
