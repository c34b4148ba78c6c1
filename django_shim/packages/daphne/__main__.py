"""``python -m daphne``."""

from __future__ import annotations

from daphne.cli import CommandLineInterface

__all__: list[str] = []

if __name__ == "__main__":
    CommandLineInterface.entrypoint()
