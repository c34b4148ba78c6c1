"""A check that an extra is installed, so that the error names the extra and not a module."""

from __future__ import annotations

import importlib

__all__ = ["require_pydantic"]

PYDANTIC = (2, 7)


def require_pydantic(package: str, extra: str) -> None:
    """Raise ImportError, with the command to install, if pydantic is missing or too old for ``package``."""
    needed = ".".join(map(str, PYDANTIC))
    try:
        version: str = importlib.import_module("pydantic").VERSION
    except ModuleNotFoundError as error:
        if error.name != "pydantic":
            raise
        found = "it is not installed"
        cause: ModuleNotFoundError | None = error
    else:
        if tuple(int(part) for part in version.split(".")[:2]) >= PYDANTIC:
            return
        found, cause = f"found {version}", None
    raise ImportError(
        f"{package} needs pydantic {needed} or newer; {found}. Install it with: "
        f"pip install 'channels-compat[{extra}]'"
    ) from cause
