"""The system check ``daphne.E001``: of two apps with a ``runserver``, Django uses the first."""

# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any

__all__ = ["check_daphne_installed"]


def check_daphne_installed(app_configs: Any, **kwargs: Any) -> list[Any]:
    """Return an error if ``django.contrib.staticfiles`` precedes ``daphne``: its server has no websockets."""
    from django.apps import apps
    from django.core.checks import Error

    names = [config.name for config in apps.get_app_configs()]
    first = next((name for name in names if name in ("daphne", "django.contrib.staticfiles")), "daphne")
    if first == "daphne":
        return []
    return [
        Error(
            "Daphne must be listed before django.contrib.staticfiles in INSTALLED_APPS.",
            hint="Both have a 'runserver', and the first one is used; that of staticfiles has no websockets.",
            id="daphne.E001",
        )
    ]
