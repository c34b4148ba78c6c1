"""The app ``"daphne"`` of INSTALLED_APPS, with a ``runserver`` that serves websockets."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from daphne.checks import check_daphne_installed
from django_shim.with_django import watch_logouts

__all__ = ["DaphneConfig"]


class DaphneConfig(AppConfig):
    """Registers the check that this app precedes the other one with a ``runserver``."""

    name = "daphne"
    verbose_name = "Daphne"

    def ready(self) -> None:
        checks.register(check_daphne_installed, checks.Tags.staticfiles)
        watch_logouts()
