"""In a forked process the threads of its parent do not exist: what used them makes new ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.paths import REPO
from tests.support.processes import child_environment

FORKED = """
import asyncio, multiprocessing, threading
from asgiref.sync import sync_to_async
from compat.consumer import SyncConsumer
from compat.testing import ApplicationCommunicator

class Ticks(SyncConsumer):
    thread_sensitive = {one_thread}

    def tick(self, message):
        self.send({{"type": threading.current_thread().name}})

async def use():
    await sync_to_async(threading.current_thread)()
    communicator = ApplicationCommunicator(Ticks.as_asgi(), {{"type": "tick"}})
    await communicator.send_input({{"type": "tick"}})
    await communicator.receive_output(timeout=10)
    await communicator.wait()

def child(queue):
    asyncio.run(asyncio.wait_for(use(), 20))
    queue.put("used")

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    asyncio.run(use())
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,), daemon=True)
    process.start()
    print(queue.get(timeout=30))
    process.join(30)
"""


@pytest.mark.parametrize("one_thread", [True, False])
def test_a_forked_process_has_threads_of_its_own(one_thread: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED.format(one_thread=one_thread)],
        env=child_environment({"PYTHONPATH": str(REPO)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "used\n", done.stderr
