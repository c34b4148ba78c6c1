"""``channels.testing.live``: the names of ``compat.testing.live``, and the test case that needs Django."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.testing.live import *
    from django_shim.with_django.live import ChannelsLiveServerTestCase as ChannelsLiveServerTestCase

mirror(
    __name__,
    "compat.testing.live",
    elsewhere={"ChannelsLiveServerTestCase": "django_shim.with_django.live:ChannelsLiveServerTestCase"},
)
