"""``django_shim.django`` without the shim: what ported projects import, whichever Django there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shim.running import run_code
from tests.support.environments import environment

SAME = """
import sys
from django_shim.django.urls import path
from django_shim.django.contrib import admin
import django_shim.django.conf
import django_shim.django as standing

assert django_shim.django is standing is sys.modules["django"]
assert sys.modules["django_shim.django.urls"] is sys.modules["django.urls"]
assert standing.urls.path is path and admin is standing.contrib.admin
assert sys.modules["django.urls"].__name__ == sys.modules["django.urls"].__spec__.name == "django.urls"
try:
    import channels
except ModuleNotFoundError:
    print("no channels", "django_shim" in standing.__file__)
"""

REFUSED = """
for statement in ("from django_shim.django import forms", "from django_shim.django.core import mail",
                  "import django_shim.django.contrib.postgres"):
    try:
        exec(statement)
    except ImportError as error:
        assert "needs the real Django" in str(error), error
    else:
        raise AssertionError(statement)
try:
    from django_shim.django.urls import nope
except ImportError as error:
    print(error)
"""

WITH_THE_SHIM = """
import sys
import django_shim
from django_shim.django.urls import path
django_shim.install()
import channels.routing, django.urls
assert django.urls.path is path
django_shim.uninstall()
assert "django_shim.django" not in sys.modules and "django" not in sys.modules
from django_shim.django.urls import path as again
import django.urls
assert django.urls.path is again
print("well")
"""

THREADS = """
import threading
names = ["urls", "http", "conf", "template", "shortcuts", "contrib.auth", "core.asgi", "utils.timezone"]
errors = []

def load(number):
    try:
        __import__(f"{'django_shim.' * (number % 2 == 0)}django.{names[number // 2]}")
    except ImportError as error:
        errors.append(error)

import django_shim.django
threads = [threading.Thread(target=load, args=[number]) for number in range(2 * len(names))]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(errors)
"""


@pytest.mark.parametrize(("name", "subset"), [("bare", "True"), ("django", "False")])
def test_it_is_the_django_that_there_is(name: str, subset: str, tmp_path: Path) -> None:
    assert run_code(environment(name), SAME, tmp_path, {}).strip() == f"no channels {subset}"


def test_what_the_subset_lacks_says_so(tmp_path: Path) -> None:
    said = run_code(environment("bare"), REFUSED, tmp_path, {})
    assert "cannot import name 'nope' from 'django.urls'" in said


def test_the_shim_may_come_and_go_beside_it(tmp_path: Path) -> None:
    assert run_code(environment("bare"), WITH_THE_SHIM, tmp_path, {}).strip() == "well"


def test_threads_that_import_it_under_both_names(tmp_path: Path) -> None:
    assert run_code(environment("bare"), THREADS, tmp_path, {}).strip() == "[]"
