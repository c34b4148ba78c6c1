"""``channels-compat check``: what it says of a file, of the files that import it, and in which form."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from compat.cli.app import app
from compat.cli.porting.findings import FileReport, Report
from compat.cli.porting.judge import DjangoNames, Kind
from compat.cli.porting.project import inspect

SHIM, KEEP = DjangoNames.shim, DjangoNames.keep


def project(folder: Path, **files: str) -> Path:
    """Files by name, with "__" for a slash: chat__views="…" is chat/views.py, in a package."""
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent != folder:
            (path.parent / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    return folder


def checked(folder: Path, django: DjangoNames = SHIM) -> dict[str, FileReport]:
    report = inspect(folder, django)
    return {one.path.relative_to(folder).as_posix(): one for one in report.files}


def one(tmp_path: Path, source: str, django: DjangoNames = SHIM) -> FileReport:
    return checked(project(tmp_path, file=source), django)["file.py"]


RUNS = [
    "import json, asyncio\nfrom asgiref.sync import async_to_sync",
    "from channels.generic.websocket import WebsocketConsumer",
    "from channels import DEFAULT_CHANNEL_LAYER, layers\nlayers.get_channel_layer()",
    "from channels_redis.core import RedisChannelLayer",
    "from daphne.server import Server",
    "from channels.auth import UserLazyObject",  # made when it is asked for, as the next ones
    "from channels_redis import RedisChannelLayer",
    "from django.template import Engine, Template, engines",
    "from django.db import models",
    "from django.db import models\nclass Colour(models.TextChoices):\n    RED = 'r'",
    "from django.contrib import admin",
    "from django.test import TestCase",
    "try:\n    import nobody_has_this\nexcept ImportError:\n    nobody_has_this = None",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from django.forms import Form",
    "if not typing.TYPE_CHECKING:\n    x = 1\nelse:\n    from django.forms import Form",
    "import typing\nif x and typing.TYPE_CHECKING:\n    from django.forms import Form",
    "from contextlib import suppress\nwith suppress(ImportError):\n    from django.forms import Form",
    "with open(x), contextlib.suppress(KeyError, ImportError):\n    import nobody_has_this",
    "from django.contrib.auth.models import AnonymousUser\nAnonymousUser()",
    "SESSION_ENGINE = 'django.contrib.sessions.backends.base'",
    "INSTALLED_APPS = ['daphne', 'django.contrib.auth', 'django.contrib.admin']",
]
NEED_DJANGO = [
    "from django import forms",
    "from django.db import models\nclass Room(models.Model):\n    pass",
    "from django.contrib.auth.models import User\ndef f():\n    return User.objects.all()",
    "from django.contrib.auth import get_user_model\nUser = get_user_model()",
    "from django.shortcuts import get_object_or_404\ndef f(): return get_object_or_404(1)",
    "def f():\n    from django.core.mail import send_mail",
    "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    from django.forms import Form",
    "with suppress(KeyError):\n    from django.forms import Form",
    "import django.contrib.auth.views",
    "from channels.testing import ChannelsLiveServerTestCase",
    "from rest_framework import serializers",
    "import django_filters",
    "CACHES = {'default': {'BACKEND': 'django.core.cache.backends.redis.RedisCache'}}",
    "INSTALLED_APPS = ['rest_framework']",
    "SESSION_ENGINE = 'django.contrib.sessions.backends.db'",
]
GONE = [
    "from channels.layers import nope",
    "import channels.nope",
    "import channels.layers\nchannels.layers.nope()",
    "from chanx.channels.routing import include",
    "from fast_channels.nowhere import x",
]
PORTED = [
    "from fast_channels.layers import register_channel_layer",
    "from chanx.core.decorators import ws_handler",
    "from fastapi_channels import ConnectionManager",
    "CHANNEL_LAYERS = {'default': {'BACKEND': 'fast_channels.layers.redis.RedisChannelLayer'}}",
]


@pytest.mark.parametrize("source", RUNS)
def test_runs_unchanged(source: str, tmp_path: Path) -> None:
    found = one(tmp_path, source)
    assert found.status is Kind.runs, found.findings


@pytest.mark.parametrize("source", NEED_DJANGO)
def test_needs_django(source: str, tmp_path: Path) -> None:
    found = one(tmp_path, source)
    assert found.status is Kind.django, found.findings
    advice = " ".join(finding.message for finding in found.findings)
    assert any(words in advice for words in ("eep Django installed", "without Django", "a database")), advice


@pytest.mark.parametrize(
    "source", [text for text in NEED_DJANGO if "rest_f" not in text and "_filt" not in text]
)
def test_with_django_it_runs(source: str, tmp_path: Path) -> None:
    assert one(tmp_path, source, KEEP).status is Kind.runs


@pytest.mark.parametrize(
    "source",
    [
        "from channels.management.commands.runworker import Command",
        "from daphne.management.commands.runserver import Command",
        "from daphne.management.commands import runserver",
        "from unittest.mock import patch\npatch('daphne.management.commands.runserver.Command.handle')",
    ],
)
def test_the_commands_of_manage_py_are_there_with_django(source: str, tmp_path: Path) -> None:
    assert one(tmp_path, source, KEEP).status is Kind.runs
    assert one(tmp_path, source, SHIM).status is Kind.django


def test_what_a_command_of_manage_py_lacks_has_no_equal(tmp_path: Path) -> None:
    """Was: every name was taken for one that is there, and port wrote an import that fails."""
    source = "from daphne.management.commands.runserver import Server"
    assert one(tmp_path, source, KEEP).status is Kind.gone


@pytest.mark.parametrize("source", GONE)
def test_has_no_equal(source: str, tmp_path: Path) -> None:
    for django in (SHIM, KEEP):
        assert one(tmp_path, source, django).status is Kind.gone


@pytest.mark.parametrize("source", PORTED)
def test_is_rewritten_by_port(source: str, tmp_path: Path) -> None:
    found = one(tmp_path, source)
    assert found.status is Kind.port and "port writes compat." in found.findings[0].message


def test_sessions_in_signed_cookies_run_without_django(tmp_path: Path) -> None:
    engine = "django.contrib.sessions.backends.signed_cookies"
    found = one(tmp_path, f"SESSION_ENGINE = {engine!r}")
    assert found.status is Kind.runs
    assert "pip install 'channels-compat[sessions]'" in found.findings[0].message


def test_the_number_of_lines(tmp_path: Path) -> None:
    assert inspect(project(tmp_path, a="x = 1\ny = 2\n", b="z = 3", c=""), SHIM).lines == 3


def test_a_misspelt_name_is_told_the_right_one(tmp_path: Path) -> None:
    (finding,) = one(tmp_path, "from channels.layers import get_chanel_layer").findings
    assert "did you mean get_channel_layer?" in finding.message


def test_names_of_older_channels_are_told_the_present_ones(tmp_path: Path) -> None:
    (finding,) = one(tmp_path, "from channels import Group").findings
    assert "get_channel_layer().group_send(name, message)" in finding.message
    (finding,) = one(tmp_path, "from channels.http import AsgiHandler").findings
    assert "get_asgi_application" in finding.message


def test_what_is_not_installed_was_not_tried(tmp_path: Path) -> None:
    found = one(tmp_path, "import nobody_has_this.at_all")
    assert (
        found.status is Kind.unknown and "nobody_has_this is not installed here" in found.findings[0].message
    )


def test_a_backend_in_a_test_need_not_exist(tmp_path: Path) -> None:
    source = "LAYERS = {'default': {'BACKEND': 'nobody_has_this.Layer'}}\n"
    found = checked(project(tmp_path, test_layers=source, chat__tests__layers=source, layers=source))
    unknown = {path for path, report in found.items() if report.status is Kind.unknown}
    assert unknown == {"layers.py"}


LAYER = "channels.layers.InMemoryChannelLayer"
CHOSEN = [
    f"os.environ.get('CHANNEL_BACKEND', '{LAYER}')",
    f"os.getenv('CHANNEL_BACKEND', '{LAYER}')",
    f"env('CHANNEL_BACKEND', default='{LAYER}')",
    f"env.str('channel.backend', '{LAYER}')",
    f"config('CHANNEL_BACKEND', default='{LAYER}')",
    f"getattr(base, 'no.backend', '{LAYER}')",
    f"os.environ['channel.backend'] or '{LAYER}'",
    f"'{LAYER}' if os.environ.get('MODE') == 'test' else 'channels_redis.core.RedisChannelLayer'",
    f"'{LAYER}' if 'of.test' == MODE else 'channels_redis.core.RedisChannelLayer'",
    f"{{'redis': 'channels_redis.core.RedisChannelLayer', 'memory': '{LAYER}'}}"
    "[os.environ.get('LAYER', 'of.memory')]",
    "'memory'",
]


@pytest.mark.parametrize("backend", CHOSEN)
def test_keys_and_conditions_are_no_paths(backend: str, tmp_path: Path) -> None:
    found = one(tmp_path, f"CHANNEL_LAYERS = {{'default': {{'BACKEND': {backend}}}}}")
    assert found.status is Kind.runs, found.findings
    if LAYER in backend:
        assert any(finding.message.startswith(f"{LAYER} is served") for finding in found.findings)


def test_an_application_that_the_environment_chooses(tmp_path: Path) -> None:
    source = "ASGI_APPLICATION = os.environ.get('ASGI_APP', 'mysite.asgi.application')\n"
    folder = project(tmp_path, mysite__asgi="application = None", mysite__settings=source)
    assert checked(folder)["mysite/settings.py"].status is Kind.runs
    (finding,) = one(tmp_path / "alone", source).findings
    assert finding.message == "mysite.asgi.application is not in this project"


def test_apps_that_the_environment_adds_are_not_named(tmp_path: Path) -> None:
    assert one(tmp_path, "INSTALLED_APPS = ['channels', *env.list('MORE_APPS')]").status is Kind.runs


def test_a_default_that_is_not_there_is_reported(tmp_path: Path) -> None:
    layers = "{'default': {'BACKEND': env('LAYER', default='nobody_has_this.Layer')}}"
    for place in (f"CHANNEL_LAYERS = {layers}", f"x = {layers}"):
        (finding,) = one(tmp_path, place).findings
        assert "nobody_has_this is not installed here" in finding.message


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    found = one(tmp_path, "print 'hello'")
    assert found.status is Kind.broken and found.findings[0].line == 1


def test_who_imports_what_cannot_be_imported_cannot_either(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        chat__models="from django.db import models\n\nclass Room(models.Model):\n    pass\n",
        chat__consumers="from channels.layers import get_channel_layer\nfrom .models import Room\n",
        chat__routing="from . import consumers\n",
        mysite__urls="from django.urls import include\nurlpatterns = [include('chat.routing')]\n",
        chat__tasks="def later():\n    from chat.models import Room\n",
        chat__cycle="import chat.cycle\nimport chat.tasks\n",
        chat__names="X = 1\n",
    )
    found = checked(folder)
    wanting = {path for path, report in found.items() if report.status is Kind.django}
    importing = {"chat/consumers.py", "chat/routing.py", "mysite/urls.py", "chat/tasks.py"}
    assert wanting == {"chat/models.py", *importing}
    assert "chat.models" in found["chat/consumers.py"].findings[-1].message


def test_a_package_that_needs_django_takes_its_modules_along(tmp_path: Path) -> None:
    folder = project(tmp_path, chat__rooms="X = 1\n")
    (folder / "chat" / "__init__.py").write_text("from django import forms\n")
    assert checked(folder)["chat/rooms.py"].status is Kind.django


def test_a_module_of_the_project_that_is_not_there(tmp_path: Path) -> None:
    files = {"chat__a": "from .nowhere import x", "chat__b": "import chat.nowhere", "c": "import chat.a"}
    folder = project(tmp_path, **files)
    found = checked(folder)
    unknown = {path for path, report in found.items() if report.status is Kind.unknown}
    assert unknown == {"chat/a.py", "chat/b.py", "c.py"}
    assert ".nowhere does not exist" in found["chat/a.py"].findings[0].message


@pytest.mark.parametrize("part", ["chat", "chat/rooms/routing.py"])
def test_relative_imports_of_a_part_of_a_project(part: str, tmp_path: Path) -> None:
    routing = "from . import consumers\nfrom .consumers import X\nfrom ..names import X\n"
    routing += "import chat.names\nfrom chat.names import X\n"
    files = {"chat__names": "X = 1", "chat__rooms__consumers": "X = 1", "chat__rooms__routing": routing}
    folder = project(tmp_path, **files)
    (folder / "chat" / "__init__.py").write_text("from .names import X\nfrom . import rooms\n")
    report = inspect(folder / part, SHIM)
    assert {one.status for one in report.files} == {Kind.runs}


def test_a_relative_import_of_a_package_in_a_folder_that_has_no_init(tmp_path: Path) -> None:
    """Was: it was taken for that of another such folder, so that the package seemed to run."""
    files = {"calls__forms": "X = 1", "chat__forms": "import django.forms", "chat__rooms__names": "X = 1"}
    folder = project(tmp_path, **files)
    for name in ("calls", "chat"):
        (folder / name / "__init__.py").unlink()
    (folder / "chat" / "rooms" / "__init__.py").write_text("from ..forms import X\n")
    assert checked(folder)["chat/rooms/__init__.py"].status is Kind.django


def test_an_error_in_place_of_an_import_error_is_still_one(tmp_path: Path) -> None:
    source = (
        "try:\n    import nobody_has_this\nexcept ImportError as error:\n    raise RuntimeError from error\n"
    )
    assert one(tmp_path, source).status is Kind.unknown


def test_folders_that_are_not_the_projects_are_left_out(tmp_path: Path) -> None:
    bad = "import django.forms\n"
    project(tmp_path, main="import json\n", node_modules__x=bad, env__lib__y=bad)
    (tmp_path / "env" / "pyvenv.cfg").touch()
    project(tmp_path / ".tox", z=bad)
    assert list(checked(tmp_path)) == ["main.py"]


def test_templates(tmp_path: Path) -> None:
    views = "from django.shortcuts import render\n"
    folder = project(tmp_path, chat__views=views, chat__templatetags__own="x = 1\n")
    templates = {
        "fine.html": "{% load static own %}\n{{ room|json_script:'room' }}{% url 'x' %}",
        "tags.html": "\n{% lorem 3 %}",
        "filters.html": "{{ text|upper|urlize }}",
        "library.html": "{% load intcomma from humanize %}",
        "other.html": "{% load crispy_forms_tags %}",
    }
    (folder / "chat" / "templates").mkdir()
    for name, text in templates.items():
        (folder / "chat" / "templates" / name).write_text(text)
    found = {path.removeprefix("chat/templates/"): one for path, one in checked(folder).items()}
    wanted = {"tags": Kind.django, "filters": Kind.django, "library": Kind.django, "other": Kind.unknown}
    assert {name: found[f"{name}.html"].status for name in wanted} == wanted
    assert found["fine.html"].status is Kind.runs and found["tags.html"].findings[0].line == 2
    assert {one.status for one in checked(folder, KEEP).values()} == {Kind.runs}


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["check", *map(str, arguments)])
    return done.exit_code, done.output


MIXED = {
    "a": "from channels.layers import get_channel_layer\n",
    "b": "\nfrom django import forms\n",
    "c": "from chanx.core.decorators import ws_handler\n",
}


def test_the_summary_and_the_exit_code(tmp_path: Path) -> None:
    code, output = run(project(tmp_path / "one", a=MIXED["a"]), "--django", "shim")
    assert code == 0 and "1 of 1 file run unchanged" in output
    code, output = run(project(tmp_path / "two", a=MIXED["a"], c=MIXED["c"]), "--django", "shim")
    assert code == 3 and "1 of 2 files run unchanged; 1 is rewritten by port" in output
    code, output = run(project(tmp_path / "three", **MIXED), "--django", "shim", "--quiet")
    assert code == 4
    assert "1 of 3 files run unchanged; 1 is rewritten by port; 1 needs Django (without Django)" in output
    assert "get_channel_layer" not in output
    code, output = run(project(tmp_path / "three", **MIXED), "--django", "keep")
    assert code == 3 and "on the real Django" in output
    assert run(tmp_path / "nowhere")[0] == 1


def test_json(tmp_path: Path) -> None:
    code, output = run(project(tmp_path, **MIXED), "--json", "--django", "shim")
    document: Any = json.loads(output)
    assert code == 4 and document["counts"]["django"] == 1 and document["django"] == "shim"
    assert [file["status"] for file in document["files"]] == ["runs", "django", "port"]
    (finding,) = document["files"][1]["findings"]
    assert finding["line"] == 2 and finding["severity"] == "error" and "django.forms" in finding["message"]


def test_annotations_for_github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project(tmp_path / "site", **MIXED)
    _, output = run("site", "--format", "github", "--django", "shim")
    lines = output.splitlines()
    assert lines[0].startswith("::error file=site/b.py,line=2,title=needs Django::django.forms needs Django")
    assert lines[1].startswith("::warning file=site/c.py,line=1,title=port rewrites::")
    assert lines[2].startswith("::notice title=channels-compat::1 of 3 files")


def generated(folder: Path, lines: int) -> None:
    """A tree of apps, each of a dozen files, until there are that many lines."""
    body = "".join(
        f"def function_{n}(value: int, other: str = 'x') -> dict[str, int]:\n"
        f"    result = {{name: value * {n} for name in other.split(',') if name}}\n"
        "    if not result:\n        raise ValueError(f'nothing in {other!r}')\n    return result\n\n\n"
        for n in range(14)
    )
    head = (
        "import json\nfrom channels.layers import get_channel_layer\nfrom django.conf import settings\n"
        "from django.urls import path, re_path\nfrom . import part_0\n\n"
    )
    text = head + body
    for number in range(lines // (text.count("\n") + 1) + 1):
        path = folder / f"app_{number // 12}" / f"part_{number % 12}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text if number % 12 else body, encoding="utf-8")


def test_several_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generated(tmp_path, 2_000)
    alone = inspect(tmp_path, SHIM)
    monkeypatch.setattr("compat.cli.porting.project.POOL_FROM", 1)
    read: list[int] = []
    together = inspect(tmp_path, SHIM, read.append)
    assert together.files == alone.files and sum(read) == len(alone.files)


@pytest.mark.slow
def test_a_hundred_thousand_lines(tmp_path: Path, record_property: Any) -> None:
    """In half a minute of the processor: other work of the machine does not count."""
    generated(tmp_path, 102_000)
    began = time.process_time()
    report: Report = inspect(tmp_path, SHIM)
    seconds = time.process_time() - began
    record_property("seconds", report.seconds)
    print(f"{report.lines:,} lines, {len(report.files)} files: {report.seconds:.1f} s")
    assert report.lines >= 100_000 and report.count(Kind.runs) == len(report.files)
    assert seconds < 30


CONSUMERS = """
from channels.generic import http
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, WebsocketConsumer

class Room(AsyncWebsocketConsumer):
    groups = "room"
    def connect(self): return super().connect()
    def receive(self, text_data): pass
    def websocket_disconnect(self, message): raise StopConsumer()
    def handle(self, data): pass
    def send_json(self, data): pass
    @database_sync_to_async
    def disconnect(self, code): pass

class Inner(Room):
    def disconnect(self, code): self.left = True

class Threads(WebsocketConsumer):
    groups = ["room"]
    def connect(self): self.accept()
    async def disconnect(self, code): pass
    async def helper(self): pass

class Feed(AsyncJsonWebsocketConsumer):
    def send_json(self, data): self.send(data)

class Page(http.AsyncHttpConsumer):
    def handle(self, body): self.send_response(200, body)
    def connect(self): pass

class Other:
    groups = "room"
    def connect(self): pass
"""


def test_methods_of_the_wrong_kind_are_warnings(tmp_path: Path) -> None:
    report = one(tmp_path, CONSUMERS)
    found = {each.line: each.message.split(" ")[0] for each in report.findings if each.kind is Kind.warned}
    assert found == {
        6: "Room.groups",
        8: "Room.receive",
        16: "Inner.disconnect",
        21: "Threads.disconnect",
        25: "Feed.send_json",
        28: "Page.handle",
    }
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 3 and "1 runs with a warning" in result.output
    assert "Write 'async def receive'" in result.output and "Write 'def disconnect'" in result.output
