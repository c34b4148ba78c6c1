"""The same client script against real Django Channels and against us gives the same transcript.

Ours runs the unchanged project by `django-shim uvicorn` in each environment. What is meant to differ is a row
of docs/differences.md, and a row that nothing needs any more is an error too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.parity.cases import CASES
from tests.parity.differences import check, compare, rows
from tests.parity.recorder import Recorder
from tests.support.environments import Environment, environment
from tests.support.last_use import last_uses
from tests.support.servers import Server, served

PROJECT = Path(__file__).parent / "project"
UVICORN = ("uvicorn", "parityapp.asgi:application", "--port", "{port}", "--host", "127.0.0.1")
FLAVOURS = ("sync", "async")
Transcript = Callable[[str, str], list[str]]


def transcript(server: Server, case: str, flavour: str, *, completes: bool = True) -> list[str]:
    recorder = Recorder(server, completes=completes)
    try:
        CASES[case](recorder, f"/ws/{flavour}")
    finally:
        recorder.end()
    return recorder.lines


@pytest.fixture(scope="session")
def upstream(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Transcript]:
    """Transcripts of real Channels: no shim, the same project and server."""
    env = environment("channels")
    log = tmp_path_factory.mktemp("parity") / "upstream.log"
    command = [env.path(UVICORN[0]), *UVICORN[1:]]
    with last_uses.until_last(request) as stack:
        server = stack.enter_context(served(command, cwd=PROJECT, log=log))
        # Rows about journals: real Channels runs no disconnect() there.
        never = {row.case for row in rows() if row.upstream.startswith("consumer: ")}
        yield cache(lambda case, flavour: transcript(server, case, flavour, completes=case not in never))


@pytest.fixture(scope="module")
def ours(env: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The project served by the shim in each environment."""
    log = tmp_path_factory.mktemp("parity") / f"{env.name}.log"
    command = [env.path("django-shim"), *UVICORN]
    with served(command, cwd=PROJECT, log=log) as server:
        yield server


@pytest.mark.parametrize("case", CASES)
def test_transcripts_are_equal(case: str, upstream: Transcript, ours: Server) -> None:
    found = set()
    for flavour in FLAVOURS:
        found |= compare(case, upstream(case, flavour), transcript(ours, case, flavour))
    check(case, found)


def test_the_page_is_about_cases_that_there_are() -> None:
    areas = {row.case for row in rows() if row.case.startswith("area-")}
    tutorial = {"tutorial-echo", "tutorial-room", "tutorial-pages"}
    assert {row.case for row in rows()} - areas <= {*CASES, *tutorial}
