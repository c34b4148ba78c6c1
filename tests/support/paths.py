"""Where the checkout is, and where the acceptance material lies that is no part of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["NO_MATERIAL", "REPO", "acceptance_material"]

NO_MATERIAL = "no acceptance material"
"""How the reason begins for which a test is skipped that needs it."""

REPO = Path(__file__).resolve().parents[2]


def acceptance_material() -> Path:
    """The folder `shared` beside the checkout, or COMPAT_SHARED; without it the test is skipped."""
    folder = Path(os.environ.get("COMPAT_SHARED") or REPO.parent / "shared")
    if not (folder / "acceptance" / "make_tutorial.py").is_file():
        pytest.skip(f"{NO_MATERIAL} at {folder} (COMPAT_SHARED names another folder)")
    return folder
