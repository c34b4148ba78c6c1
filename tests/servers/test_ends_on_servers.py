"""Every end of a connection, on every server that serves ASGI: told, once, and nothing kept.

The newest uvicorn and its legacy implementation in ``make test``; the others are slow.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.kinds import Kind, marked
from tests.support.clients import Client, Refused, get
from tests.support.files import notes_in
from tests.support.paths import REPO
from tests.support.servers import Server, served
from tests.support.waiting import until

APP = "tests.servers.ends_app:app"
IN_EVERY_RUN = ("uvicorn", "uvicorn-legacy")
_numbers = itertools.count(1)


class Place:
    """A server that runs, and what its consumers have noted."""

    def __init__(self, kind: Kind, server: Server, log: Path) -> None:
        self.kind = kind
        self.server = server
        self.log = log

    def notes(self, what: str, who: str = "") -> list[dict[str, Any]]:
        found = notes_in(self.log)
        return [one for one in found if one["what"] == what and (not who or one.get("who") == who)]

    def memberships(self, broadcasts: int = 0) -> int:
        return int(get(self.server, f"/?{broadcasts}").text)

    def ended(self, who: str, records: int = 0) -> int:
        """The code of disconnect(), once it has run to its end, once; no group is kept."""
        until(lambda: self.notes("end", who), f"the end of {who}", deadline_s=15)
        until(lambda: self.memberships() == 0, "no group is kept")
        (note,) = self.notes("disconnect", who)
        said = [one for one in self.notes("record") if "lost a message" not in one["text"]]
        assert len(said) == self.before + records, said[self.before :]
        return int(note["code"])

    before = 0

    def name(self, what: str) -> str:
        """The name of a new connection."""
        self.before = len([one for one in self.notes("record") if "lost a message" not in one["text"]])
        return f"{what}{next(_numbers)}"


@pytest.fixture(scope="module", params=marked(IN_EVERY_RUN))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    kind: Kind = request.param
    folder = tmp_path_factory.mktemp("ends")
    env = {"PYTHONPATH": os.fspath(REPO), "ENDS_LOG": os.fspath(folder / "notes")}
    with served(kind.serving(APP), cwd=REPO, log=folder / "server.log", env=env) as server:
        yield Place(kind, server, folder / "notes")


@pytest.fixture(params=["async", "sync"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def closed(client: Client) -> int | None:
    """The code of the close, after whatever comes before it."""
    while True:
        try:
            client.receive()
        except AssertionError:
            return client.close_code


@pytest.mark.parametrize("how", ["raise", "group raise"])
def test_faults_engine_01_an_error_of_a_handler(place: Place, flavour: str, how: str) -> None:
    who = place.name("raises")
    client = Client(place.server, f"/{flavour}/?{who}")
    client.send(how)
    assert closed(client) == place.kind.code(1011)
    assert place.ended(who, records=1) == 1011


def test_faults_engine_01_an_error_of_connect(place: Place, flavour: str) -> None:
    who = place.name("failing")
    with pytest.raises(Refused):
        Client(place.server, f"/{flavour}/?{who}")
    assert place.ended(who, records=1) == 1011


def test_faults_engine_01_a_refusal(place: Place, flavour: str) -> None:
    who = place.name("refused")
    with pytest.raises(Refused):
        Client(place.server, f"/{flavour}/?{who}")
    place.ended(who)


@pytest.mark.parametrize("code", [1008, 1001, 4007])
def test_faults_engine_01_a_kicked_user(place: Place, flavour: str, code: int) -> None:
    who = place.name("kicked")
    client = Client(place.server, f"/{flavour}/?{who}")
    client.send(f"kick {code}")
    assert closed(client) == place.kind.code(code)
    place.ended(who)


def test_faults_engine_01_a_message_over_the_limit(place: Place, flavour: str) -> None:
    who = place.name("large")
    client = Client(place.server, f"/{flavour}/limited/?{who}")
    client.send("x" * 101)
    assert closed(client) == place.kind.code(1009)
    assert place.ended(who, records=1) == 1009


def test_faults_engine_01_an_overflow(place: Place, flavour: str) -> None:
    who = place.name("overflows")
    client = Client(place.server, f"/{flavour}/?{who}")
    client.send("overflow")
    assert closed(client) == place.kind.code(1013)
    assert place.ended(who, records=1) == 1013


@pytest.mark.parametrize("how", ["close", "drop"])
def test_faults_engine_01_clients_leave_under_a_broadcast(place: Place, flavour: str, how: str) -> None:
    begun = len(place.notes("disconnect"))
    names = [place.name("leaves") for _ in range(12)]
    clients = [Client(place.server, f"/{flavour}/?{who}") for who in names]
    for number, client in enumerate(clients):
        if number % 4 == 0:
            place.memberships(broadcasts=1)
        if how == "drop":
            client.drop()
        else:
            client.connection.socket.shutdown(socket.SHUT_WR)
    place.memberships(broadcasts=1)
    until(lambda: len(place.notes("end")) >= begun + len(names), "all have ended")
    assert sorted(one["who"] for one in place.notes("disconnect")[begun:]) == sorted(names)
    place.ended(names[0])
    for client in clients:
        client.drop()


def test_faults_engine_08_a_client_that_does_not_read(place: Place, flavour: str) -> None:
    """It is sent more than its socket takes; then it leaves."""
    who = place.name("stuck")
    client = Client(place.server, f"/{flavour}/?{who}")
    place.memberships(broadcasts=40)
    client.drop()
    place.ended(who)


@pytest.mark.parametrize("how", ["close 4003", "group close 4003"])
def test_faults_engine_12_a_close_reaches_the_client(place: Place, flavour: str, how: str) -> None:
    who = place.name("closes")
    client = Client(place.server, f"/{flavour}/?{who}")
    client.send(how)
    assert closed(client) == 4003
    place.ended(who)


def test_faults_engine_12_a_close_of_connect_reaches_the_client(place: Place, flavour: str) -> None:
    who = place.name("closed")
    assert closed(Client(place.server, f"/{flavour}/?{who}")) == 4002
    place.ended(who)


def test_faults_engine_14_a_ticker_ends(place: Place, flavour: str) -> None:
    who = place.name("ticking")
    client = Client(place.server, f"/{flavour}/?{who}")
    assert client.receive() == "tick"
    client.drop()
    until(lambda: place.notes("ticker ended", who), "the ticker has ended")
    place.ended(who)
