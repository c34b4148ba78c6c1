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
from tests.parity.differences import PAGE, Difference, compare, listed
from tests.parity.recorder import Recorder
from tests.support.environments import Environment, environment
from tests.support.servers import Server, served

PROJECT = Path(__file__).parent / "project"
UVICORN = ("uvicorn", "parityapp.asgi:application", "--port", "{port}", "--host", "127.0.0.1")
FLAVOURS = ("sync", "async")
Transcript = Callable[[str, str], list[str]]

seen: dict[str, set[Difference]] = {}


def transcript(server: Server, case: str, flavour: str) -> list[str]:
    recorder = Recorder(server)
    try:
        CASES[case](recorder, f"/ws/{flavour}")
    finally:
        recorder.end()
    return recorder.lines


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transcript]:
    """Transcripts of real Channels: no shim, the same project and server."""
    env = environment("channels")
    log = tmp_path_factory.mktemp("parity") / "upstream.log"
    with served([env.path(UVICORN[0]), *UVICORN[1:]], cwd=PROJECT, log=log) as server:
        yield cache(lambda case, flavour: transcript(server, case, flavour))


@pytest.fixture(scope="module")
def ours(env: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The project served by the shim in each environment."""
    log = tmp_path_factory.mktemp("parity") / f"{env.name}.log"
    command = [env.path("django-shim"), *UVICORN]
    with served(command, cwd=PROJECT, log=log) as server:
        yield server


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("case", CASES)
def test_transcripts_are_equal(
    case: str, flavour: str, upstream: Transcript, ours: Server, env: Environment
) -> None:
    expected = upstream(case, flavour)
    found = transcript(ours, case, flavour)
    differences = compare(case, expected, found)
    seen.setdefault(env.name, set()).update(differences)
    unlisted = [difference.row() for difference in differences if difference not in listed()]
    assert not unlisted, f"not in {PAGE.name}:\n" + "\n".join(unlisted) + f"\nlog:\n{ours.log()[-3000:]}"


@pytest.mark.parametrize("name", ["bare", "django", "channels"])
def test_the_page_lists_nothing_that_is_no_difference(name: str, request: pytest.FixtureRequest) -> None:
    """Runs after the transcripts; only a whole run can tell."""
    if request.session.testsfailed or len(seen) < 3 or request.config.option.keyword:
        pytest.skip("not a whole run, or one that failed")
    stale = {row for row in listed() if row.case in CASES} - seen[name]
    assert not stale, f"{PAGE.name} lists what does not differ (in {name}): {stale}"
