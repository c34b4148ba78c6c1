"""Headers that tell caches what they may do."""

from __future__ import annotations

from typing import Any

__all__ = ["patch_vary_headers"]


def patch_vary_headers(response: Any, newheaders: Any) -> None:
    """Add names to Vary; ``*`` stands for all of them."""
    present = [name.strip() for name in response.headers.get("Vary", "").split(",") if name.strip()]
    known = {name.lower() for name in present}
    names = present + [name for name in newheaders if name.lower() not in known]
    response.headers["Vary"] = "*" if "*" in names else ", ".join(names)
