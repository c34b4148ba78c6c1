"""Where a static file is: in STATICFILES_DIRS, or in the folder ``static`` of an app."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...apps import apps
from ...conf import settings
from ...views.static import lookup

__all__ = ["find", "folders"]


def folders() -> Iterator[tuple[str, Path]]:
    """Prefix (mostly "") and folder, in the order in which they are searched."""
    for entry in settings.STATICFILES_DIRS:
        prefix, folder = entry if isinstance(entry, (list, tuple)) else ("", entry)
        yield prefix, Path(folder)
    for config in apps.get_app_configs():
        yield "", Path(config.path) / "static"


def find(path: str, find_all: bool = False) -> Any:
    """Return the file's path, or None; a list of all with ``find_all``."""
    found = []
    for prefix, folder in folders():
        below = path.removeprefix(f"{prefix}/") if prefix else path
        if prefix and below == path:
            continue
        file = lookup(below, folder)
        if file is not None:
            if not find_all:
                return str(file)
            found.append(str(file))
    return found if find_all else None
