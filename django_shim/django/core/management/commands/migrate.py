"""``manage.py migrate``: there are no tables to make."""

from __future__ import annotations

from typing import Any

from ..base import BaseCommand

__all__ = ["Command"]


class Command(BaseCommand):
    """Says so, and succeeds, because tutorials and start scripts call it."""

    help = "Does nothing: without the real Django there is no database."
    stealth_options = ("interactive",)
    _without_effect = "--noinput --no-input --fake --fake-initial --plan --run-syncdb --check --prune"

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("app_label", nargs="?", help="Accepted; no effect.")
        parser.add_argument("migration_name", nargs="?", help="Accepted; no effect.")
        parser.add_argument("--database", help="Accepted; no effect.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(
            "Nothing to migrate: this project runs without Django, and so without a database. (Models, "
            "users and the admin need it: pip install django.)"
        )
