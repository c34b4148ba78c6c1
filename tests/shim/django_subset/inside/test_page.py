"""docs/reference/subset.md lists what is in the subset, and nothing else.

`DJANGO_SUBSET_INSIDE=1 python -m tests.shim.django_subset.inside.test_page` writes the lists anew.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    import tests.shim.django_subset.inside.conftest  # noqa: F401 - the shim, and settings

import django
from django.core.handlers.base import SERVED_MIDDLEWARE
from django.template.filters import BUILTIN_FILTERS
from django.template.tags import BUILTIN_TAGS

from tests.support.paths import REPO

PAGE = REPO / "docs" / "reference" / "subset.md"
BEGIN = "<!-- What follows is written by tests/shim/django_subset/inside/test_page.py. -->\n"
INSIDE = (
    "django.core.handlers",
    "django.core.management.commands",
    "django.db.connections",
    "django.db.models.absent",
    "django.db.models.queries",
    "django.http.headers",
    "django.http.hosts",
    "django.http.media_type",
    "django.http.query",
    "django.http.response_base",
    "django.http.streaming",
    "django.template.building",
    "django.template.conditions",
    "django.template.environment",
    "django.template.expressions",
    "django.template.filters",
    "django.template.lexer",
    "django.template.messages",
    "django.template.parser",
    "django.template.runtime",
    "django.template.scopes",
    "django.template.tags",
    "django.unserved",
    "django.urls.reversing",
)
"""Modules that are the subset's own business: Django has none of that name, or another one."""


def modules() -> Iterator[tuple[str, list[str]]]:
    """Each module that a project can import, with its public names."""
    yield "django", sorted(django.__all__)
    for found in pkgutil.walk_packages(django.__path__, "django."):
        if found.name.startswith(INSIDE) or found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        names = sorted(set(module.__all__) - {one.name for one in pkgutil.iter_modules(module.__path__)})
        if names:
            yield found.name, names


def commands() -> list[str]:
    """The management commands."""
    folder = Path(django.__path__[0]) / "core" / "management" / "commands"
    return sorted(module.name for module in pkgutil.iter_modules([str(folder)]))


def listed(names: list[str], before: str = "") -> str:
    text = before + ", ".join(f"`{name}`" for name in names)
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def lists() -> str:
    parts = [
        "## Template tags\n",
        listed(sorted(BUILTIN_TAGS)),
        "\n## Template filters\n",
        listed(sorted(BUILTIN_FILTERS.filters)),
        "\n## Management commands\n",
        listed([*commands(), "runworker"]),
        "\n## Middleware\n",
        listed(sorted(SERVED_MIDDLEWARE)),
        "\n## Modules and their names",
    ]
    for name, names in modules():
        parts += ["", listed(names, f"**{name}**: ")]
    return "\n".join(parts) + "\n"


def test_the_page_of_the_subset_lists_what_is_in_it() -> None:
    head, _, found = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    assert head and found.strip() == lists().strip(), f"write the page anew: {__doc__}"


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    PAGE.write_text(f"{text}{BEGIN}\n{lists()}", encoding="utf-8")
    sys.exit(0)
