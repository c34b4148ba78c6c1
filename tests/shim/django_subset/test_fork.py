"""Pages in a process that was forked after it had served some, and the end of both."""

from __future__ import annotations

from tests.shim.django_subset.page import PAGE
from tests.shim.running import run_code
from tests.support.environments import Environment
from tests.support.paths import REPO

FORK = """
import os, threading

asyncio.run(page())
child = os.fork()
status = asyncio.run(page())
if child:
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(status, ended, threading.active_count())
"""


def test_a_forked_process_serves_pages_and_ends(bare: Environment) -> None:
    assert run_code(bare, PAGE + FORK, REPO / "bench").split() == ["200", "0", "2"]
