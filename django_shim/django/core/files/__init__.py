"""Files that come with a form; storages take the real Django."""

from __future__ import annotations

from .uploadedfile import File

__all__ = ["File"]
