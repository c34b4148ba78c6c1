"""The FastAPI examples: copied to another place, and attacked by pages of other sites."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import httpx
import pytest

from tests.examples.conftest import EXAMPLES
from tests.support.clients import Client, Refused, get
from tests.support.environments import environment
from tests.support.servers import Server, served

PORT = EXAMPLES / "fastapi_port"
APPS = {"fastapi_port": PORT, "manager_chat": PORT / "manager_chat"}
POSTS = {
    "fastapi_port": ("/api/rooms/hall/messages", {"text": "hello"}),
    "manager_chat": ("/api/announce?message=hello", None),
}


@pytest.fixture(scope="module", params=APPS)
def copied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An example, served from a copy that has nothing of the repository beside it."""
    folder = tmp_path_factory.mktemp("copied") / "app"
    shutil.copytree(APPS[request.param], folder, ignore=shutil.ignore_patterns("__pycache__"))
    command = [environment("bare").path("uvicorn"), "main:app", "--port", "{port}"]
    plain = {name: "" for name in ("PYTHONPATH", "REDIS_URL") if name in os.environ}
    with served(command, cwd=folder, log=folder.parent / "log", env=plain) as server:
        server.name = request.param  # type: ignore[attr-defined]
        yield server


def name_of(server: Server) -> str:
    return str(server.name)  # type: ignore[attr-defined]


def test_faults_newcomer_19_an_example_that_was_copied(copied: Server) -> None:
    page = get(copied, "/")
    assert page.status_code == 200 and "<script" in page.text
    if name_of(copied) == "fastapi_port":
        for static in (PORT / "chat" / "static" / "chat").iterdir():
            assert get(copied, f"/static/chat/{static.name}").content == static.read_bytes()
        assert get(copied, "/showcase/").status_code == get(copied, "/rooms/hall/").status_code == 200
        Client(copied, "/ws/lobby/").close()
    else:
        with Client(copied, "/ws/ann") as ann:
            assert ann.receive_json()["type"] == "welcome"


def test_faults_newcomer_19_style_and_scripts_are_those_of_the_django_project() -> None:
    original = EXAMPLES / "django_port" / "chat" / "static" / "chat"
    copy = PORT / "chat" / "static" / "chat"
    assert {one.name: one.read_bytes() for one in original.iterdir()} == {
        one.name: one.read_bytes() for one in copy.iterdir()
    }
    one, two = PORT / "protection.py", PORT / "manager_chat" / "example" / "protection.py"
    assert one.read_bytes() == two.read_bytes()


def post(server: Server, **headers: str) -> int:
    path, body = POSTS[name_of(server)]
    with httpx.Client(trust_env=False, timeout=15) as client:
        return client.post(server.http(path), json=body, headers=headers).status_code


def test_faults_security_small_examples_take_no_posts_of_other_sites(copied: Server) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert post(copied, **headers) == 403, headers
    assert post(copied) < 300 and post(copied, Origin=copied.origin) < 300


def test_faults_security_small_examples_answer_for_their_hosts_alone(copied: Server) -> None:
    assert get(copied, "/", Host="evil.example").status_code == 400
    assert get(copied, "/", Host=f"localhost:{copied.port}").status_code == 200
    with pytest.raises(Refused):
        Client(copied, "/ws/lobby/", headers={"Host": "evil.example"}, origin="http://evil.example")


def test_faults_security_small_examples_are_shown_in_no_frame(copied: Server) -> None:
    for path in ("/", "/nothing", "/docs"):
        headers = get(copied, path).headers
        assert headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors" in headers["Content-Security-Policy"]
