"""The app ``"channels"`` of INSTALLED_APPS."""

# pyright: reportMissingImports=false
from __future__ import annotations

from django.apps import AppConfig

__all__ = ["ChannelsConfig"]


class ChannelsConfig(AppConfig):
    """Found by Django in this package's folder; brings the ``runworker`` command."""

    name = "channels"
    verbose_name = "Channels"
