"""Larger code bases that use Channels: their sdists, and the environments that they run in."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.environments import DJANGO, RECIPES, Environment, Recipe, environment
from tests.support.paths import REPO
from tests.support.processes import child_environment

__all__ = ["CODE_BASES", "CodeBase", "bases_environment"]

CACHE = REPO / ".cache" / "sdists"
NEEDED = ("djangorestframework>=3.15", "graphql-core>=3.3,<3.4", "python-dateutil>=2.7", "cross-web>=0.6")
RUNNERS = ("pytest>=8,<9", "pytest-django>=4.9", "pytest-asyncio>=0.26,<1")

RECIPES["bases"] = Recipe((*DJANGO, *NEEDED, *RUNNERS))
RECIPES["bases-bare"] = Recipe((*NEEDED[1:], *RUNNERS))


@dataclass(frozen=True)
class CodeBase:
    """A package of the index.

    ``packages``: what is imported of it. ``tests``: arguments of pytest; none where the sdist has no tests.
    ``left_out``: files that its tests want and its sdist lacks, with their text. ``races``: tests that fail
    by chance on Channels as well.
    """

    name: str
    version: str
    packages: tuple[str, ...]
    tests: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    races: tuple[str, ...] = ()

    def unpacked(self, folder: Path) -> Path:
        """A fresh copy in `folder`."""
        with tarfile.open(self._sdist()) as archive:
            root = archive.getnames()[0].partition("/")[0]
            # The argument is there since Python 3.10.12 and 3.11.4, and wanted from 3.12 on.
            if hasattr(tarfile, "data_filter"):
                archive.extractall(folder, filter="data")
            else:
                archive.extractall(folder)
        project = folder / root
        for name, text in self.left_out:
            (project / name).write_text(text, encoding="utf-8")
        return project

    def _sdist(self) -> Path:
        found = self._downloaded()
        if found is None:
            CACHE.mkdir(parents=True, exist_ok=True)
            _pip("download", "--no-deps", "--no-binary", self.name, "--dest", str(CACHE), self._requirement)
            found = self._downloaded()
        assert found is not None, f"pip has put no sdist of {self._requirement} into {CACHE}"
        return found

    @property
    def _requirement(self) -> str:
        return f"{self.name}=={self.version}"

    def _downloaded(self) -> Path | None:
        spellings = {self.name, self.name.replace("-", "_")}
        files = (CACHE / f"{spelling}-{self.version}.tar.gz" for spelling in spellings)
        return next((file for file in files if file.exists()), None)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(
        command, env=child_environment(), capture_output=True, text=True, input="", check=False
    )
    if done.returncode:
        _skip(f"{' '.join(command)} failed:\n{done.stderr}")


def _skip(why: str) -> None:
    pytest.skip(f"NOT TESTED: THE PORT OF LARGER CODE BASES. The package index cannot be reached. {why}")


def bases_environment(name: str) -> Environment:
    """ "bases" has Django and what the code bases need; "bases-bare" has no Django."""
    try:
        return environment(name)
    except AssertionError as error:
        _skip(str(error))
        raise


SETTINGS = """\
SECRET_KEY = "x"
INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
{apps}]
SQLITE = "django.db.backends.sqlite3"
DATABASES = {{"default": {{"ENGINE": SQLITE, "NAME": "db.sqlite3", "TEST": {{"NAME": "t.sqlite3"}}}}}}
MEMORY = "channels.layers.InMemoryChannelLayer"
CHANNEL_LAYERS = {{"default": {{"BACKEND": MEMORY, "TEST_CONFIG": {{"expiry": 60}}}}}}
ASGI_APPLICATION = "bases_settings.application"
USE_TZ = True
"""

MODELS = """\
from django.db import models


class TestModel(models.Model):
    name = models.CharField(max_length=255)


class TestModelWithCustomPK(models.Model):
    name = models.CharField(max_length=255, primary_key=True)
"""

PATIENT = """\
# The tests wait a second for each answer: too little for a machine that does much else.
from channels.testing import ApplicationCommunicator

receive_output = ApplicationCommunicator.receive_output


async def receive_output_patiently(self, timeout=1):
    return await receive_output(self, max(timeout, 15))


ApplicationCommunicator.receive_output = receive_output_patiently
"""

CODE_BASES = (
    CodeBase("strawberry-graphql", "0.341.2", ("strawberry.channels",)),
    CodeBase(
        "djangochannelsrestframework",
        "1.2.0",
        ("djangochannelsrestframework",),
        tests=("tests",),
        left_out=(
            ("bases_settings.py", SETTINGS.format(apps='    "tests",\n')),
            ("tests/__init__.py", ""),
            ("tests/models.py", MODELS),
            ("conftest.py", PATIENT),
        ),
        # They save an object before their consumer may have subscribed. The first fails five of five times on
        # Channels; the second with any package, when the machine is busy at that moment.
        races=(
            "tests/test_observer.py::test_model_observer_with_request_id",
            "tests/test_model_with_custom_pk_observer.py::test_subscription_create_notification",
        ),
    ),
    CodeBase(
        "django-sio",
        "0.2.0",
        ("sio",),
        # The rest drives a browser, or imports helpers that the sdist leaves out.
        tests=(
            "tests",
            *("--ignore", "tests/test_live_action.py"),
            *("--ignore", "tests/test_live_connect.py"),
            *("--ignore", "tests/test_socketio_server.py"),
        ),
        left_out=(("bases_settings.py", SETTINGS.format(apps="")), ("conftest.py", PATIENT)),
    ),
)
