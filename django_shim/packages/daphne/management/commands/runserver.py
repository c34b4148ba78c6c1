"""``manage.py runserver`` of the app ``daphne``, where the real daphne is not installed."""

from __future__ import annotations

from django_shim.with_django.management.commands.runserver import Command, load, load_with_static_files

__all__ = ["Command", "load", "load_with_static_files"]
