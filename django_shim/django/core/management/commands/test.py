"""``manage.py test``: the project's tests, by unittest's discovery."""

from __future__ import annotations

import os
import sys
import unittest
from typing import Any

from ....test import utils
from ..base import BaseCommand

__all__ = ["Command"]


class Command(BaseCommand):
    """Runs ``test*.py``; names of modules, classes and methods choose among them."""

    help = "Runs the project's tests."
    requires_system_checks = ()
    stealth_options = ("interactive",)
    _without_effect = "--noinput --no-input --keepdb"

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("args", metavar="test_label", nargs="*", help="Modules, classes or methods.")
        parser.add_argument("--failfast", action="store_true", help="Stop at the first failure.")
        parser.add_argument("-p", "--pattern", default="test*.py", help="Which files (test*.py).")
        parser.add_argument("-k", action="append", dest="patterns", help="Only tests whose name matches.")

    def handle(self, *labels: Any, **options: Any) -> None:
        loader = unittest.TestLoader()
        if options["patterns"]:
            loader.testNamePatterns = [one if "*" in one else f"*{one}*" for one in options["patterns"]]
        utils.setup_test_environment()
        try:
            suite = unittest.TestSuite(_found(loader, label, options["pattern"]) for label in labels or ["."])
            runner = unittest.TextTestRunner(verbosity=options["verbosity"], failfast=options["failfast"])
            result = runner.run(suite)
        finally:
            utils.teardown_test_environment()
        if not result.wasSuccessful():
            sys.exit(1)


def _found(loader: unittest.TestLoader, label: str, pattern: str) -> unittest.TestSuite:
    if os.path.isdir(label):
        return loader.discover(label, pattern, os.getcwd())
    package = label.replace(".", os.sep)
    if os.path.isdir(package):
        return loader.discover(package, pattern, os.getcwd())
    return loader.loadTestsFromName(label)
