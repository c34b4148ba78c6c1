"""Where the checkout is, and where the acceptance material lies that is no part of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["REPO", "acceptance_material"]

REPO = Path(__file__).resolve().parents[2]


def acceptance_material() -> Path:
    """The folder `shared` beside the checkout, or COMPAT_SHARED; without it the test is skipped."""
    folder = Path(os.environ.get("COMPAT_SHARED") or REPO.parent / "shared")
    if not (folder / "acceptance" / "make_tutorial.py").is_file():
        pytest.skip(f"no acceptance material at {folder} (COMPAT_SHARED names another folder)")
    return folder
