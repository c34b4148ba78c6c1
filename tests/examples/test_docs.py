"""What the README and docs/ say, tried: the code runs, the commands work, the links lead somewhere."""

from __future__ import annotations

import doctest
import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.examples.conftest import EXAMPLES
from tests.support.clients import Client, Refused, get
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.servers import Server, served

PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.M | re.S)
DJANGO_PORT = EXAMPLES / "django_port"


@dataclass(frozen=True)
class Block:
    """A piece of code in a page."""

    page: Path
    line: int
    language: str
    title: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(page, line, found["language"], found["title"], found["text"])


BLOCKS = list(blocks())
PYTHON = [block for block in BLOCKS if block.language == "python" and block.title is None]
COMMANDS = [
    (block, line[2:])
    for block in BLOCKS
    if block.language == "console"
    for line in block.text.splitlines()
    if line.startswith("$ ")
]


def main_of(page: str) -> str:
    """The file main.py of a page."""
    return next(block.text for block in BLOCKS if block.page.name == page and block.title == "main.py")


# Code


@pytest.mark.parametrize("block", [block for block in PYTHON if ">>>" not in block.text], ids=str)
def test_the_code_runs(block: Block, bare: Environment, tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(block.text.replace("mysite", "chatsite"), encoding="utf-8")
    env = {"PYTHONPATH": str(DJANGO_PORT)} if "mysite" in block.text else {}
    done = bare.run("python", "snippet.py", cwd=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("block", [block for block in PYTHON if ">>>" in block.text], ids=str)
def test_the_sessions_are_as_shown(block: Block) -> None:
    session = doctest.DocTestParser().get_doctest(block.text, {}, str(block), str(block.page), block.line)
    assert doctest.DocTestRunner().run(session).failed == 0


@contextmanager
def application(page: str, bare: Environment, folder: Path, **env: str) -> Iterator[Server]:
    (folder / "main.py").write_text(main_of(page), encoding="utf-8")
    command = [bare.path("channels-compat"), "runserver", "main:app", "--noreload", "--port", "{port}"]
    with served(command, cwd=folder, log=folder / "server.log", env=env) as server:
        yield server
        assert "Traceback" not in server.log()


def test_the_room_of_the_readme(bare: Environment, tmp_path: Path) -> None:
    with application("README.md", bare, tmp_path) as server:
        with Client(server, "/ws/rooms/a/") as one, Client(server, "/ws/rooms/a/") as other:
            one.send("hello")
            assert [one.receive(), other.receive()] == ["hello", "hello"]
            assert httpx.post(server.http("/rooms/a?text=hi"), trust_env=False).status_code == 200
            assert [one.receive(), other.receive()] == ["hi", "hi"]


def test_the_four_ways_of_the_fastapi_page(bare: Environment, tmp_path: Path) -> None:
    with application("fastapi.md", bare, tmp_path) as server:
        with Client(server, "/ws/one/a/") as listener:
            for path in ("/ws/two/a/", "/api/ws/three/a/", "/ws/four/a/"):
                with Client(server, path) as client:
                    client.send_json({"from": path})
                    assert client.receive_json() == listener.receive_json() == {"from": path}
            httpx.post(server.http("/rooms/a?text=hi"), trust_env=False)
            assert listener.receive_json() == {"text": "hi"}
        with pytest.raises(Refused):
            Client(server, "/ws/one/a/", origin="http://evil.example")


def test_a_project_inside_a_fastapi_app(bare: Environment, tmp_path: Path) -> None:
    with application("porting.md", bare, tmp_path, PYTHONPATH=str(DJANGO_PORT)) as server:
        assert get(server, "/health").json() == "well"
        assert "Every room has a door" in get(server, "/").text
        assert get(server, "/static/chat/chat.css").status_code == 200
        assert get(server, "/openapi.json").status_code == 200
        with Client(server, "/ws/rooms/a/?name=Ada") as ada:
            assert ada.receive_json()["you"]["name"] == "Ada"
        with pytest.raises(Refused):
            Client(server, "/ws/rooms/a/", origin="http://evil.example")


# Commands


@pytest.mark.parametrize("command", sorted({command for _, command in COMMANDS if "pip install" in command}))
def test_the_extras_exist(command: str) -> None:
    extras = re.findall(r"^(\w+) = \[", (REPO / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    found = re.fullmatch(r"pip install 'channels-compat\[([\w,]+)\]'", command)
    assert found is not None
    assert set(found[1].split(",")) <= set(extras)


@pytest.mark.parametrize(
    "command", sorted({command for _, command in COMMANDS if re.search("runserver|uvicorn", command)})
)
def test_the_servers_start(command: str, bare: Environment, tmp_path: Path, redis_url: str) -> None:
    folder = DJANGO_PORT
    if "main:app" in command:
        folder = tmp_path
        text = main_of("README.md")
        if "--workers" in command:
            text = text.replace(
                '{"BACKEND": "compat.layers.InMemoryChannelLayer"}',
                f'{{"BACKEND": "compat.layers.RedisChannelLayer", "CONFIG": {{"hosts": ["{redis_url}"]}}}}',
            )
        (tmp_path / "main.py").write_text(text, encoding="utf-8")
    first, *rest = command.replace("mysite", "chatsite").split()
    port = ["{port}"] if "manage.py" in command else ["--port", "{port}"]
    arguments = [bare.path(first), *rest, *port]
    with served(arguments, cwd=folder, log=tmp_path / "server.log", env={"REDIS_URL": redis_url}) as server:
        path = "/docs" if "main:app" in command else "/"
        assert get(server, path).status_code == 200


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
    assert shown[0] == f"{first + 1},{last + 1}c{first + 1},{last + 1}"
    assert shown[1:] == [
        *(f"< {line}" for line in before[first : last + 1]),
        "---",
        *(f"> {line}" for line in after[first : last + 1]),
    ]


def test_every_command_is_tried_here() -> None:
    tried = re.compile(r"pip install|runserver|uvicorn|^diff |^cd |^make run$")
    assert [command for _, command in COMMANDS if not tried.search(command)] == []
    for _, command in COMMANDS:
        if command.startswith("cd "):
            assert (REPO / command[3:]).is_dir()


# Names and links


def names() -> list[str]:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    return sorted({name for name in re.findall(r"`((?:compat|django_shim)(?:\.\w+)+)[`(]", text)})


@pytest.mark.parametrize("name", names())
def test_a_name_that_is_mentioned_exists(name: str) -> None:
    module = name
    attributes: list[str] = []
    while True:
        try:
            found = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, attribute = module.rpartition(".")
            assert module, name
            attributes.insert(0, attribute)
    for attribute in attributes:
        found = getattr(found, attribute)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        to = (page.parent / file) if file else page
        assert to.is_file(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(to), f"{page.name}: {target}"
