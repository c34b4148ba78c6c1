"""``channels.testing.http``: the names of ``compat.testing.http``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.testing.http import *

mirror(__name__, "compat.testing.http")
