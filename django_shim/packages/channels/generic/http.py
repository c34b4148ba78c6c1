"""``channels.generic.http``: the names of ``compat.generic.http``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.generic.http import *

mirror(__name__, "compat.generic.http")
