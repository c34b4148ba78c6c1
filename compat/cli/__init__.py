"""The ``channels-compat`` command. ``app`` declares its commands and their options; each command is a module
here.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process. Exit codes: 1 after an error that was printed, 2 for a wrong
    call.
    """
    try:
        from compat.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "click"):
            raise
        sys.exit(f"channels-compat needs {error.name}. Run: pip install 'channels-compat[server]'")
    app(prog_name="channels-compat")
