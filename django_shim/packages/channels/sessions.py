"""``channels.sessions``: the names of ``compat.sessions``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.sessions import *

mirror(__name__, "compat.sessions")
