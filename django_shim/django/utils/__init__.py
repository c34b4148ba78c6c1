"""What Django calls ``django.utils``: one module per kind of thing."""

from __future__ import annotations

__all__: list[str] = []
