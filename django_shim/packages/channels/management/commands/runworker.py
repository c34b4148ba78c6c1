"""``manage.py runworker CHANNEL …`` of the app ``channels``."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from django_shim.with_django.management.commands.runworker import *

mirror(__name__, "django_shim.with_django.management.commands.runworker")
