"""No false "runs unchanged": what `check` says of a file is tried by importing it under the shim."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.porting.projects import check, claimed, failing_imports
from tests.support.environments import Environment, environment
from tests.support.paths import REPO, acceptance_material
from tests.support.tutorial import Tutorial

FILES = {
    "shop/__init__.py": "",
    "shop/models.py": "from django.db import models\n\n\nclass Item(models.Model):\n    pass\n",
    "shop/names.py": "from django.db import models\n\n\nclass Size(models.TextChoices):\n    S = 's'\n",
    "shop/admin.py": "from django.contrib import admin\nfrom . import models\nadmin.register(models.Item)",
    "shop/empty_admin.py": "from django.contrib import admin\n",
    "shop/consumers.py": "from channels.consumer import SyncConsumer\nfrom .models import Item\n",
    "shop/plain.py": "from channels.generic.websocket import WebsocketConsumer\nfrom .names import Size\n",
    "shop/later.py": "def items():\n    from .models import Item\n    return Item\n",
    "shop/forms.py": "from django import forms\n",
    "shop/utils.py": "from django.utils import timezone, html\nfrom django.utils.translation import gettext",
    "shop/views.py": "from django.views.generic import TemplateView\nfrom django.shortcuts import render\n",
    "shop/lists.py": "from django.views.generic import ListView\n",
    "shop/users.py": "from django.contrib.auth.models import Group\n\n\nclass Club(Group):\n    pass\n",
    "shop/api.py": "from rest_framework.views import APIView\n",
    "shop/maybe.py": "try:\n    import rest_framework\nexcept ImportError:\n    rest_framework = None\n",
    "shop/tests.py": "from django.test import TestCase\nfrom channels.testing import WebsocketCommunicator\n",
    "shop/live.py": "from channels.testing import ChannelsLiveServerTestCase\n",
    "shop/server.py": "from daphne.testing import DaphneProcess\nfrom channels.apps import ChannelsConfig\n",
    "shop/layer.py": "from channels_redis.core import RedisChannelLayer\nfrom channels_redis import pubsub",
    "shop/wrong.py": "from channels.layers import get_chanel_layer\n",
    "shop/urls.py": "from django.urls import path, include\nurlpatterns = [path('', include('shop.lists'))]",
    "site_settings.py": "ROOT_URLCONF = 'shop.urls'\nSECRET_KEY = 'x'\n"
    "INSTALLED_APPS = ['daphne', 'shop']\n"
    "for name in 'admin', 'auth', 'contenttypes', 'sessions', 'messages':\n"
    "    INSTALLED_APPS.append(f'django.contrib.{name}')\n",
}
RUN_WITHOUT_DJANGO = {
    "shop/__init__.py",
    "shop/names.py",
    "shop/empty_admin.py",
    "shop/plain.py",
    "shop/utils.py",
    "shop/views.py",
    "shop/maybe.py",
    "shop/tests.py",
    "shop/layer.py",
    "shop/server.py",
    "site_settings.py",
}


def shop(folder: Path) -> Path:
    """A project of every kind of file, in our own hand."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def assert_true_claims(project: Path, env: Environment, django: str, settings: str) -> Any:
    report = check(project, env, django)
    files = claimed(report)
    assert files
    assert failing_imports(project, env, files, settings=settings, shim=True) == {}
    return report


MODES = [("bare", "shim"), ("django", "keep")]


@pytest.mark.parametrize(("name", "django"), MODES)
def test_the_tutorial(name: str, django: str, tutorial: Tutorial) -> None:
    report = assert_true_claims(tutorial.project(), environment(name), django, "mysite.settings")
    assert report["summary"] == "13 of 13 files run unchanged"


def test_the_example(bare: Environment, tmp_path: Path) -> None:
    project = tmp_path / "django_port"
    shutil.copytree(REPO / "examples" / "django_port", project)
    report = assert_true_claims(project, bare, "shim", "chatsite.settings")
    assert report["counts"]["runs"] == len(report["files"])


def test_a_project_of_every_kind_of_file(bare: Environment, tmp_path: Path) -> None:
    report = assert_true_claims(shop(tmp_path), bare, "shim", "site_settings")
    runs = {file["path"] for file in report["files"] if file["status"] == "runs"}
    assert runs == RUN_WITHOUT_DJANGO
    others = [file for file in report["files"] if file["status"] != "runs"]
    failed = failing_imports(tmp_path, bare, others, settings="site_settings", shim=True)
    works = {file["module"] for file in others} - set(failed)
    # These say so where they are used.
    assert works <= {"shop.later", "shop.empty_admin"}


def test_the_same_project_with_django(tmp_path: Path) -> None:
    report = assert_true_claims(shop(tmp_path), environment("django"), "keep", "site_settings")
    others = {file["path"]: file["status"] for file in report["files"] if file["status"] != "runs"}
    assert others == {"shop/api.py": "unknown", "shop/wrong.py": "gone"}


@pytest.mark.parametrize("app", ["chanx_src", "fast_channels_concepts", "fastapi_channels_example"])
def test_apps_of_other_libraries_do_not_run_before_they_are_ported(
    app: str, bare: Environment, tmp_path: Path
) -> None:
    shutil.copytree(acceptance_material() / "acceptance" / "apps" / app, tmp_path / "src")
    report = check(tmp_path, bare, "shim")
    assert report["counts"]["port"]
    assert failing_imports(tmp_path, bare, claimed(report), shim=True) == {}
