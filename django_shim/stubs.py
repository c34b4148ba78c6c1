"""``django-shim stubs``: what a type checker must be told to see the names that the shim serves.

The mirrors are plain files with ``if TYPE_CHECKING: from compat.… import *``, so the folder that the finder
serves at run time is what mypy and pyright need. Without it pyright falls back to stubs that it brings.
"""

from __future__ import annotations

from django_shim.finder import HERE, PACKAGES, real_spec

__all__ = ["configuration"]


def configuration() -> str:
    """Lines for pyproject.toml; without Django installed they also show the subset of it."""
    folders = [PACKAGES] if real_spec("django") else [PACKAGES, HERE]
    return "\n".join(
        [
            "[tool.mypy]",
            f"mypy_path = {_strings(folders)}",
            "",
            "[tool.pyright]",
            f"stubPath = {_string(PACKAGES)}",
            *([f"extraPaths = {_strings(folders[1:])}"] if folders[1:] else []),
        ]
    )


def _strings(folders: list[str]) -> str:
    return f"[{', '.join(map(_string, folders))}]"


def _string(folder: str) -> str:
    return f"'{folder}'"  # a literal TOML string: backslashes of Windows stay what they are
