"""``channels.testing.application``: the names of ``compat.testing.application``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.testing.application import *

mirror(__name__, "compat.testing.application")
