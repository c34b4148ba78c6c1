"""Run in a process as its interpreter starts: a watch on the event loop of its main thread.

A line in site-packages (``HOOK``, written by ``tests.support.environments``) runs this in each process that
is told to by ``WATCH_BY``; what the watch finds is appended to the file ``WATCH_REPORT``. Both are inherited,
so the children of a server are watched as well. It needs nothing but the standard library, because the
environments of some servers have no more of the tests.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from pathlib import Path

__all__ = ["HOOK"]

HOOK = (
    'import os; by = os.environ.get("WATCH_BY"); '
    'by and exec(open(by, encoding="utf-8").read(), {"__name__": "__watched__", "__file__": by})\n'
)
"""What a ``.pth`` file says: a line that begins with "import" is run."""


def begin(report: Path) -> None:
    """Watch the loop of the main thread, for as long as the process lives."""
    # By its path: what is imported by its name later must not be what the tests' folder has.
    spec = importlib.util.spec_from_file_location("tests_watch", Path(__file__).with_name("watch.py"))
    assert spec is not None and spec.loader is not None
    watch = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(watch)

    def told(text: str) -> None:
        with report.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")

    watch.Watch(None, threading.main_thread(), told=told).start()


if __name__ == "__watched__":
    begin(Path(os.environ["WATCH_REPORT"]))
