"""``channels.testing``: the names of ``compat.testing``, and the test case that needs Django."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from django_shim.with_django.live import ChannelsLiveServerTestCase as ChannelsLiveServerTestCase

    from compat.testing import *

mirror(
    __name__,
    "compat.testing",
    elsewhere={"ChannelsLiveServerTestCase": "django_shim.with_django.live:ChannelsLiveServerTestCase"},
)
