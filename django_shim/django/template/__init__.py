"""The Django template language, on Jinja2's compiler.

``lexer`` cuts a source into tokens, ``parser`` and ``tags`` turn them into Jinja2's syntax tree, and Jinja2
makes Python of that: inheritance, scopes, caching and tracebacks that name the template's line are Jinja2's.
What a template does when it runs (look-ups, escaping, loops) is in ``runtime``, and the filters are in
``filters``. Jinja2 is imported with the first template and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..unserved import attribute_of
from .context import Context, RequestContext
from .exceptions import TemplateDoesNotExist, TemplateSyntaxError, VariableDoesNotExist
from .library import Library

if TYPE_CHECKING:
    from .engine import Engine, Template, engines

__all__ = [
    "Context",
    "Engine",
    "Library",
    "RequestContext",
    "Template",
    "TemplateDoesNotExist",
    "TemplateSyntaxError",
    "VariableDoesNotExist",
    "engines",
]

_unserved = attribute_of(__name__)


def __getattr__(name: str) -> Any:
    if name in ("Engine", "Template", "engines"):
        from . import engine

        return getattr(engine, name)
    return _unserved(name)
