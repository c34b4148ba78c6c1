"""``AnonymousUser``; and ``User`` and its kin as names, which say what they need when they are used."""

from __future__ import annotations

from typing import Any

import compat.auth  # noqa: F401 - before its modules, or threads that import them wait for each other
from compat.auth.users import AnonymousUser

from ...db.models import Model as AbsentModel

__all__ = [
    "AbstractBaseUser",
    "AbstractUser",
    "AnonymousUser",
    "BaseUserManager",
    "Group",
    "Permission",
    "PermissionsMixin",
    "User",
    "UserManager",
]


class AbstractBaseUser(AbsentModel, absent=True):
    """A base of user models."""


class PermissionsMixin(AbsentModel, absent=True):
    """A base of user models."""


class AbstractUser(AbsentModel, absent=True):
    """A base of user models."""


class User(AbsentModel, absent=True):
    """Django's user. There are none: nobody is an instance of it."""


class Group(AbsentModel, absent=True):
    """Django's group."""


class Permission(AbsentModel, absent=True):
    """Django's permission."""


class BaseUserManager:
    """A base of user managers."""


class UserManager(BaseUserManager):
    """A base of user managers."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__}.{name}: there are no users without the real Django")
