"""Files that come with a form; storages take the real Django."""

from __future__ import annotations

from ...unserved import attribute_of
from .uploadedfile import File

__all__ = ["File"]

__getattr__ = attribute_of(__name__)
