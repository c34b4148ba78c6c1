"""``AnonymousUser``; and ``User`` and its kin as names, which say what they need when they are used."""

from __future__ import annotations

from typing import Any

from compat.users import AnonymousUser

from ...db.models.absent import AbsentModel
from ...unserved import NOT_A_PACKAGE, attribute_of

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

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


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

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """The domain in lower case."""
        name, at, domain = (email or "").strip().rpartition("@")
        return f"{name}@{domain.lower()}" if at else domain


class UserManager(BaseUserManager):
    """A base of user managers."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__}.{name}: there are no users without the real Django")
