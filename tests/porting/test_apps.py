"""The apps of other libraries after `port --write`; tests/seeds run what is in them, ported so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.porting.projects import check, failing_imports, port, without_cache
from tests.support.environments import Environment
from tests.support.paths import REPO, acceptance_material
from tests.support.seed_app import BASE_CONSUMER

BASE = BASE_CONSUMER.replace("from compat.typed import", "from chanx.fast_channels.websocket import")
EXAMPLE = REPO / "examples" / "fastapi_port" / "manager_chat"


def laid_out(app: str, folder: Path) -> Path:
    """The app, with the files that its own documentation takes for granted."""
    destination = {"chanx_src": "src"}.get(app, "")
    source = acceptance_material() / "acceptance" / "apps" / app
    shutil.copytree(source, folder / destination, dirs_exist_ok=True)
    if app == "chanx_src":
        (folder / "src" / "base_consumer.py").write_text(BASE, encoding="utf-8")
    if app == "fastapi_channels_example":
        shutil.copytree(EXAMPLE / "example", folder / "example")
        shutil.copy(EXAMPLE / "template.html", folder)
    return folder


@pytest.mark.parametrize("app", ["chanx_src", "fast_channels_concepts", "fastapi_channels_example"])
def test_an_app_is_ported(app: str, bare: Environment, tmp_path: Path) -> None:
    project = laid_out(app, tmp_path)
    assert "ported" in port(project, "shim", "--write")
    after = without_cache(project)
    for name, text in after.items():
        if name.endswith(".py"):
            assert b"import fast_channels" not in text and b"from fast_channels" not in text, name
            assert b"from chanx" not in text and b"from fastapi_channels" not in text, name
    assert "nothing to port" in port(project, "shim", "--write")
    assert without_cache(project) == after
    report = check(project, bare, "shim")
    assert report["counts"]["runs"] == len(report["files"]), report
    assert failing_imports(project, bare, report["files"]) == {}
