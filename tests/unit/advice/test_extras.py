"""What is installed decides what can be imported, and an error names the extra."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.environments import environment
from tests.support.paths import REPO

CORE = """
compat compat.consumer compat.routing compat.patterns compat.generic.websocket compat.generic.http
compat.auth compat.sessions compat.session_cookies compat.session_layer compat.layers compat.layers.redis
compat.fastapi compat.security.websocket compat.auth.tokens compat.settings compat.testing compat.worker
compat.closing compat.db compat.engine.draining compat.engine.limits compat.names compat.cli django_shim
django_shim.launcher
""".split()
WITHOUT = textwrap.dedent(
    """
    import importlib, sys
    {before}
    for name in {names!r}:
        importlib.import_module(name)
    for name, extra in (("compat.typed", "typed"), ("compat.manager", "manager")):
        for inner in ("", ".config", ".consumer"):
            try:
                importlib.import_module(name + inner)
            except ImportError as error:
                print(error)
    """
)


def complaints(python: str, before: str, path: Path) -> list[str]:
    program = WITHOUT.format(before=before, names=CORE)
    done = subprocess.run([python, "-c", program], cwd=path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def check(lines: list[str], found: str) -> None:
    assert len(lines) == 6
    for line, extra in zip(lines, ["typed"] * 3 + ["manager"] * 3, strict=True):
        assert line == (
            f"compat.{extra} needs pydantic 2.7 or newer; {found}. Install it with: "
            f"pip install 'channels-compat[{extra}]'"
        )


def test_faults_projects_06_core_imports_without_pydantic(tmp_path: Path) -> None:
    hidden = f"sys.path.insert(0, {str(REPO)!r})\nsys.modules['fastapi'] = None\n"
    hidden += textwrap.dedent(
        """
        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in ("pydantic", "pydantic_core", "pydantic_settings"):
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        sys.meta_path.insert(0, Hidden())
        """
    )
    check(complaints(sys.executable, hidden, tmp_path), "it is not installed")


@pytest.mark.parametrize("version", ["1.10.26", "2.6.4"])
def test_faults_projects_06_a_pydantic_that_is_too_old(version: str, tmp_path: Path) -> None:
    (tmp_path / "pydantic.py").write_text(f"VERSION = {version!r}\n")
    old = f"sys.path[:0] = [{str(tmp_path)!r}, {str(REPO)!r}]\nsys.modules['fastapi'] = None\n"
    check(complaints(sys.executable, old, tmp_path), f"found {version}")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "version"), [("without-pydantic", None), ("pydantic-1", "1.")])
def test_faults_projects_06_in_an_environment_of_its_own(
    name: str, version: str | None, tmp_path: Path
) -> None:
    python = environment(name).python
    installed = "import importlib.util\n"
    installed += f"assert (importlib.util.find_spec('pydantic') is None) is {version is None}"
    lines = complaints(python, installed, tmp_path)
    if version is None:
        check(lines, "it is not installed")
    else:
        assert len(lines) == 6 and all(f"found {version}" in line for line in lines)
