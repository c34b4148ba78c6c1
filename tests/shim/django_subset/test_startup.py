"""What importing the subset costs, and what it says when an extra is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shim.running import run_code
from tests.support.environments import Environment

LOADED = "import sys, {module}; print(*sys.modules)"


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("django", {"asgiref", "compat", "django.conf", "django.urls", "jinja2", "starlette"}),
        (
            "django.urls",
            {"django.core.management", "django.template.engine", "jinja2", "starlette", "uvicorn"},
        ),
        ("django.shortcuts", {"django.core.management", "django.template.engine", "jinja2", "starlette"}),
        ("django.core.asgi", {"django.core.management", "django.template.engine", "jinja2", "uvicorn"}),
        ("django.core.management", {"django.template.engine", "jinja2", "uvicorn", "unittest"}),
    ],
)
def test_an_import_loads_no_more_than_it_needs(
    bare: Environment, tmp_path: Path, module: str, unwanted: set[str]
) -> None:
    loaded = set(run_code(bare, LOADED.format(module=module), tmp_path).split())
    assert not unwanted & loaded


def test_templates_without_jinja2_name_the_extra(bare: Environment, tmp_path: Path) -> None:
    code = """
import sys
sys.modules["jinja2"] = None
from django.conf import settings
settings.configure(TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}])
from django.shortcuts import render
try:
    render(None, "x.html")
except ImportError as error:
    print(error)
from django.http import Http404
from django.views.defaults import page_not_found
from django.test import RequestFactory
print(page_not_found(RequestFactory().get("/"), Http404()).status_code)
"""
    said = run_code(bare, code, tmp_path)
    assert "pip install 'channels-compat[templates]'" in said and said.endswith("404\n")


def test_logging_as_the_settings_have_it(bare: Environment, tmp_path: Path) -> None:
    code = """
from django.conf import settings
settings.configure(DEBUG=True, LOGGING={
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "debug": {"()": "django.utils.log.RequireDebugTrue"},
        "live": {"()": "django.utils.log.RequireDebugFalse"},
    },
    "formatters": {
        "server": {
            "()": "django.utils.log.ServerFormatter",
            "format": "[{server_time}] {message}",
            "style": "{",
        },
    },
    "handlers": {
        "shown": {"class": "logging.StreamHandler", "filters": ["debug"], "formatter": "server"},
        "hidden": {"class": "logging.StreamHandler", "filters": ["live"]},
    },
    "loggers": {"mine": {"handlers": ["shown", "hidden"]}},
})
import django, logging, sys
sys.stderr = sys.stdout
django.setup()
logging.getLogger("mine").warning("x marks")
"""
    said = run_code(bare, code, tmp_path)
    assert said.count("\n") == 1 and said.endswith("] x marks\n")


def test_the_settings_module_is_read_when_a_setting_is(bare: Environment, tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text("print('read')\nMINE = 5\n", encoding="utf-8")
    code = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "conf"
from django.conf import settings
print("imported", settings.configured)
print(settings.MINE, settings.SETTINGS_MODULE, repr(settings))
"""
    said = run_code(bare, code, tmp_path)
    assert said == 'imported True\nread\n5 conf <LazySettings "conf">\n'


def test_the_shim_can_be_taken_away_and_brought_back(bare: Environment, tmp_path: Path) -> None:
    code = """
import sys, django_shim, django, django.shortcuts
django_shim.uninstall()
assert "django" not in sys.modules and "django.shortcuts" not in sys.modules
try:
    import django
except ModuleNotFoundError as error:
    print(error)
django_shim.install()
try:
    from django import forms
except ImportError as error:
    print(error)
print(sum(type(one).__name__ == "type" and one.__module__ == "django.unserved" for one in sys.meta_path))
"""
    lines = run_code(bare, code, tmp_path).splitlines()
    assert lines[0] == "No module named 'django'" and "needs the real Django" in lines[1] and lines[2] == "2"
