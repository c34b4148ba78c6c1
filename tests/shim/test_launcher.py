"""What the launcher decides before it becomes the command: usage, errors, environment, stubs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from django_shim import launcher, stubs
from django_shim.finder import HERE, PACKAGES


class Executed(Exception):
    """Stands for the moment at which this process would have become another program."""


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """The commands and environments that were executed."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def execve(program: str, command: list[str], environment: dict[str, str]) -> None:
        assert program == command[0]
        calls.append((command, environment))
        raise Executed

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.delenv("DJANGO_SHIM", raising=False)
    return calls


def test_it_becomes_the_command_with_both_doors_open(
    executed: list[tuple[list[str], dict[str, str]]],
) -> None:
    with pytest.raises(Executed):
        launcher.main(["python", "manage.py", "migrate"])
    with pytest.raises(Executed):
        launcher.main(["--", "manage.py", "stubs"])
    (first, environment), (second, _) = executed
    assert first == [sys.executable, "manage.py", "migrate"]
    assert second == [sys.executable, "manage.py", "stubs"]
    assert environment["DJANGO_SHIM"] == "1" and environment["PYTHONPATH"].startswith(launcher.BOOTSTRAP)


def test_a_missing_daphne_is_run_as_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert launcher.resolve(["daphne", "-p", "1"]) == [sys.executable, "-m", "daphne", "-p", "1"]
    assert launcher.resolve(["daphne-nope"]) is None
    assert launcher.resolve(["python.exe"]) == [sys.executable]


def test_a_package_called_channels_that_will_be_hidden_is_named(
    executed: list[tuple[list[str], dict[str, str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "channels").mkdir()
    (tmp_path / "channels" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(Executed):
        launcher.main(["python"])
    said = capsys.readouterr().err
    assert str(tmp_path / "channels") in said and said.count("\n") == 1


def test_a_program_that_cannot_be_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "broken"
    program.write_bytes(b"\x7fELF and no more")
    program.chmod(0o755)
    assert launcher.main([str(program)]) == 126
    assert str(program) in capsys.readouterr().err


def test_usage_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert launcher.main([]) == 2
    assert launcher.main(["--help"]) == 0
    assert launcher.main(["--version"]) == 0
    assert "channels-compat" in capsys.readouterr().out
    assert launcher.main(["--nope"]) == 2
    assert launcher.main(["--"]) == 2
    assert launcher.main(["no-such-command-anywhere"]) == 127
    assert "no-such-command-anywhere" in capsys.readouterr().err


def test_stubs_point_at_the_mirrors_and_without_django_at_the_subset(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert launcher.main(["stubs"]) == 0
    assert capsys.readouterr().out == stubs.configuration() + "\n"
    assert f"mypy_path = ['{PACKAGES}', '{HERE}']" in stubs.configuration()
    assert f"stubPath = '{PACKAGES}'" in stubs.configuration()
