"""The package ``compat`` itself."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import compat
compat.routing.URLRouter, compat.auth.AuthMiddlewareStack, compat.security.__path__, compat.db
try:
    compat.rooting
except AttributeError as error:
    assert str(error) == "module 'compat' has no attribute 'rooting'", error
else:
    raise AssertionError("it has compat.rooting")
"""


def test_the_modules_are_there_after_the_import_of_the_package_alone() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
