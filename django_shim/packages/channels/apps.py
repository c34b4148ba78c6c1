"""The app ``"channels"`` of INSTALLED_APPS."""

# pyright: reportMissingImports=false
from __future__ import annotations

from django.apps import AppConfig

__all__ = ["ChannelsConfig"]


class ChannelsConfig(AppConfig):
    """The configuration of the app, with the command ``runworker``."""

    name = "channels"
    verbose_name = "Channels"
