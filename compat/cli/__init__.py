"""The ``channels-compat`` command. Each of its commands is a file here; ``app`` gives them their options."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run this process's command line. Exit code 1 for an error that was explained, 2 for wrong usage."""
    try:
        from compat.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "click"):
            raise
        sys.exit(f"channels-compat needs {error.name}. Run: pip install 'channels-compat[server]'")
    app(prog_name="channels-compat")
