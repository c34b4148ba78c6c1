"""``user`` and ``perms`` in templates."""

from __future__ import annotations

from typing import Any

from ...utils.functional import SimpleLazyObject

__all__ = ["auth"]


class _NoPermissions:
    """``perms.app.permission`` is false for everybody."""

    def __getitem__(self, name: str) -> _NoPermissions:
        return self

    def __contains__(self, name: object) -> bool:
        return False

    def __bool__(self) -> bool:
        return False

    def __iter__(self) -> Any:
        return iter(())


def auth(request: Any) -> dict[str, Any]:
    """Return the request's user; anonymous if AuthenticationMiddleware is not in MIDDLEWARE."""
    from .models import AnonymousUser

    user = request.user if hasattr(request, "user") else SimpleLazyObject(AnonymousUser)
    return {"user": user, "perms": _NoPermissions()}
