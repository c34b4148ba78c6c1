"""What Django calls ``django.utils``: one module per kind of thing."""

from __future__ import annotations

from ..unserved import attribute_of

__all__: list[str] = []

__getattr__ = attribute_of(__name__)
