"""``channels.testing``: the names of ``compat.testing``, and the test case that needs Django."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from compat.testing import *
    from django_shim.with_django.live import ChannelsLiveServerTestCase as ChannelsLiveServerTestCase

mirror(
    __name__,
    "compat.testing",
    elsewhere={"ChannelsLiveServerTestCase": "django_shim.with_django.live:ChannelsLiveServerTestCase"},
)
