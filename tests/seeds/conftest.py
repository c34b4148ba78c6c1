"""The tutorial, laid out and served: each variant once per run, in the environment that the test asks for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from compat.layers import channel_layers, unregister_channel_layer
from tests.support.environments import Environment
from tests.support.last_use import last_uses
from tests.support.ported import port_files
from tests.support.seed_app import SeedApp
from tests.support.servers import Server, served, worker_options
from tests.support.tutorial import Tutorial

COMMANDS: dict[str, tuple[str, ...]] = {
    "uvicorn": ("uvicorn", "mysite.asgi:application", "--port", "{port}"),
    "workers": ("uvicorn", "mysite.asgi:application", "--port", "{port}", *worker_options(2)),
    "runserver": ("python", "manage.py", "runserver", "127.0.0.1:{port}"),
}

ServeTutorial = Callable[..., Server]
Run = Callable[..., str]


@pytest.fixture(scope="session")
def serve_tutorial(
    tutorial: Tutorial, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServeTutorial]:
    """`serve_tutorial(env, how="uvicorn", step="room", layer="memory")`: a server that runs until the end.

    `how` is a key of COMMANDS; each command runs under `django-shim`, in a folder with a database of its own.
    """
    logs = tmp_path_factory.mktemp("logs")

    with last_uses.until_last(request) as stack:

        @cache
        def start(env: Environment, how: str, step: str, layer: str) -> Server:
            port = request.getfixturevalue("redis_port") if layer == "redis" else 6379
            project = tutorial.project(step=step, layer=layer, redis_port=port)
            log = logs / f"{env.name}-{how}-{step}-{layer}.log"
            command = [env.path("django-shim"), *COMMANDS[how]]
            return stack.enter_context(served(command, cwd=project, log=log))

        def serve(
            env: Environment, how: str = "uvicorn", step: str = "room", layer: str = "memory"
        ) -> Server:
            return start(env, how, step, layer)

        yield serve


@pytest.fixture(scope="session")
def room(serve_tutorial: ServeTutorial, bare: Environment) -> Server:
    """The finished tutorial without Django, on uvicorn, with the in-memory layer."""
    return serve_tutorial(bare)


@pytest.fixture(scope="session")
def echo(serve_tutorial: ServeTutorial, bare: Environment) -> Server:
    """The tutorial's first consumer, before there is a layer."""
    return serve_tutorial(bare, step="echo")


@pytest.fixture(scope="session")
def project(tutorial: Tutorial) -> Path:
    """The finished tutorial's folder, for programs that run in it."""
    return tutorial.project(layer="memory")


@pytest.fixture(scope="session")
def run(project: Path, bare: Environment) -> Run:
    """`run(code, env=bare, cwd=project)`: what code prints under `django-shim python` in the project."""

    def run_code(code: str, env: Environment = bare, cwd: Path = project) -> str:
        settings = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
        done = env.run("django-shim", "python", "-c", code, cwd=cwd, env=settings)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run_code


@pytest.fixture(scope="session")
def typed_app(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> SeedApp:
    """The application of the typed seeds, laid out."""
    return SeedApp(tmp_path_factory.mktemp("typed"), redis_url)


@pytest.fixture(scope="session")
def typed_server(request: pytest.FixtureRequest, typed_app: SeedApp) -> Iterator[Server]:
    """The application of the typed seeds on uvicorn and Redis."""
    with last_uses.until_last(request) as stack:
        server = stack.enter_context(typed_app.serve())
        yield server
    assert "Traceback" not in server.log(), server.log()


@pytest.fixture
def imported(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """`imported("from chanx… import …")`: the names that the line brings once `port` has rewritten it."""

    def run_line(line: str) -> dict[str, Any]:
        file = tmp_path / "line.py"
        file.write_text(f"{line}\n", encoding="utf-8")
        port_files(tmp_path)
        names: dict[str, Any] = {}
        exec(file.read_text(encoding="utf-8"), names)
        return names

    return run_line


@pytest.fixture
def src(typed_app: SeedApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """`src("apps.room_chat.consumer")`: a module of the application in this process, forgotten at the end."""
    monkeypatch.syspath_prepend(str(typed_app.folder))
    monkeypatch.setenv("REDIS_URL", typed_app.redis_url)

    def load(name: str) -> Any:
        return importlib.import_module(f"src.{name}")

    yield load
    for name in [name for name in sys.modules if name == "src" or name.startswith("src.")]:
        del sys.modules[name]
    for alias in channel_layers.aliases():
        unregister_channel_layer(alias)
