"""The project's apps: ``AppConfig`` and the registry ``apps``."""

from __future__ import annotations

from .config import AppConfig
from .registry import apps

__all__ = ["AppConfig", "apps"]
