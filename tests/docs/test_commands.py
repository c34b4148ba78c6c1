"""What the pages say to type: the commands exist, with the options that are shown, and servers start."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from uvicorn.main import main as uvicorn_command

from compat.cli.app import app as our_app
from tests.docs.pages import BLOCKS, lay_out
from tests.examples.conftest import EXAMPLES
from tests.support.clients import get
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.servers import served

DJANGO_PORT = EXAMPLES / "django_port"
COMMANDS = [
    (block, line[2:])
    for block in BLOCKS
    if block.language == "console"
    for line in block.text.splitlines()
    if line.startswith("$ ")
]
ELSEWHERE = {
    ".",
    "cd",
    "celery",
    "curl",
    "diff",
    "granian",
    "gunicorn",
    "pip",
    "pytest",
    "python",
    "redis-cli",
}
"""Commands that are not ours, and have no options of ours."""


def known_options(command: Any) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


def options_in(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("-")}


def check(words: list[str]) -> None:
    """AssertionError for a command, a subcommand or an option that there is not."""
    name, *rest = words
    if name == "django-shim":
        if rest not in (["stubs"], ["stubs", "--write"]):
            check(rest)
    elif name == "channels-compat":
        group: Any = typer.main.get_command(our_app)
        assert rest[0] in group.commands, f"channels-compat has no command {rest[0]!r}"
        assert options_in(rest) <= known_options(group.commands[rest[0]]), rest
    elif name == "uvicorn":
        assert options_in(rest) <= known_options(uvicorn_command), rest
    elif name == "make":
        assert re.search(rf"^{rest[0]}:", (REPO / "Makefile").read_text("utf-8"), re.M), rest
    elif "/" in name:
        assert (REPO / name).is_file(), name
    else:
        assert name in ELSEWHERE, f"{name}: neither ours nor known"


@pytest.mark.parametrize("command", sorted({command for _, command in COMMANDS}))
def test_the_command_exists(command: str) -> None:
    check(shlex.split(command))


def test_folders_are_there() -> None:
    for _, command in COMMANDS:
        if command.startswith("cd "):
            assert (REPO / command[3:]).is_dir()


def test_options_that_are_mentioned_exist() -> None:
    text = (REPO / "docs" / "port" / "tools.md").read_text("utf-8")
    group: Any = typer.main.get_command(our_app)
    for name in ("check", "port", "doctor"):
        section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
        assert section is not None
        shown = set(re.findall(r"`(--[a-z]+)", section[1])) - {"--workers"}
        assert shown <= known_options(group.commands[name])


def test_the_reference_has_every_command() -> None:
    group: Any = typer.main.get_command(our_app)
    text = (REPO / "docs" / "reference" / "commands.md").read_text("utf-8")
    assert set(re.findall(r"^\| `channels-compat (\w+)", text, re.M)) == set(group.commands)


@pytest.mark.parametrize("command", sorted({command for _, command in COMMANDS if "pip install" in command}))
def test_the_extras_exist(command: str) -> None:
    text = (REPO / "pyproject.toml").read_text("utf-8")
    extras = re.findall(r"^([\w-]+) = \[", text, re.M)
    for found in re.findall(r"channels-compat\[([\w,-]+)\]", command):
        assert set(found.split(",")) <= set(extras)


PAGES = ("README", "porting")
SERVERS = sorted({(block.page, command) for block, command in COMMANDS if block.page in PAGES})


@pytest.mark.parametrize(
    ("page", "command"), [one for one in SERVERS if re.search("runserver|uvicorn", one[1])]
)
def test_the_servers_start(
    page: str, command: str, bare: Environment, tmp_path: Path, redis_url: str
) -> None:
    folder = DJANGO_PORT
    if "main:app" in command:
        folder = lay_out("README", tmp_path)
        if "--workers" in command:
            on_redis(tmp_path / "main.py", redis_url)
    first, *rest = command.replace("mysite", "chatsite").split()
    port = ["{port}"] if "manage.py" in command else ["--port", "{port}"]
    arguments = [bare.path(first), *rest, *port]
    with served(arguments, cwd=folder, log=tmp_path / "server.log", env={"REDIS_URL": redis_url}) as server:
        path = "/docs" if "main:app" in command else "/"
        assert get(server, path).status_code == 200


def on_redis(main: Path, redis_url: str) -> None:
    memory = '{"BACKEND": "compat.layers.InMemoryChannelLayer"}'
    redis = {"BACKEND": "compat.layers.RedisChannelLayer", "CONFIG": {"hosts": [redis_url]}}
    text = main.read_text("utf-8")
    assert memory in text
    main.write_text(text.replace(memory, json.dumps(redis)), encoding="utf-8")


def test_the_first_lines_of_the_development_server_are_as_shown(bare: Environment, tmp_path: Path) -> None:
    block = next(block for block in BLOCKS if block.language == "console" and "Serving" in block.text)
    shown = [line for line in block.text.splitlines() if not line.startswith("$ ")]
    command = [bare.path("django-shim"), "python", "manage.py", "runserver", "{port}"]
    with served(command, cwd=DJANGO_PORT, log=tmp_path / "server.log") as server:
        lines = server.log().replace(str(server.port), "8000").splitlines()
        assert lines[: len(shown)] == shown


def test_the_difference_between_the_examples_is_as_shown() -> None:
    block = next(block for block in BLOCKS if block.text.startswith("$ diff"))
    command, *shown = block.text.splitlines()
    files = [REPO / name for name in command.split()[2:]]
    before, after = (file.read_text(encoding="utf-8").splitlines() for file in files)
    numbers = [number for number, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
    first, last = numbers[0], numbers[-1]
    changed = f"{first + 1}" if first == last else f"{first + 1},{last + 1}"
    assert shown[0] == f"{changed}c{changed}"
    assert shown[1:] == [
        *(f"< {line}" for line in before[first : last + 1]),
        "---",
        *(f"> {line}" for line in after[first : last + 1]),
    ]


def test_the_commands_of_typed_consumers(bare: Environment, tmp_path: Path) -> None:
    lay_out("typed", tmp_path)
    (tmp_path / "checking.py").write_text('ALLOWED_HOSTS = ["127.0.0.1"]\n')
    commands = [command for block, command in COMMANDS if block.page == "typed"]
    assert len(commands) == 4
    for command in commands:
        done = bare.run(*command.split(), cwd=tmp_path)
        assert done.returncode == 0, (command, done.stderr)
    document = json.loads((tmp_path / "asyncapi.json").read_text())
    assert document["channels"]["chat"]["address"] == "/ws/chat"
    script = tmp_path / "talk.py"
    with served(
        [bare.path("channels-compat"), "runserver", "main:app", "--noreload", "--port", "{port}"],
        cwd=tmp_path,
        log=tmp_path / "server.log",
        env={"COMPAT_SETTINGS_MODULE": "checking"},
    ) as server:
        script.write_text(script.read_text().replace("ws://127.0.0.1:8000", server.ws("")))
        done = bare.run("python", str(script), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "hello\n"), (done.stderr, server.log())
    module = (tmp_path / "static" / "chat_client.mjs").read_text()
    (shown,) = (block.text for block in BLOCKS if "./chat_client.mjs" in block.text)
    for name in re.findall(r"chat\.(\w+)\(|new (\w+)\(", shown):
        assert "".join(name) in module, name
