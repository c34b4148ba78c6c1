"""``channels.testing.live``: the names of ``compat.testing.live``, and those that need the real Django."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.testing.live import *
    from django_shim.with_django.live import *

NEED_DJANGO = (
    "ChannelsLiveServerTestCase",
    "DaphneProcess",
    "TEST_DATABASE_PREFIX",
    "TransactionTestCase",
    "set_database_connection",
)

mirror(
    __name__,
    "compat.testing.live",
    elsewhere={name: f"django_shim.with_django.live:{name}" for name in NEED_DJANGO},
)
