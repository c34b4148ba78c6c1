"""``manage.py runserver`` of the example project, without the Redis of its settings and with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.examples.conftest import EXAMPLES, Person
from tests.support.clients import get
from tests.support.environments import environment
from tests.support.processes import free_port
from tests.support.servers import served

# Where daphne itself is installed, runserver is daphne's.
ENVIRONMENTS = ("bare", "django")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy: manage.py migrate makes a database file beside itself."""
    return Path(shutil.copytree(EXAMPLES / "django_port", tmp_path / "django_port"))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_redis_that_is_away_is_said_first(name: str, project: Path, tmp_path: Path) -> None:
    where = environment(name)
    port = free_port()
    env = {"REDIS_URL": f"redis://127.0.0.1:{port}/0"}
    migrated = where.run("django-shim", "python", "manage.py", "migrate", cwd=project, env=env)
    assert (migrated.returncode, migrated.stderr) == (0, "")
    command = [where.path("django-shim"), "python", "manage.py", "runserver", "{port}"]
    with served(command, cwd=project, log=tmp_path / "server.log", env=env) as server:
        lines = server.log().splitlines()
        if name == "django":
            assert lines.pop(0).startswith("Watching for file changes with ")
        assert lines[0].startswith(
            f'Redis at 127.0.0.1:{port} cannot be reached, so layer "default" is in memory'
        )
        assert f"redis-server --port {port}" in lines[0]
        assert server.http("/") in lines[1]
        assert "chatsite.asgi:application" in lines[2]
        assert get(server, "/").status_code == 200
        assert get(server, "/static/chat/chat.css").status_code == 200
        with Person(server, "a", "Ada") as ada, Person(server, "a", "Grace") as grace:
            grace.says("hello")
            assert ada.hears() == ("said", "Grace", "hello")
        assert "Traceback" not in server.log()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_redis_that_answers_is_used(name: str, project: Path, tmp_path: Path, redis_url: str) -> None:
    where = environment(name)
    command = [where.path("django-shim"), "python", "manage.py", "runserver", "{port}", "--noreload"]
    with served(command, cwd=project, log=tmp_path / "server.log", env={"REDIS_URL": redis_url}) as server:
        assert "default: RedisChannelLayer at " in server.log()
        with Person(server, "b", "Ada") as ada, Person(server, "b", "Grace") as grace:
            grace.says("hello")
            assert ada.hears() == ("said", "Grace", "hello")
