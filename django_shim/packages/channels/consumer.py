"""``channels.consumer``: the names of ``compat.consumer``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.consumer import *
    from compat.utils import await_many_dispatch as await_many_dispatch

mirror(__name__, "compat.consumer", elsewhere={"await_many_dispatch": "compat.utils:await_many_dispatch"})
