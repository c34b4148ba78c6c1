"""What a live server in a test serves: the project's own application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compat.routing import get_default_application

__all__ = ["get_default_application", "make_application"]


def make_application(*, static_wrapper: Callable[[Any], Any] | None) -> Any:
    """The application of ASGI_APPLICATION, inside of ``static_wrapper`` if one is given.

    A function of a module, so that it can be handed to a server process.
    """
    application = get_default_application()
    return application if static_wrapper is None else static_wrapper(application)
