"""The app ``"django_shim.with_django"`` of INSTALLED_APPS, for a project that imports ``compat`` itself.

It connects Django's settings, users and connections with compat, as the shim does for a project that was not
ported, and provides ``runserver`` and ``runworker`` of ``manage.py``.
"""

# mypy: disable-error-code="import-not-found, misc"
# pyright: reportMissingImports=false
from __future__ import annotations

from django.apps import AppConfig

from django_shim import with_django

__all__ = ["WithDjangoConfig"]


class WithDjangoConfig(AppConfig):
    """Replaces the apps "channels" and "daphne"; list it before ``django.contrib.staticfiles``."""

    name = "django_shim.with_django"
    label = "channels_compat"
    verbose_name = "Channels (compat)"

    def ready(self) -> None:
        with_django.register()
        with_django.watch_logouts()
