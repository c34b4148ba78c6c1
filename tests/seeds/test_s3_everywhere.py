"""The whole tutorial, both steps, in every environment and by every command that it is started with.

The other files of this folder look at the details, mostly without Django; here the same conversation is held
with each server there is.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.seeds.conftest import ServeTutorial
from tests.support.choices import slow_but
from tests.support.clients import Client, Refused, get
from tests.support.environments import ENVIRONMENTS, Environment, environment
from tests.support.processes import sockets_by_process
from tests.support.servers import Server
from tests.support.waiting import until

SERVERS = (
    ("uvicorn", "echo", "memory"),
    ("runserver", "echo", "memory"),
    ("uvicorn", "room", "memory"),
    ("uvicorn", "room", "redis"),
    ("workers", "room", "redis"),
    ("runserver", "room", "redis"),
)
PLACES = [(name, *how) for name in ENVIRONMENTS for how in SERVERS]
QUICK = [place for place in PLACES if place[0] == "bare" or place == ("channels", *SERVERS[-1])]


@pytest.fixture(params=slow_but(QUICK, PLACES), ids="-".join)
def server(request: pytest.FixtureRequest, serve_tutorial: ServeTutorial) -> Server:
    name, how, step, layer = request.param
    return serve_tutorial(environment(name), how=how, step=step, layer=layer)


def step_of(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["server"][2])


def test_S3_60_pages(server: Server) -> None:
    assert get(server, "/chat/").status_code == 200
    page = get(server, "/chat/lobby/")
    assert page.status_code == 200
    assert '<script id="room-name" type="application/json">"lobby"</script>' in page.text


def test_S3_60_conversation(server: Server, request: pytest.FixtureRequest) -> None:
    with (
        Client(server, "/ws/chat/lobby/") as first,
        Client(server, "/ws/chat/lobby/") as second,
        Client(server, "/ws/chat/elsewhere/") as other,
    ):
        shared = [first, second] if step_of(request) == "room" else [first]
        for text in ("hello", "naïve 💬"):
            first.send_json({"message": text})
            assert [client.receive_json() for client in shared] == [{"message": text}] * len(shared)
        for client in (second, other):
            client.send_json({"message": "own"})
            assert client.receive_json() == {"message": "own"}


def test_S3_60_refusals(server: Server) -> None:
    for path, origin in (
        ("/ws/nobody/", server.origin),
        ("/ws/chat/lobby/", "http://evil.example"),
        ("/ws/chat/lobby/", None),
    ):
        with pytest.raises(Refused) as refused:
            Client(server, path, origin=origin)
        assert refused.value.status in (403, 404)
    assert "Traceback" not in server.log()


def test_S3_54_a_room_spans_two_workers(env: Environment, serve_tutorial: ServeTutorial) -> None:
    """Sockets are opened until both processes have one: then a message must cross between them."""
    server = serve_tutorial(env, how="workers", layer="redis")
    with ExitStack() as stack:
        clients: list[Client] = []

        def both_have_one() -> bool:
            clients.append(stack.enter_context(Client(server, "/ws/chat/workers/")))
            return len(sockets_by_process(server.process.pid, server.port)) == 2

        until(both_have_one, "both workers have a connection", deadline_s=30)
        clients[0].send_json({"message": "to all"})
        assert [client.receive_json() for client in clients] == [{"message": "to all"}] * len(clients)
