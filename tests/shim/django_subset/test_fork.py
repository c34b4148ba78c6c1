"""Pages in a process that was forked after it had served some, and the end of both."""

from __future__ import annotations

from tests.shim.running import run_code
from tests.support.environments import Environment
from tests.support.paths import REPO

FORK = """
import asyncio, os, threading

from apps.page_subset import app

async def page():
    first = [{"type": "http.request", "body": b""}]
    sent = []

    async def receive():
        return first.pop() if first else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"127.0.0.1:8000")]
    scope = {"type": "http", "method": "GET", "path": "/chat/lobby/", "query_string": b"", "headers": headers}
    await asyncio.wait_for(app(scope, receive, send), 20)
    return sent[0]["status"]

asyncio.run(page())
child = os.fork()
status = asyncio.run(page())
if child:
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(status, ended, threading.active_count())
"""


def test_a_forked_process_serves_pages_and_ends(bare: Environment) -> None:
    assert run_code(bare, FORK, REPO / "bench").split() == ["200", "0", "2"]
