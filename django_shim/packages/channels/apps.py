"""The app ``"channels"`` of INSTALLED_APPS."""

# pyright: reportMissingImports=false
from __future__ import annotations

from django.apps import AppConfig

from django_shim.with_django import watch_logouts

__all__ = ["ChannelsConfig"]


class ChannelsConfig(AppConfig):
    """The configuration of the app, with the command ``runworker``."""

    name = "channels"
    verbose_name = "Channels"

    def ready(self) -> None:
        watch_logouts()
