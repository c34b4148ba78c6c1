"""How an application is named and found, and which address and port a server gets."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path

import pytest

from compat.cli.application import __file__ as app_file
from compat.cli.application import (
    adopt_manage_py,
    application_name,
    is_the_projects,
    load_application,
    missing_module,
    search_here,
)
from compat.cli.runserver import CannotServe, _why_not, bindable, family_of, url_of
from compat.exceptions import ImproperlyConfigured
from compat.settings import override


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("main:app", "main:app"),
        ("mysite.asgi.application", "mysite.asgi:application"),
        ("mysite.asgi:application", "mysite.asgi:application"),
        ("main:site.app", "main:site.app"),
    ],
)
def test_both_spellings(given: str, name: str) -> None:
    assert application_name(given) == name
    with override(ASGI_APPLICATION=given):
        assert application_name(None) == name


@pytest.mark.parametrize("given", ["main", "main:", ":app", "main.py"])
def test_a_name_without_both_parts(given: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="Expected module and attribute"):
        application_name(given)


def test_no_name_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPAT_SETTINGS_MODULE", raising=False)
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    with pytest.raises(ImproperlyConfigured, match="no settings module is set"):
        application_name(None)
    monkeypatch.setenv("COMPAT_SETTINGS_MODULE", "json")  # any module that has no such setting
    with pytest.raises(ImproperlyConfigured, match="the settings module json has no ASGI_APPLICATION"):
        application_name(None)


def test_loading() -> None:
    assert load_application("os:getcwd") is os.getcwd
    assert load_application("os:path.join") is os.path.join
    with pytest.raises(ImproperlyConfigured, match=r"has no 'path.nothing'"):
        load_application("os:path.nothing")
    with pytest.raises(ImproperlyConfigured, match="there is no module 'nowhere'"):
        load_application("nowhere.asgi:app")


def test_a_module_that_imports_what_is_missing_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "has_a_hole.py").write_text("import nowhere_at_all\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        load_application("has_a_hole:app")


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("import nowhere_at_all", "nowhere_at_all"),
        ("import nowhere_at_all.inner", "nowhere_at_all"),
        ("try:\n    import nowhere_at_all\nexcept ImportError:\n    int('eighty')", None),
        (
            "try:\n    import nowhere_at_all\nexcept ImportError:\n    raise ImportError('pip install it')",
            "nowhere_at_all",
        ),
        (
            "try:\n    import nowhere_at_all\nexcept ImportError:\n    raise ImportError('why') from None",
            None,
        ),
        (
            "try:\n    import nowhere_at_all\nexcept ImportError as e:\n    raise ValueError('no') from e",
            "nowhere_at_all",
        ),
    ],
)
def test_the_module_that_an_error_is_about(code: str, missing: str | None) -> None:
    """Was: also that of an error which the project had handled."""
    with pytest.raises((ImportError, ValueError)) as caught:
        exec(code, {})
    assert missing_module(caught.value) == missing


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("/srv/site/views.py", True),
        ("/usr/lib/python3/dist-packages/django/apps.py", False),
        ("/srv/venv/lib/python3.12/site-packages/django/apps.py", False),
        (os.__file__, False),
        (app_file, False),
        ("<frozen importlib._bootstrap>", False),
    ],
)
def test_the_files_of_a_project(file: str, own: bool) -> None:
    """Was: also those that Debian installs."""
    assert is_the_projects(file) is own


@pytest.mark.parametrize(
    "line",
    [
        'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")',
        "    os.environ['DJANGO_SETTINGS_MODULE'] = 'mysite.settings'  # not old.settings",
    ],
)
def test_the_settings_that_manage_py_names(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: those of a line that is a comment."""
    old = '# os.environ.setdefault("DJANGO_SETTINGS_MODULE", "old.settings")\n'
    (tmp_path / "manage.py").write_text(f"{old}if True:\n{line}\n", encoding="utf-8")
    monkeypatch.delenv("COMPAT_SETTINGS_MODULE", raising=False)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "")
    adopt_manage_py(tmp_path)
    assert os.environ["DJANGO_SETTINGS_MODULE"] == "mysite.settings"


def test_the_current_folder_is_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["/somewhere"])
    search_here()
    search_here()
    assert sys.path == [str(tmp_path), "/somewhere"]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/"),
        ("0.0.0.0", "http://127.0.0.1:8000/"),
        ("::", "http://[::1]:8000/"),
        ("::1", "http://[::1]:8000/"),
        ("example.com", "http://example.com:8000/"),
    ],
)
def test_the_url_to_open(host: str, url: str) -> None:
    assert url_of(host, 8000) == url


def test_the_family_of_an_address() -> None:
    assert family_of("::1") is socket.AF_INET6
    assert family_of("127.0.0.1") is socket.AF_INET


def test_a_port_that_is_free_and_one_that_is_not() -> None:
    port = bindable("127.0.0.1", 0)
    assert bindable("127.0.0.1", port) == port
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(CannotServe, match="address already in use"):
            bindable("127.0.0.1", other.getsockname()[1])
    with pytest.raises(CannotServe, match="not an address of this machine"):
        bindable("192.0.2.1", 0)  # TEST-NET-1: nobody has it


def test_other_reasons_to_be_refused() -> None:
    assert "below 1024" in _why_not(PermissionError(errno.EACCES, "Permission denied"), 80)
    assert "not an address" in _why_not(socket.gaierror("Name or service not known"), 80)
    assert _why_not(OSError(errno.EMFILE, "Too many open files"), 80) == "[Errno 24] Too many open files"
