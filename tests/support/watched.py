"""``python watched.py REPORT MODULE ARGUMENT...``: ``python -m MODULE``, with a watch on its event loop.

What the watch finds is appended to the file REPORT. It needs nothing but the standard library, because the
environments of some servers have no more of the tests.
"""

from __future__ import annotations

import importlib
import runpy
import sys
import threading
from pathlib import Path

if __name__ == "__main__":
    watch = importlib.import_module("watch")  # beside this file
    sys.path[0] = ""  # as with "-m": the current directory
    report, module = Path(sys.argv[1]), sys.argv[2]

    def told(text: str) -> None:
        with report.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")

    watch.Watch(None, threading.main_thread(), told=told).start()
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
