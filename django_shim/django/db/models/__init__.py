"""``from django.db import models`` works, and so does a models.py without models; defining one raises
ImportError.
"""

from __future__ import annotations

from . import signals
from .absent import AbsentModel as Model
from .absent import AbsentModelBase as ModelBase
from .deletion import CASCADE, DO_NOTHING, PROTECT, RESTRICT, SET, SET_DEFAULT, SET_NULL
from .enums import Choices, IntegerChoices, TextChoices
from .fields import FIELDS
from .queries import QUERIES, Manager, ObjectDoesNotExist, QuerySet

globals().update(FIELDS, **QUERIES)

__all__ = [
    "CASCADE",
    "DO_NOTHING",
    "PROTECT",
    "RESTRICT",
    "SET",
    "SET_DEFAULT",
    "SET_NULL",
    "Choices",
    "IntegerChoices",
    "Manager",
    "Model",
    "ModelBase",
    "ObjectDoesNotExist",
    "QuerySet",
    "TextChoices",
    "signals",
]
__all__ += [*FIELDS, *QUERIES]
