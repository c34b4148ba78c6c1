"""With the real Django: its settings, sessions, users and connections; every scenario in a fresh process."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.environments import environment
from tests.support.paths import REPO

SCENARIOS = [
    (path.stem, node.name)
    for path in sorted(Path(__file__).parent.glob("scenarios_*.py"))
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("scenario_")
]
IDS = [name.removeprefix("scenario_") for _, name in SCENARIOS]


def run(installed: str, module: str, name: str, folder: Path) -> None:
    command = ("python", "-W", "error", "-m", f"tests.with_django.{module}", name)
    variables = {"DJANGO_SHIM": "1", "PYTHONPATH": str(REPO)}
    done = environment(installed).run(*command, cwd=folder, env=variables)
    assert done.returncode == 0 and done.stdout == "ok\n", done.stdout + done.stderr


@pytest.mark.parametrize(("module", "name"), SCENARIOS, ids=IDS)
def test_with_django(module: str, name: str, tmp_path: Path) -> None:
    run("django", module, name, tmp_path)


def test_with_the_real_channels_beside_it(tmp_path: Path) -> None:
    run("channels", "scenarios_users", "scenario_who_logs_in_over_http_is_known_on_the_websocket", tmp_path)


def test_the_settings_that_a_command_names_are_those_of_django(tmp_path: Path) -> None:
    """Was: those that asgi.py names by setdefault(), although the command showed the others."""
    memory = '{"BACKEND": "compat.layers.InMemoryChannelLayer"}'
    (tmp_path / "local.py").write_text(
        f'INSTALLED_APPS = ["django_shim.with_django"]\nCHANNEL_LAYERS = {{"default": {memory}}}\n'
    )
    (tmp_path / "other.py").write_text(f'from local import *\nCHANNEL_LAYERS = {{"other": {memory}}}\n')
    (tmp_path / "main.py").write_text(
        'import os, django\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "local")\ndjango.setup()\n'
        "from compat.routing import URLRouter\napp = URLRouter([])\n"
    )
    command = ("channels-compat", "layers", "main:app", "--settings", "other")
    done = environment("django").run(*command, cwd=tmp_path, env={"PYTHONPATH": str(REPO)})
    assert done.returncode == 0 and done.stdout.startswith("other: "), done.stdout + done.stderr
