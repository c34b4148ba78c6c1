"""Runs scripts one after the other, each in a process of its own that has the heavy imports behind it.

    python scripts_of_pages.py FILE…    # one line of JSON for each: its name, exit code, what it printed

A process is forked for each script, in the script's own folder. What is imported beforehand is what nearly
every block of the documentation imports, and changes nothing by being imported.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path

import fastapi

import compat.fastapi
import compat.testing

__all__ = ["main"]

IMPORTED = (fastapi, compat.fastapi, compat.testing)


def run(script: Path) -> tuple[int, str]:
    """The exit code of one script, and what it wrote to both streams."""
    with tempfile.TemporaryFile("w+") as output:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            os._exit(_in_child(script))
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read()


def _in_child(script: Path) -> int:
    os.chdir(script.parent)
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(script)]
    try:
        runpy.run_path(str(script), run_name="__main__")
    except BaseException:  # noqa: BLE001  # it is reported, and the process ends
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def main() -> None:
    for name in sys.argv[1:]:
        code, output = run(Path(name))
        print(json.dumps([name, code, output]), flush=True)


if __name__ == "__main__":
    main()
