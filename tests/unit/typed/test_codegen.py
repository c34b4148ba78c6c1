"""Generated clients: formatted, strictly typed, alone, and understood by their server."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from compat.layers import InMemoryChannelLayer
from compat.typed.asyncapi import document
from compat.typed.codegen import CannotGenerate, client_files, write_client
from compat.typed.codegen import connection as runtime
from compat.typed.codegen.python import Bracketed, Either, assignment, docstring, identifier, literal
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.servers import LiveServer
from tests.unit.typed import things


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client for the application of things.py."""
    folder = tmp_path_factory.mktemp("generated") / "things_client"
    write_client(document(things.app), folder)
    return folder


def tool(name: str, *arguments: str, cwd: Path) -> str:
    """What a tool prints; it must be content."""
    command = [str(Path(sys.executable).parent / name), *arguments]
    env = child_environment({"MYPY_CACHE_DIR": str(cwd / ".mypy_cache")})
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_formatted_and_without_complaints(package: Path) -> None:
    tool("ruff", "format", "--isolated", "--check", "--diff", ".", cwd=package)
    options = ("--isolated", "--target-version", "py310", "--select", "E4,E7,E9,F,I,UP,RUF")
    tool("ruff", "check", *options, ".", cwd=package)


@pytest.mark.slow
def test_it_is_strictly_typed(package: Path) -> None:
    tool("mypy", "--strict", "--python-version", "3.10", "-p", "things_client", cwd=package.parent)
    tool("pyright", "--pythonpath", sys.executable, "things_client", cwd=package.parent)


def test_each_default_is_of_its_type(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(package.parent))
    client = importlib.import_module("things_client")
    fields = client.EverythingInput.model_fields
    for field in fields.values():
        if not field.is_required():
            TypeAdapter(field.annotation).validate_python(field.default, strict=True)
    assert (fields["pair"].default, fields["labels"].default) == ((1, "x"), {"a"})
    assert fields["since"].default is fields["all_pairs"].default is None
    assert fields["rate"].annotation == float | None


def test_the_runtime_is_formatted_as_the_rest_is() -> None:
    path = str(runtime.__file__)
    tool("ruff", "format", "--isolated", "--check", "--diff", path, cwd=REPO)


def test_it_needs_nothing_of_this_project(package: Path) -> None:
    code = "import sys, things_client; print(*sorted(name.split('.')[0] for name in sys.modules))"
    command = [sys.executable, "-W", "error", "-c", code]
    env = child_environment({"PYTHONPATH": str(package.parent)})
    done = subprocess.run(
        command, cwd=package.parent, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not {"compat", "starlette", "django_shim"} & set(done.stdout.split())


async def test_it_talks_to_the_server(
    package: Path, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(package.parent))
    import things_client as client  # type: ignore[import-not-found]

    everything = {
        "id": "00000000-0000-0000-0000-000000000001",
        "when": "2026-01-31T12:00:00Z",
        "pet": {"kind": "dog", "good": False},
        "root": {"name": "root", "children": [{"name": "leaf"}]},
        "page": {"items": [1]},
        "pairs": [{"left": 1}],
        "lists": [[1, "x"]],
        "schema": "mine",
    }
    with LiveServer(things.app) as server:
        base = server.ws("")
        async with client.AllThingsChannel.connect(base, class_="a b?é", number="7") as things_:
            sent = client.Do.model_validate({"payload": everything})
            done = await things_.request(sent, client.Done)
            (payload,) = done.payload
            assert (payload.pet.kind, payload.pet.good, payload.schema_) == ("dog", False, "mine")
            assert (
                payload.root.children[0].name == "leaf" and payload.tags == set() and payload.price == "1.5"
            )
            sent.payload.page.total = "many"
            with (
                pytest.warns(UserWarning, match="Expected `int`"),
                pytest.raises(client.MessageRefused) as refusal,
            ):
                await things_.request(sent, client.Done)
            (error,) = refusal.value.payload
            assert error["loc"] == ["do", "payload", "page", "total"]

            topic = await things_.subscribe(client.AllThingsThingTopic, thing_id="3")
            assert await topic.request(client.PingMessage(), client.PongMessage) == client.PongMessage()
            await topic.unsubscribe()
        async with client.ThingThingChannel.connect(base, thing_id="4", query={"a": "b"}) as thing:
            assert await thing.receive() == client.SubscribedMessage()
            await thing.send(client.PingMessage())
            assert await thing.receive_a(client.PongMessage) == client.PongMessage()


async def test_it_speaks_in_the_form_of_each_channel(
    package: Path, layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(package.parent))
    import things_client as client  # pyright: ignore[reportMissingImports]

    with LiveServer(things.app) as server:
        base = server.ws("")
        friend = {"first_name": "Bob", "other_one": "x"}
        async with client.PlainChannel.connect(base) as plain:
            sent = client.MeetInput.model_validate({"payload": {"first_name": "Ada", "best_friend": friend}})
            met = await plain.request(sent, client.MeetOutput)
            assert (met.payload.first_name, met.payload.best_friend.other_one) == ("Ada", "x")
        friend = {"firstName": "Bob", "other_one": "x"}
        async with client.CamelChannel.connect(base) as camel:
            sent = client.MeetInputCamel.model_validate(
                {"payload": {"firstName": "Ada", "bestFriend": friend}}
            )
            met = await camel.request(sent, client.MeetOutputCamel)
            assert (met.payload.firstName, met.payload.nameLength) == ("Ada", 3)
            assert met.payload.bestFriend.other_one == "x"
        async with client.KindsChannel.connect(base) as kinds:
            sent = client.MeetInputKind.model_validate({"payload": {"first_name": "Ada"}})
            assert (await kinds.request(sent, client.MeetOutputKind)).kind == "meet"
            topic = await kinds.subscribe(client.KindsKindTopic, name="a")
            assert (await topic.request(sent, client.MeetOutputKind)).payload.name_length == 3
            await topic.unsubscribe()
            with pytest.raises(client.MessageRefused):
                await topic.request(sent, client.MeetOutputKind)


def test_documents_of_other_versions_are_refused() -> None:
    with pytest.raises(CannotGenerate, match=r"version 3, found asyncapi: 2\.6\.0"):
        client_files({"asyncapi": "2.6.0"})


def test_a_document_without_channels_is_refused() -> None:
    with pytest.raises(CannotGenerate, match="no channels"):
        client_files({"asyncapi": "3.0.0", "channels": {}})


# Python, line by line


def lines(*args: Any) -> str:
    return "\n".join(assignment(*args))


def test_assignments_break_where_they_must() -> None:
    assert lines("x: ", Bracketed("list", ["int"]), "", " = []") == "x: list[int] = []"
    long = ["a" * 40, "b" * 40]
    assert (
        lines("x = ", Bracketed("f", long, "()"), "  ")
        == f"  x = f(\n      {long[0]},\n      {long[1]},\n  )"
    )
    assert lines("x: ", Either([*long, "None"]), "", " = None") == (
        f"x: (\n    {long[0]}\n    | {long[1]}\n    | None\n) = None"
    )
    assert lines("x: ", Bracketed("list", [Either([*long, "None"])])) == (
        f"x: list[\n    {long[0]}\n    | {long[1]}\n    | None\n]"
    )


@pytest.mark.parametrize("text", ['say "hi"', "it's", "both ' and \"", "back\\slash", "line\nbreak", "🚪"])
def test_literals_are_what_they_were(text: str) -> None:
    assert eval(literal(text)) == text
    assert eval(literal({"a": [text, None, True, 1.5]})) == {"a": [text, None, True, 1.5]}


@pytest.mark.parametrize("text", ["one", 'ends with "quotes"', 'has """ three', "back\\slash", "p\n\np\nq"])
def test_docstrings_are_valid(text: str) -> None:
    source = "\n".join(docstring(text))
    assert isinstance(eval(source), str)


def test_identifiers() -> None:
    assert [identifier(text) for text in ("a b", "class", "3d", "_id", "é", "")] == [
        "a_b", "class_", "n3d", "id", "é", "unnamed",
    ]  # fmt: skip


def test_files_are_stable() -> None:
    made = json.loads(json.dumps(document(things.app)))
    assert client_files(made) == client_files(made)


def test_messages_need_no_name() -> None:
    """Chanx gives them none: the action is that of the payload."""
    told = json.loads(json.dumps(document(things.app)))
    files = client_files(told)
    components = told["components"]
    unnamed = 0
    for message in components["messages"].values():
        schema = components["schemas"][message["payload"]["$ref"].rpartition("/")[2]]
        if "const" in schema["properties"].get("action", ()):
            del message["name"]
            unnamed += 1
    assert unnamed > 3 and client_files(told) == files
