"""``manage.py runworker CHANNEL …`` of the app ``channels``."""

from __future__ import annotations

from django_shim.with_django.management.commands.runworker import Command

__all__ = ["Command"]
