"""The command line over folders that somebody made to hurt: it ends, and writes and runs nothing outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from compat.cli.app import app
from tests.hostile.trees import PORTABLE, TREES, git, good
from tests.support.environments import Environment

PORTED = "from compat.layers import get_channel_layer\n"
WITHIN_S = 30.0
COMMANDS = {
    "check": ("check", "."),
    "check for GitHub": ("check", ".", "--format", "github"),
    "check as JSON": ("check", ".", "--json"),
    "port": ("port", "."),
    "port --write": ("port", ".", "--write", "--force"),
    "doctor": ("doctor", "main:app"),
    "layers": ("layers",),
}


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    yield good(tmp_path / "tree")
    # By a program without recursion: pytest's own clearing up fails on what is deeper than Python's stack.
    subprocess.run(["rm", "-rf", tmp_path / "tree"], check=True)


def run(bare: Environment, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that ends in time, by itself and without a traceback, having shown nothing unprintable."""
    env: Mapping[str, str] = {"PYTHONWARNINGS": "default"}
    done = bare.run("channels-compat", *arguments, cwd=folder, env=env, deadline_s=WITHIN_S)
    assert done.returncode in (0, 1, 3, 4), done.stderr
    assert "Traceback" not in done.stderr
    assert_printable(done.stdout + done.stderr)
    return done


def invoke(*arguments: object) -> Any:
    """The same in this process: for what cannot end it."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert_printable(done.output)
    return done


def assert_printable(said: str) -> None:
    hidden = {char for char in said if unicodedata.category(char) in ("Cc", "Cf") and char not in "\n\t"}
    assert not hidden


def made(tree: Path, *names: str) -> Path:
    for name in names:
        TREES[name](good(tree / name))
    return tree


def test_faults_security_small_trees_are_looked_at_to_the_end(tree: Path, bare: Environment) -> None:
    names = [name for name in TREES if name != "repository"]
    made(tree, *names)
    checked = json.loads(run(bare, tree, "check", ".", "--json").stdout)
    status = {one["path"]: one["status"] for one in checked["files"]}
    assert {status[f"{name}/good.py"] for name in names} == {"runs"}
    for name in ("file_links/circle.py", "pipes/pipe.py", "devices/zero.py", "nested_code/signs.py"):
        assert status[name] == "unknown"
    run(bare, tree, "port", ".", "--write", "--force")
    assert {(tree / name / "good.py").read_text() for name in names} == {PORTED}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", TREES)
def test_faults_security_small_trees_one_by_one(
    name: str, command: str, tree: Path, bare: Environment
) -> None:
    TREES[name](tree)
    run(bare, tree, *COMMANDS[command])
    assert (tree / "good.py").read_text() == (PORTED if command == "port --write" else PORTABLE)
    assert not (tree.parent / "was-run").exists()
    assert all(text == PORTABLE for text in outside(tree))


def outside(tree: Path) -> Iterator[str]:
    return (file.read_text() for file in tree.parent.rglob("*.py") if not file.is_relative_to(tree))


def test_faults_security_small_port_symlinks(tree: Path) -> None:
    TREES["file_links"](tree)
    (tree / "folders").mkdir()
    done = invoke("port", tree, "--write", "--force")
    assert list(outside(tree)) == [PORTABLE]
    assert (tree / "hard.py").read_text() == PORTED
    assert (tree / "inside.py").is_symlink()
    assert "out.py: left as it is, since it is a link out of the folder" in done.stderr
    named = invoke("port", tree / "out.py", "--write", "--force")
    assert list(outside(tree)) == [PORTABLE]
    assert "it is a link, to" in named.stderr


def test_faults_security_small_port_keeps_the_mode_of_a_file(tree: Path) -> None:
    (tree / "good.py").chmod(0o750)
    invoke("port", tree, "--write", "--force")
    assert (tree / "good.py").stat().st_mode & 0o777 == 0o750
    assert os.listdir(tree) == ["good.py"]


def test_faults_security_small_fsmonitor_and_what_else_git_would_run(tree: Path) -> None:
    TREES["repository"](tree)
    done = invoke("port", tree, "--write")
    assert done.exit_code == 0, done.stderr
    assert not (tree.parent / "was-run").exists(), (tree.parent / "was-run").read_text()
    assert (tree / "good.py").read_text() == PORTED
    again = invoke("port", tree, "--write")
    assert again.exit_code == 1 and "has changes that are not committed (good.py)" in again.stderr
    assert not (tree.parent / "was-run").exists()


def test_faults_security_small_the_hostile_repository_does_run_its_programs_elsewhere(tree: Path) -> None:
    TREES["repository"](tree)
    git(tree, "-c", "alias.x=status", "status")
    assert "program" in (tree.parent / "was-run").read_text()


def test_faults_security_small_a_pipe_in_the_place_of_git(tree: Path) -> None:
    TREES["pipes"](tree)
    invoke("port", tree, "--write", "--force")
    assert (tree / "good.py").read_text() == PORTED


def test_faults_security_small_terminal_escapes(tree: Path) -> None:
    TREES["names"](tree)
    TREES["text"](tree)
    shown = invoke("check", tree).stdout
    assert r"a\x1b[2J\x1b]0;title\x07\x9b31m\u202e.py" in shown and r"caf\udce9\x1b.py" in shown
    annotations = invoke("check", tree, "--format", "github").stdout
    assert not re.search("^::error file=x", annotations, re.MULTILINE)
    assert "/c%3A1%2Cline=7.py,line=1," in annotations
    assert r"-from channels.layers import get_channel_layer  # \x1b[2J" in invoke("port", tree).stdout


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "pipes/pipe.py", "pipes/none", "empty"])
def test_faults_security_small_a_path_that_is_no_project(
    path: str, tmp_path: Path
) -> None:
    (tmp_path / "pipes").mkdir()
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipes" / "pipe.py")
    for command in ("check", "port"):
        done = invoke(command, tmp_path / path)
        assert done.exit_code == 1 and done.stderr.startswith("error: "), done.stderr
        assert "Name " in done.stderr
