"""Runs the tests in `inside` in an interpreter where the shim serves `django`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPO
from tests.support.processes import child_environment

INSIDE = Path(__file__).parent / "inside"


@pytest.mark.timeout(300)
def test_inside() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(INSIDE)]
    env = child_environment({"DJANGO_SUBSET_INSIDE": "1"})
    done = subprocess.run(
        command, cwd=REPO, env=env, capture_output=True, text=True, input="", timeout=290, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
