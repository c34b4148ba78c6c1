"""``channels.auth``: the names of ``compat.auth``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.auth import *
    from compat.db import database_sync_to_async as database_sync_to_async

mirror(__name__, "compat.auth", elsewhere={"database_sync_to_async": "compat.db:database_sync_to_async"})
