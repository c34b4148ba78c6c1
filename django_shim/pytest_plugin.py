"""``pytest -p django_shim.pytest_plugin``: installs the shim before pytest-django loads the settings.

``install()`` in conftest.py comes too late for that. ``django-shim pytest`` needs no plugin.
"""

from __future__ import annotations

import django_shim

__all__: list[str] = []

django_shim.install()
