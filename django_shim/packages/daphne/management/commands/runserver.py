"""``manage.py runserver`` of the app ``daphne``, if the real daphne is not installed."""

from typing import TYPE_CHECKING

from django_shim.mirror import mirror

if TYPE_CHECKING:
    from django_shim.with_django.management.commands.runserver import *

mirror(__name__, "django_shim.with_django.management.commands.runserver")
