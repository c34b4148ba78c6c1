"""Hints in the log record of an error: SQLite's lock under sync consumers that run side by side, and
methods that only the consumers for JSON have.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from compat.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from compat.settings import override
from tests.support.logs import recorded
from tests.support.servers import LiveServer
from tests.support.waiting import until


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """A database that another connection writes to meanwhile."""
    file = tmp_path / "db.sqlite3"
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("CREATE TABLE note (text TEXT)")
    writer.execute("BEGIN IMMEDIATE")
    yield file
    writer.close()


def write(file: Path) -> None:
    notes = sqlite3.connect(file, timeout=0)
    try:
        notes.execute("INSERT INTO note VALUES ('hi')")
    finally:
        notes.close()


def record_of(consumer: type[Any]) -> str:
    """The one record of a failure in ``receive()``."""
    with recorded() as records, LiveServer(consumer.as_asgi()) as server:
        with connect(server.ws("/")) as client, pytest.raises(ConnectionClosed):
            client.send("hi")
            client.recv(timeout=10)

        def failures() -> list[str]:
            return [line for line in records.messages() if "failed in websocket.receive" in line]

        until(failures, "the failure is logged")
        (line,) = failures()
    return line


def notes_in(database: Path) -> type[WebsocketConsumer]:
    class Notes(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            write(database)

    return Notes


def test_a_locked_database_names_what_runs_the_handlers_one_after_the_other(database: Path) -> None:
    line = record_of(notes_in(database))
    assert "OperationalError: database is locked. Sync consumers run side by side" in line
    assert "thread_sensitive = True on Notes, or CHANNEL_THREADS = 0" in line
    assert '"OPTIONS": {"transaction_mode": "IMMEDIATE"}' in line


def test_a_class_of_that_name_over_it_will_do(database: Path) -> None:
    """As of Django, which names the error of its backend again."""

    class OperationalError(Exception):
        pass

    class Locked(OperationalError):
        pass

    class Notes(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            try:
                write(database)
            except sqlite3.OperationalError as error:
                raise Locked(*error.args) from error

    assert "Sync consumers run side by side" in record_of(Notes)


def test_advice_only_where_it_would_change_something(database: Path) -> None:
    class Alone(notes_in(database)):  # type: ignore[misc]
        thread_sensitive = True

    class Async(AsyncWebsocketConsumer):
        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            write(database)

    class Other(WebsocketConsumer):
        def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            raise sqlite3.OperationalError("no such table: note")

    lines = [record_of(notes_in(database))]
    with override(CHANNEL_THREADS=0):
        lines.append(record_of(notes_in(database)))
    lines += [record_of(consumer) for consumer in (Alone, Async, Other)]
    assert ["side by side" in line for line in lines] == [True] + [False] * 4


class Sends(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send_json({})  # type: ignore[attr-defined]


class SendsInAThread(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send_json({})  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("consumer", "base"), [(Sends, "AsyncJsonWebsocketConsumer"), (SendsInAThread, "JsonWebsocketConsumer")]
)
def test_json_methods_of_a_plain_consumer_name_the_class_for_json(consumer: type[Any], base: str) -> None:
    assert f"Derive the class from {base} to send and receive JSON" in record_of(consumer)
