"""The fast parts' own tests, where these are used."""

from __future__ import annotations

from compat.engine.fast import in_use

collect_ignore_glob = [] if in_use() else ["test_*.py"]
