"""Templates by name, and pages out of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..http import HttpRequest
from ..utils.safestring import SafeString
from .engine import Engine, Template, engines
from .exceptions import TemplateDoesNotExist

__all__ = ["get_template", "render_to_string", "select_template"]


def get_template(template_name: str, using: str | None = None) -> Template:
    """Return the template of that name, from the first engine that has it; TemplateDoesNotExist."""
    return select_template([template_name], using)


def select_template(template_name_list: Sequence[str], using: str | None = None) -> Template:
    """The first of the names that exists; TemplateDoesNotExist, listing where all of them were looked for."""
    if isinstance(template_name_list, str):
        raise TypeError(f"select_template() takes a list of names, not the one name {template_name_list!r}")
    if not template_name_list:
        raise TemplateDoesNotExist("no name was given")
    tried: list[Any] = []
    for name in template_name_list:
        for engine in _engines(using):
            try:
                return engine.get_template(name)
            except TemplateDoesNotExist as error:
                if error.args != (name,):
                    raise  # it is there, and extends something that is not
                tried += error.tried
    hint = "" if _engines(using) else ": TEMPLATES is empty, so there is nowhere to look"
    raise TemplateDoesNotExist(", ".join(template_name_list) + hint, tried)


def render_to_string(
    template_name: Any,
    context: dict[str, Any] | None = None,
    request: HttpRequest | None = None,
    using: str | None = None,
) -> SafeString:
    """Return the page. ``template_name`` may be a list, of which the first that exists is taken."""
    names = template_name if isinstance(template_name, (list, tuple)) else [template_name]
    return select_template(names, using).render(context, request)


def _engines(using: str | None) -> list[Engine]:
    return engines.all() if using is None else [engines[using]]
