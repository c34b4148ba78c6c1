"""Headers that tell caches what they may do."""

from __future__ import annotations

from typing import Any

from ..unserved import NOT_A_PACKAGE, attribute_of

__all__ = ["add_never_cache_headers", "patch_cache_control", "patch_vary_headers"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


def patch_vary_headers(response: Any, newheaders: Any) -> None:
    """Add names to Vary; ``*`` stands for all of them."""
    present = [name.strip() for name in response.headers.get("Vary", "").split(",") if name.strip()]
    known = {name.lower() for name in present}
    names = present + [name for name in newheaders if name.lower() not in known]
    response.headers["Vary"] = "*" if "*" in names else ", ".join(names)


def patch_cache_control(response: Any, **kwargs: Any) -> None:
    """Set directives of Cache-Control: ``max_age=60, private=True``. The shorter ``max-age`` wins."""
    found: dict[str, Any] = {}
    for part in response.headers.get("Cache-Control", "").split(","):
        name, equals, value = part.strip().partition("=")
        if name:
            found[name.lower()] = value if equals else True
    if "max-age" in found and "max_age" in kwargs:
        kwargs["max_age"] = min(int(found["max-age"]), int(kwargs["max_age"]))
    for one, other in (("private", "public"), ("public", "private")):
        if kwargs.get(one):
            found.pop(other, None)
    found.update({name.replace("_", "-"): value for name, value in kwargs.items()})
    shown = [
        name if value is True else f"{name}={value}" for name, value in found.items() if value is not False
    ]
    response.headers["Cache-Control"] = ", ".join(shown)


def add_never_cache_headers(response: Any) -> None:
    """Nothing may be kept."""
    patch_cache_control(response, max_age=0, no_cache=True, no_store=True, must_revalidate=True, private=True)
