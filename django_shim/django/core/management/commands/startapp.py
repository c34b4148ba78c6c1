"""``manage.py startapp``: the files that a new app begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..base import BaseCommand, CommandError

__all__ = ["Command"]

_FILES = {
    "__init__.py": "",
    "admin.py": "from django.contrib import admin\n\n# Register your models here.\n",
    "apps.py": (
        "from django.apps import AppConfig\n\n\n"
        "class {class_name}Config(AppConfig):\n"
        '    default_auto_field = "django.db.models.BigAutoField"\n'
        '    name = "{name}"\n'
    ),
    "migrations/__init__.py": "",
    "models.py": "from django.db import models\n\n# Create your models here (they need the real Django).\n",
    "tests.py": "from django.test import TestCase\n\n# Create your tests here.\n",
    "views.py": "from django.shortcuts import render\n\n# Create your views here.\n",
}


class Command(BaseCommand):
    """Makes a folder with an empty app in it."""

    help = "Makes the folder of a new app, here or in a folder that exists."
    missing_args_message = "which name is the app to have?"
    requires_system_checks = ()

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("name", help="The app's name.")
        parser.add_argument("directory", nargs="?", help="A folder for it, which must exist.")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        if not name.isidentifier():
            raise CommandError(f"an app's name is a Python name, such as chat; {name!r} is none")
        folder = Path(options["directory"] or name)
        if options["directory"] and not folder.is_dir():
            raise CommandError(f"there is no folder '{folder}'")
        if not options["directory"] and folder.exists():
            raise CommandError(f"'{folder.resolve()}' is there already")
        for file, text in _FILES.items():
            path = folder / file
            if path.exists():
                raise CommandError(f"{path} is there already, and is not replaced")
            path.parent.mkdir(parents=True, exist_ok=True)
            class_name = "".join(part.title() for part in name.split("_"))
            path.write_text(text.format(name=name, class_name=class_name), encoding="utf-8")
