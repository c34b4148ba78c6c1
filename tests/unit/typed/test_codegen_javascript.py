"""Generated clients in JavaScript: they parse, and speak as their server expects, with a false socket."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compat.typed.asyncapi import document
from compat.typed.codegen import CannotGenerate, client_module
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.unit.typed import things

SOCKET = """
export const sockets = [];

export class Socket extends EventTarget {
  constructor(url, protocols, options) {
    super();
    Object.assign(this, { url, protocols, options, readyState: 0, sent: [] });
    sockets.push(this);
  }

  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }

  receive(content) {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(content) }));
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(...closed) {
    this.closed = closed;
  }
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client for things.py, and a false socket."""
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "socket.mjs").write_text(SOCKET, encoding="utf-8")
    text = client_module(document(things.app), socket="./socket.mjs")
    (folder / "things.mjs").write_text(text, encoding="utf-8")
    return folder


def node(*arguments: str, **env: str) -> None:
    """Run node; it must be content."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("this test needs node")
    done = subprocess.run(
        [program, *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_parses(folder: Path) -> None:
    node("--check", str(folder / "things.mjs"))


def test_that_of_the_example_parses(tmp_path: Path) -> None:
    """It is made where the example is at home: its modules import each other by their names."""
    path = tmp_path / "client.mjs"
    command = [str(Path(sys.executable).parent / "channels-compat"), "client", "main:app"]
    done = subprocess.run(
        [*command, "--language", "js", "--output", str(path)],
        cwd=REPO / "examples" / "fastapi_port",
        env=child_environment({"PYTHONPATH": str(REPO)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "sendRecord(message)" in path.read_text(encoding="utf-8")
    node("--check", str(path))


def test_it_speaks_as_its_server_expects(folder: Path) -> None:
    test = Path(__file__).with_name("things_client.test.mjs")
    socket, client = ((folder / name).as_uri() for name in ("socket.mjs", "things.mjs"))
    node("--test", str(test), SOCKET=socket, CLIENT=client)


def test_the_socket_is_the_servers_own_by_default() -> None:
    text = client_module(document(things.app))
    assert 'import { Socket } from "/_channels/socket.mjs";' in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Cat", 'kind: "cat", lives?: number,'),
        ("Colour", '"red" | "green"'),
        ("Move", 'action: "left" | "right", payload: { [key: string]: PageUnionCatDog },'),
        ("NodeInput", "name: string, children?: Array<NodeInput>,"),
    ],
)
def test_schemas_are_types(name: str, said: str) -> None:
    text = " ".join(re.sub(r"^ \*", "", client_module(document(things.app)), flags=re.M).split())
    assert re.search(rf"@typedef \{{+ ?{re.escape(said)} ?\}}+ {name} ", text)


def made(schemas: dict[str, Any], **channel: Any) -> str:
    messages = {key: {"name": key, "payload": {"$ref": f"#/components/schemas/{key}"}} for key in schemas}
    return client_module(
        {
            "asyncapi": "3.0.0",
            "info": {"title": "*/ alert() /*"},
            "channels": {"a": {"address": "/`${x}\\{p}", "messages": messages, **channel}},
            "operations": {
                "do": {
                    "action": "receive",
                    "channel": {"$ref": "#/channels/a"},
                    "messages": [{"$ref": f"#/channels/a/messages/{key}"} for key in schemas],
                }
            },
            "components": {"schemas": schemas},
        }
    )


def test_what_a_document_says_stays_a_comment_or_a_string(tmp_path: Path) -> None:
    text = made(
        {
            "Socket": {
                "description": "*/ alert(); /*",
                "properties": {"a-b": {"const": '*/ "x"'}, "*/": {"type": ["string", "null"]}},
            },
            "Topic": {"type": "array", "items": {"$ref": "#/elsewhere"}},
        },
        description="*/ alert() /*",
    )
    assert "class Socket_" not in text and "}} Socket_" in text and "Array<any>} Topic_" in text
    assert not re.search(r"^\W*alert", text.replace("*\\/ alert", ""), re.M)
    path = tmp_path / "client.mjs"
    path.write_text(text, encoding="utf-8")
    node("--check", str(path))


@pytest.mark.parametrize(
    "name", ["BigInt", "Boolean", "Function", "Null", "Number", "String", "Undefined", "Void"]
)
def test_no_type_has_a_name_that_jsdoc_takes_for_another(name: str) -> None:
    text = made({name: {"properties": {"id": {"const": "x"}}}})
    assert f"}}}} {name}_\n" in text and f"@param {{Omit<{name}_, " in text


def test_documents_of_other_versions_are_refused() -> None:
    with pytest.raises(CannotGenerate, match=r"version 3, found asyncapi: 2\.6\.0"):
        client_module({"asyncapi": "2.6.0"})
