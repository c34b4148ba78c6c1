"""The page's socket: its tests in JavaScript, which have a false clock and false links; its types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import compat
from compat.client.page import NAMES
from tests.support.npm import needs_node, npm_package
from tests.support.paths import REPO

TYPESCRIPT = "5.9.3"
TESTS = sorted((REPO / "tests" / "resume" / "page").glob("*.test.mjs"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_in_javascript(path: Path, tmp_path: Path) -> None:
    script = tmp_path / "socket.js"
    script.write_bytes(NAMES["socket.js"].body)
    command = [needs_node(), "--test", str(path)]
    done = subprocess.run(
        command,
        env={**os.environ, "CLASSIC": str(script)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm package, built as scripts/npm builds it; its types are checked on the way."""
    needs_node()
    folder = tmp_path_factory.mktemp("npm") / "channels-compat"
    script = REPO / "scripts" / "npm_package.py"
    command = [sys.executable, str(script), str(folder), str(npm_package("typescript", TYPESCRIPT))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_the_package_is_the_file_of_the_server(package: Path) -> None:
    about = json.loads((package / "package.json").read_text(encoding="utf-8"))
    assert about["version"] == compat.__version__
    assert sorted(path.name for path in package.iterdir()) == sorted([*about["files"], "package.json"])
    for name in ("socket.mjs", "socket.js"):
        assert (package / name).read_bytes() == NAMES[name].body
    assert f"typescript={TYPESCRIPT}" in (REPO / "scripts" / "npm").read_text(encoding="utf-8")


USE = """
import { Socket, install, type Data } from "channels-compat";

const socket = new Socket("/ws/", ["json"], { only: true });
const target: EventTarget = socket;
const standard: WebSocket = socket;
const state: "connecting" | "open" | "returning" | "closed" = socket.state;
const unsure: Data[] = [];
socket.onmessage = (event) => socket.send(event.data as string);
socket.onclose = ({ code, wasClean }) => console.log(code, wasClean, state, target);
socket.onresumed = ({ detail }) => detail.recovered === "groups" && console.log(detail.why);
socket.onunsure = ({ detail }) => unsure.push(...detail.frames);
socket.onoffline = ({ detail }) => console.log(detail.code.toFixed());
socket.addEventListener("message", (event) => socket.send(event.data as string));
socket.addEventListener("close", ({ code }: CloseEvent) => console.log(code), { once: true });
socket.addEventListener("unsure", ({ detail }) => unsure.push(...detail.frames));
const listener = { handleEvent: (event: Event) => console.log(event.type) };
target.addEventListener("open", listener);
socket.addEventListener("made-up", listener);
socket.removeEventListener("open", listener);
// @ts-expect-error not what this event has
socket.addEventListener("offline", (event: MessageEvent) => console.log(event));
socket.close(4000, "done");
install({ reconnect: true });
// @ts-expect-error private
socket._flush();
// @ts-expect-error no such option
new Socket("/ws/", [], { retries: 5 });
"""


@pytest.mark.slow
def test_j5_the_types_are_those_of_the_module(package: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "channels-compat").symlink_to(package)
    (tmp_path / "use.mts").write_text(USE, encoding="utf-8")
    tsc = npm_package("typescript", TYPESCRIPT) / "bin" / "tsc"
    options = ["--noEmit", "--strict", "--target", "es2020", "--lib", "es2020,dom", "--module", "nodenext"]
    command = [needs_node(), str(tsc), *options, "use.mts"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
