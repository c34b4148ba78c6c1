"""The tests in `inside` import `django`, which takes an interpreter of its own: see test_inside.py."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("DJANGO_SUBSET_INSIDE") else ["inside"]
