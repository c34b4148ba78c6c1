"""``python -m django``: a management command without a manage.py."""

from __future__ import annotations

from .core import management

__all__: list[str] = []

if __name__ == "__main__":
    management.execute_from_command_line()
