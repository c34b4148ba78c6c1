"""Trap 13: where the subset of Django ends it says so, and ``hasattr`` still tells the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shim.running import run_code
from tests.support.environments import Environment


@pytest.mark.parametrize(
    "statement",
    [
        "import django.forms",
        "from django import forms",
        "import django.contrib.gis",
        "from django.test import LiveServerTestCase",
    ],
)
def test_trap_13_what_django_has_and_the_subset_lacks_names_the_cure(
    bare: Environment, tmp_path: Path, statement: str
) -> None:
    code = f"""
try:
    {statement}
except ImportError as error:
    print(error)
"""
    said = run_code(bare, code, tmp_path)
    assert "needs the real Django" in said and "pip install django" in said, said


def test_trap_13_what_nobody_has_is_missing_in_the_ordinary_way(bare: Environment, tmp_path: Path) -> None:
    code = """
import django, django.urls
assert not hasattr(django, "nope") and not hasattr(django.urls, "nope")
assert not hasattr(django, "forms")
try:
    import django.nope
except ModuleNotFoundError as error:
    assert error.name == "django.nope", error.name
else:
    raise AssertionError
"""
    run_code(bare, code, tmp_path)


def test_trap_13_models_import_and_defining_one_raises(bare: Environment, tmp_path: Path) -> None:
    code = """
from django.db import models
try:
    class Message(models.Model):
        text = models.TextField()
except Exception as error:
    print(type(error).__name__, error)
"""
    said = run_code(bare, code, tmp_path)
    assert "Django" in said and "pip install" in said, said
