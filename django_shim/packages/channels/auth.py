"""``channels.auth``: the names of ``compat.auth``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.auth import *

mirror(__name__, "compat.auth")
