"""Foreign packages: whether this interpreter has them installed, and whether they need Django."""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib import metadata
from importlib.util import find_spec

from compat.cli.porting.judge import DjangoNames, Kind, Verdict

__all__ = ["django_is_installed", "is_installed", "judge_foreign"]

ADDONS = {
    "allauth",
    "channels_graphql_ws",
    "corsheaders",
    "crispy_forms",
    "debug_toolbar",
    "djangochannelsrestframework",
    "guardian",
    "import_export",
    "knox",
    "mptt",
    "ninja",
    "oauth2_provider",
    "rest_framework",
    "rest_framework_simplejwt",
    "storages",
    "taggit",
    "wagtail",
    "whitenoise.middleware",
}
"""Well-known packages that need Django; for packages that are not installed."""

NEEDS = re.compile(r"(django|channels|daphne|djangorestframework)\b(?![-_.]?compat)", re.IGNORECASE)


def django_is_installed() -> bool:
    """Return True if the real Django is installed."""
    return is_installed("django")


@cache
def is_installed(package: str) -> bool:
    """Return True if the real package is installed, and not only served by the shim."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None and "django_shim" not in spec.origin


def judge_foreign(module: str, django: DjangoNames) -> Verdict | None:
    """Return the verdict on an import of a foreign module, or None if the import works."""
    root = module.partition(".")[0]
    if root in sys.stdlib_module_names:
        return None
    if django is DjangoNames.shim and _needs_django(root):
        return Verdict(
            Kind.django, f"the package {root} needs Django: keep Django installed for it", breaks=True
        )
    if _is_here(root):
        return None
    return Verdict(Kind.unknown, f"{root} is not installed here, so its import was not tried", breaks=True)


@cache
def _is_here(root: str) -> bool:
    try:
        return find_spec(root) is not None
    except (ImportError, ValueError):
        return False


@cache
def _needs_django(root: str) -> bool:
    if root in ADDONS or root.startswith("django_"):
        return root != "django_shim"
    return any(
        NEEDS.match(requirement) and "extra" not in requirement.partition(";")[2]
        for distribution in _distributions().get(root, ())
        for requirement in metadata.requires(distribution) or ()
    )


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())
