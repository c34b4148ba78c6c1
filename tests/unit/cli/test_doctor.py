"""``channels-compat doctor`` as it is run: text, JSON, exit codes, applications that cannot be imported."""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from compat.cli.doctor.commands import commands_in, commands_of, server_commands
from tests.support.environments import Environment, environment
from tests.support.tutorial import Tutorial

APP = """
from compat import AsyncWebsocketConsumer, configure
from compat.patterns import path
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.security.websocket import OriginValidator

configure(
    CHANNEL_LAYERS={"default": {"BACKEND": "compat.layers.redis.core.RedisChannelLayer",
                                "CONFIG": {"hosts": ["redis://127.0.0.1:PORT"]}}},
    CHANNEL_MAX_MESSAGE_SIZE=65536,
)


class Chat(AsyncWebsocketConsumer):
    async def receive(self, text_data):
        await self.send(text_data)


print("this is printed while it is imported")
router = URLRouter([path("ws/", Chat.as_asgi())])
app = ProtocolTypeRouter({"websocket": OriginValidator(router, ["https://example.com"])})
"""

GOOD = "uvicorn main:app --workers 2 --ws-max-size 65536 --timeout-graceful-shutdown 20"


class Project:
    """A folder, and the command run in it."""

    def __init__(self, folder: Path, bare: Environment) -> None:
        self.folder = folder
        self.bare = bare

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")

    def doctor(
        self, *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.bare.run("channels-compat", "doctor", *arguments, cwd=self.folder, env=env)

    def report(self, *arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        done = self.doctor("--json", *arguments, env=env)
        report: dict[str, Any] = json.loads(done.stdout)
        assert report["exit_code"] == done.returncode
        return report


@pytest.fixture
def project(tmp_path: Path, bare: Environment) -> Project:
    return Project(tmp_path, bare)


def checks(report: dict[str, Any]) -> dict[str, str]:
    return {finding["check"]: finding["text"] for finding in report["findings"]}


def test_a_project_that_is_well(project: Project, redis_port: int) -> None:
    project.write("main.py", APP.replace("PORT", str(redis_port)))
    project.write("Procfile", f"web: {GOOD}\n")
    done = project.doctor("main:app")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == "Application main:app (ProtocolTypeRouter; consumers: 1 async, 0 sync)"
    assert f"Layers default: RedisChannelLayer at 127.0.0.1:{redis_port} (Redis " in done.stdout.replace(
        "       ", " "
    )
    assert f"Server Procfile:1: {GOOD}" in lines
    assert "Workers 2 (Procfile:1)" in lines
    assert "this is printed" not in done.stdout and "this is printed" in done.stderr


def test_what_is_wrong_is_said_with_its_fix_and_an_exit_code(project: Project) -> None:
    project.write("main.py", APP.replace("redis.core.RedisChannelLayer", "InMemoryChannelLayer"))
    project.write("main.py", APP.replace("configure(", "configure(DEBUG=True, ").replace("PORT", "1"))
    done = project.doctor("main:app", "--command", GOOD)
    assert done.returncode == 4
    assert "error    redis-unreachable  127.0.0.1:1" in done.stdout
    assert "warning  debug-is-on" in done.stdout
    assert "    fix: Start the server, or correct its address and password in CHANNEL_LAYERS." in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("1 error, 1 warning")


def test_a_warning_has_an_exit_code_of_its_own(project: Project, redis_port: int) -> None:
    project.write(
        "main.py", APP.replace("configure(", "configure(DEBUG=True, ").replace("PORT", str(redis_port))
    )
    report = project.report("main:app", "--command", GOOD)
    assert report["exit_code"] == 3 and report["counts"]["warning"] == 1
    (warning,) = [one for one in report["findings"] if one["severity"] == "warning"]
    assert warning["check"] == "debug-is-on" and warning["fix"].startswith("Set DEBUG = False")
    assert (report["workers"], report["workers_source"]) == (2, "--command")


def test_a_factory_is_called(project: Project, redis_port: int) -> None:
    source = APP.replace("PORT", str(redis_port)) + "\n\ndef make():\n    return app\n"
    project.write("main.py", source)
    report = project.report("main:make", "--command", "uvicorn main:make --factory")
    assert report["application"] == "main:make (ProtocolTypeRouter; consumers: 1 async, 0 sync)"


def test_members_and_workers_are_taken_into_account(project: Project) -> None:
    project.write("main.py", APP.replace("redis.core.RedisChannelLayer", "InMemoryChannelLayer"))
    text = (project.folder / "main.py").read_text(encoding="utf-8")
    hosts = '"CONFIG": {"hosts": ["redis://127.0.0.1:PORT"]}'
    project.write("main.py", text.replace(f",\n                                {hosts}", ""))
    found = checks(project.report("main:app", "--members", "1000", "--workers", "3"))
    assert "each of 3 processes (--workers)" in found["memory-layer-with-workers"]
    assert "1000 expected members" in found["capacity-below-members"]
    by_variable = checks(project.report("main:app", env={"WEB_CONCURRENCY": "5"}))
    assert "each of 5 processes" in by_variable["memory-layer-with-workers"]


# Applications that cannot be imported: a sentence, and what can still be looked at


@pytest.mark.parametrize(
    ("source", "text", "fix"),
    [
        (
            "import no_such_thing\n",
            "No module named 'no_such_thing'",
            "Install the package of 'no_such_thing'",
        ),
        ("import fast_channels\n", "No module named 'fast_channels'", "channels-compat port PATH"),
        ("def f(:\n", "SyntaxError", "shows the whole traceback"),
        ("x = {}['key']\n", "KeyError: 'key'", "shows the whole traceback"),
        ("raise SystemExit('no database')\n", "SystemExit: no database", "shows the whole traceback"),
        ("app_ = 1\n", "has no 'app'", "Correct this first"),
        (
            "from fastapi import FastAPI\n"
            "from compat import AsyncWebsocketConsumer\n"
            "class Chat(AsyncWebsocketConsumer): pass\n"
            "app = FastAPI()\n"
            "app.add_api_websocket_route('/ws', Chat.as_asgi())\n",
            "Chat.as_asgi() is an ASGI application, not an endpoint",
            "whole traceback",
        ),
    ],
)
def test_an_import_that_fails(project: Project, source: str, text: str, fix: str) -> None:
    project.write("main.py", source)
    done = project.doctor("main:app", "--json")
    assert "Traceback" not in done.stderr, done.stderr
    report = json.loads(done.stdout)
    (finding,) = [one for one in report["findings"] if one["check"] == "application"]
    assert done.returncode == 4 and finding["severity"] == "error"
    assert text in finding["text"] and fix in finding["fix"]
    if "has no" not in text:
        assert finding["where"].startswith(str(project.folder / "main.py") + ":")
    assert "stop-without-end" in checks(report)


def test_a_module_that_lies_in_another_folder(project: Project) -> None:
    project.write("src/main.py", "import settings_of_ours\n")
    project.write("src/settings_of_ours.py", "")
    (finding,) = [one for one in project.report("src.main:app")["findings"] if one["check"] == "application"]
    assert f"'settings_of_ours' is in {project.folder / 'src'}" in finding["fix"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nothing_here:app"], "there is no module 'nothing_here'"),
        (["main"], "does not name an application"),
        ([], "no application was named"),
        (["--settings", "nothing_here"], "the settings module 'nothing_here' cannot be imported"),
    ],
)
def test_a_name_that_is_wrong(project: Project, arguments: list[str], text: str) -> None:
    done = project.doctor("--json", *arguments)
    assert "Traceback" not in done.stderr, done.stderr
    assert text in checks(json.loads(done.stdout))["application"]


@pytest.mark.parametrize(
    ("imported", "within", "called"),
    [
        ("from compat.layers import register_channel_layer", "pass", "register_channel_layer"),
        ("from compat import layers", "pass", "layers.register_channel_layer"),
        ("import compat", "from compat.layers import register_channel_layer", "register_channel_layer"),
    ],
)
def test_layers_that_the_lifespan_makes(project: Project, imported: str, within: str, called: str) -> None:
    project.write(
        "main.py",
        f"""
        {imported}
        from fastapi import FastAPI
        from compat import AsyncWebsocketConsumer
        from compat.layers import InMemoryChannelLayer

        class Chat(AsyncWebsocketConsumer):
            channel_layer_alias = "chat"

        async def lifespan(app):
            {within}
            {called}("chat", InMemoryChannelLayer())
            yield

        app = FastAPI(lifespan=lifespan)
        app.router.add_websocket_route("/ws", Chat.as_asgi())
        """,
    )
    report = project.report("main:app")
    assert "in its lifespan" in checks(report)["layer-alias-not-configured"] and not report["counts"]["error"]
    project.write("main.py", (project.folder / "main.py").read_text().replace("register_", "get_"))
    assert "refused" in checks(project.report("main:app"))["layer-alias-not-configured"]


def test_layers_that_cannot_be_made(project: Project) -> None:
    project.write("own.py", 'CHANNEL_LAYERS = {"one": {"BACKEND": "no.such.Layer"}, "two": 3}\n')
    report = project.report("--settings", "own")
    texts = [one["text"] for one in report["findings"] if one["check"] == "layers"]
    assert "Cannot import BACKEND 'no.such.Layer'" in texts[0]
    assert "CHANNEL_LAYERS['two'] must be a dict" in texts[1]
    memory = '{"BACKEND": "compat.layers.InMemoryChannelLayer"}'
    project.write("own.py", f'CHANNEL_LAYERS = {{"one": {{"BACKEND": "no.such.Layer"}}, "fine": {memory}}}\n')
    assert project.report("--settings", "own")["layers"] == ["fine: InMemoryChannelLayer (this process only)"]
    project.write("own.py", "CHANNEL_LAYERS = 3\n")
    assert "CHANNEL_LAYERS must be a dict" in checks(project.report("--settings", "own"))["layers"]


# Django projects, by the shim


def test_a_django_project_is_looked_at_by_the_shim(bare: Environment, tutorial: Tutorial) -> None:
    """Without Django: manage.py names the settings, and the command runs itself behind django-shim."""
    folder = tutorial.project(layer="memory")
    done = bare.run("channels-compat", "doctor", "--json", "--workers", "2", cwd=folder)
    report = json.loads(done.stdout)
    assert "running again with django-shim" in done.stderr and "Traceback" not in done.stderr
    assert report["application"] == "mysite.asgi:application (ProtocolTypeRouter; consumers: 0 async, 1 sync)"
    assert report["settings"] == "mysite.settings"
    found = checks(report)
    assert done.returncode == 4
    assert {"memory-layer-with-workers", "debug-is-on"} <= found.keys() and "origin-not-checked" not in found


@pytest.mark.slow
def test_a_django_project_on_the_real_channels(tutorial: Tutorial) -> None:
    folder, channels = tutorial.project(layer="memory"), environment("channels")
    plain = channels.run("channels-compat", "doctor", "--json", cwd=folder)
    assert "runs on the real channels" in checks(json.loads(plain.stdout))["no-consumers"]
    shimmed = channels.run("django-shim", "channels-compat", "doctor", "--json", cwd=folder)
    assert "consumers: 0 async, 1 sync" in json.loads(shimmed.stdout)["application"]


# How the server is started


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Procfile", "web: uvicorn main:app --workers 4\nworker: celery\n", [("Procfile:1", "uvicorn", 4)]),
        (
            "Dockerfile",
            'FROM python\n# uvicorn main:old\nCMD ["uvicorn", "main:app", "--workers", "3"]\n',
            [("Dockerfile:3", "uvicorn", 3)],
        ),
        (
            "Dockerfile",
            "FROM python\nCMD exec uvicorn main:app \\\n  --workers ${WORKERS:-5} \\\n  --port $PORT\n",
            [("Dockerfile:2", "uvicorn", 5)],
        ),
        (
            "compose.yml",
            'services:\n  web:\n    command: gunicorn -k uvicorn_worker.UvicornWorker -w 6 "main:app"\n',
            [("compose.yml:3", "gunicorn", 6)],
        ),
        (
            "chat.service",
            "[Service]\nExecStart=/srv/venv/bin/uvicorn main:app --uds /run/chat.sock\n",
            [("chat.service:2", "uvicorn", 1)],
        ),
        ("Procfile", "web: daphne -p $PORT mysite.asgi:application\n", [("Procfile:1", "daphne", 1)]),
        ("Dockerfile", "RUN pip install uvicorn gunicorn mod_wsgi\n", []),
        (
            "Dockerfile",
            'CMD ["fastapi", "run", "app/main.py", "--workers", "4"]\n',
            [("Dockerfile:1", "fastapi", 4)],
        ),
        ("Procfile", "web: alembic upgrade head; fastapi run --workers 4\n", [("Procfile:1", "fastapi", 4)]),
        ("Dockerfile", "RUN pip install fastapi\nCMD run.sh\n", []),
        ("Procfile", "web: granian --interface asgi main:app --workers 4\n", [("Procfile:1", "granian", 4)]),
        (
            "Procfile",
            "web: gunicorn mysite.wsgi & uvicorn mysite.asgi:application --workers 2\n",
            [("Procfile:1", "gunicorn", 1), ("Procfile:1", "uvicorn", 2)],
        ),
        (
            "Dockerfile",
            'CMD ["sh", "-c", "uvicorn main:app --workers 4"]\n',
            [("Dockerfile:1", "uvicorn", 4)],
        ),
        (
            "Dockerfile",
            'CMD ["sh","-c","PORT=1 exec /venv/bin/uvicorn main:app --workers ${N:-4}; echo"]\n',
            [("Dockerfile:1", "uvicorn", 4)],
        ),
        (
            "compose.yml",
            'services:\n  web:\n    command: sh -c "alembic upgrade head && uvicorn main:app --workers 4"\n',
            [("compose.yml:3", "uvicorn", 4)],
        ),
        ("Procfile", "web: uvicorn main:app --workers 3; echo ended\n", [("Procfile:1", "uvicorn", 3)]),
        (
            "Procfile",
            "web: uvicorn main:app --workers 3|tee log --workers 5\n",
            [("Procfile:1", "uvicorn", 3)],
        ),
        (
            "Procfile",
            "web: uvicorn main:app --log-config 'a;b' --workers 3 &\n",
            [("Procfile:1", "uvicorn", 3)],
        ),
        (
            "Procfile",
            "web: gunicorn -k uvicorn_worker.UvicornWorker main:app -w ${WORKERS:-4}\n",
            [("Procfile:1", "gunicorn", 4)],
        ),
        (
            "compose.yml",
            "web:\n  command: >-\n    uvicorn\n    main:app\n    --workers 4\n  ports: [80]\n",
            [("compose.yml:2", "uvicorn", 4)],
        ),
        (
            "compose.yml",
            "web:\n  command: uvicorn main:app\n    --workers $${WORKERS:-4}\n  ports: [80]\n",
            [("compose.yml:2", "uvicorn", 4)],
        ),
        (
            "compose.yml",
            'web:\n  command:\n    - uvicorn\n    - main:app\n    - --workers\n    - "4"\n  image: x\n',
            [("compose.yml:2", "uvicorn", 4)],
        ),
        (
            "compose.yml",
            "web:\n  command:\n  - sh\n  - -c\n  - uvicorn main:app --workers 4\n  image: x\n",
            [("compose.yml:2", "uvicorn", 4)],
        ),
        (
            "compose.yml",
            "web:\n  command: &it  # one\n    - uvicorn  # two\n    - main:app\n\n    # - --workers 2\n"
            "    - --root-path\n    - 'x #'  # that's it\n    - --workers\n    - \"4\"  # four\n",
            [("compose.yml:2", "uvicorn", 4)],
        ),
        (
            "compose.yml",
            "web:\n  command:\n    - sh\n    - -c\n    - >\n      migrate &&\n      uvicorn\n"
            "      main:app --workers 4\n  image: x\n",
            [("compose.yml:2", "uvicorn", 4)],
        ),
        (
            "compose.yml",
            "web:\n  command:\n    - sh\n    - -c\n    - |\n      uvicorn main:app\n      echo --workers 4\n",
            [("compose.yml:6", "uvicorn", 1)],
        ),
        (
            "compose.yml",
            "# command: >\n  web:\n    command: |\n      uvicorn main:app\n      echo --workers 4\n",
            [("compose.yml:4", "uvicorn", 1)],
        ),
    ],
)
def test_commands_are_found_in_a_projects_files(
    tmp_path: Path, name: str, text: str, expected: list[tuple[str, str, int]]
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = list(commands_in(tmp_path / name))
    assert [(one.source, one.program, one.workers) for one in found] == expected
    if expected:
        assert server_commands(None, tmp_path) == found


def test_the_environment_is_read_as_the_server_reads_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    monkeypatch.setenv("UVICORN_WS_MAX_SIZE", "1000")
    (plain,) = server_commands(None, tmp_path)
    assert plain.workers == 3 and plain.options["ws_max_size"] == 1000 and "ws_max_size" in plain.given
    assert commands_of("uvicorn main:app --workers 2", "x")[0].workers == 2
    assert commands_of("uvicorn main:app --workers ${WORKERS:-5}", "x")[0].workers == 5
    monkeypatch.setenv("WORKERS", "7")
    assert commands_of("uvicorn main:app --workers ${WORKERS:-5}", "x")[0].workers == 7
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    assert commands_of("uvicorn main:app", "x")[0].workers == 1


@pytest.mark.parametrize(
    "command",
    [
        "alembic upgrade head && uvicorn main:app --workers 4 --host 0.0.0.0",
        "sh -c 'alembic upgrade head; uvicorn main:app --workers 4 --host 0.0.0.0'",
        '["sh", "-c", "uvicorn main:app --workers 4 --host 0.0.0.0"]',
        '["uvicorn", "main:app", "--workers", "4", "--host", "0.0.0.0"]',
    ],
)
def test_a_command_between_others(command: str) -> None:
    (found,) = commands_of(command, "--command")
    assert (found.program, found.workers, found.options["host"]) == ("uvicorn", 4, "0.0.0.0")
    assert found.text == "uvicorn main:app --workers 4 --host 0.0.0.0"


@pytest.mark.parametrize(
    "command",
    [
        'uvicorn main:app --root-path "" --workers 4',
        'sh -c "pip install uvicorn && uvicorn main:app --workers 4"',
        "pkill gunicorn; uvicorn main:app --workers 4",
        "uv run --directory fastapi uvicorn main:app --workers 4",
    ],
)
def test_empty_arguments_and_names_of_programs_end_no_command(command: str) -> None:
    (found,) = commands_of(command, "--command")
    assert (found.program, found.workers) == ("uvicorn", 4) and "main:app" in found.text


def test_a_command_that_no_server_would_take() -> None:
    (broken,) = commands_of("uvicorn 'main:app --no-such-option", "--command")
    assert broken.program == "uvicorn" and broken.workers == 1
    assert commands_of("/opt/bin/uvicorn main:app", "x")[0].program == "uvicorn"
