"""``python -m django_shim``: the ``django-shim`` command."""

from __future__ import annotations

import sys

from django_shim.launcher import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
