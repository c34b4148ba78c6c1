"""Names and tables of the pages: what is mentioned exists, and defaults are as shown."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from compat.manager import ConnectionManager, WSConfig
from compat.settings import DEFAULTS
from tests.docs.pages import DOCS, PAGES
from tests.support.paths import REPO


def names() -> list[str]:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return sorted({name for name in re.findall(r"`((?:compat|django_shim)(?:\.\w+)+)[`(]", text)})


@pytest.mark.parametrize("name", names())
def test_a_name_that_is_mentioned_exists(name: str) -> None:
    module = name
    attributes: list[str] = []
    while True:
        try:
            found = importlib.import_module(module)
            break
        except ModuleNotFoundError as error:
            if error.name is not None and not error.name.startswith(("compat", "django_shim")):
                return needs_django(name)
            module, _, attribute = module.rpartition(".")
            assert module, name
            attributes.insert(0, attribute)
    for attribute in attributes:
        found = getattr(found, attribute)


def needs_django(name: str) -> None:
    """What cannot be imported here is looked for in its source."""
    module, _, attribute = name.rpartition(".")
    source = (REPO / f"{module.replace('.', '/')}.py").read_text("utf-8")
    assert re.search(rf"^(?:class |def |){attribute}\b", source, re.M), name


def test_the_settings() -> None:
    text = (DOCS / "reference" / "settings.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", text, re.M))
    cookies = {name for name in DEFAULTS if name.startswith("SESSION_COOKIE_")} - {"SESSION_COOKIE_NAME"}
    assert set(rows) == set(DEFAULTS) - cookies
    for name, shown in rows.items():
        assert shown.replace('"', "'") == repr(DEFAULTS[name]), name


def test_the_settings_of_the_manager() -> None:
    text = (DOCS / "manager.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^|`]+?)`? \|", text, re.M))
    assert set(rows) == set(WSConfig.model_fields)
    for name, shown in rows.items():
        if name != "SERVER_INSTANCE_ID":
            assert str(getattr(WSConfig(), name)).lower() == shown.lower(), name


def test_the_methods_of_the_manager() -> None:
    text = (DOCS / "manager.md").read_text("utf-8")
    method = r"(?:count|list|get|send|join|leave|disconnect)_\w+"
    for name in re.findall(rf"`(?:await )?(?:manager\.)?({method})[`(]", text):
        if name not in ("get_manager", "send_json"):
            assert hasattr(ConnectionManager, name), name


@pytest.mark.parametrize("page", [REPO / "README.md", REPO / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_of_what_is_read_outside_of_the_site(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"
