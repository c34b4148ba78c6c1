"""The tutorial where no Django is installed: its pages, its commands, a new app's files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.shim.running import SHIMMED
from tests.support.environments import Environment
from tests.support.servers import Server, served
from tests.support.tutorial import Tutorial


@pytest.fixture(scope="module")
def project(tutorial: Tutorial) -> Path:
    return tutorial.project()


@pytest.fixture(scope="module")
def server(bare: Environment, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("uvicorn") / "log"
    command = [bare.path("uvicorn"), "mysite.asgi:application", "--port", "{port}"]
    with served(command, cwd=project, log=log, env=SHIMMED) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/chat/", 200, "What chat room would you like to enter?"),
        ("/chat/lobby/", 200, '<script id="room-name" type="application/json">"lobby"</script>'),
        ("/chat/%3Cb%3E%26/", 200, '"\\u003Cb\\u003E\\u0026"</script>'),
        ("/chat/caf%C3%A9/", 200, '"caf\\u00e9"</script>'),
        ("/nowhere/", 404, "these were tried in this order"),
        ("/chat/a/b/", 404, "<code>chat/ &lt;str:room_name&gt;/ [name=&#x27;room&#x27;]</code>"),
        ("/admin/", 501, "pip install django"),
        ("/admin/login/?next=/admin/", 501, "pip install django"),
    ],
)
def test_pages(server: Server, path: str, status: int, text: str) -> None:
    answer = httpx.get(server.http(path))
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert text in answer.text
    assert (
        answer.headers["x-frame-options"] == "DENY" and answer.headers["x-content-type-options"] == "nosniff"
    )
    assert answer.headers["referrer-policy"] == answer.headers["cross-origin-opener-policy"] == "same-origin"


def test_a_missing_slash_is_added(server: Server) -> None:
    answer = httpx.get(server.http("/chat/lobby?a=b"))
    assert (answer.status_code, answer.headers["location"]) == (301, "/chat/lobby/?a=b")


def test_a_foreign_host_is_refused(server: Server) -> None:
    assert httpx.get(server.http("/chat/"), headers={"Host": "evil.example"}).status_code == 400


def test_a_path_that_nobody_serves_is_one_line_in_the_log(server: Server) -> None:
    httpx.get(server.http("/one-line-only/"))
    server.process.wait_log("GET /one-line-only/")
    lines = [line for line in server.log().splitlines() if "/one-line-only/" in line]
    assert [line for line in lines if "HTTP/1.1" not in line] == ["Not Found: /one-line-only/"]
    assert "Traceback" not in server.log()


# Commands


def manage(bare: Environment, project: Path, *words: str, stdin: str = "") -> tuple[int, str, str]:
    done = bare.run("python", "manage.py", *words, cwd=project, env=SHIMMED, stdin=stdin)
    return done.returncode, done.stdout, done.stderr


def test_migrate_and_check(bare: Environment, project: Path) -> None:
    code, out, err = manage(bare, project, "migrate")
    assert (code, err) == (0, "") and out.startswith("Nothing to migrate")
    assert manage(bare, project, "makemigrations", "chat")[0] == 0
    assert manage(bare, project, "check") == (0, "System check identified no issues (0 silenced).\n", "")


def test_the_shell_step_of_the_tutorial(bare: Environment, project: Path) -> None:
    script = """
import channels.layers
channel_layer = channels.layers.get_channel_layer()
from asgiref.sync import async_to_sync
for number in range(2):
    async_to_sync(channel_layer.send)('test_channel', {'type': 'hello', 'number': number})
    print(async_to_sync(channel_layer.receive)('test_channel'))
"""
    code, out, err = manage(bare, project, "shell", stdin=script)
    assert (code, out, err) == (0, "{'type': 'hello', 'number': 0}\n{'type': 'hello', 'number': 1}\n", "")
    assert manage(bare, project, "shell", "-c", "import chat.views; print('ok')") == (0, "ok\n", "")


def test_help_and_version(bare: Environment, project: Path) -> None:
    code, out, _ = manage(bare, project)
    assert code == 0 and {"runserver", "migrate", "shell", "runworker"} <= set(out.split())
    code, out, _ = manage(bare, project, "help", "runserver")
    assert code == 0 and "--noreload" in out
    assert "migrate" in manage(bare, project, "help", "--commands")[1].split()
    done = bare.run("python", "-m", "django", "--version", cwd=project, env=SHIMMED)
    assert (done.returncode, done.stdout) == (0, "5.2\n") and "not installed" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["runserve"], 1, "there is no command 'runserve'. The nearest is runserver."),
        (["createsuperuser"], 1, "The command 'createsuperuser' needs the real Django"),
        (["runserver", "nonsense"], 1, '"nonsense" is neither a port nor an address and a port'),
        (["migrate", "--nonsense"], 2, "unrecognized arguments: --nonsense"),
        (["check", "--settings", "nowhere.settings"], 1, "nowhere"),
        (["runworker"], 2, "the following arguments are required: channel"),
    ],
)
def test_mistakes_on_the_command_line(
    bare: Environment, project: Path, words: list[str], code: int, message: str
) -> None:
    found, _, err = manage(bare, project, *words)
    assert found == code and message in err


def test_without_settings(bare: Environment, project: Path) -> None:
    done = bare.run("python", "-m", "django", "check", cwd=project, env=SHIMMED)
    assert done.returncode == 1 and "no settings are named" in done.stderr
    done = bare.run("python", "-m", "django", "help", cwd=project, env=SHIMMED)
    assert done.returncode == 0 and "the settings cannot be read" in done.stdout


def test_a_new_app_and_its_tests(bare: Environment, tutorial: Tutorial) -> None:
    project = tutorial.project()
    assert manage(bare, project, "startapp", "polls") == (0, "", "")
    modules = "admin apps models tests views".split()
    imports = "; ".join(f"import polls.{module}" for module in modules)
    assert manage(bare, project, "shell", "-c", imports) == (0, "", "")
    (project / "polls" / "tests.py").write_text(
        "from django.test import TestCase\n\n\n"
        "class PageTests(TestCase):\n"
        "    def test_room(self):\n"
        "        self.assertContains(self.client.get('/chat/lobby/'), '\"lobby\"')\n\n"
        "    async def test_index(self):\n"
        "        self.assertEqual((await self.async_client.get('/chat/')).status_code, 200)\n",
        encoding="utf-8",
    )
    code, _, err = manage(bare, project, "test")
    assert code == 0 and "Ran 2 tests" in err
    assert manage(bare, project, "test", "polls.tests.PageTests.test_room")[0] == 0
    assert "Ran 1 test" in manage(bare, project, "test", "-k", "index", "polls")[2]
    (project / "polls" / "tests.py").write_text(
        "from django.test import TestCase\n\n\nclass T(TestCase):\n    def test_it(self):\n        "
        "self.fail()\n",
        encoding="utf-8",
    )
    assert manage(bare, project, "test")[0] == 1


def test_a_model_in_the_project_says_what_it_needs(bare: Environment, tutorial: Tutorial) -> None:
    project = tutorial.project()
    (project / "chat" / "models.py").write_text(
        "from django.db import models\n\n\nclass Message(models.Model):\n    text = models.TextField()\n",
        encoding="utf-8",
    )
    assert manage(bare, project, "check")[0] == 0  # a model that nobody imports harms nobody
    views = project / "chat" / "views.py"
    views.write_text(f"from .models import Message\n{views.read_text(encoding='utf-8')}", encoding="utf-8")
    code, _, err = manage(bare, project, "check")
    assert code == 1 and "The model chat.models.Message needs the real Django" in err


def test_a_command_of_the_projects_own(bare: Environment, tutorial: Tutorial) -> None:
    project = tutorial.project()
    folder = project / "chat" / "management" / "commands"
    folder.mkdir(parents=True)
    (folder / "shout.py").write_text(
        "from django.core.management.base import BaseCommand, CommandError\n\n\n"
        "class Command(BaseCommand):\n"
        "    def add_arguments(self, parser):\n"
        "        parser.add_argument('text')\n\n"
        "    def handle(self, *args, **options):\n"
        "        if options['text'] == 'no':\n"
        "            raise CommandError('not no', returncode=4)\n"
        "        self.stdout.write(options['text'].upper())\n",
        encoding="utf-8",
    )
    assert manage(bare, project, "shout", "hi") == (0, "HI\n", "")
    assert manage(bare, project, "shout", "no") == (4, "", "CommandError: not no\n")
    code, _, err = manage(bare, project, "shout", "no", "--traceback")
    assert code == 1 and "Traceback" in err
    assert "[chat]\n    shout" in manage(bare, project, "help")[1]


# The development server


def test_runserver(bare: Environment, tutorial: Tutorial, tmp_path: Path) -> None:
    project = tutorial.project()
    static = project / "chat" / "static" / "chat"
    static.mkdir(parents=True)
    (static / "chat.css").write_text("p { color: red }", encoding="utf-8")
    command = [bare.path("python"), "manage.py", "runserver", "127.0.0.1:{port}", "--noreload"]
    with served(command, cwd=project, log=tmp_path / "log", env=SHIMMED) as server:
        assert httpx.get(server.http("/chat/lobby/")).status_code == 200
        style = httpx.get(server.http("/static/chat/chat.css"))
        assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
        assert httpx.get(server.http("/static/chat/../../settings.py")).status_code == 404
        assert re.search(rf"http://127\.0\.0\.1:{server.port}/", server.log())


def test_runserver_of_a_project_without_an_asgi_application(
    bare: Environment, tutorial: Tutorial, tmp_path: Path
) -> None:
    project = tutorial.project()
    settings = project / "mysite" / "settings.py"
    text = settings.read_text(encoding="utf-8").replace("ASGI_APPLICATION", "NO_ASGI_APPLICATION")
    settings.write_text(text, encoding="utf-8")
    command = [bare.path("python"), "manage.py", "runserver", "{port}", "--noreload"]
    with served(command, cwd=project, log=tmp_path / "log", env=SHIMMED) as server:
        assert httpx.get(server.http("/chat/")).status_code == 200


def test_runserver_loads_the_project_anew_when_a_file_changes(
    bare: Environment, tutorial: Tutorial, tmp_path: Path
) -> None:
    from tests.support.waiting import until

    project = tutorial.project()
    command = [bare.path("python"), "manage.py", "runserver", "{port}"]
    with served(command, cwd=project, log=tmp_path / "log", env=SHIMMED) as server:
        assert httpx.get(server.http("/chat/")).status_code == 200
        views = project / "chat" / "views.py"
        changed = views.read_text(encoding="utf-8").replace('"chat/index.html"', '"chat/room.html"')
        views.write_text(changed, encoding="utf-8")

        def shows_the_change() -> bool:
            try:
                return "chat-log" in httpx.get(server.http("/chat/")).text
            except httpx.HTTPError:
                return False  # between two processes

        until(shows_the_change, "the changed page", deadline_s=60)
