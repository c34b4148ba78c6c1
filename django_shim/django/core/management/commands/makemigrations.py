"""``manage.py makemigrations``: there are no models to look at."""

from __future__ import annotations

from typing import Any

from ..base import BaseCommand

__all__ = ["Command"]


class Command(BaseCommand):
    """Says so, and succeeds."""

    help = "Does nothing: without the real Django there are no models."
    stealth_options = ("interactive",)
    _without_effect = "--dry-run --merge --empty --noinput --no-input --check --update --no-header"

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("args", metavar="app_label", nargs="*", help="Accepted; no effect.")
        parser.add_argument("-n", "--name", help="Accepted; no effect.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(
            "No changes: this project runs without Django, and so without models. (pip install django)"
        )
