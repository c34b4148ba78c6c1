"""``get_wsgi_application()``: what a project's wsgi.py calls. The subset is served by ASGI alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from .. import setup
from ..unserved import needs_django

__all__ = ["get_wsgi_application"]


def get_wsgi_application() -> Callable[..., NoReturn]:
    """Set Django up; return an application whose requests raise ImportError."""
    setup(set_prefix=False)
    return _refuse


def _refuse(environ: object, start_response: object) -> NoReturn:
    raise ImportError(f"{needs_django('WSGI')} Or serve the project's asgi.py with uvicorn.", name="django")
