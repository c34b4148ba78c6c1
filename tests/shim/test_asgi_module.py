"""An asgi.py that imports models before Django is set up: runserver never minded, so uvicorn must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_shim.asgi_module import named_settings
from tests.shim.running import SHIMMED, run_code, write
from tests.support.environments import Environment, environment

SETTINGS = """
SECRET_KEY = "only for this test"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "chat"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
MODELS = """
from django.db import models

class Message(models.Model):
    text = models.TextField()
"""
CONSUMERS = """
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import get_user_model
{models}
User = get_user_model()

class Chat(AsyncWebsocketConsumer):
    pass
"""
ENVIRONMENT = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")\n'
IMPORTS = "import chat.consumers\n"
APPLICATION = """
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application
runs.append(1)
application = ProtocolTypeRouter({"http": get_asgi_application()})
"""
LOAD = "import mysite.asgi as a; print(type(a.application).__name__, len(a.runs), a.__spec__.loader)"


def project(folder: Path, asgi: str, models: str = "from chat.models import Message") -> Path:
    return write(
        folder,
        mysite__settings=SETTINGS,
        mysite__asgi="import os\nruns = globals().setdefault('runs', [])\n" + asgi,
        chat__models=MODELS,
        chat__consumers=CONSUMERS.format(models=models),
    )


@pytest.mark.parametrize("order", ["variable first", "variable last"])
@pytest.mark.parametrize("models", ["from chat.models import Message", ""], ids=["models", "get_user_model"])
def test_it_is_run_again_with_django_set_up(tmp_path: Path, order: str, models: str) -> None:
    parts = [ENVIRONMENT, IMPORTS] if order == "variable first" else [IMPORTS, ENVIRONMENT]
    project(tmp_path, "".join(parts) + APPLICATION, models)
    said = run_code(environment("django"), LOAD, tmp_path).split()
    assert said[:2] == ["ProtocolTypeRouter", "1"]
    assert "SourceFileLoader" in said[2], "what was done for it leaves no trace"


def test_one_that_needs_nothing_is_run_once(tmp_path: Path) -> None:
    project(tmp_path, ENVIRONMENT + "runs.append(1)\n" + APPLICATION.replace("runs", "[]"), "")
    said = run_code(environment("django"), LOAD, tmp_path).split()
    assert said[:2] == ["ProtocolTypeRouter", "1"]


def test_without_settings_the_error_says_what_to_set(tmp_path: Path) -> None:
    project(tmp_path, IMPORTS + APPLICATION)
    done = environment("django").run("python", "-c", LOAD, cwd=tmp_path, env={"DJANGO_SHIM": "1"})
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "DJANGO_SETTINGS_MODULE" in last and "mysite/asgi.py" in last, done.stderr


def test_other_errors_come_through_as_they_are(tmp_path: Path) -> None:
    project(tmp_path, ENVIRONMENT + "raise RuntimeError('mine')\n")
    done = environment("django").run("python", "-c", LOAD, cwd=tmp_path, env={"DJANGO_SHIM": "1"})
    assert done.stderr.strip().endswith("RuntimeError: mine") and done.stderr.count("Traceback") == 1


def test_the_settings_are_read_from_the_source() -> None:
    assert named_settings(b'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "a.b")') == "a.b"
    assert named_settings(b'import os\nos.environ["DJANGO_SETTINGS_MODULE"] = "a.b"') == "a.b"
    assert named_settings(b'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", name)') is None
    assert named_settings(b"application = None") is None


def test_without_django_settings_that_are_named_last_are_found_too(bare: Environment, tmp_path: Path) -> None:
    """The subset needs no setup, but an import may read settings before the line that names them."""
    write(
        tmp_path,
        mysite__settings="ALLOWED_HOSTS = ['known.example']\n",
        mysite__asgi="import os\nfrom mysite.hosts import hosts\n" + ENVIRONMENT,
        mysite__hosts="from django.conf import settings\nhosts = settings.ALLOWED_HOSTS\n",
    )
    assert run_code(bare, "import mysite.asgi as a; print(a.hosts)", tmp_path) == "['known.example']\n"
    (tmp_path / "mysite" / "asgi.py").write_text("from mysite.hosts import hosts\n", encoding="utf-8")
    done = bare.run("python", "-c", "import mysite.asgi", cwd=tmp_path, env=SHIMMED)
    assert done.returncode == 1 and "set DJANGO_SETTINGS_MODULE in" in done.stderr
